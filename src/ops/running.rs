//! Runs a command with a server of its own.

use std::collections::BTreeSet;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};

use super::{OpError, Project, Result, access, served_mirror, start_server};
use crate::serve::environment::{Variable, environment};
use crate::serve::{Log, Options, RequestLog};

/// The most failed requests that are remembered.
const MAX_FAILED: usize = 1000;

/// How a command ended.
#[derive(Debug)]
pub struct Finished {
    /// The status that the system returned.
    pub status: ExitStatus,
    /// The requests that the server could not answer.
    pub failed: FailedRequests,
}

/// The requests that the server could not answer.
#[derive(Debug, Default)]
pub struct FailedRequests {
    /// What the mirror does not have, as a person would call it; sorted.
    pub lacking: BTreeSet<String>,
    /// The server's own errors, with their causes; sorted.
    pub errors: BTreeSet<String>,
}

/// Runs `command` where the user stands in the project, while a server for the project's mirror answers on a free loopback
/// port, with the variables set that lead Hex and git clients there. Returns how the command ended. `log` takes each request
/// that the server answered.
///
/// Signals that end programs are passed on to the command, and what it does about them decides.
///
/// # Errors
/// Fails where there is no mirror, the server cannot listen, or the command cannot be started.
pub fn run_command(project: &Project, program: &str, arguments: &[String], log: Option<Log>) -> Result<Finished> {
    served_mirror(project)?;
    let failed = Arc::<Mutex<FailedRequests>>::default();
    let options = Options { log: Some(noting(failed.clone(), log)), ..Options::default() };
    let server = start_server(project, "127.0.0.1:0", options)?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(project.directory());
    let access = access(project, &server.base_url(), None, true)?;
    for Variable { name, value } in environment(&access, |name| project.environment.get(name)) {
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
    let failed = std::mem::take(&mut *failed.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Finished { status, failed })
}

/// Notes each request that failed before it passes it on.
fn noting(failed: Arc<Mutex<FailedRequests>>, log: Option<Log>) -> Log {
    Arc::new(move |request: &RequestLog| {
        {
            let FailedRequests { lacking, errors } = &mut *failed.lock().unwrap_or_else(PoisonError::into_inner);
            let error = request.error.as_ref().filter(|_| request.status >= 500);
            for (noted, item) in [(lacking, request.lacking.as_ref()), (errors, error)] {
                if noted.len() < MAX_FAILED {
                    noted.extend(item.cloned());
                }
            }
        }
        log.iter().for_each(|log| log(request));
    })
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
        // It may have ended by itself meanwhile.
        pid.map(|pid| rustix::process::kill_process(pid, signal))
    };
    loop {
        tokio::select! {
            status = child.wait() => return status,
            // A terminal sends this one to the command as well.
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
