//! Runs a command together with a server for the project's mirror.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::{Command, ExitStatus};

use super::prompt::Kind;
use super::serving::artefact_cache::artefacts_for_run;
use super::serving::gleam_cache::cache_home_for_run;
use super::serving::hex_home::temporary_hex_home;
use super::serving::kept_folder::ClientFolder;
use super::unanswered::{FailedRequests, SharedFailedRequests};
use super::{Clients, OpError, Project, Result, access, served_mirror, start_server};
use crate::serve::environment::{Access, Variable, proxies};
use crate::serve::{Handle, Log, Options};
use crate::store::{StoreError, Temporary};

/// The variable that is set in a shell of [`run_shell`].
const SHELL: &str = "HEXMIRROR_SHELL";

/// The shell of a user whose environment names none.
const DEFAULT_SHELL: &str = "/bin/sh";

/// The result of a command.
#[derive(Debug)]
pub struct Finished {
    /// The command's exit status.
    pub status: ExitStatus,
    /// The requests that failed.
    pub failed: FailedRequests,
}

/// Runs a program in the current directory while a server for the project's mirror listens on a free loopback port.
/// Environment variables direct Hex and git clients to the server. Returns the program's result. `log` receives each
/// request that the server answers.
///
/// Termination signals are forwarded to the program, which decides how to handle them.
///
/// If `is_offline`, the server is also the program's proxy, which refuses and records every host that is not mirrored.
///
/// # Errors
/// Fails if there is no mirror, the server cannot listen, or the program cannot be started.
pub fn run_command(
    project: &Project,
    (program, arguments): (&str, &[String]),
    log: Option<Log>,
    is_offline: bool,
) -> Result<Finished> {
    let serving = Serving::start(project, log, is_offline)?;
    let mut command = serving.command(project, program);
    command.args(arguments);
    serving.run(project, command)
}

/// Runs the user's shell as [`run_command`] runs a program. `starting` is called just before with the shell, and with
/// whether its prompt has a mark.
///
/// # Errors
/// Fails as [`run_command`] does, or if it runs in such a shell already.
pub fn run_shell(project: &Project, log: Option<Log>, starting: impl FnOnce(&str, bool)) -> Result<Finished> {
    let environment = &project.environment;
    if environment.get(SHELL).is_some() {
        return Err(OpError::NestedShell);
    }
    let program = environment.get("SHELL").unwrap_or_else(|| DEFAULT_SHELL.into());
    // Otherwise, the user would be told what is true in a shell that does not exist.
    check_program(project, &program).map_err(|source| OpError::Shell { program: program.clone(), source })?;
    let serving = Serving::start(project, log, false)?;
    let mut command = serving.command(project, &program);
    command.env(SHELL, "1");
    let folder = tempfile::Builder::new().prefix("git-hexmirror-").tempdir();
    let folder = folder.map_err(StoreError::no_temporary)?;
    let kind = Kind::of(&program);
    if let Some(kind) = kind {
        let start = kind.start(folder.path(), &serving.variables, |name| environment.get(name));
        for (name, content) in start.files {
            let path = folder.path().join(name);
            fs::write(&path, content).map_err(OpError::machine("write", &path))?;
        }
        command.args(start.arguments).envs(start.variables);
    }
    starting(&program, kind.is_some());
    serving.run(project, command)
}

/// Checks that a program exists and can be executed, as `execvp` would find it.
fn check_program(project: &Project, program: &str) -> io::Result<()> {
    let check = |path: &Path| match path.metadata()? {
        metadata if metadata.is_file() => check_executable(path),
        _ => Err(ErrorKind::PermissionDenied.into()),
    };
    if program.contains('/') {
        return check(&project.directory().join(program));
    }
    let path = project.environment.get("PATH").unwrap_or_default();
    let found = path.split(':').any(|folder| check(&project.directory().join(folder).join(program)).is_ok());
    if found { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
}

/// Checks that a file can be executed.
#[cfg(unix)]
fn check_executable(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::access(path, rustix::fs::Access::EXEC_OK)?)
}

#[cfg(not(unix))]
fn check_executable(_: &Path) -> io::Result<()> {
    Ok(())
}

/// A server for one command.
struct Serving {
    server: Handle,
    failed: SharedFailedRequests,
    /// The changes to the environment that direct clients to the server.
    variables: Vec<Variable>,
    /// Folders of clients, which are kept until the command ends.
    _folders: (Option<Temporary>, Vec<ClientFolder>),
}

impl Serving {
    fn start(project: &Project, log: Option<Log>, is_proxy: bool) -> Result<Self> {
        let now = &project.at_one_moment();
        served_mirror(now)?;
        let failed = SharedFailedRequests::default();
        let options = Options { log: Some(failed.noting(log)), is_proxy, ..Options::default() };
        let server = start_server(project, "127.0.0.1:0", options)?;
        let hex_home = temporary_hex_home(now, &server.base_url())?;
        let cache_home = cache_home_for_run(now)?;
        let (artefacts, artefact_folders) = artefacts_for_run(now)?.unzip();
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let access = Access {
            is_proxy,
            hex_home: hex_home.as_ref().map(|folder| text(folder.path())),
            cache_home: cache_home.as_ref().map(|folder| text(folder.path())),
            artefact_folders: artefact_folders.unwrap_or_default(),
            ..access(now, &server.base_url(), None, Clients::Child)?
        };
        let mut variables = project.environment.directed_to(&access);
        if is_proxy {
            variables.extend(proxies(&access.base_url));
        }
        Ok(Self { server, failed, variables, _folders: (hex_home, cache_home.into_iter().chain(artefacts).collect()) })
    }

    /// Prepares a program that uses the server.
    fn command(&self, project: &Project, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(project.directory());
        for Variable { name, value } in &self.variables {
            match value {
                Some(value) => command.env(&**name, value),
                None => command.env_remove(&**name),
            };
        }
        command
    }

    /// Runs a program and stops the server.
    fn run(self, project: &Project, command: Command) -> Result<Finished> {
        let program = command.get_program().to_string_lossy().into_owned();
        let runtime = crate::runtime::current_thread();
        let runtime = runtime.map_err(OpError::machine("run a command in", project.directory()))?;
        let status = runtime.block_on(wait(command)).map_err(|source| OpError::Run { program, source })?;
        self.server.stop()?;
        Ok(Finished { status, failed: self.failed.take() })
    }
}

#[cfg(unix)]
async fn wait(command: Command) -> io::Result<ExitStatus> {
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
async fn wait(mut command: Command) -> io::Result<ExitStatus> {
    command.status()
}
