//! Files that come with a branch or that its settings name: the program only reads regular files in the worktree, up to
//! a maximum size.

#![cfg(unix)]

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use crate::support::registry::{Registry, key};
use crate::support::stage::{PINNED, Ran, Stage};

/// What may replace a file, and the resulting error.
const TRAPS: [(&str, &str); 6] = [
    ("fifo", "is a FIFO"),
    ("zero", "points outside the worktree"),
    ("out", "points outside the worktree"),
    ("sparse", "is larger than"),
    ("folder", "is a folder"),
    ("socket", "is a socket"),
];

/// Replaces a file of the project with a trap.
fn set(stage: &Stage, trap: &str, file: &str) {
    let path = stage.project.join(file);
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir(&path).unwrap(),
        Ok(_) => fs::remove_file(&path).unwrap(),
        Err(_) => {}
    }
    match trap {
        "fifo" => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
        "zero" => symlink("/dev/zero", path).unwrap(),
        "out" => {
            let secret = stage.sandbox.path().join("secret");
            fs::write(&secret, "secret").unwrap();
            symlink(secret, path).unwrap();
        }
        "sparse" => File::create(path).unwrap().set_len(1 << 30).unwrap(),
        // Small enough that git commits it quickly.
        "large" => File::create(path).unwrap().set_len((64 << 20) + 1).unwrap(),
        "folder" => fs::create_dir(path).unwrap(),
        "socket" => drop(UnixListener::bind(path).unwrap()),
        _ => unreachable!("there is no such trap"),
    }
}

/// Runs a command that would hang, or read forever, if it opened the file normally.
#[track_caller]
fn refuses(command: &mut Command, code: i32, file: &str, reason: &str) {
    let ran = limited(command).exits(code).says(file).says(reason);
    assert!(!ran.stderr.contains("secret\n") && ran.stdout.is_empty(), "{ran:?}");
}

/// Runs a command with a limit of 20 seconds and with enough memory for anything else.
fn limited(command: &mut Command) -> Ran {
    let mut shell = Command::new("timeout");
    shell.args(["--kill-after=1", "20", "sh", "-c", "ulimit -v 4000000; exec \"$@\"", "sh"]).arg(command.get_program());
    shell.args(command.get_args()).current_dir(command.get_current_dir().unwrap()).env_clear();
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.stdin(std::process::Stdio::null());
    Ran::of(&mut shell)
}

#[test]
fn a_lock_is_a_regular_file_of_the_worktree() {
    let stage = Stage::mirrored();
    for (trap, reason) in TRAPS {
        set(&stage, trap, "mix.lock");
        for arguments in
            [&["status"][..], &["update"], &["diff"], &["lock"], &["status", "--lock=mix.lock"], &["verify"]]
        {
            refuses(&mut stage.command(arguments), 2, "mix.lock", reason);
        }
    }
    set(&stage, "fifo", "mix.lock");
    refuses(&mut stage.command(&["status", "--lock=*.lock"]), 2, "mix.lock", "is a FIFO");
}

#[test]
fn the_tracked_settings_are_a_regular_file_of_the_worktree() {
    let stage = Stage::mirrored();
    for (trap, reason) in TRAPS {
        set(&stage, trap, ".hexmirror.toml");
        for arguments in [&["status"][..], &["update"], &["prune"], &["env"]] {
            refuses(&mut stage.command(arguments), 2, ".hexmirror.toml", reason);
        }
    }
}

#[test]
fn the_same_rules_apply_in_another_worktree() {
    let stage = Stage::mirrored();
    stage.git(&["add", "--all"]);
    stage.git(&["commit", "--quiet", "--message=Lock"]);
    stage.git(&["worktree", "add", "--quiet", "--detach", "linked"]);
    for file in [".hexmirror.toml", "mix.lock"] {
        for (trap, reason) in TRAPS.into_iter().filter(|(trap, _)| *trap != "folder" || file != "mix.lock") {
            set(&stage, trap, &format!("linked/{file}"));
            refuses(&mut stage.command(&["prune"]), 2, file, reason);
        }
        fs::remove_file(stage.project.join("linked").join(file)).unwrap();
    }
}

#[test]
fn a_public_key_that_tracked_settings_name_is_a_regular_file_of_the_worktree() {
    let mut registry = Registry::sample();
    registry.publish("other/thing 1.0.0", &[], &[("a.ex".into(), "a".into())]);
    let stage = Stage::with(registry, &["other/thing 1.0.0"]);
    let file = format!("[repositories.other]\nurl = \"{}\"\npublic_key = \"hex.pem\"\n", stage.upstream.url());
    stage.write(".hexmirror.toml", &file);
    let update = || stage.bare_command_in(&stage.project, &["update"]);
    for (trap, reason) in TRAPS {
        set(&stage, trap, "hex.pem");
        refuses(&mut update(), 2, "hex.pem", reason);
    }
    // The user's own settings may name a file anywhere, but not one that blocks.
    let outside = stage.sandbox.path().join("key.pem");
    fs::write(&outside, key().public_key().to_pem()).unwrap();
    stage.write(".hexmirror.toml", &file.replace("hex.pem", outside.to_str().unwrap()));
    refuses(&mut update(), 2, "key.pem", "points outside the worktree");
    stage.git(&["config", "hexmirror.other.url", &stage.upstream.url()]);
    stage.git(&["config", "hexmirror.other.publicKey", "hex.pem"]);
    for (trap, reason) in TRAPS.into_iter().filter(|(_, reason)| !reason.starts_with("points")) {
        set(&stage, trap, "hex.pem");
        refuses(&mut update(), 2, "hex.pem", reason);
    }
    stage.git(&["config", "hexmirror.other.publicKey", outside.to_str().unwrap()]);
    Ran::of(&mut update()).ok();
}

#[test]
fn a_trap_in_a_commit_blocks_a_push_but_no_checkout() {
    let stage = Stage::mirrored();
    stage.run(&["hooks", "install"]).ok();
    stage.sandbox.git("", &["init", "--quiet", "--bare", "remote.git"]);
    stage.git(&["remote", "add", "origin", "../remote.git"]);
    stage.git(&["add", "--all"]);
    stage.git(&["commit", "--quiet", "--message=Lock"]);
    stage.git(&["switch", "--quiet", "--create", "hostile"]);
    for (file, trap, reason) in [
        (".hexmirror.toml", "zero", "points outside the worktree"),
        ("mix.lock", "out", "points outside the worktree"),
        ("mix.lock", "large", "is larger than 64 MiB"),
    ] {
        set(&stage, trap, file);
        stage.git(&["add", "--all"]);
        stage.git(&["commit", "--quiet", "--message=Trap"]);
        stage.git(&["switch", "--quiet", "main"]);
        let git = |arguments: &[&str]| limited(stage.sandbox.command("git", &stage.project).args(arguments));
        git(&["switch", "--quiet", "hostile"]).ok().says(&format!("{file} {reason}"));
        let pushed = git(&["push", "--force", "origin", "hostile"]);
        // A link that leads out of a commit is not a lock, so the push needs nothing from the mirror.
        let stops = file == ".hexmirror.toml" || trap == "large";
        assert_eq!(pushed.code == Some(0), !stops, "{pushed:?}");
        assert_eq!(pushed.stderr.contains(reason), stops, "{pushed:?}");
        stage.git(&["reset", "--quiet", "--hard", "main"]);
    }
}

#[test]
fn a_blob_of_a_bare_repository_has_the_same_limits() {
    let stage = Stage::without_lock(Registry::sample());
    stage.lock(&PINNED);
    for (file, limit) in [(".hexmirror.toml", "1 MiB"), ("mix.lock", "64 MiB")] {
        set(&stage, "large", file);
        stage.git(&["add", "--all"]);
        stage.git(&["commit", "--quiet", "--message=Large"]);
        stage.sandbox.git("", &["clone", "--quiet", "--bare", "project", &format!("{limit}.git")]);
        let folder = stage.sandbox.path().join(format!("{limit}.git"));
        for arguments in [&["status"][..], &["update"]] {
            refuses(&mut stage.command_in(&folder, arguments), 2, file, &format!("is larger than {limit}"));
        }
        fs::remove_file(stage.project.join(file)).unwrap();
    }
}
