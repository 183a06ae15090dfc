//! A repository that the user may only read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::mirror::{Mirror, stderr, succeed};
use crate::support::stage::Serving;

const PROGRAM: &str = env!("CARGO_BIN_EXE_git-hexmirror");

fn chmod(arguments: &[&str], path: &Path) {
    assert!(Command::new("chmod").args(arguments).arg(path).status().unwrap().success());
}

/// A mirror in a read-only repository, and a folder for temporary files.
struct ReadOnly {
    mirror: Mirror,
    program: PathBuf,
    temporary: PathBuf,
    is_root: bool,
}

impl ReadOnly {
    /// `None`, with a message, if there is no user without write permission.
    fn new() -> Option<Self> {
        let (mirror, _) = Mirror::of_made();
        mirror.pin();
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
        if is_root && Command::new("setpriv").arg("--version").output().is_err() {
            eprintln!("skipped: root may write everything, and there is no setpriv to become somebody else");
            return None;
        }
        let (program, temporary) = (mirror.sandbox.path().join("git-hexmirror"), mirror.sandbox.path().join("tmp"));
        // Another process copies the program: a file that this process has open for writing cannot be executed, even if
        // only a forked child still has it open.
        assert!(Command::new("cp").arg(PROGRAM).arg(&program).status().unwrap().success());
        fs::create_dir(&temporary).unwrap();
        chmod(&["755"], mirror.sandbox.path());
        chmod(&["777"], &temporary);
        chmod(&["-R", "a-w,a+rX"], &mirror.sandbox.path().join("project/.git"));
        Some(Self { mirror, program, temporary, is_root })
    }

    /// Runs git against the mirror, as a user who may only read.
    fn git(&self, arguments: &[&str]) -> Output {
        self.command().args(["run", "--", "git"]).args(arguments).output().unwrap()
    }

    /// Returns the program, which runs as a user who may only read.
    fn command(&self) -> Command {
        let project = self.mirror.sandbox.path().join("project");
        let mut command = match self.is_root {
            true => {
                let mut command = self.mirror.sandbox.command("setpriv", &project);
                command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&self.program);
                command
            }
            false => self.mirror.sandbox.command(&self.program, &project),
        };
        // The repository belongs to root, and the other user trusts it.
        for (name, value) in [("COUNT", "1"), ("KEY_0", "safe.directory"), ("VALUE_0", "*")] {
            command.env(format!("GIT_CONFIG_{name}"), value);
        }
        command.env("TMPDIR", &self.temporary);
        command
    }

    fn left(&self) -> usize {
        fs::read_dir(&self.temporary).unwrap().count()
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        chmod(&["-R", "u+w"], self.mirror.sandbox.path());
    }
}

const LIB: &str = "https://example.org/team/lib.git";

#[test]
fn git_dependencies_are_served_from_a_folder_of_the_servers_own() {
    let Some(read_only) = ReadOnly::new() else { return };
    let clone = read_only.temporary.join("clone");
    let output = read_only.git(&["clone", "--quiet", LIB, clone.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(read_only.left(), 1, "the server's folder went with it");
    assert!(read_only.mirror.cached().is_empty());
}

#[test]
fn a_cache_that_is_filled_is_used_as_it_is() {
    let Some(read_only) = ReadOnly::new() else { return };
    chmod(&["u+w"], &read_only.mirror.sandbox.path().join("project/.git"));
    // A user with write permission gets an answer too, and their server keeps the written files.
    let server = read_only.mirror.serve();
    succeed(read_only.mirror.led(&server, None, "").args(["ls-remote", LIB]));
    assert_eq!(read_only.mirror.cached().len(), 2, "the repository, and its references as the lock has them");
    let own = read_only.mirror.sandbox.path().join("project/.git/hexmirror");
    chmod(&["-R", "a-w,a+rX"], &own);
    // There is no other folder for it.
    fs::set_permissions(&read_only.temporary, fs::Permissions::from_mode(0o555)).unwrap();
    let served = || read_only.git(&["ls-remote", LIB]);
    let output = served();
    assert!(output.status.success(), "{}", stderr(&output));
    drop(server);
    let said = Serving::start(read_only.command().args(["serve", "--listen=127.0.0.1:0"])).stop("TERM").ok().stderr;
    assert!(!said.contains("cannot"), "{said}");
    // Its lock is not necessary either.
    for entry in fs::read_dir(own.join("git")).unwrap().map(Result::unwrap) {
        if entry.path().extension().is_some_and(|extension| extension == "lock") {
            chmod(&["0"], &entry.path());
        }
    }
    let output = served();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn an_unwritable_cache_is_not_reported_as_damage() {
    let Some(read_only) = ReadOnly::new() else { return };
    fs::set_permissions(&read_only.temporary, fs::Permissions::from_mode(0o555)).unwrap();
    let output = read_only.git(&["ls-remote", LIB]);
    let text = stderr(&output);
    assert!(!output.status.success() && text.contains("cannot prepare"), "{text}");
    assert!(text.contains("Permission denied") && !text.contains("damage"), "{text}");
    assert!(text.contains(&format!("docker run --tmpfs {}", read_only.temporary.display())), "{text}");
}

#[test]
fn a_server_says_at_its_start_that_it_cannot_write_git_repositories() {
    let Some(read_only) = ReadOnly::new() else { return };
    let said = || {
        let serving = Serving::start(read_only.command().args(["serve", "--listen=127.0.0.1:0"]));
        serving.stop("TERM").ok().stderr
    };
    let text = said();
    assert!(!text.contains("cannot"), "{text}");
    fs::set_permissions(&read_only.temporary, fs::Permissions::from_mode(0o555)).unwrap();
    let text = said();
    let folder = read_only.temporary.display();
    assert!(
        text.contains(&format!("git repositories cannot be served: cannot create a folder in {folder};")),
        "{text}"
    );
    assert!(text.contains("TMPDIR") && text.contains("Permission denied"), "{text}");
}
