//! Runs git. All git processes are started here.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::error_message::{local_fault, readable};
use super::fixed::{FIXED, FIXED_IN_PROJECT, REMOVED};
use super::pipes::{Pipes, serve_pipes};
use super::third_party::{self, ThirdPartySettings};
use super::unsuccessful::Unsuccessful;
use super::{GitError, Result};
use crate::model::Secrets;

/// The minimum version of git. `GIT_CONFIG_GLOBAL` was added in it, and all other features in use are older.
const LEAST_VERSION: (u32, u32, &str) = (2, 32, "2.32");
/// The maximum number of bytes of git's standard error that are kept.
const MAX_STDERR: usize = 64 << 10;
/// The maximum number of bytes of git's standard output that are accepted.
const MAX_STDOUT: u64 = 256 << 20;
/// How long a server may send no data. Git prints progress as data arrives, so silence means that the server is silent.
const SILENCE: Duration = Duration::from_secs(300);

/// Settings for running git, in addition to the fixed ones.
#[derive(Debug, Clone, Default)]
pub struct GitSettings {
    /// The user's settings that apply outside of the project's repository.
    pub third_party: ThirdPartySettings,
    /// The protocols that the user allows in git (`GIT_ALLOW_PROTOCOL`), separated by `:`.
    pub allowed_protocols: Option<String>,
    /// Whether the user can be asked for a password at a terminal.
    pub may_ask: bool,
    /// Whether the user configured an ssh command (`GIT_SSH_COMMAND`, `GIT_SSH`, `core.sshCommand`).
    pub own_ssh: bool,
    /// The credentials of the addresses that git may use. They are hidden in its messages.
    pub secrets: Secrets,
    /// Whether git syncs what it writes into the project's repository, as with `core.fsync=committed`. Otherwise the
    /// user's settings apply.
    pub sync: bool,
    /// Changes to the environment that git inherits. `None` unsets a variable.
    pub environment: Vec<(String, Option<String>)>,
}

/// The system's git, in a supported version.
#[derive(Debug, Clone)]
pub struct Git {
    program: PathBuf,
    settings: GitSettings,
}

/// A git process that is being configured.
pub(super) struct Run<'a> {
    git: &'a Git,
    command: Command,
    /// The working directory.
    folder: PathBuf,
    /// The git command, such as `fetch`.
    name: String,
    input: Input,
    on_stderr: Option<&'a (dyn Fn(&str) + Sync)>,
    silence: Option<Duration>,
}

/// The standard input of git.
enum Input {
    Bytes(Vec<u8>),
    File(Result<File>),
}

impl Git {
    /// Finds the system's git.
    ///
    /// # Errors
    /// Fails if git is not installed or is too old.
    pub fn find(settings: GitSettings) -> Result<Self> {
        let git = Self::unchecked(settings);
        git.version()?;
        Ok(git)
    }

    /// Returns the version, such as `2.47.3`.
    ///
    /// # Errors
    /// Fails if git is not installed or is too old.
    pub fn version(&self) -> Result<String> {
        let output = self.run([OsStr::new("version")]).output("print its version")?;
        let text = String::from_utf8_lossy(&output);
        let found = text.trim().trim_start_matches("git version ").to_owned();
        let mut numbers = found.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
        let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let (least_major, least_minor, needed) = LEAST_VERSION;
        if (major, minor) < (least_major, least_minor) {
            return Err(GitError::TooOld { found, needed });
        }
        Ok(found)
    }

    /// Returns the same git with other settings.
    pub(super) fn with(&self, settings: GitSettings) -> Self {
        Self { program: self.program.clone(), settings }
    }

    /// Returns the system's git without checking that it exists.
    pub(super) fn unchecked(settings: GitSettings) -> Self {
        Self { program: "git".into(), settings }
    }

    /// Prepares a git process that needs no repository, without this program's settings.
    pub(super) fn run_plain(&self, arguments: &[&str]) -> Run<'_> {
        let mut command = Command::new(&self.program);
        command.env("LC_ALL", "C").env("GIT_DIR", "/dev/null").current_dir("/");
        self.run_of(command, Path::new("/"), arguments)
    }

    /// Prepares a git process that needs no repository.
    pub(super) fn run<'a, A: AsRef<OsStr>>(&'a self, arguments: impl IntoIterator<Item = A>) -> Run<'a> {
        self.prepare(None, arguments)
    }

    /// Prepares a git process in a bare repository.
    pub(super) fn run_in<'a, A: AsRef<OsStr>>(
        &'a self,
        repository: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Run<'a> {
        self.prepare(Some(repository), arguments)
    }

    /// Prepares a git process in the project's own repository. The user's own settings, protocols and trust apply to
    /// fetches and pushes. `directory` is the working directory, to which remotes' relative paths refer.
    pub(super) fn run_in_project<'a>(&'a self, directory: &Path, git_dir: &Path, arguments: &[&str]) -> Run<'a> {
        let mut command = Command::new(&self.program);
        for setting in FIXED_IN_PROJECT {
            command.args(["-c", setting]);
        }
        command.args(self.sync_arguments());
        for name in REMOVED {
            command.env_remove(name);
        }
        inherit(&mut command, &self.settings.environment);
        command.env("LC_ALL", "C").env("GIT_DIR", git_dir).current_dir(directory);
        if !self.settings.may_ask {
            never_ask(&mut command, self.settings.own_ssh);
        }
        self.run_of(command, git_dir, arguments)
    }

    /// Returns the arguments that make git sync what it writes into the project's repository.
    fn sync_arguments(&self) -> &'static [&'static str] {
        if self.settings.sync { &["-c", "core.fsync=committed"] } else { &[] }
    }

    /// Prepares the automatic maintenance of the project's own repository. The user's settings and hooks decide what it
    /// does.
    pub(super) fn maintenance(&self, directory: &Path, git_dir: &Path) -> Command {
        let mut command = Command::new(&self.program);
        for name in REMOVED {
            command.env_remove(name);
        }
        command.args(["maintenance", "run", "--auto", "--quiet"]).env("GIT_DIR", git_dir).current_dir(directory);
        command
    }

    /// Prepares a git process that shows the content of a temporary repository to the user, with the user's pager,
    /// colours and language. It writes nothing and does not use the network. `worktree` is an empty folder to be used
    /// as the worktree. Only git's built-in attributes apply, because attributes that users set for their own files
    /// could hide code here.
    pub(super) fn show(&self, git_dir: &Path, worktree: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--no-replace-objects", "-c", "core.attributesFile=/dev/null"]).env("GIT_ATTR_NOSYSTEM", "1");
        for name in REMOVED.iter().filter(|name| !name.starts_with("LANG")) {
            command.env_remove(name);
        }
        command.env("GIT_DIR", git_dir).env("GIT_WORK_TREE", worktree);
        command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_NO_LAZY_FETCH", "1").env("GIT_ALLOW_PROTOCOL", "none");
        // A nonexistent index cannot contain attributes.
        command.env("GIT_INDEX_FILE", worktree.join("index")).current_dir(worktree);
        command
    }

    fn prepare<A: AsRef<OsStr>>(&self, repository: Option<&Path>, arguments: impl IntoIterator<Item = A>) -> Run<'_> {
        let GitSettings { third_party, allowed_protocols, may_ask, own_ssh, environment, secrets: _, sync: _ } =
            &self.settings;
        let mut command = Command::new(&self.program);
        inherit(&mut command, environment);
        command.arg("--no-replace-objects");
        for setting in FIXED {
            command.args(["-c", setting]);
        }
        let variables = third_party::VARIABLES.iter().map(|(name, ..)| name);
        for name in REMOVED.iter().chain(variables).chain(&["GIT_CONFIG_PARAMETERS"]) {
            command.env_remove(name);
        }
        configure(&mut command, third_party);
        command.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0");
        // If the project is a partial clone, its remote does not promise the objects of this repository.
        command.env("GIT_NO_LAZY_FETCH", "1");
        // This variable overrides all settings. A restriction by the user stays in effect.
        let own = allowed_protocols.as_deref().map(|own| own.split(':').collect::<Vec<_>>());
        let allowed = ["https", "http", "ssh", "git"].into_iter();
        let allowed: Vec<&str> = allowed.filter(|name| own.as_ref().is_none_or(|own| own.contains(name))).collect();
        command.env("GIT_ALLOW_PROTOCOL", allowed.join(":"));
        if !may_ask {
            never_ask(&mut command, *own_ssh);
        }
        if let Some(repository) = repository {
            let mut folder = OsString::from("--git-dir=");
            folder.push(repository);
            command.arg(folder).current_dir(repository);
        }
        self.run_of(command, repository.unwrap_or(Path::new(".")), arguments)
    }

    fn run_of<A: AsRef<OsStr>>(
        &self,
        mut command: Command,
        folder: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Run<'_> {
        let before = command.get_args().count();
        command.args(arguments);
        let name = name_of(command.get_args().skip(before));
        let input = Input::Bytes(Vec::new());
        Run { git: self, command, folder: folder.to_owned(), name, input, on_stderr: None, silence: None }
    }
}

/// Returns the git command among the arguments: the first one that is neither `-c` nor a setting.
fn name_of<'a>(arguments: impl Iterator<Item = &'a OsStr>) -> String {
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        if argument != "-c" {
            return argument.to_string_lossy().into_owned();
        }
        arguments.next();
    }
    String::new()
}

/// Applies the given settings instead of the user's configuration files and variables.
fn configure(command: &mut Command, settings: &ThirdPartySettings) {
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("GIT_CONFIG_COUNT", settings.iter().len().to_string());
    for (number, (key, value)) in settings.iter().enumerate() {
        command.env(format!("GIT_CONFIG_KEY_{number}"), key).env(format!("GIT_CONFIG_VALUE_{number}"), value);
    }
}

/// Applies changes to the environment that git inherits.
fn inherit(command: &mut Command, changes: &[(String, Option<String>)]) {
    for (name, value) in changes {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}

/// Makes git fail instead of asking for a password.
fn never_ask(command: &mut Command, own_ssh: bool) {
    command.args(["-c", "core.askPass=", "-c", "credential.interactive=false"]);
    command.env("GIT_TERMINAL_PROMPT", "0").env_remove("GIT_ASKPASS").env_remove("SSH_ASKPASS");
    command.env("SSH_ASKPASS_REQUIRE", "never").env("GCM_INTERACTIVE", "never");
    if !own_ssh {
        command.env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes");
    }
}

impl<'a> Run<'a> {
    /// Sets the standard input.
    pub fn input(mut self, input: Vec<u8>) -> Self {
        self.input = Input::Bytes(input);
        self
    }

    /// Sets a file as the standard input, which stays open as long as git runs. If `file` is an error, git is not run.
    pub fn input_file(mut self, file: Result<File>) -> Self {
        self.input = Input::File(file);
        self
    }

    /// Sets an environment variable.
    pub fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Calls `on_stderr` with git's standard error as it arrives, and ends git if it is silent for too long. For commands
    /// that contact a server.
    pub fn listening(mut self, on_stderr: &'a (dyn Fn(&str) + Sync)) -> Self {
        self.on_stderr = Some(on_stderr);
        self.silence = Some(SILENCE);
        self
    }

    /// Ends git after this time. For commands that print no progress.
    pub fn within(mut self, time: Duration) -> Self {
        self.silence = Some(time);
        self
    }

    /// Runs git and returns its standard output, or `None` if it was ended because it took longer than [`Self::within`] allows.
    pub fn output_in_time(self, action: &'static str) -> Result<Option<Vec<u8>>> {
        let folder = self.folder.clone();
        match self.finish() {
            Ok(output) => Ok(Some(output)),
            Err(Unsuccessful::Stalled { .. }) => Ok(None),
            Err(Unsuccessful::Reported { text, .. }) => Err(GitError::Failed { action, folder, message: text }),
            Err(Unsuccessful::Error(error)) => Err(error),
        }
    }

    /// Runs git and returns its standard output. `action` is a verb phrase for errors.
    pub fn output(self, action: &'static str) -> Result<Vec<u8>> {
        let folder = self.folder.clone();
        self.finish().map_err(|unsuccessful| match unsuccessful {
            Unsuccessful::Reported { text, .. } => GitError::Failed { action, folder, message: text },
            Unsuccessful::Stalled { seconds } => {
                GitError::Failed { action, folder, message: format!("nothing happened for {seconds} seconds") }
            }
            Unsuccessful::Error(error) => error,
        })
    }

    /// Runs git and returns its standard output.
    pub fn finish(mut self) -> Result<Vec<u8>, Unsuccessful> {
        let (bytes, stdin) = match std::mem::replace(&mut self.input, Input::Bytes(Vec::new())) {
            Input::Bytes(bytes) => (bytes, Stdio::piped()),
            Input::File(file) => (Vec::new(), Stdio::from(file.map_err(Unsuccessful::Error)?)),
        };
        self.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().map_err(|source| self.not_started(source))?;
        let (stdin, Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
            return Err(self.broken(io::Error::other("its output cannot be read")));
        };
        let pipes = serve_pipes((stdin, bytes), stdout, stderr, MAX_STDOUT);
        let Pipes { writer, reader, arriving } = pipes.map_err(|source| {
            // Without its threads, git might block on its pipes forever.
            let _ = child.kill();
            let _ = child.wait();
            self.broken(source)
        })?;
        let (status, said) = self.forward_stderr(&mut child, &arriving)?;
        if let Some(writer) = writer {
            drop(writer.join());
        }
        let output = reader.join().unwrap_or_else(|_| Err(io::Error::other("the reading thread panicked")));
        let output = output.map_err(|source| self.broken(source))?;
        if output.len() as u64 > MAX_STDOUT {
            return Err(self.broken(io::Error::other("its output is too long")));
        }
        if status.success() {
            return Ok(output);
        }
        let mut said = self.without_secrets(&said);
        if is_hung_up(status) {
            said.extend(b"fatal: the server hung up\n");
        }
        let own = self.own_folders();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        match local_fault(&said, &own, ended_by_signal(status)) {
            Some(message) => {
                let (command, folder) = (self.name, self.folder);
                Err(Unsuccessful::Error(GitError::Local { command, folder, message }))
            }
            None => Err(Unsuccessful::Reported { text: readable(&said), printed: output }),
        }
    }

    /// Returns the absolute paths of the folders that git was told to use.
    fn own_folders(&self) -> Vec<String> {
        let variables = self.command.get_envs().filter_map(|(name, value)| {
            ["GIT_DIR", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"].iter().any(|known| name == *known).then_some(value?)
        });
        let folders = variables.chain([self.folder.as_os_str()]).map(Path::new);
        // The root folder is part of every path.
        folders
            .filter(|folder| folder.is_absolute() && folder.parent().is_some())
            .map(|folder| folder.display().to_string())
            .collect()
    }

    /// Hides the credentials of the addresses among git's settings and arguments in what it printed.
    fn without_secrets(&self, said: &[u8]) -> Vec<u8> {
        let mut secrets = self.git.settings.secrets.clone();
        secrets.extend(self.command.get_args().map(OsStr::to_string_lossy));
        secrets.hide(&String::from_utf8_lossy(said)).into_bytes()
    }

    /// Returns the error for a git process that could not be started. It reports git as missing only if the program was
    /// not found although the working directory exists.
    fn not_started(&self, source: io::Error) -> Unsuccessful {
        if source.kind() == io::ErrorKind::NotFound && self.folder.is_dir() {
            return Unsuccessful::Error(GitError::NotRun { program: self.git.program.clone(), source });
        }
        self.broken(source)
    }

    fn broken(&self, source: io::Error) -> Unsuccessful {
        let (command, folder) = (self.name.clone(), self.folder.clone());
        Unsuccessful::Error(GitError::Process { command, folder, source })
    }

    /// Passes on the process's standard error until it ends, and returns the last part of it.
    fn forward_stderr(
        &self,
        child: &mut Child,
        arriving: &Receiver<Vec<u8>>,
    ) -> Result<(ExitStatus, Vec<u8>), Unsuccessful> {
        let mut said = Vec::new();
        loop {
            let piece = match self.silence {
                Some(silence) => arriving.recv_timeout(silence),
                None => arriving.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match piece {
                Ok(piece) => {
                    if let Some(on_stderr) = self.on_stderr {
                        on_stderr(&String::from_utf8_lossy(&piece));
                    }
                    said.extend_from_slice(&piece);
                    let surplus = said.len().saturating_sub(MAX_STDERR);
                    said.drain(..surplus);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    // Child processes of git end too, because their pipes are closed.
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(Unsuccessful::Stalled { seconds: self.silence.unwrap_or_default().as_secs() });
                }
            }
        }
        child.wait().map(|status| (status, said)).map_err(|source| self.broken(source))
    }
}

/// Describes the signal that ended a process, if there was one. Signals come from resource limits of this machine or
/// from its user.
#[cfg(unix)]
fn ended_by_signal(status: ExitStatus) -> Option<String> {
    use std::os::unix::process::ExitStatusExt;

    status.signal().filter(|_| !is_hung_up(status)).map(|signal| {
        match rustix::process::Signal::from_named_raw(signal) {
            Some(rustix::process::Signal::XFSZ) => {
                "it wrote a larger file than the limit allows (ulimit -f)".to_owned()
            }
            Some(signal) => format!("it was ended by {signal:?}"),
            None => format!("it was ended by signal {signal}"),
        }
    })
}

/// Returns whether git was writing to a connection that the server had closed. It is not another pipe that broke, because this
/// process reads everything that git prints.
#[cfg(unix)]
fn is_hung_up(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;

    status.signal() == Some(rustix::process::Signal::PIPE.as_raw())
}

#[cfg(not(unix))]
fn is_hung_up(_: ExitStatus) -> bool {
    false
}

#[cfg(not(unix))]
fn ended_by_signal(_: ExitStatus) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_found_after_its_settings() {
        let name = |arguments: &[&str]| name_of(arguments.iter().map(OsStr::new));
        assert_eq!(name(&["-c", "a=b", "-c", "c=d", "hash-object", "-w"]), "hash-object");
        assert_eq!(name(&["version"]), "version");
        assert_eq!(name(&[]), "");
    }
}
