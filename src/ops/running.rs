//! Runs a command together with a server for the project's mirror.

use std::process::{Command, ExitStatus};

use super::unanswered::{FailedRequests, SharedFailedRequests};
use super::{OpError, Project, Result, access, served_mirror, start_server};
use crate::serve::environment::Variable;
use crate::serve::{Log, Options};

/// The result of a command.
#[derive(Debug)]
pub struct Finished {
    /// The command's exit status.
    pub status: ExitStatus,
    /// The requests that failed.
    pub failed: FailedRequests,
}

/// Runs `command` in the current directory while a server for the project's mirror listens on a free loopback port.
/// Environment variables direct Hex and git clients to the server. Returns the command's result. `log` receives each
/// request that the server answers.
///
/// Termination signals are forwarded to the command, which decides how to handle them.
///
/// # Errors
/// Fails if there is no mirror, the server cannot listen, or the command cannot be started.
pub fn run_command(project: &Project, program: &str, arguments: &[String], log: Option<Log>) -> Result<Finished> {
    served_mirror(project)?;
    let failed = SharedFailedRequests::default();
    let options = Options { log: Some(failed.noting(log)), ..Options::default() };
    let server = start_server(project, "127.0.0.1:0", options)?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(project.directory());
    let access = access(project, &server.base_url(), None, true)?;
    for Variable { name, value } in project.environment.directed_to(&access) {
        match value {
            Some(value) => command.env(&*name, value),
            None => command.env_remove(&*name),
        };
    }
    let runtime = crate::runtime::current_thread();
    let runtime = runtime.map_err(OpError::machine("run a command in", project.directory()))?;
    let not_run = |source| OpError::Run { program: program.to_owned(), source };
    let status = runtime.block_on(wait(command)).map_err(not_run)?;
    server.stop()?;
    Ok(Finished { status, failed: failed.take() })
}

#[cfg(unix)]
async fn wait(command: Command) -> std::io::Result<ExitStatus> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut child = tokio::process::Command::from(command).spawn()?;
    let pass_on = |child: &tokio::process::Child, signal| {
        let pid = child.id().and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
        // The command may have exited in the meantime.
        pid.map(|pid| rustix::process::kill_process(pid, signal))
    };
    loop {
        tokio::select! {
            status = child.wait() => return status,
            // A terminal sends this signal to the command as well.
            _ = interrupt.recv() => {}
            _ = terminate.recv() => drop(pass_on(&child, rustix::process::Signal::TERM)),
            _ = hangup.recv() => drop(pass_on(&child, rustix::process::Signal::HUP)),
        }
    }
}

#[cfg(not(unix))]
async fn wait(mut command: Command) -> std::io::Result<ExitStatus> {
    command.status()
}
