//! A mirror with git repositories, created by git's own plumbing commands.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use git_hexmirror::config::Layer;
use git_hexmirror::ops::{self, Clients, Environment, Project};
use git_hexmirror::serve::environment::environment;
use git_hexmirror::serve::{Handle, HostName, Options};
use git_hexmirror::store::Repository;

use crate::support::data::real_input;
use crate::support::git::Sandbox;

/// How long a test waits for an expected event.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const NSQ: &str = "github.com/wistia/elixir_nsq";
pub const NSQ_REVISION: &str = "b43616a08459451cc5afdcd9839b732cbc1dedfa";
pub const RUMMAGE: &str = "github.com/annkissam/rummage_ecto";
pub const RUMMAGE_REVISION: &str = "b9f6c94d8dc1ac9489efd28edfb91958b039a46e";

/// A project with a mirror branch of git repositories, in a sandbox.
pub struct Mirror {
    pub sandbox: Sandbox,
    stored: Vec<(String, PathBuf)>,
    /// The submodules in the manifest: pairs of repository and revision.
    pub submodules: Vec<[(String, String); 2]>,
}

impl Mirror {
    pub fn new() -> Self {
        let sandbox = Sandbox::new();
        sandbox.repository("project");
        Self { sandbox, stored: Vec::new(), submodules: Vec::new() }
    }

    /// A mirror of both repositories of the real sample, if the sample is available.
    pub fn of_sample() -> Option<Self> {
        let data = real_input(".")?;
        let mut mirror = Self::new();
        for (address, path) in [(NSQ, "wistia/elixir_nsq.git"), (RUMMAGE, "annkissam/rummage_ecto.git")] {
            mirror.store(address, &data.join("sample/.git_repo").join(path));
        }
        mirror.commit();
        let pins = [(NSQ, NSQ_REVISION), (RUMMAGE, RUMMAGE_REVISION)];
        let pins = pins.map(|(address, revision)| (format!("https://{address}.git"), revision));
        mirror.lock(&[0, 1].map(|at: usize| (pins[at].0.as_str(), pins[at].1, "")));
        Some(mirror)
    }

    /// A mirror of a small repository `example.org/team/lib`, and its revisions, oldest first.
    ///
    /// It has ten commits with a file each, the branches `main` and `next`, and the annotated tag `v1.0` on the third
    /// commit. No lock pins it.
    pub fn of_made() -> (Self, Vec<String>) {
        let mut mirror = Self::new();
        let revisions = mirror.make("lib", 10);
        mirror.sandbox.git("lib", &["tag", "--annotate", "--message=One", "v1.0", &revisions[2]]);
        mirror.sandbox.git("lib", &["branch", "next", &revisions[7]]);
        mirror.store("example.org/team/lib", &mirror.sandbox.path().join("lib/.git"));
        mirror.commit();
        (mirror, revisions)
    }

    /// Creates a repository with this many commits, and returns them, oldest first.
    pub fn make(&self, name: &str, commits: usize) -> Vec<String> {
        self.sandbox.git("", &["init", "--quiet", name]);
        let add = |number| {
            let file = format!("{number}.txt");
            fs::write(self.sandbox.path().join(name).join(&file), format!("{number} of {name}\n")).unwrap();
            self.sandbox.git(name, &["add", &file]);
            self.sandbox.git(name, &["commit", "--quiet", &format!("--message=Add {number}")]);
            self.sandbox.git(name, &["rev-parse", "HEAD"])
        };
        (0..commits).map(add).collect()
    }

    /// Adds a repository with all its branches and tags, packed as on the mirror branch.
    pub fn store(&mut self, address: &str, source: &Path) {
        let name = format!("stored-{}.git", self.stored.len());
        // Copied, because git does not recognise a folder without `refs` as a repository.
        let copy = self.sandbox.path().join(&name);
        copy_folder(source, &copy);
        fs::create_dir_all(copy.join("refs")).unwrap();
        self.sandbox.git(&name, &["--git-dir=.", "repack", "-a", "-d", "--quiet"]);
        self.sandbox.git(&name, &["--git-dir=.", "pack-refs", "--all"]);
        self.sandbox.git(&name, &["--git-dir=.", "update-server-info"]);
        self.stored.push((address.to_owned(), copy));
    }

    /// Creates the mirror's next commit from everything that was added.
    pub fn commit(&self) {
        self.commit_with(&[]);
    }

    /// As above, with additional files in the branch's tree.
    pub fn commit_with(&self, more: &[(&str, &str)]) {
        let project = self.sandbox.path().join("project");
        let blob = |path: &Path| self.sandbox.git("project", &["hash-object", "-w", path.to_str().unwrap()]);
        let mut lines = String::new();
        let mut manifest = Vec::new();
        for (address, copy) in &self.stored {
            for path in files_below(copy).into_iter().filter(|path| is_stored(path)) {
                lines += &format!("100644 {}\tgit/{address}.git/{path}\n", blob(&copy.join(&path)));
                if let Some(name) = path.strip_prefix("objects/pack/pack-").and_then(|name| name.strip_suffix(".pack"))
                {
                    let bytes = fs::metadata(copy.join(&path)).unwrap().len();
                    manifest.push(format!("pack {address} {name} {bytes}\n"));
                }
            }
            for revision in self.sandbox.git(copy, &["--git-dir=.", "rev-list", "--all"]).lines() {
                let submodules = self.submodules_of(address, revision);
                let word = if submodules.is_empty() { "" } else { " submodules" };
                manifest.push(format!("git {address} {revision} full{word}\n"));
                let line = |of: &(String, String)| format!("submodule {address} {revision} {} {}\n", of.0, of.1);
                manifest.extend(submodules.into_iter().map(line));
            }
        }
        manifest.sort();
        manifest.dedup();
        let manifest = manifest.concat();
        let files = [("manifest", manifest.as_str()), ("mirror.toml", "format = 1\n")];
        for (path, text) in files.iter().chain(more) {
            let file = self.sandbox.path().join("file");
            fs::write(&file, text).unwrap();
            lines += &format!("100644 {}\t{path}\n", blob(&file));
        }
        let index = self.sandbox.path().join("index");
        let _ = fs::remove_file(&index);
        let run = |arguments: &[&str], input: &str| {
            let mut command = self.sandbox.command("git", &project);
            command.args(["-c", "user.name=Test", "-c", "user.email=test@example.com"]).args(arguments);
            command.env("GIT_INDEX_FILE", &index).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "git {arguments:?}");
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        run(&["update-index", "--add", "--index-info"], &lines);
        let tree = run(&["write-tree"], "");
        let commit = run(&["commit-tree", &tree, "-m", "Update"], "");
        run(&["update-ref", "refs/heads/hexmirror", &commit], "");
    }

    fn submodules_of(&self, address: &str, revision: &str) -> Vec<&(String, String)> {
        let pairs = self.submodules.iter();
        pairs.filter(|[of, _]| of.0 == address && of.1 == revision).map(|[_, submodule]| submodule).collect()
    }

    /// Records a submodule of a revision in the manifest.
    pub fn record_submodule(&mut self, of: (&str, &str), submodule: (&str, &str)) {
        self.submodules.push([of, submodule].map(|(address, revision)| (address.to_owned(), revision.to_owned())));
    }

    /// Writes a lock that pins the newest revision of each added repository.
    pub fn pin(&self) {
        let head = |copy: &PathBuf| self.sandbox.git(copy, &["--git-dir=.", "rev-parse", "HEAD"]);
        let pins: Vec<(&str, String)> =
            self.stored.iter().map(|(address, copy)| (address.as_str(), head(copy))).collect();
        let pin = |(address, revision): &(&str, String)| (format!("https://{address}.git"), revision.clone());
        let pins: Vec<(String, String)> = pins.iter().map(pin).collect();
        self.lock(&pins.iter().map(|(url, revision)| (url.as_str(), revision.as_str(), "")).collect::<Vec<_>>());
    }

    /// Writes a lock with entries: address, revision, options.
    pub fn lock(&self, pins: &[(&str, &str, &str)]) {
        let entry = |(number, (url, revision, options)): (usize, &(&str, &str, &str))| {
            format!("  \"app{number}\": {{:git, \"{url}\", \"{revision}\", [{options}]}},\n")
        };
        let lock = format!("%{{\n{}}}\n", pins.iter().enumerate().map(entry).collect::<String>());
        fs::write(self.sandbox.path().join("project/mix.lock"), lock).unwrap();
    }

    pub fn project(&self) -> Project {
        let folder = self.sandbox.path().join("project");
        let variables = [("PATH".to_owned(), std::env::var("PATH").unwrap())].into();
        let environment = Environment::new(variables, None);
        Project::of(Repository::open(&folder).unwrap(), &folder, Layer::default(), environment).unwrap()
    }

    pub fn serve(&self) -> Handle {
        self.serve_with(Options::default())
    }

    pub fn serve_with(&self, options: Options) -> Handle {
        ops::start_server(&self.project(), "127.0.0.1:0", options).unwrap()
    }

    /// Serves over HTTPS, under additional names. Also returns the CA certificate file.
    pub fn serve_securely(&self, names: &[&str]) -> (Handle, PathBuf) {
        let names: Vec<HostName> = names.iter().map(|name| name.parse().unwrap()).collect();
        let tls = ops::tls(&self.project(), None, &names).unwrap();
        let authority = tls.authority().expect("an authority of its own").to_owned();
        (self.serve_with(Options { tls: Some(tls), ..Options::default() }), authority)
    }

    /// Returns git in a folder of the sandbox, redirected to a server as by `run` and `env`.
    pub fn led(&self, server: &Handle, authority: Option<&Path>, folder: &str) -> Command {
        let access = ops::access(&self.project(), &server.base_url(), authority, Clients::Here).unwrap();
        let mut command = self.sandbox.command("git", folder.as_ref());
        for variable in environment(&access, |_| None) {
            match variable.value {
                Some(value) => command.env(&*variable.name, value),
                None => command.env_remove(&*variable.name),
            };
        }
        // Any other request is a mistake, and fails because nothing listens there.
        command.env("https_proxy", "http://127.0.0.1:1").env("GIT_SSH_COMMAND", "false");
        command
    }

    /// Returns the program, to be run in the project with these arguments.
    pub fn program(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command(env!("CARGO_BIN_EXE_git-hexmirror"), "project".as_ref());
        command.args(arguments);
        command
    }

    /// Returns the cache folder.
    pub fn cache(&self) -> PathBuf {
        self.sandbox.path().join("project/.git/hexmirror/git")
    }

    /// Returns the names of the repositories in the cache.
    pub fn cached(&self) -> Vec<String> {
        let Ok(entries) = self.cache().read_dir() else { return Vec::new() };
        let folders = entries.map(|entry| entry.unwrap()).filter(|entry| entry.file_type().unwrap().is_dir());
        folders.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }
}

/// Returns a repository's address on a server.
pub fn url(server: &Handle, address: &str) -> String {
    format!("{}/git/{address}.git", server.base_url())
}

/// Returns a program's standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn is_stored(path: &str) -> bool {
    matches!(path, "HEAD" | "packed-refs" | "shallow" | "info/refs" | "objects/info/packs")
        || path.starts_with("objects/pack/") && (path.ends_with(".pack") || path.ends_with(".idx"))
}

fn files_below(folder: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().is_file());
    files.map(|entry| entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned()).collect()
}

pub fn copy_folder(from: &Path, to: &Path) {
    for path in files_below(from) {
        fs::create_dir_all(to.join(&path).parent().unwrap()).unwrap();
        fs::write(to.join(&path), fs::read(from.join(&path)).unwrap()).unwrap();
    }
}

/// Runs a command and returns its output. Panics if it fails.
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Sends a request on a separate connection, which is then closed. Returns head and body of the response.
pub fn ask(address: SocketAddr, head: &str, body: &[u8]) -> (String, Vec<u8>) {
    ask_as(address, "localhost", head, body)
}

/// As above, under another name of the server.
pub fn ask_as(address: SocketAddr, host: &str, head: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("{head}\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    // The server may respond before it has read everything.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer");
    let body = answer.split_off(end + 4);
    (String::from_utf8(answer).unwrap().to_ascii_lowercase(), body)
}
