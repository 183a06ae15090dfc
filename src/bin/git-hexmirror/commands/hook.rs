//! `hook`: what the installed hooks call.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use git_hexmirror::hook::install::before;
use git_hexmirror::hook::pushed;
use git_hexmirror::hook::Hook;
use git_hexmirror::ops::{self, OpError, Project, PushCheck, Status};

use super::status::lacks;
use super::CommandError;
use crate::cli::Outcome;
use crate::output::{BAD, CHANGED, Output, styled};
use crate::report;
use crate::session::Session;

/// The most that git may say to a hook, in bytes: a line for each of very many refs.
const MAX_INPUT: u64 = 64 << 20;
/// How many things that the mirror lacks a hook names.
const NAMED: usize = 3;

/// Do what one of git's hooks is for
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct Arguments {
    /// The hook's name
    #[arg(value_parser = |name: &str| Hook::named(name).ok_or("there is no such hook of git-hexmirror"))]
    hook: Hook,
    /// The hook's own file
    path: PathBuf,
    /// What git gave it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let Arguments { hook, path, arguments } = arguments;
    let takes_input = matches!(hook, Hook::PrePush | Hook::PostRewrite);
    let mut input = Vec::new();
    if takes_input {
        io::stdin().lock().take(MAX_INPUT).read_to_end(&mut input).map_err(CommandError::Print)?;
    }
    let code = run_before(&before(path), arguments, takes_input.then_some(&input[..]))?;
    match hook {
        _ if code != 0 => Ok(code),
        Hook::PrePush => pre_push(session, arguments, &String::from_utf8_lossy(&input)),
        Hook::PostCheckout | Hook::PostMerge | Hook::PostRewrite => {
            // Whatever is wrong, the checkout is done: the hook only says so.
            if let Err(error) = after_checkout(session, *hook, arguments) {
                let _: ExitCode = report::report(&session.output, &error);
            }
            Ok(0)
        }
    }
}

/// Runs the hook that was there before, the way git runs hooks.
fn run_before(path: &Path, arguments: &[String], input: Option<&[u8]>) -> Result<u8, OpError> {
    if !is_executable(path) {
        return Ok(0);
    }
    let failed = |source| OpError::Run { program: path.display().to_string(), source };
    let stdin = || if input.is_some() { Stdio::piped() } else { Stdio::inherit() };
    let child = Command::new(path).args(arguments).stdin(stdin()).spawn();
    // A script without its first line is the shell's, as for git (`run_command` falls back on it).
    let child = child.or_else(|_| Command::new("sh").arg(path).args(arguments).stdin(stdin()).spawn());
    let mut child = child.map_err(failed)?;
    if let Some((mut stdin, input)) = child.stdin.take().zip(input) {
        // A hook need not read what it is told.
        let _ = stdin.write_all(input);
    }
    let status = child.wait().map_err(failed)?;
    Ok(super::run::exit_code(status))
}

fn is_executable(path: &Path) -> bool {
    let Ok(metadata) = path.metadata() else { return false };
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 == 0 {
        return false;
    }
    metadata.is_file()
}

fn pre_push(session: &Session, arguments: &[String], input: &str) -> Outcome {
    let project = session.project()?;
    let remote = arguments.first().map_or("origin", String::as_str);
    match ops::check_push(&project, remote, &pushed::parse(input))? {
        PushCheck::Irrelevant | PushCheck::Shared => Ok(0),
        PushCheck::Stale { refs } => {
            for (name, status) in refs {
                say_stale(&session.output, &project, &format!("what is pushed to {name}"), &status)?;
            }
            session.output.always("hint: run `git hexmirror update` and push again, or push without it: `git push --no-verify`");
            Ok(report::NOT_FRESH)
        }
        PushCheck::Share => super::push::share(session, &project, remote),
    }
}

/// Says in a few lines what the mirror lacks for the locks that are checked out now, or mends it if so set.
fn after_checkout(session: &Session, hook: Hook, arguments: &[String]) -> Result<(), CommandError> {
    if hook == Hook::PostCheckout && arguments.get(2).is_none_or(|flag| flag != "1") {
        return Ok(());
    }
    let project = session.project()?;
    if let (Hook::PostCheckout, [before, after, ..]) = (hook, arguments)
        && !ops::locks_changed(&project, before, after)?
    {
        return Ok(());
    }
    let Some(status) = ops::check_checkout(&project)? else { return Ok(()) };
    super::pull::mend(session, &project, &status)
}

/// Prints that the mirror is not fresh, and the first things that it lacks.
pub fn say_stale(output: &Output, project: &Project, whose: &str, status: &Status) -> Result<(), CommandError> {
    output.always(format!("{} {} lacks what {whose} pins:", styled(BAD, "git-hexmirror:"), project.branch));
    let Some(comparison) = &status.comparison else { return Ok(()) };
    let lacking: Vec<String> = comparison.to_fetch().map(|pin| pin.id.to_string()).collect();
    let more = if lacking.len() > NAMED { format!(", and {} more", lacking.len() - NAMED) } else { String::new() };
    let named = lacking.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    output.always(format!("  {}{more}", styled(CHANGED, named)));
    Ok(())
}
