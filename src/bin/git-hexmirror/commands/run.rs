//! `run`

use git_hexmirror::ops::{self, OpError};

use crate::cli::Outcome;
use crate::report;
use crate::session::Session;

/// Run a command against the mirror: `git hexmirror run -- mix deps.get`
///
/// Starts a server on a free loopback port, sets the variables that lead Hex clients and git there, runs the command, and exits
/// with its exit code. Several may run side by side.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The command with its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<String>,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    let Some((program, arguments)) = arguments.command.split_first() else { return Ok(2) };
    match ops::run_command(&project, program, arguments) {
        Ok(status) => Ok(exit_code(status)),
        Err(error @ OpError::Run { .. }) => {
            let code = not_run(&error);
            report::report(&session.output, &error.into());
            Ok(code)
        }
        Err(error) => Err(error.into()),
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
