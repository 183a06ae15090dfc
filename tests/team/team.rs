//! A bare repository, clones of it, and the Hex repository that they all use.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::registry::{self, Registry};
use crate::support::stage::{PINNED, Ran, Stage};

/// A project that is shared through a bare repository, `remote.git` in the sandbox.
pub struct Team {
    pub stage: Stage,
    pub remote: PathBuf,
}

impl Team {
    /// A shared project whose lock pins [`PINNED`], without a mirror.
    pub fn new() -> Self {
        Self::with(Registry::sample(), &PINNED)
    }

    pub fn with(registry: Registry, pinned: &[&str]) -> Self {
        let stage = Stage::with(registry, pinned);
        stage.sandbox.git("", &["init", "--quiet", "--bare", "--initial-branch=main", "remote.git"]);
        let remote = stage.sandbox.path().join("remote.git");
        stage.git(&["config", "--file", remote.join("config").to_str().unwrap(), "transfer.fsckObjects", "true"]);
        stage.git(&["remote", "add", "origin", remote.to_str().unwrap()]);
        let team = Self { stage, remote };
        team.configure(&team.stage.project);
        team.configure(&team.remote);
        // A line for each pushed ref, and one before each push.
        script(&team.remote.join("hooks/pre-receive"), "#!/bin/sh\n{ echo push; cat; } >>received\n");
        team.git(&team.stage.project, &["branch", "--quiet", "--move", "main"]).ok();
        team.commit(&team.stage.project, "Begin");
        team.git(&team.stage.project, &["push", "--quiet", "--set-upstream", "origin", "main"]).ok();
        team
    }

    /// Clones the remote into a folder of the sandbox.
    pub fn clone(&self, name: &str) -> PathBuf {
        self.stage.sandbox.git("", &["clone", "--quiet", self.remote.to_str().unwrap(), name]);
        let folder = self.stage.sandbox.path().join(name);
        self.configure(&folder);
        folder
    }

    /// Configures the committer and the address of the packages in a clone.
    pub fn configure(&self, folder: &Path) {
        let key = self.stage.sandbox.path().join("hexpm.pem");
        for (name, value) in [
            ("user.name", "Test"),
            ("user.email", "test@example.com"),
            ("hexmirror.hexpm.url", &self.stage.upstream.url()),
            ("hexmirror.hexpm.publicKey", key.to_str().unwrap()),
        ] {
            self.stage.sandbox.git(folder, &["config", name, value]);
        }
    }

    /// Runs git. The hooks' output is on its standard error.
    pub fn git(&self, folder: impl AsRef<Path>, arguments: &[&str]) -> Ran {
        Ran::of(self.stage.sandbox.command("git", folder.as_ref()).args(arguments))
    }

    /// Runs git, and returns the git commands that contacted a remote, among all that it started.
    pub fn traced(&self, folder: impl AsRef<Path>, arguments: &[&str]) -> (Ran, Vec<&'static str>) {
        let traces = tempfile::tempdir_in(self.stage.sandbox.path()).unwrap();
        let mut command = self.stage.sandbox.command("git", folder.as_ref());
        let ran = Ran::of(command.env("GIT_TRACE2_EVENT", traces.path()).args(arguments));
        let mut talked = Vec::new();
        for entry in fs::read_dir(traces.path()).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let start = text.lines().find(|line| line.contains(r#""event":"start""#)).unwrap();
            let names = ["push", "fetch", "ls-remote"].into_iter();
            talked.extend(names.filter(|name| start.contains(&format!("\"{name}\""))));
        }
        (ran, talked)
    }

    /// Runs git and returns its output.
    #[track_caller]
    pub fn ask(&self, folder: impl AsRef<Path>, arguments: &[&str]) -> String {
        self.git(folder, arguments).ok().stdout.trim().to_owned()
    }

    /// Runs the program, which takes everything from the clone's settings.
    pub fn run(&self, folder: impl AsRef<Path>, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.stage.bare_command_in(folder, arguments))
    }

    /// Writes a clone's lock.
    pub fn lock(&self, folder: &Path, pinned: &[&str]) {
        fs::write(folder.join("mix.lock"), self.stage.registry.mix_lock(pinned)).unwrap();
    }

    /// Commits everything in a clone, without running hooks.
    pub fn commit(&self, folder: &Path, message: &str) {
        self.git(folder, &["add", "--all"]).ok();
        self.git(folder, &["commit", "--quiet", "--message", message]).ok();
    }

    /// Writes the lock and commits.
    pub fn commit_lock(&self, folder: &Path, pinned: &[&str]) {
        self.lock(folder, pinned);
        self.commit(folder, "Lock");
    }

    /// The mirror's tip in a clone or in the remote.
    pub fn tip(&self, folder: impl AsRef<Path>) -> Option<String> {
        self.tip_of(folder, "refs/heads/hexmirror")
    }

    pub fn tip_of(&self, folder: impl AsRef<Path>, name: &str) -> Option<String> {
        let ran = self.git(folder, &["rev-parse", "--verify", "--quiet", name]);
        (ran.code == Some(0)).then(|| ran.stdout.trim().to_owned())
    }

    /// Checks that a repository and its mirror are intact.
    #[track_caller]
    pub fn is_whole(&self, folder: impl AsRef<Path>) {
        self.git(&folder, &["fsck", "--strict", "--no-dangling"]).ok();
        self.run(&folder, &["verify"]).ok();
    }

    /// Returns the refs that were pushed to the remote since the last call, a list for each push.
    pub fn received(&self) -> Vec<Vec<String>> {
        let log = self.remote.join("received");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(&log);
        let mut pushes = Vec::new();
        for line in text.lines() {
            match line.rsplit(' ').next() {
                Some("push") => pushes.push(Vec::new()),
                name => pushes.last_mut().unwrap().extend(name.map(str::to_owned)),
            }
        }
        pushes.iter_mut().for_each(|refs| refs.sort());
        pushes
    }

    /// A clone with a fresh mirror and the hooks. The remote only has the project's first commit.
    pub fn hooked() -> (Self, PathBuf) {
        let team = Self::with(registry(), &PINNED);
        let one = team.stage.project.clone();
        team.run(&one, &["init"]).ok().says("installed the hooks pre-push, post-checkout, post-merge, post-rewrite");
        team.run(&one, &["update"]).ok();
        team.received();
        (team, one)
    }

    /// Returns the releases in a clone's mirror.
    pub fn releases(&self, folder: impl AsRef<Path>) -> Vec<String> {
        let manifest = self.ask(folder, &crate::support::tree::MANIFEST);
        let mut lines: Vec<&str> = manifest.lines().collect();
        lines.sort_unstable();
        let lines = lines.into_iter().filter_map(|line| line.strip_prefix("hex "));
        lines.map(|line| line.split(' ').skip(1).take(2).collect::<Vec<_>>().join(" ")).collect()
    }
}

/// The registry of [`Registry::sample`] and packages that only one user needs.
pub fn registry() -> Registry {
    let mut registry = Registry::sample();
    for name in ["left", "right"] {
        registry.publish(&format!("{name} 1.0.0"), &[], &[(format!("lib/{name}.ex"), name.to_owned())]);
    }
    registry
}

/// Signs an entry of a team's registry with a key that is not the repository's.
pub fn forged(registry: &Registry, entry: &str) -> Vec<u8> {
    registry.signed_as(entry, entry, registry::other_key())
}

/// Writes an executable script.
pub fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

/// The hooks' output, without git's own.
pub fn told(ran: &Ran) -> String {
    let own = |line: &&str| line.starts_with("git-hexmirror:") || line.starts_with("hint: run `git hexmirror");
    ran.stderr.lines().filter(own).map(|line| format!("{line}\n")).collect()
}

/// The state of all that belongs to the user: refs, the worktree, the index, stashes, and hooks.
pub fn state(team: &Team, folder: &Path) -> Vec<String> {
    let mut state: Vec<String> = [
        &["for-each-ref", "--format=%(refname) %(objectname)"][..],
        &["rev-parse", "HEAD", "--symbolic-full-name", "HEAD"],
        &["status", "--porcelain=v2"],
        &["diff", "HEAD"],
        &["stash", "list"],
    ]
    .iter()
    .map(|arguments| team.ask(folder, arguments))
    .collect();
    let hooks = fs::read_dir(folder.join(".git/hooks")).unwrap().map(|entry| entry.unwrap().path());
    state.extend(hooks.map(|path| format!("{} {}", path.display(), fs::read_to_string(&path).unwrap_or_default())));
    state.sort();
    state
}
