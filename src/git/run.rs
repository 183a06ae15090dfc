//! A git process: its input, what it says, and how it ends.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::error_message::{local_fault, readable};
use super::pipes::{Pipes, serve_pipes};
use super::unsuccessful::Unsuccessful;
use super::{GitError, Result};
use crate::model::Secrets;

/// The maximum number of bytes of git's standard error that are kept.
const MAX_STDERR: usize = 64 << 10;
/// The maximum number of bytes of git's standard output that are accepted.
const MAX_STDOUT: u64 = 256 << 20;
/// How long a server may send no data. Git prints progress as data arrives, so silence means that the server is silent.
const SILENCE: Duration = Duration::from_secs(300);

/// A git process that is being configured.
pub(super) struct Run<'a> {
    pub(super) program: &'a Path,
    /// What is hidden in messages.
    pub(super) secrets: &'a Secrets,
    pub(super) command: Command,
    /// The working directory.
    pub(super) folder: PathBuf,
    /// The git command, such as `fetch`.
    pub(super) name: String,
    pub(super) input: Input,
    pub(super) on_stderr: Option<&'a (dyn Fn(&str) + Sync)>,
    pub(super) silence: Option<Duration>,
}

/// The standard input of git.
pub(super) enum Input {
    Bytes(Vec<u8>),
    File(Result<File>),
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
        let mut secrets = self.secrets.clone();
        secrets.extend(self.command.get_args().map(OsStr::to_string_lossy));
        secrets.hide(&String::from_utf8_lossy(said)).into_bytes()
    }

    /// Returns the error for a git process that could not be started. It reports git as missing only if the program was
    /// not found although the working directory exists.
    fn not_started(&self, source: io::Error) -> Unsuccessful {
        if source.kind() == io::ErrorKind::NotFound && self.folder.is_dir() {
            return Unsuccessful::Error(GitError::NotRun { program: self.program.to_owned(), source });
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
