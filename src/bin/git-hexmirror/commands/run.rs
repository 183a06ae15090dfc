//! `run`

use git_hexmirror::ops::{self, FailedRequests, Failure, OpError, Project};
use git_hexmirror::plan::Comparison;

use super::serve;
use super::status::not_mirrored_line;
use crate::cli::Outcome;
use crate::output::Output;
use crate::report;
use crate::session::Session;

/// How many things that the mirror lacks are named.
const SHOWN: usize = 5;

/// Run a command against the mirror: `git hexmirror run -- mix deps.get`
///
/// Starts a server on a free loopback port, sets the variables that lead Hex clients and git there, runs the command, and exits
/// with its exit code; with 127 where there is no such command, 126 where it cannot be executed, 2 or 5 where there is no mirror to
/// serve. Several may run side by side. Where the command fails and the mirror lacks something, that is said.
/// With --verbose, each request is logged.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The command with its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<String>,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    let Some((program, arguments)) = arguments.command.split_first() else { return Ok(2) };
    match ops::run_command(&project, program, arguments, serve::request_log(&session.output)) {
        Ok(finished) => {
            if finished.status.code().is_some_and(|code| code != 0) {
                explain(&session.output, &project, finished.failed);
            }
            Ok(exit_code(finished.status))
        }
        // As shells have it; if this machine is to blame, it is not the command's.
        Err(error @ OpError::Run { .. }) if error.failure() == Failure::Usage => {
            let code = not_run(&error);
            report::report(session, &error.into());
            Ok(code)
        }
        Err(error) => Err(error.into()),
    }
}

/// Prints what the mirror lacks and the server's own errors after a command has failed: they may be the reason, and clients
/// only report what they received.
fn explain(output: &Output, project: &Project, failed: FailedRequests) {
    if !failed.errors.is_empty() {
        output.say(format!("git-hexmirror: the server failed: {}", listed(&Vec::from_iter(failed.errors))));
    }
    let status = ops::status(project, true).ok();
    let locks = status.as_ref().map_or_else(String::new, |status| status.locks.join(", "));
    let comparison = status.and_then(|status| status.comparison);
    let pinned = comparison.as_ref().map(Comparison::lacking).unwrap_or_default();
    if !pinned.is_empty() {
        let lacks = listed(&pinned);
        output.say(format!("git-hexmirror: the mirror lacks what {locks} pins: {lacks}; run `git hexmirror update`"));
    } else if !failed.lacking.is_empty() {
        let asked = listed(&Vec::from_iter(failed.lacking));
        output.say(format!(
            "git-hexmirror: the mirror was asked for what it lacks and no lock pins: {asked}; \
             lock it where there is a network, then run `git hexmirror update`"
        ));
    }
    if let Some(not_mirrored) = comparison.as_ref().and_then(not_mirrored_line) {
        output.say(format!("git-hexmirror: {not_mirrored}"));
    }
}

/// Names the first of some things.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Returns what `env`, `timeout` and shells exit with: 127 where there is no such command, 126 where it cannot be executed.
fn not_run(error: &OpError) -> u8 {
    match error {
        OpError::Run { source, .. } if source.kind() == std::io::ErrorKind::NotFound => 127,
        _ => 126,
    }
}

/// Returns the exit code, or what a shell makes of a signal.
pub fn exit_code(status: std::process::ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return u8::try_from(128 + signal).unwrap_or(u8::MAX);
    }
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
