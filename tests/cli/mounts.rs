//! Folders as containers get them: only a part of a repository, or one that belongs to another user. The message names
//! what is missing and the line that adds it.

use std::fs;
use std::process::Command;

use crate::support::stage::{OtherUser, Stage};

const SERVE: [&str; 2] = ["serve", "--listen=127.0.0.1:0"];

#[test]
fn a_worktree_without_its_repository() {
    let stage = Stage::mirrored();
    stage.git(&["worktree", "add", "--quiet", "../linked", "-b", "other"]);
    fs::rename(&stage.project, stage.sandbox.path().join("away")).unwrap();
    let project = stage.project.display();
    let ran = stage.run_in("linked", &SERVE).exits(5);
    ran.says("linked/.git refers to").says(&format!("{project}/.git/worktrees/linked, which does not exist here"));
    let ran = stage.run_in("linked", &["status"]).exits(5);
    ran.says(&format!("docker run -v {project}:{project}:ro"));
    // That is not what `--wait` waits for.
    stage.run_in("linked", &["serve", "--wait"]).exits(5).says("worktrees/linked");
}

#[test]
fn a_submodule_without_its_repository() {
    let stage = Stage::mirrored();
    fs::create_dir_all(stage.sandbox.path().join("module/lib")).unwrap();
    fs::write(stage.sandbox.path().join("module/.git"), "gitdir: ../.git/modules/module\n").unwrap();
    let ran = stage.run_in("module/lib", &SERVE).exits(5).says("module/.git refers to ../.git/modules/module");
    ran.says("mount the repository that it belongs to as a whole");
}

#[test]
fn a_clone_without_the_objects_that_it_borrows() {
    let stage = Stage::mirrored();
    stage.git(&["add", "mix.lock"]);
    stage.git(&["commit", "--quiet", "--message=Lock"]);
    stage.sandbox.git(stage.sandbox.path(), &["clone", "--quiet", "--shared", "project", "borrower"]);
    let checked = |arguments: &[&str]| stage.run_in("borrower", arguments);
    checked(&["status"]).ok();
    fs::rename(&stage.project, stage.sandbox.path().join("away")).unwrap();
    let objects = stage.project.join(".git/objects");
    for arguments in [&SERVE[..], &["status"]] {
        let ran = checked(arguments).exits(5).says("objects/info/alternates names");
        ran.says(&format!("docker run -v {0}:{0}:ro", objects.display())).says("git repack -a -d");
    }
    // Damage that has another reason is reported as before.
    fs::rename(stage.sandbox.path().join("away"), &stage.project).unwrap();
    checked(&["status"]).ok();
}

#[test]
fn a_repository_of_another_user() {
    let stage = Stage::mirrored();
    let owned = Command::new("chown").args(["-R", "65534"]).arg(&stage.project).status();
    if !owned.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: this user may not give files away");
    }
    let project = stage.project.display().to_string();
    let ran = stage.run(&SERVE).exits(5).says(&format!("dubious ownership in repository at '{project}'"));
    let line = format!("git config --system --add safe.directory {project}");
    let ran = ran.says(&format!("in a Dockerfile: RUN {line}"));
    assert!(ran.stderr.contains(&line.replace("--system", "--global")), "{ran:?}");
    stage.sandbox.git(stage.sandbox.path(), &["config", "--global", "--add", "safe.directory", &project]);
    stage.run(&["status"]).ok();
}

#[test]
fn a_repository_that_this_user_may_not_read() {
    let stage = Stage::mirrored();
    let Some(user) = OtherUser::owning(&stage, &[]) else { return };
    let git = stage.project.join(".git");
    let mode = |mode| fs::set_permissions(&git, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    mode(0o700);
    for command in [&["status"][..], &["serve", "--wait"]] {
        let ran = user.run(&stage, command).exits(5).says(&format!("cannot read {}", git.display()));
        ran.says("docker run --user");
    }
    mode(0o755);
    user.run(&stage, &["status"]).exits(5).says("dubious ownership");
}
