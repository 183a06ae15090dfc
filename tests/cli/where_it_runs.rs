//! Where the program can run: subfolders, other worktrees, bare repositories.

use std::fs;

use crate::support::registry::Registry;
use crate::support::stage::{PINNED, Stage};

#[test]
fn an_untracked_lock_counts_in_its_project() {
    let stage = Stage::new();
    stage.write("apps/inner/lib/x.ex", "");
    stage.run_in(stage.project.join("apps/inner/lib"), &["update"]).ok();
    stage.run_in(stage.project.join("apps/inner"), &["status", "--json"]).ok();
    stage.write("apps/inner/mix.exs", "");
    stage.write("apps/inner/mix.lock", &stage.registry.mix_lock(&PINNED[..1]));
    let document = stage.run_in(stage.project.join("apps/inner/lib"), &["status", "--json"]).ok().json();
    assert_eq!((&document["locks"][0], &document["present"]), (&"apps/inner/mix.lock".into(), &1.into()));
    let document = stage.run_in("", &["-C", "project/apps", "status", "--json"]).ok().json();
    assert_eq!((&document["locks"][0], &document["present"]), (&"mix.lock".into(), &3.into()));
}

#[test]
fn in_a_linked_worktree_the_mirror_is_the_same() {
    let stage = Stage::new();
    stage.git(&["worktree", "add", "--quiet", "../linked", "-b", "other"]);
    fs::write(stage.sandbox.path().join("linked/mix.lock"), stage.registry.mix_lock(&["alpha 1.1.0"])).unwrap();
    stage.run_in("linked", &["update"]).ok();
    stage.run(&["status"]).exits(1).prints("beta");
    stage.run(&["update"]).ok();
    stage.run_in("linked", &["status"]).ok();
    stage.run(&["status"]).ok();
    stage.run(&["verify"]).ok();
    assert_eq!(stage.sandbox.git("linked", &["status", "--porcelain"]), "?? mix.lock");
}

#[test]
fn in_a_bare_repository_the_lock_of_head_counts() {
    let stage = Stage::new();
    stage.git(&["add", "mix.lock"]);
    stage.git(&["commit", "--quiet", "--message=Lock"]);
    stage.sandbox.git("", &["clone", "--quiet", "--bare", "project", "bare.git"]);
    stage.run_in("bare.git", &["update"]).ok();
    stage.run_in("bare.git", &["status"]).ok().prints("3 releases");
    stage.run_in("bare.git", &["verify"]).ok();
    stage.sandbox.git("bare.git", &["fsck", "--strict", "--no-dangling"]);
    stage.run_in("", &["-C", "bare.git", "list"]).ok().prints("alpha 1.0.0");
}

#[test]
fn a_misspelt_command_is_suggested() {
    let stage = Stage::new();
    stage.run(&["udpate"]).exits(2).says("unrecognized subcommand 'udpate'").says("'update'");
    stage.run(&["status", "--jsno"]).exits(2).says("'--json'");
}

#[test]
fn a_detached_head_and_a_bare_repository_have_a_log_and_a_checkup() {
    let stage = Stage::mirrored();
    stage.git(&["add", "mix.lock"]);
    stage.git(&["commit", "--quiet", "--message=Lock"]);
    stage.git(&["checkout", "--quiet", "--detach"]);
    stage.run(&["log"]).ok().prints("+ alpha 1.0.0");
    stage.run(&["doctor"]).exits(1).prints("git hexmirror hooks install");
    stage.sandbox.git("", &["clone", "--quiet", "--bare", "project", "bare.git"]);
    stage.run_in("bare.git", &["log"]).ok().prints("+ alpha 1.0.0");
    stage.run_in("bare.git", &["doctor"]).ok().prints("not needed in a bare repository");
}

#[test]
fn git_dir_is_honoured() {
    let stage = Stage::new();
    let mut command = stage.command_in("home", &["init"]);
    command.env("GIT_DIR", stage.project.join(".git"));
    crate::support::stage::Ran::of(&mut command).ok();
    assert!(stage.tip().is_some());
}

#[test]
fn as_a_command_of_git() {
    let stage = Stage::new();
    stage.run_through_git("project", &["hexmirror", "init"]).ok().says("created");
    // git exports GIT_DIR and similar variables to aliases and hooks, also from a subfolder.
    stage.git(&["config", "alias.mirror", &format!("!{} status", crate::support::stage::PROGRAM)]);
    let output = stage.sandbox.try_git(&stage.project, &["mirror"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_checked_out_mirror_is_not_moved() {
    let stage = Stage::mirrored();
    stage.git(&["worktree", "add", "--quiet", "../looking", "hexmirror"]);
    stage.lock(&["alpha 1.1.0"]);
    let tip = stage.tip();
    stage.run(&["update"]).exits(5).says("is checked out in").says("looking");
    assert_eq!(stage.tip(), tip);
    assert_eq!(stage.sandbox.git("looking", &["status", "--porcelain"]), "");
}

#[test]
fn a_repository_without_commits_is_supported() {
    let stage = Stage::without_lock(Registry::sample());
    stage.sandbox.git("", &["init", "--quiet", "young"]);
    fs::write(stage.sandbox.path().join("young/mix.lock"), stage.registry.mix_lock(&PINNED)).unwrap();
    stage.run_in("young", &["update"]).ok();
    stage.run_in("young", &["status"]).ok();
}
