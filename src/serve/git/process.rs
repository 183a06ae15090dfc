//! Runs `git upload-pack` as a restricted process, and terminates it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// The maximum number of bytes of a process's error output to keep. The end of the output is kept.
const MAX_ERROR_TEXT: usize = 4096;

/// The settings for every process. The repositories have no configuration of their own, and git does not read the
/// user's.
const SETTINGS: [&str; 6] = [
    // Locks pin commits, and clients request them by id.
    "uploadpack.allowAnySHA1InWant=true",
    "uploadpack.allowFilter=true",
    // The folder may belong to a user who started another server for the same project. Its files were written one by
    // one from the branch, without hooks or configuration.
    "safe.directory=*",
    "core.hooksPath=/dev/null",
    // Several processes already run in parallel.
    "pack.threads=1",
    "gc.auto=0",
];

/// The git program that answers clients.
#[derive(Debug, Clone)]
pub struct Git {
    /// The program.
    pub program: PathBuf,
    /// The value of `PATH`, with which git finds its own parts and tools. It is the only variable that git inherits.
    pub search_path: Option<OsString>,
}

impl Default for Git {
    fn default() -> Self {
        Self { program: "git".into(), search_path: None }
    }
}

/// The protocol version that a client requests with `Git-Protocol` (gitprotocol-v2(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Protocol(Option<String>);

impl Protocol {
    /// Parses the field's value. Ignores a value that git would not send.
    pub(super) fn new(value: Option<&str>) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"=:.-_".contains(&byte);
        Self(value.filter(|value| value.len() <= 256 && value.bytes().all(plain)).map(str::to_owned))
    }

    /// Returns the field's value, or an empty text if there is none.
    pub(super) fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// Returns whether the version is 2. If several are given, the highest counts (`determine_protocol_version_server`
    /// in git).
    pub(super) fn is_2(&self) -> bool {
        self.0.as_ref().is_some_and(|value| value.split(':').any(|field| field == "version=2"))
    }
}

/// The task of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// List the refs and capabilities.
    Advertise,
    /// Answer one request.
    Answer,
}

/// A running `git upload-pack`. It is killed on drop, together with its child processes.
pub(super) struct Process {
    child: Child,
    pub(super) stdout: ChildStdout,
    error_text: Arc<Mutex<Vec<u8>>>,
    ended: bool,
}

impl Process {
    /// Starts the process for a repository, with `stdin` as its standard input. Returns the process and the writing end
    /// of its standard input if that is a pipe.
    pub(super) fn start(
        git: &Git,
        task: Task,
        protocol: &Protocol,
        repository: &Path,
        stdin: Stdio,
    ) -> io::Result<(Self, Option<ChildStdin>)> {
        let mut command = Command::new(&git.program);
        command.env_clear().env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("LC_ALL", "C");
        command.envs(git.search_path.as_ref().map(|path| ("PATH", path)));
        command.envs(protocol.0.as_ref().map(|value| ("GIT_PROTOCOL", value)));
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.args(["upload-pack", "--strict", "--stateless-rpc"]);
        if task == Task::Advertise {
            // All versions know this option. Newer versions call it `--http-backend-info-refs`.
            command.arg("--advertise-refs");
        }
        command.arg(repository).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn()?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            return Err(io::Error::other("a pipe to git is missing"));
        };
        let error_text = Arc::<Mutex<Vec<u8>>>::default();
        // The task ends with the process, when the process closes its end of the pipe.
        tokio::spawn(listen(stderr, error_text.clone()));
        Ok((Self { child, stdout, error_text, ended: false }, stdin))
    }

    /// Waits until the process ends, and returns an error message if it failed. Cancel-safe.
    pub(super) async fn end(&mut self) -> Option<String> {
        let status = self.child.wait().await;
        self.ended = true;
        let error_text = self.error_text.lock().unwrap_or_else(PoisonError::into_inner);
        let error_text = String::from_utf8_lossy(&error_text).trim().replace(char::is_control, " ");
        match status {
            Ok(status) if status.success() && error_text.is_empty() => None,
            Ok(status) if status.success() => Some(error_text),
            Ok(status) => Some(format!("git upload-pack ended with {status}: {error_text}")),
            Err(error) => Some(format!("git upload-pack cannot be waited for: {error}")),
        }
    }
}

impl Drop for Process {
    /// The process has child processes (`git pack-objects`), which would otherwise continue to run.
    fn drop(&mut self) {
        #[cfg(unix)]
        if !self.ended
            && let Some(group) = self.child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?))
        {
            // This fails if the process has ended meanwhile.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

async fn listen(mut stderr: ChildStderr, error_text: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
        let mut error_text = error_text.lock().unwrap_or_else(PoisonError::into_inner);
        error_text.extend_from_slice(&buffer[..length]);
        let surplus = error_text.len().saturating_sub(MAX_ERROR_TEXT);
        error_text.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_valid_version_counts() {
        assert!(Protocol::new(Some("version=2")).is_2());
        assert!(Protocol::new(Some("version=1:version=2")).is_2());
        assert!(!Protocol::new(Some("version=1")).is_2());
        assert_eq!(Protocol::new(Some("version=2\nX=y")), Protocol(None));
        assert_eq!(Protocol::new(Some(&"a".repeat(300))), Protocol(None));
    }
}
