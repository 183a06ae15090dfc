//! Runs a command with a server of its own.

use std::collections::BTreeSet;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};

use super::{OpError, Project, Result, access, mirror, start_server};
use crate::serve::environment::{Variable, environment};
use crate::serve::{Log, Options, RequestLog};

/// The most things that are remembered of those that the server was asked for in vain.
const MAX_LACKING: usize = 1000;

/// How a command ended.
#[derive(Debug)]
pub struct Finished {
    /// As what the system says.
    pub status: ExitStatus,
    /// What the server was asked for and the mirror does not have, as a person would call it; sorted.
    pub lacking: BTreeSet<String>,
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
    mirror(project)?;
    let lacking = Arc::<Mutex<BTreeSet<String>>>::default();
    let options = Options { log: Some(noting(lacking.clone(), log)), ..Options::default() };
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
    let lacking = std::mem::take(&mut *lacking.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Finished { status, lacking })
}

/// Notes what the mirror lacks before it passes a request on.
fn noting(lacking: Arc<Mutex<BTreeSet<String>>>, log: Option<Log>) -> Log {
    Arc::new(move |request: &RequestLog| {
        if let Some(item) = &request.lacking {
            let mut lacking = lacking.lock().unwrap_or_else(PoisonError::into_inner);
            if lacking.len() < MAX_LACKING {
                lacking.insert(item.clone());
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
