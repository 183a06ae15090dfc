//! `shell`

use git_hexmirror::ops;

use super::{run, serve_log};
use crate::outcome::Outcome;
use crate::session::{Session, say_rebar3_key};

/// Start your shell with the mirror in use; `exit` leaves it
///
/// Starts $SHELL, or /bin/sh, as `git hexmirror run` starts a command: Hex clients and git in it use a server for the mirror, which
/// stops with the shell. The prompt of bash, zsh, fish and POSIX shells begins with "(hexmirror)". Your startup files are read as
/// usual; variables in them that point clients elsewhere have no effect. Commands of this program, such as `update`, still ask
/// upstream. Exits with the exit code of the shell, and names every request that the mirror could not answer.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

pub fn run(session: &Session, _: &Arguments) -> Outcome {
    let project = session.reading_project()?;
    let output = &session.output;
    // Not knowing the answers' age does not stop the shell.
    let day = ops::answers_of(&project).map_or_else(|_| String::new(), |day| format!(" as of {day}"));
    let starting = |shell: &str, is_marked: bool| {
        output.say(format!("mix, rebar3 and git use {}{day} in this shell; `exit` leaves it", project.branch));
        if !is_marked {
            output.say(format!("the prompt has no mark: {shell} is not a shell that this program knows"));
        }
    };
    say_rebar3_key(output, &project);
    match ops::run_shell(&project, serve_log::request_log(output), starting) {
        Ok(finished) => {
            // A shell exits with the status of its last command, which says nothing about the others.
            run::explain(output, ops::explain(&project, finished.failed, false));
            Ok(run::exit_code(finished.status))
        }
        Err(error) => run::not_run(session, error),
    }
}
