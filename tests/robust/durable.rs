//! A system crash: what is published is on disk before its ref is, and a damaged ref is recovered.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::stage::{PINNED, Ran, Stage};

/// The position of a system call in the trace.
struct Calls(Vec<String>);

impl Calls {
    /// Runs an update under strace. `None`, with a message, if strace is missing or may not trace.
    fn of_update(stage: &Stage) -> Option<Self> {
        let log = stage.sandbox.path().join("trace");
        let update = stage.command(&["update", "--quiet"]);
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-s", "4096", "-e", "trace=fsync,fdatasync,rename,renameat,renameat2,linkat", "-o"]);
        command.arg(&log).arg(update.get_program()).args(update.get_args()).current_dir(&stage.project).env_clear();
        command.envs(update.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let Ok(output) = command.output() else {
            eprintln!("skipped: there is no strace");
            return None;
        };
        let ran = Ran::from(output);
        if ran.stderr.contains("ptrace") {
            eprintln!("skipped: strace may not trace here");
            return None;
        }
        ran.ok();
        Some(Self(fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect()))
    }

    fn syncs(&self) -> usize {
        self.0.iter().filter(|line| line.contains("sync(")).count()
    }

    #[track_caller]
    fn position(&self, what: &str, is_it: impl Fn(&str) -> bool) -> usize {
        self.0.iter().position(|line| is_it(line)).unwrap_or_else(|| panic!("no {what}: {:#?}", self.0))
    }

    /// The position of the sync of a file or folder whose path has this ending or contains this name.
    #[track_caller]
    fn sync(&self, path: &str) -> usize {
        self.position(path, |line| line.contains("sync(") && line.contains(path))
    }

    /// The position of the last sync of several.
    #[track_caller]
    fn last_sync(&self, path: &str) -> usize {
        let is_it = |line: &String| line.contains("sync(") && line.contains(path);
        self.0.iter().rposition(is_it).unwrap_or_else(|| panic!("no {path}: {:#?}", self.0))
    }

    /// The position of a rename to a path with this ending.
    #[track_caller]
    fn rename(&self, to: &str) -> usize {
        self.position(to, |line| line.contains("rename") && line.contains(&format!("{to}\"")))
    }
}

#[test]
fn everything_is_on_disk_before_the_branch_moves() {
    let stage = Stage::new();
    let Some(calls) = Calls::of_update(&stage) else { return };
    let (pack, index) = (calls.sync("/objects/pack/.hexmirror-"), calls.last_sync("/objects/pack/.hexmirror-"));
    let (pack_named, index_named) = (calls.rename(".pack"), calls.rename(".idx"));
    assert!(pack < pack_named && index < index_named && pack_named < index_named, "{:#?}", calls.0);
    let (lock, moved) = (calls.sync("/refs/heads/hexmirror.lock>"), calls.rename("/refs/heads/hexmirror"));
    let packs = calls.sync("/objects/pack>");
    assert!(index_named < packs && packs < lock && lock < moved, "{:#?}", calls.0);
    assert!(moved < calls.sync("/refs/heads>") && moved < calls.sync("/logs/refs/heads/hexmirror>"), "{:#?}", calls.0);
}

#[test]
fn gits_fsync_settings_are_respected() {
    let stage = Stage::new();
    stage.git(&["config", "core.fsync", "none"]);
    let Some(calls) = Calls::of_update(&stage) else { return };
    assert_eq!(calls.syncs(), 0, "{:#?}", calls.0);
    stage.lock(&PINNED[..2]);
    stage.lock(&["alpha 1.1.0"]);
    stage.git(&["config", "core.fsync", "none,reference"]);
    let calls = Calls::of_update(&stage).unwrap();
    let (lock, moved) = (calls.sync("/refs/heads/hexmirror.lock>"), calls.rename("/refs/heads/hexmirror"));
    assert!(lock < moved && !calls.0.iter().any(|line| line.contains("sync(") && line.contains("/objects/")));
}

/// A mirror with two commits, and a file in git's folder.
struct Broken {
    stage: Stage,
    before: String,
    tip: String,
}

impl Broken {
    fn new() -> Self {
        let stage = Stage::mirrored();
        let before = stage.tip().unwrap();
        stage.lock(&PINNED[..2]);
        stage.lock(&["alpha 1.1.0"]);
        stage.run(&["update"]).ok();
        let tip = stage.tip().unwrap();
        assert_ne!(before, tip);
        Self { stage, before, tip }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.stage.project.join(".git").join(name)
    }

    fn put(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Checks that only an update changes the ref, and that it recovers the ref to a commit.
    #[track_caller]
    fn is_recovered(&self, problem: &str, commit: &str, source: &str) {
        let stage = &self.stage;
        let content = fs::read(self.path("refs/heads/hexmirror")).unwrap();
        for command in
            [&["status"][..], &["list"], &["diff"], &["verify"], &["run", "--", "true"], &["prune"], &["compact"]]
        {
            let ran = stage.run(command).exits(5);
            ran.says("the ref refs/heads/hexmirror is broken").says(problem).says("`git hexmirror update`");
        }
        stage.run(&["update", "--dry-run"]).exits(5).says(problem);
        assert_eq!(fs::read(self.path("refs/heads/hexmirror")).unwrap(), content);
        let ran = stage.run(&["update"]).ok().says(problem);
        let recovered = format!("recovered it to {commit}, from {source}");
        let lines = ran.stderr.lines().filter(|line| line.contains(&recovered)).count();
        assert_eq!(lines, 1, "{ran:#?}");
        let log = stage.git(&["log", "--first-parent", "--format=%H", "hexmirror"]);
        assert!(log.lines().any(|line| line == commit), "{log}");
        stage.run(&["status"]).ok();
        stage.run(&["verify"]).ok();
        let log = fs::read(self.path("logs/refs/heads/hexmirror")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let noted = log.lines().any(|line| line.starts_with(char::is_alphanumeric) && line.contains("recovered from"));
        // If packed-refs has the ref, it does not move.
        assert!(noted || source == "packed-refs", "{log}");
    }
}

#[test]
fn packed_refs_that_git_cannot_read_are_named() {
    let broken = Broken::new();
    broken.stage.git(&["pack-refs", "--all"]);
    let header = &b"# pack-refs with: peeled fully-peeled sorted \n"[..];
    let cut = [header, &broken.tip.as_bytes()[..30]].concat();
    for content in [[b"\x00", header].concat(), cut] {
        broken.put("packed-refs", &content);
        for command in [&["status"][..], &["verify"], &["update"], &["update", "--repair"]] {
            broken.stage.run(command).exits(5).says(".git/packed-refs is damaged").says("restore it from a backup");
        }
    }
}

#[test]
fn a_branch_that_only_git_cannot_read_is_written_again() {
    let broken = Broken::new();
    let stage = &broken.stage;
    broken.put("refs/heads/hexmirror", format!("{}x", broken.tip).as_bytes());
    stage.run(&["verify"]).exits(5).says("it holds no commit id");
    stage.run(&["update"]).ok().says(&format!("recovered it to {}, from its reflog", broken.tip));
    assert_eq!(fs::read(broken.path("refs/heads/hexmirror")).unwrap(), format!("{}\n", broken.tip).as_bytes());
    stage.run(&["verify"]).ok();
    assert_eq!(stage.git(&["rev-parse", "hexmirror"]), broken.tip);
}

#[test]
fn a_broken_branch_is_recovered_from_its_reflog() {
    for (content, problem) in [
        (&b""[..], "it is empty"),
        (&[0; 41], "it holds 41 zero bytes"),
        (b"0123456789\n", "it holds no commit id"),
        (b"\xff\x00garbage", "it holds no commit id"),
        // Only gix would read it, because the line ends with another character.
        (b"0123456789012345678901234567890123456789x", "it holds no commit id"),
    ] {
        let broken = Broken::new();
        broken.put("refs/heads/hexmirror", content);
        broken.is_recovered(problem, &broken.tip, "its reflog");
    }
}

#[test]
fn a_branch_whose_commit_is_lost_is_repaired() {
    let broken = Broken::new();
    let stage = &broken.stage;
    broken.put("refs/heads/hexmirror", format!("{}\n", "1".repeat(40)).as_bytes());
    for command in [&["status"][..], &["update"]] {
        stage.run(command).exits(5).says("`git hexmirror update --repair`");
    }
    stage.run(&["update", "--repair"]).ok();
    stage.run(&["status"]).ok();
    stage.run(&["verify"]).ok();
    broken.put("refs/heads/hexmirror", b"");
    stage.run(&["update", "--repair"]).ok().says("from its reflog");
    stage.run(&["verify"]).ok();
}

#[test]
fn damaged_lines_of_the_reflog_are_skipped() {
    let broken = Broken::new();
    let mut log = fs::read(broken.path("logs/refs/heads/hexmirror")).unwrap();
    log.extend(format!("{} {} A <a@b> 1 +0000\tx\n", broken.tip, "2".repeat(40)).bytes());
    log.extend(b"\xff not a line\n");
    log.extend([0; 300]);
    broken.put("logs/refs/heads/hexmirror", &log);
    broken.put("refs/heads/hexmirror", b"");
    broken.is_recovered("it is empty", &broken.tip, "its reflog");
}

#[test]
fn without_a_reflog_packed_refs_and_then_remotes_are_asked() {
    let broken = Broken::new();
    let stage = &broken.stage;
    stage.git(&["update-ref", "refs/heads/hexmirror", &broken.before]);
    stage.git(&["pack-refs", "--all"]);
    broken.put("logs/refs/heads/hexmirror", &[0; 100]);
    broken.put("refs/heads/hexmirror", b"");
    broken.is_recovered("it is empty", &broken.before, "packed-refs");

    let broken = Broken::new();
    let stage = &broken.stage;
    stage.git(&["remote", "add", "origin", "/nowhere"]);
    stage.git(&["update-ref", "refs/remotes/origin/hexmirror", &broken.before]);
    fs::remove_file(broken.path("logs/refs/heads/hexmirror")).unwrap();
    broken.put("refs/heads/hexmirror", b"");
    broken.is_recovered("it is empty", &broken.before, "origin, when last fetched");
}

#[test]
fn a_branch_that_cannot_be_recovered_is_left_alone() {
    let broken = Broken::new();
    let stage = &broken.stage;
    fs::remove_file(broken.path("logs/refs/heads/hexmirror")).unwrap();
    broken.put("refs/heads/hexmirror", b"");
    let ran = stage.run(&["update"]).exits(5);
    ran.says("its reflog, packed-refs and the remotes have no commit for it").says("rm ").says("refs/heads/hexmirror");
    assert_eq!(fs::read(broken.path("refs/heads/hexmirror")).unwrap(), b"");
    // What the hint recommends.
    fs::remove_file(broken.path("refs/heads/hexmirror")).unwrap();
    stage.run(&["update"]).ok();
    stage.run(&["verify"]).ok();
}

#[test]
fn a_damaged_remote_tracking_ref_is_restored() {
    let stage = Stage::mirrored();
    let tip = stage.tip().unwrap();
    stage.sandbox.git("", &["clone", "--quiet", "--bare", "project", "remote.git"]);
    stage.git(&["remote", "add", "origin", stage.sandbox.path().join("remote.git").to_str().unwrap()]);
    let path = stage.project.join(".git/refs/remotes/origin/hexmirror");
    for command in ["pull", "update"] {
        stage.run(&["pull"]).ok();
        fs::write(&path, "").unwrap();
        stage.git(&["update-ref", "--no-deref", "-d", "refs/heads/hexmirror"]);
        let ran = stage.run(&["status"]).exits(5);
        ran.says("refs/remotes/origin/hexmirror is broken: it is empty").says("git hexmirror pull origin");
        stage.run(&[command]).ok();
        assert_eq!(stage.tip().as_ref(), Some(&tip), "{command}");
    }
}
