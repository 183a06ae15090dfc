//! `git upload-pack` as a process: what it may do, and its end.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// How much of what a process complains is kept, in bytes: its end.
const MAX_COMPLAINT: usize = 4096;

/// The settings that every process gets. The repositories have no configuration of their own, and the user's is not read.
const SETTINGS: [&str; 6] = [
    // Locks pin commits, and clients ask for them by id.
    "uploadpack.allowAnySHA1InWant=true",
    "uploadpack.allowFilter=true",
    // The folder may belong to whoever started another server over the same project; it was written file by file from the
    // branch, without hooks and without configuration.
    "safe.directory=*",
    "core.hooksPath=/dev/null",
    // Several run side by side already.
    "pack.threads=1",
    "gc.auto=0",
];

/// Which git answers for repositories.
#[derive(Debug, Clone)]
pub struct Git {
    /// The program.
    pub program: PathBuf,
    /// Where it finds its own parts and tools: the value of its `PATH`, the only variable that it inherits.
    pub search_path: Option<OsString>,
}

impl Default for Git {
    fn default() -> Self {
        Self { program: "git".into(), search_path: None }
    }
}

/// The version of the protocol that a client asks for with `Git-Protocol` (gitprotocol-v2(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Protocol(Option<String>);

impl Protocol {
    /// Takes the field's value; one that git would not send is treated like none.
    pub(super) fn new(value: Option<&str>) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"=:.-_".contains(&byte);
        Self(value.filter(|value| value.len() <= 256 && value.bytes().all(plain)).map(str::to_owned))
    }

    /// Returns the field's value, empty where there is none.
    pub(super) fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// Tells whether it is version 2; of several, the highest counts (`determine_protocol_version_server` in git).
    pub(super) fn is_2(&self) -> bool {
        self.0.as_ref().is_some_and(|value| value.split(':').any(|field| field == "version=2"))
    }
}

/// What a process is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// Say what there is.
    Advertise,
    /// Answer one request.
    Answer,
}

/// A running `git upload-pack`. Ends with everything it started when it is dropped.
pub(super) struct Process {
    child: Child,
    pub(super) stdout: ChildStdout,
    complaint: Arc<Mutex<Vec<u8>>>,
    ended: bool,
}

impl Process {
    /// Starts it over a repository; it reads its request from `stdin`. Returns it with the other end of that, if it is a pipe.
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
            // The name that all versions know; newer ones call it `--http-backend-info-refs`.
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
        let complaint = Arc::<Mutex<Vec<u8>>>::default();
        // Ends with the process, whose end of the pipe it waits for.
        tokio::spawn(listen(stderr, complaint.clone()));
        Ok((Self { child, stdout, complaint, ended: false }, stdin))
    }

    /// Waits for its end, and returns what went wrong if something did. May be dropped at any await.
    pub(super) async fn end(&mut self) -> Option<String> {
        let status = self.child.wait().await;
        self.ended = true;
        let complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        let complaint = String::from_utf8_lossy(&complaint).trim().replace(char::is_control, " ");
        match status {
            Ok(status) if status.success() && complaint.is_empty() => None,
            Ok(status) if status.success() => Some(complaint),
            Ok(status) => Some(format!("git upload-pack ended with {status}: {complaint}")),
            Err(error) => Some(format!("git upload-pack cannot be waited for: {error}")),
        }
    }
}

impl Drop for Process {
    /// It has processes of its own (`git pack-objects`), which would work on for nobody.
    fn drop(&mut self) {
        #[cfg(unix)]
        if !self.ended
            && let Some(group) = self.child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?))
        {
            // Fails where it ended meanwhile.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

async fn listen(mut stderr: ChildStderr, complaint: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
        let mut complaint = complaint.lock().unwrap_or_else(PoisonError::into_inner);
        complaint.extend_from_slice(&buffer[..length]);
        let surplus = complaint.len().saturating_sub(MAX_COMPLAINT);
        complaint.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_counts_and_nonsense_does_not() {
        assert!(Protocol::new(Some("version=2")).is_2());
        assert!(Protocol::new(Some("version=1:version=2")).is_2());
        assert!(!Protocol::new(Some("version=1")).is_2());
        assert_eq!(Protocol::new(Some("version=2\nX=y")), Protocol(None));
        assert_eq!(Protocol::new(Some(&"a".repeat(300))), Protocol(None));
    }
}
