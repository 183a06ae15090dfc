//! Concurrent processes: the second one waits or starts again, and nothing of either is lost.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use crate::support::registry::Registry;
use crate::support::stage::{PINNED, Ran, Stage};
use crate::support::upstream::Fault;

const SLOW: &str = "/tarballs/delta-4.5.6+build.7.tar";

fn start(stage: &Stage, folder: &str) -> Child {
    let mut command = stage.command_in(folder, &["update"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program can be run")
}

/// A project with a linked worktree, whose locks pin different releases.
fn two_worktrees() -> Stage {
    let stage = Stage::new();
    stage.git(&["worktree", "add", "--quiet", "../linked", "-b", "other"]);
    let lock = stage.registry.mix_lock(&["alpha 1.1.0", "gamma 1.0.0"]);
    fs::write(stage.sandbox.path().join("linked/mix.lock"), lock).unwrap();
    stage
}

#[test]
fn a_second_update_reports_that_it_waits() {
    let stage = two_worktrees();
    stage.upstream.fail(SLOW, 1, Fault::StallAfter(600));
    let first = start(&stage, "project");
    stage.upstream.wait_for(SLOW, 1);
    let mut second = start(&stage, "linked");
    let mut told = BufReader::new(second.stderr.take().unwrap());
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    assert_eq!(line, "waiting for another update of this repository\n");
    stage.upstream.release();
    Ran::from(first.wait_with_output().unwrap()).ok();
    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    assert!(second.wait().unwrap().success(), "{rest}");
    stage.run(&["status"]).ok();
    stage.run_in("linked", &["status"]).ok();
    stage.run(&["verify"]).ok();
    assert_eq!(stage.run(&["list", "--json"]).ok().json().as_array().unwrap().len(), 5);
}

#[test]
fn two_updates_for_the_same_lock_fetch_once() {
    let stage = Stage::new();
    stage.upstream.fail(SLOW, 1, Fault::StallAfter(600));
    let first = start(&stage, "project");
    stage.upstream.wait_for(SLOW, 1);
    let second = start(&stage, "project");
    stage.upstream.release();
    Ran::from(first.wait_with_output().unwrap()).ok();
    Ran::from(second.wait_with_output().unwrap()).ok();
    assert_eq!(stage.upstream.count(SLOW), 1);
    assert_eq!(stage.git(&["rev-list", "--count", "hexmirror"]), "1");
    stage.run(&["verify"]).ok();
}

#[test]
fn many_updates_at_once_lose_nothing() {
    let mut registry = Registry::default();
    let names: Vec<String> = (0..8).map(|number| format!("p{number} 1.0.0")).collect();
    for name in &names {
        registry.publish(name, &[], &[("lib/a.ex".into(), name.repeat(100))]);
    }
    let stage = Stage::without_lock(registry);
    let folders: Vec<String> = (0..8).map(|number| format!("apps/a{number}")).collect();
    for (folder, name) in folders.iter().zip(&names) {
        stage.write(&format!("{folder}/mix.exs"), "");
        stage.write(&format!("{folder}/mix.lock"), &stage.registry.mix_lock(&[name]));
    }
    let children: Vec<Child> = folders.iter().map(|folder| start(&stage, &format!("project/{folder}"))).collect();
    for child in children {
        Ran::from(child.wait_with_output().unwrap()).ok();
    }
    assert_eq!(stage.run(&["list", "--json"]).ok().json().as_array().unwrap().len(), 8);
    assert_eq!(stage.git(&["rev-list", "--count", "hexmirror"]), "8");
    stage.run(&["verify"]).ok();
    stage.git(&["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn a_branch_that_git_moves_meanwhile_is_built_upon() {
    let stage = Stage::mirrored();
    // Another user's update, which arrives by a fetch.
    stage.sandbox.git("", &["clone", "--quiet", "--bare", "project", "theirs.git"]);
    let lock = stage.registry.mix_lock(&["gamma 1.0.0"]);
    fs::create_dir(stage.sandbox.path().join("work")).unwrap();
    stage.sandbox.git("work", &["clone", "--quiet", "--no-checkout", "../theirs.git", "."]);
    fs::write(stage.sandbox.path().join("work/mix.lock"), lock).unwrap();
    stage.run_in("work", &["update"]).ok();
    stage.git(&["fetch", "--quiet", "../work", "hexmirror:refs/theirs"]);

    stage.lock(&["alpha 1.1.0", PINNED[1]]);
    stage.upstream.fail("/tarballs/alpha-1.1.0.tar", 1, Fault::StallAfter(600));
    let ours = start(&stage, "project");
    stage.upstream.wait_for("/tarballs/alpha-1.1.0.tar", 1);
    stage.git(&["update-ref", "refs/heads/hexmirror", "refs/theirs"]);
    stage.upstream.release();
    Ran::from(ours.wait_with_output().unwrap()).ok();
    let list = stage.run(&["list"]).ok();
    for release in PINNED.iter().chain(&["alpha 1.1.0", "gamma 1.0.0"]) {
        assert!(list.stdout.contains(release), "{release} is lost: {list:?}");
    }
    assert_eq!(stage.git(&["rev-parse", "hexmirror^"]), stage.git(&["rev-parse", "refs/theirs"]));
    assert_eq!(stage.upstream.count("/tarballs/alpha-1.1.0.tar"), 1, "it is not fetched a second time");
    stage.run(&["verify"]).ok();
}

#[test]
fn a_locked_ref_is_reported_and_nothing_is_lost() {
    let stage = Stage::mirrored();
    stage.lock(&["alpha 1.1.0"]);
    let tip = stage.tip();
    let lock = stage.project.join(".git/refs/heads/hexmirror.lock");
    fs::write(&lock, "").unwrap();
    stage.run(&["update"]).exits(5);
    assert_eq!(stage.tip(), tip);
    fs::remove_file(lock).unwrap();
    stage.run(&["update"]).ok();
    assert_eq!(stage.upstream.count("/tarballs/alpha-1.1.0.tar"), 1);
}

#[test]
fn the_refs_lock_of_a_killed_update_is_cleared_and_gits_own_is_not() {
    let stage = Stage::mirrored();
    let (lock, mark) =
        (stage.project.join(".git/refs/heads/hexmirror.lock"), stage.project.join(".git/hexmirror/moving-abc"));
    assert!(!mark.exists());
    let (ours, gits) = ("1".repeat(40), "2".repeat(40));
    stage.lock(&["alpha 1.1.0"]);
    fs::write(&mark, format!("program refs/heads/hexmirror {ours}\n")).unwrap();
    fs::write(&lock, format!("{gits}\n")).unwrap();
    stage.run(&["update"]).exits(5).says("hexmirror.lock");
    assert_eq!(fs::read_to_string(&lock).unwrap(), format!("{gits}\n"));
    for (marked, content) in [(&ours, format!("{ours}\n")), (&ours, String::new())] {
        fs::write(&mark, format!("program refs/heads/hexmirror {marked}\n")).unwrap();
        fs::write(&lock, content).unwrap();
        stage.run(&["update"]).ok();
        assert!(!lock.exists() && !mark.exists());
        stage.lock(&["alpha 2.0.0-rc.1"]);
    }
    stage.run(&["status"]).ok();
    stage.lock(&["gamma 1.0.0"]);
    // A marker that points elsewhere has no effect.
    fs::write(stage.project.join(".git/config.lock"), "").unwrap();
    fs::write(&mark, format!("program refs/../config {ours}\n")).unwrap();
    stage.run(&["update"]).ok();
    assert!(stage.project.join(".git/config.lock").exists());
}
