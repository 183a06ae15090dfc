//! A project with a mix.lock, the repository of its packages, and the program, which runs in the project.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::{fs, io};

use serde_json::Value;

use super::git::Sandbox;
use super::registry::{self, Registry};
use super::upstream::TestUpstream;

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_git-hexmirror");

/// The releases that [`Stage::new`]'s lock pins.
pub const PINNED: [&str; 3] = ["alpha 1.0.0", "beta 0.3.0", "delta 4.5.6+build.7"];

/// A project in a sandbox, and its upstream.
pub struct Stage {
    pub sandbox: Sandbox,
    pub registry: Registry,
    pub upstream: TestUpstream,
    pub project: PathBuf,
}

impl Stage {
    /// A project whose mix.lock pins [`PINNED`] of [`Registry::sample`].
    pub fn new() -> Self {
        Self::with(Registry::sample(), &PINNED)
    }

    /// A project whose mix.lock pins some releases of a registry.
    pub fn with(registry: Registry, pinned: &[&str]) -> Self {
        let stage = Self::without_lock(registry);
        stage.lock(pinned);
        stage
    }

    /// A project without a lock.
    pub fn without_lock(registry: Registry) -> Self {
        let sandbox = Sandbox::new();
        let upstream = TestUpstream::serve(sandbox.path().join("upstream"));
        registry.put(&upstream);
        fs::write(sandbox.path().join("hexpm.pem"), registry::key().public_key().to_pem()).expect("a writable folder");
        // No test may contact a real server for a git dependency.
        let nowhere = "[url \"file:///nowhere/\"]\n\tinsteadOf = https://\n";
        // Maintenance in the background would run at unpredictable times.
        let settings = format!("{nowhere}[maintenance]\n\tauto = false\n");
        fs::write(sandbox.home().join(".gitconfig"), settings).expect("a writable folder");
        let project = sandbox.repository("project");
        Self { sandbox, registry, upstream, project }
    }

    /// A project whose mirror contains what its lock pins.
    pub fn mirrored() -> Self {
        let stage = Self::new();
        stage.run(&["update"]).ok();
        stage
    }

    /// Writes the project's mix.lock.
    pub fn lock(&self, pinned: &[&str]) {
        self.write("mix.lock", &self.registry.mix_lock(pinned));
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.project.join(path);
        fs::create_dir_all(path.parent().expect("a file of the project")).expect("a writable folder");
        fs::write(path, text).expect("a writable folder");
    }

    /// Prepares to run the program in a folder, with the upstream in its environment.
    pub fn command_in(&self, folder: impl AsRef<Path>, arguments: &[&str]) -> Command {
        let mut command = self.bare_command_in(folder, arguments);
        command
            .env("HEXMIRROR_URL", self.upstream.url())
            .env("HEXMIRROR_PUBLIC_KEY", self.sandbox.path().join("hexpm.pem"));
        command
    }

    /// Prepares to run the program without information about the upstream.
    pub fn bare_command_in(&self, folder: impl AsRef<Path>, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command(PROGRAM, folder.as_ref());
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// Prepares to run the program in the project.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_in(&self.project, arguments)
    }

    /// Runs the program in the project.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    /// Runs the program in another folder.
    pub fn run_in(&self, folder: impl AsRef<Path>, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command_in(folder, arguments))
    }

    /// Runs the program in the project with additional variables.
    pub fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        Ran::of(self.command(arguments).envs(variables.iter().copied()))
    }

    /// Runs `git ARGUMENTS` in a folder of the sandbox, with the program on the `PATH` as `git hexmirror`.
    pub fn run_through_git(&self, folder: impl AsRef<Path>, arguments: &[&str]) -> Ran {
        let mut command = self.sandbox.command("git", &self.sandbox.path().join(folder));
        let program = Path::new(PROGRAM).parent().expect("it is in a folder");
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let folders = [program.to_owned()].into_iter().chain(std::env::split_paths(&inherited));
        let path = std::env::join_paths(folders).expect("folders of a PATH");
        Ran::of(command.env("PATH", path).args(arguments))
    }

    /// Runs git in the project.
    pub fn git(&self, arguments: &[&str]) -> String {
        self.sandbox.git(&self.project, arguments)
    }

    /// Returns the tip of the mirror branch, if the branch exists.
    pub fn tip(&self) -> Option<String> {
        self.tip_of("refs/heads/hexmirror")
    }

    /// Returns the commit of a ref, if the ref exists.
    pub fn tip_of(&self, name: &str) -> Option<String> {
        let output = self.sandbox.try_git(&self.project, &["rev-parse", "--verify", "--quiet", name]);
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Returns the paths of the mirror's tree.
    pub fn paths(&self) -> Vec<String> {
        self.git(&["ls-tree", "-r", "--name-only", "hexmirror"]).lines().map(str::to_owned).collect()
    }
}

/// Copies the program in another process. If this process wrote the file, a child that another test starts meanwhile
/// might hold it open too, and a file that is open for writing cannot be executed.
pub fn install_program(to: &Path) {
    let status = Command::new("cp").arg(PROGRAM).arg(to).status();
    assert!(status.expect("cp can be run").success());
}

/// The result of a run.
#[derive(Debug, Clone)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        command.output().map(Self::from).expect("the program can be run")
    }

    /// Checks that the run succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// Checks the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(!self.stderr.contains("panicked") && !self.stderr.contains("internal error"), "{self:#?}");
        self
    }

    /// Checks that standard error contains a text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not said: {self:#?}");
        self
    }

    /// Checks that standard output contains a text.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "{text:?} is not printed: {self:#?}");
        self
    }

    /// Checks that standard error is empty.
    #[track_caller]
    pub fn silent(self) -> Self {
        assert_eq!(self.stderr, "", "{self:#?}");
        self
    }

    /// Parses standard output, which must be a single JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// A running `git hexmirror serve`. It is killed on drop.
pub struct Serving {
    pub child: Child,
    pub url: String,
    stdout: io::BufReader<std::process::ChildStdout>,
}

impl Serving {
    /// Starts the server, and reads its address from the first line of its output.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program can be run");
        let mut stdout = io::BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        io::BufRead::read_line(&mut stdout, &mut line).expect("a readable pipe");
        let is_one = line.starts_with("http://127.0.0.1:") || line.starts_with("https://localhost:");
        assert!(is_one && line.ends_with('\n'), "the first line is {line:?}");
        Self { child, url: line.trim_end().to_owned(), stdout }
    }

    /// Reads a further address from the output.
    pub fn next_url(&mut self) -> String {
        let mut line = String::new();
        io::BufRead::read_line(&mut self.stdout, &mut line).expect("a readable pipe");
        line.trim_end().to_owned()
    }

    /// Returns the host and the port.
    pub fn authority(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Sends a signal (`INT`, `TERM`, …) and waits until the server ends.
    pub fn stop(mut self, signal: &str) -> Ran {
        send(self.child.id(), signal);
        let mut ran = Ran { code: None, stdout: String::new(), stderr: String::new() };
        io::Read::read_to_string(&mut self.stdout, &mut ran.stdout).expect("a readable pipe");
        let mut stderr = self.child.stderr.take().expect("piped");
        io::Read::read_to_string(&mut stderr, &mut ran.stderr).expect("a readable pipe");
        ran.code = self.child.wait().expect("a child").code();
        ran
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Another user, who may only read what others let everyone read.
pub struct OtherUser;

impl OtherUser {
    /// The user's id.
    const ID: &str = "65534";

    /// Gives folders of a stage to the user. `None`, with a message, if that is not possible.
    pub fn owning(stage: &Stage, folders: &[&str]) -> Option<Self> {
        let open = |path: &Path| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(path, mode).is_ok()
        };
        let program = stage.sandbox.path().join("git-hexmirror");
        install_program(&program);
        let mut give = Command::new("chown");
        give.args(["-R", Self::ID]).args(folders).current_dir(stage.sandbox.path());
        let is_given = folders.is_empty() || give.status().is_ok_and(|status| status.success());
        let mut become_other = Command::new("setpriv");
        become_other.args([&format!("--reuid={}", Self::ID), "--regid=65534", "--clear-groups", "true"]);
        let is_possible = become_other.output().is_ok_and(|output| output.status.success());
        if is_given && is_possible && open(stage.sandbox.path()) && open(&program) {
            return Some(Self);
        }
        eprintln!("skipped: this user cannot become another one");
        None
    }

    /// Prepares a run of the program as this user.
    pub fn command(&self, stage: &Stage, arguments: &[&str]) -> Command {
        let mut command = stage.sandbox.command("setpriv", &stage.project);
        command.args([&format!("--reuid={}", Self::ID), "--regid=65534", "--clear-groups"]);
        command.arg(stage.sandbox.path().join("git-hexmirror")).args(arguments);
        let key = stage.sandbox.path().join("hexpm.pem");
        command.env("HEXMIRROR_URL", stage.upstream.url()).env("HEXMIRROR_PUBLIC_KEY", key);
        command
    }

    /// Runs the program as this user.
    pub fn run(&self, stage: &Stage, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(stage, arguments))
    }
}

/// Sends a signal to a process.
pub fn send(process: u32, signal: &str) {
    let status = Command::new("kill").args(["-s", signal, &process.to_string()]).status();
    assert!(status.expect("kill can be run").success());
}

/// Busy-waits until a condition holds or the process has ended, for tests that kill a process at a certain moment.
pub fn spin(child: &mut Child, so: impl Fn() -> bool) {
    while !so() && child.try_wait().expect("a child").is_none() {
        std::hint::spin_loop();
    }
}
