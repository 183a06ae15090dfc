//! Two users of one repository (`core.sharedRepository`): each can change what the other has written.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::git::Sandbox;
use crate::support::stage::{PINNED, Ran, Serving, install_program};
use crate::support::upstream::Fault;
use crate::team::Team;

const USERS: [u32; 2] = [65_533, 65_534];
const GROUP: u32 = 65_532;

/// A shared repository and its shared remote, which belong to one user and to the common group.
struct Shared {
    team: Team,
    program: PathBuf,
}

impl Shared {
    /// `None`, with a message, if the test cannot switch to another user.
    fn new(setting: &str) -> Option<Self> {
        if !Command::new("setpriv").arg("--version").output().is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: there is no setpriv");
            return None;
        }
        if fs::metadata("/proc/self").map_or(1, |own| own.uid()) != 0 {
            eprintln!("skipped: only root can become two users");
            return None;
        }
        let team = Team::new();
        let root = team.stage.sandbox.path();
        let program = root.join("git-hexmirror");
        install_program(&program);
        team.stage.sandbox.git("", &["config", "--global", "safe.directory", "*"]);
        fs::set_permissions(team.stage.sandbox.home().join(".gitconfig"), PermissionsExt::from_mode(0o644)).unwrap();
        for folder in [root, &program, &team.stage.sandbox.home()] {
            fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
        }
        for folder in [&team.stage.project, &team.remote] {
            team.stage.sandbox.git(folder, &["config", "core.sharedRepository", setting]);
            let tool = |program: &str, arguments: &[&str]| {
                assert!(Command::new(program).args(arguments).arg(folder).status().unwrap().success());
            };
            tool("chown", &["-R", &format!("{}:{GROUP}", USERS[0])]);
            tool("chmod", &["-R", "g+rwX"]);
            let folders = walk(folder).into_iter().filter(|path| path.is_dir());
            folders.for_each(|path| assert!(Command::new("chmod").arg("g+s").arg(path).status().unwrap().success()));
        }
        Some(Self { team, program })
    }

    /// Runs the program as one of the users, whose umask denies access to all others.
    fn run(&self, user: usize, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(user, arguments))
    }

    fn command(&self, user: usize, arguments: &[&str]) -> Command {
        let sandbox: &Sandbox = &self.team.stage.sandbox;
        let mut command = sandbox.command("setpriv", &self.team.stage.project);
        command.arg(format!("--reuid={}", USERS[user])).arg(format!("--regid={GROUP}")).arg("--clear-groups");
        command.args(["sh", "-c", "umask 077; exec \"$@\"", "sh"]).arg(&self.program).args(arguments);
        command
    }

    /// Writes another lock, as any editor does.
    fn lock(&self, pinned: &[&str]) {
        self.team.stage.lock(pinned);
        let lock = self.team.stage.project.join("mix.lock");
        fs::set_permissions(lock, PermissionsExt::from_mode(0o666)).unwrap();
    }

    /// Checks that the group can use everything that belongs to it, as git ensures.
    #[track_caller]
    fn is_shared(&self, bits: u32) {
        let git = self.team.stage.project.join(".git");
        for path in walk(&git) {
            let (metadata, below) = (path.symlink_metadata().unwrap(), path.strip_prefix(&git).unwrap());
            if below.starts_with("hexmirror/tls") {
                continue;
            }
            let mode = metadata.mode();
            let wanted = if metadata.is_dir() {
                bits | (bits & 0o444) >> 2 | 0o2000
            } else if mode & 0o200 == 0 {
                bits & 0o444
            } else {
                bits
            };
            assert_eq!(mode & wanted, wanted, "{below:?} has {mode:o} and lacks some of {wanted:o}");
        }
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        if path.symlink_metadata().unwrap().is_dir() {
            found.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

#[test]
fn two_users_take_turns() {
    let Some(shared) = Shared::new("group") else { return };
    shared.lock(&PINNED[..1]);
    shared.run(0, &["update"]).ok();
    shared.is_shared(0o660);
    shared.run(1, &["status"]).ok();
    shared.lock(&PINNED);
    shared.run(1, &["update"]).ok();
    shared.is_shared(0o660);
    shared.run(0, &["push"]).ok();
    shared.lock(&["alpha 1.1.0"]);
    shared.run(0, &["update"]).ok();
    shared.run(1, &["push"]).ok();
    // Another user pushes, from a clone of their own.
    let other = shared.team.clone("other");
    fs::write(other.join("mix.lock"), shared.team.stage.registry.mix_lock(&PINNED[..2])).unwrap();
    shared.team.stage.run_in(&other, &["update", "--refresh"]).ok();
    shared.team.stage.run_in(&other, &["push"]).ok();
    shared.run(0, &["pull"]).ok();
    shared.run(1, &["pull"]).ok();
    shared.is_shared(0o660);
    shared.run(1, &["verify"]).ok();
    shared.run(1, &["prune", "--keep-days=0"]).ok();
    shared.run(0, &["compact"]).ok();
    shared.run(1, &["hooks", "install"]).ok();
    shared.run(0, &["hooks", "uninstall"]).ok();
    shared.run(0, &["hooks", "install"]).ok();
    shared.run(1, &["hooks", "status"]).ok();
    shared.is_shared(0o660);
    shared.lock(&PINNED);
    shared.run(1, &["update"]).ok();
    shared.run(0, &["status"]).ok();
    shared.is_shared(0o660);
}

#[test]
fn what_a_killed_user_left_stops_nobody() {
    let Some(shared) = Shared::new("0660") else { return };
    shared.lock(&PINNED);
    let upstream = &shared.team.stage.upstream;
    upstream.fail("/tarballs/alpha-1.0.0.tar", 1, Fault::StallAfter(300));
    let mut child = shared.command(0, &["update", "--quiet"]).stderr(Stdio::null()).spawn().unwrap();
    upstream.wait_for("/tarballs/alpha-1.0.0.tar", 1);
    // `setpriv` and the shell are replaced by the program (exec).
    child.kill().unwrap();
    child.wait().unwrap();
    upstream.release();
    shared.is_shared(0o660);
    shared.run(1, &["update"]).ok();
    shared.is_shared(0o660);
}

#[test]
fn keys_stay_private() {
    let Some(shared) = Shared::new("all") else { return };
    shared.run(0, &["update"]).ok();
    let serving = Serving::start(&mut shared.command(0, &["serve", "--tls", "--listen=127.0.0.1:0"]));
    serving.stop("TERM");
    let key = shared.team.stage.project.join(".git/hexmirror/tls/ca-key.pem");
    assert_eq!(key.metadata().unwrap().mode() & 0o777, 0o600);
    shared.is_shared(0o664);
}
