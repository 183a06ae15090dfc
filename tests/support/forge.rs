//! A server with git repositories on a loopback port, which receives the requests of the tested programs for
//! `https://forge.test/`.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::{fs, process};

use super::git::Sandbox;
use super::registry::Registry;
use super::stage::{Ran, Stage};

/// A fault of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed immediately.
    Hangup,
    /// The connection is closed after this many bytes.
    Truncate(usize),
    /// The byte at this position of the response is changed.
    Flip(usize),
}

/// The server. Each connection is handled by `git daemon`.
pub struct Forge {
    folder: PathBuf,
    address: String,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    connections: AtomicUsize,
    fault: Mutex<Option<Fault>>,
    stopped: AtomicBool,
}

/// A project and a forge with the repositories that its lock pins.
pub struct Scene {
    pub stage: Stage,
    pub forge: Forge,
}

impl Forge {
    /// Starts the server for the repositories in a folder.
    pub fn start(folder: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address").to_string();
        let shared = Arc::new(Shared::default());
        let acceptor = thread::spawn({
            let (shared, folder) = (Arc::clone(&shared), folder.clone());
            move || {
                while let Ok((stream, _)) = listener.accept() {
                    if shared.stopped.load(Ordering::SeqCst) {
                        return;
                    }
                    shared.connections.fetch_add(1, Ordering::SeqCst);
                    let fault = *shared.fault.lock().unwrap();
                    let folder = folder.clone();
                    thread::spawn(move || answer(stream, &folder, fault));
                }
            }
        });
        Self { folder, address, shared, acceptor: Some(acceptor) }
    }

    /// Configures git, for the user of a sandbox, to use the forge for addresses with this prefix.
    pub fn redirect(&self, sandbox: &Sandbox, begin: &str) {
        let key = format!("url.git://{}/.insteadOf", self.address);
        sandbox.git("", &["config", "--global", "--add", &key, begin]);
    }

    /// Makes all connections fail from now on, or none.
    pub fn fail(&self, fault: Option<Fault>) {
        *self.shared.fault.lock().unwrap() = fault;
    }

    /// Returns the number of connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Returns the folder of a repository.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.git"))
    }

    fn git(&self, name: &str, arguments: &[&str], input: &str) -> String {
        let path = self.path(name);
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(&path).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("HOME", &self.folder).current_dir(&self.folder);
        let mut child = command.spawn().expect("git can be run");
        child.stdin.take().unwrap().write_all(input.as_bytes()).expect("git reads");
        let output = child.wait_with_output().expect("a child");
        assert!(output.status.success(), "git {arguments:?} in {name}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Runs git in a repository.
    pub fn run(&self, name: &str, arguments: &[&str]) -> String {
        self.git(name, arguments, "")
    }

    /// Runs git in a repository with standard input.
    pub fn feed(&self, name: &str, arguments: &[&str], input: &str) -> String {
        self.git(name, arguments, input)
    }

    /// Creates an empty repository.
    pub fn create(&self, name: &str) {
        fs::create_dir_all(self.path(name)).expect("a writable folder");
        self.git(name, &["init", "--quiet", "--bare", "--initial-branch=main"], "");
    }

    /// Adds a commit to a branch, and creates the branch if necessary. The content `commit SHA` creates a submodule.
    pub fn commit(&self, name: &str, branch: &str, files: &[(&str, &str)]) -> String {
        if !self.path(name).exists() {
            self.create(name);
        }
        let mut stream =
            format!("commit refs/heads/{branch}\ncommitter A <a@example.com> 1700000000 +0000\ndata 2\nx\n");
        let there = self.git(name, &["for-each-ref", &format!("refs/heads/{branch}")], "");
        if !there.is_empty() {
            let _ = writeln!(stream, "from refs/heads/{branch}^0");
        }
        for (path, content) in files {
            let _ = match content.strip_prefix("commit ") {
                Some(commit) => writeln!(stream, "M 160000 {commit} {path}"),
                None => writeln!(stream, "M 100644 inline {path}\ndata {}\n{content}", content.len()),
            };
        }
        self.git(name, &["fast-import", "--quiet", "--force"], &stream);
        self.git(name, &["rev-parse", &format!("refs/heads/{branch}")], "")
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the acceptor thread.
        let _ = TcpStream::connect(&self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn daemon(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.args(["-c", "safe.directory=*", "daemon", "--inetd", "--export-all", "--log-destination=none"]);
    command.arg(format!("--base-path={}", folder.display()));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", folder);
    command
}

fn answer(stream: TcpStream, folder: &Path, fault: Option<Fault>) {
    let input = || Stdio::from(OwnedFd::from(stream.try_clone().expect("a socket can be cloned")));
    let mut command = daemon(folder);
    command.stdin(input()).stderr(Stdio::null());
    match fault {
        None => {
            let _ = command.stdout(input()).status();
        }
        Some(Fault::Hangup) => {}
        Some(fault) => {
            let mut child = command.stdout(Stdio::piped()).spawn().expect("git can be run");
            let mut stdout = child.stdout.take().expect("piped");
            let (mut sent, mut buffer) = (0, [0; 4096]);
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                let piece = &mut buffer[..count];
                let until = match fault {
                    Fault::Truncate(length) => length.saturating_sub(sent).min(count),
                    Fault::Flip(place) if (sent..sent + count).contains(&place) => {
                        piece[place - sent] ^= 0x55;
                        count
                    }
                    _ => count,
                };
                if (&stream).write_all(&piece[..until]).is_err() || until < count {
                    break;
                }
                sent += count;
            }
            let _ = stream.shutdown(Shutdown::Both);
            let _ = child.kill();
            let _ = child.wait();
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

impl Scene {
    /// A project without a lock, and an empty forge.
    pub fn new() -> Self {
        Self::of(Stage::without_lock(Registry::sample()))
    }

    /// A forge and a project.
    pub fn of(stage: Stage) -> Self {
        let folder = stage.sandbox.path().join("forge");
        fs::create_dir(&folder).expect("a writable folder");
        let scene = Self { forge: Forge::start(folder), stage };
        scene.redirect("https://forge.test/");
        scene
    }

    /// As [`Scene::new`], with shallow storage for entries with a depth.
    pub fn shallow() -> Self {
        let scene = Self::new();
        scene.stage.git(&["config", "hexmirror.shallow", "true"]);
        scene
    }

    /// Configures git to use the forge for addresses with this prefix.
    pub fn redirect(&self, begin: &str) {
        self.forge.redirect(self.sandbox(), begin);
    }

    pub fn sandbox(&self) -> &Sandbox {
        &self.stage.sandbox
    }

    /// Writes a lock with git entries: application, address below the forge, revision, options.
    pub fn lock(&self, entries: &[(&str, &str, &str, &str)]) {
        let entry = |(app, name, revision, options): &(&str, &str, &str, &str)| {
            let url = if name.contains([':', '/']) && name.contains(':') {
                (*name).to_owned()
            } else {
                format!("https://forge.test/{name}.git")
            };
            format!("  \"{app}\": {{:git, {url:?}, \"{revision}\", [{options}]}},\n")
        };
        self.stage.write("mix.lock", &format!("%{{\n{}}}\n", entries.iter().map(entry).collect::<String>()));
    }

    /// Updates, and checks that the mirror is then intact and fresh.
    #[track_caller]
    pub fn update(&self) -> Ran {
        let ran = self.stage.run(&["update"]).ok();
        self.stage.run(&["verify"]).ok();
        self.stage.run(&["status"]).ok();
        self.stage.git(&["fsck", "--strict", "--no-dangling"]);
        ran
    }

    /// Exports a repository from the branch's tree, as for a static web server.
    pub fn export(&self, name: &str) -> PathBuf {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let folder = self.sandbox().path().join(format!("export-{}-{number}", process::id()));
        let tree = format!("hexmirror:git/forge.test/{name}.git");
        let archive = self.sandbox().path().join("export.tar");
        self.stage.git(&["archive", "--format=tar", "--output", archive.to_str().unwrap(), &tree]);
        fs::create_dir_all(folder.join("refs")).unwrap();
        let status = Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&folder).status();
        assert!(status.expect("tar can be run").success());
        folder
    }

    /// Runs git in an exported repository.
    pub fn git_in(&self, folder: &Path, arguments: &[&str]) -> String {
        let folder = folder.to_str().unwrap();
        self.sandbox().git("", &[&["--git-dir", folder], arguments].concat())
    }

    /// Returns the packs of a repository in the mirror.
    pub fn packs(&self, name: &str) -> Vec<String> {
        let begin = format!("git/forge.test/{name}.git/objects/pack/");
        let packs = self.stage.paths().into_iter().filter(|path| path.starts_with(&begin) && path.ends_with(".pack"));
        packs.collect()
    }

    /// Returns the lines of the manifest about git.
    pub fn manifest(&self) -> Vec<String> {
        let text = self.stage.git(&super::tree::MANIFEST);
        let kinds = ["git ", "pack ", "shallow ", "submodule "];
        text.lines().filter(|line| kinds.iter().any(|kind| line.starts_with(kind))).map(str::to_owned).collect()
    }
}
