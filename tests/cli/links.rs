//! Locks that are symbolic links: links within the project are followed, links out of it are not.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;

use crate::changes::commit;
use crate::support::registry::Registry;
use crate::support::stage::{PINNED, Stage};

const SECRET: &str = "-----BEGIN PRIVATE KEY-----\n";

/// Replaces a path of the project with a link.
fn link(stage: &Stage, target: &str, path: &str) {
    let path = stage.project.join(path);
    let _ = fs::remove_file(&path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, path).unwrap();
}

#[test]
fn files_outside_the_worktree_are_neither_read_nor_quoted() {
    let stage = Stage::mirrored();
    fs::write(stage.sandbox.path().join("key"), SECRET).unwrap();
    fs::create_dir(stage.sandbox.path().join("keys")).unwrap();
    fs::write(stage.sandbox.path().join("keys/mix.lock"), SECRET).unwrap();
    let absolute = stage.sandbox.path().join("key").display().to_string();
    let refused = |arguments: &[&str], file: &str| {
        let ran = stage.run(arguments).exits(2).says(&format!("{file} points outside the worktree")).says("hint:");
        assert!(!ran.stderr.contains("BEGIN") && !ran.stderr.contains("[core]") && ran.stdout.is_empty(), "{ran:?}");
    };
    for target in ["../key", &absolute, ".git/config", "app/up/../key"] {
        link(&stage, "../../project", "app/up");
        link(&stage, target, "mix.lock");
        for arguments in [&["status"][..], &["lock"], &["update"], &["diff", "--source", "HEAD"]] {
            refused(arguments, "mix.lock");
        }
    }
    stage.lock(&PINNED);
    // A folder may be a link too, and the file that names the locks also comes with the branch.
    link(&stage, "../keys", "sub");
    refused(&["status", "--lock=sub/mix.lock"], "sub/mix.lock");
    refused(&["status", "--lock=../key"], "../key");
    stage.write(".hexmirror.toml", &format!("locks = [{absolute:?}]\n"));
    refused(&["status"], &absolute);
    link(&stage, "../key", ".hexmirror.toml");
    refused(&["status"], ".hexmirror.toml");
}

#[test]
fn links_within_the_project_are_followed_in_the_worktree_and_in_commits() {
    let stage = Stage::new();
    let before = commit(&stage, &PINNED, "");
    stage.run(&["update"]).ok();
    stage.write("locks/of/prod.lck", &stage.registry.mix_lock(&["alpha 1.1.0", "beta 0.3.0", PINNED[2]]));
    let raised = "  raised   alpha 1.0.0 → 1.1.0\n";
    link(&stage, "of", "locks/to");
    link(&stage, "./locks/to/../of//prod.lck", "locks.lck");
    for (target, name) in
        [("locks/of/prod.lck", "plain"), ("locks.lck", "twice"), ("locks/to/prod.lck", "through a folder")]
    {
        link(&stage, target, "mix.lock");
        stage.run(&["status"]).exits(1);
        assert_eq!(stage.run(&["diff", &before]).ok().stdout, raised, "{name}");
        stage.git(&["add", "--all"]);
        stage.git(&["commit", "--quiet", "--allow-empty", "--message", name]);
        assert!(stage.git(&["ls-tree", "HEAD", "mix.lock"]).starts_with("120000"));
        assert_eq!(stage.run(&["diff", &before, "HEAD"]).ok().stdout, raised, "{name}");
    }
    let ran = stage.run(&["diff", &before, "HEAD", "--lock=locks/to/prod.lck"]).ok();
    assert!(ran.stdout.starts_with("  added    alpha 1.1.0\n"), "{ran:?}");
    // The lock's content is that of the link's target, even if the target changes.
    stage.write("locks/of/prod.lck", &stage.registry.mix_lock(&PINNED));
    stage.git(&["commit", "--quiet", "--all", "--message=Lower"]);
    assert_eq!(stage.run(&["diff", "HEAD~..HEAD"]).ok().stdout, "  lowered  alpha 1.1.0 → 1.0.0\n");
    stage.run(&["update"]).ok();
    stage.run(&["prune", "--keep-days=0"]).ok();
    stage.run(&["status"]).ok();
}

#[test]
fn links_in_a_commit_cannot_leave_it() {
    let stage = Stage::new();
    let before = commit(&stage, &PINNED, "");
    fs::write(stage.sandbox.path().join("key"), SECRET).unwrap();
    stage.write("a/b/file", "x");
    for target in
        ["/etc/passwd", "../key", "a/../../project/a", "a/b/../../../key", "mix.lock", "nowhere", "a", "a/b/file/", ""]
    {
        if target.is_empty() {
            // Git creates such a link only from its object database.
            let empty = stage.git(&["hash-object", "-w", "--stdin"]);
            stage.git(&["update-index", "--add", "--cacheinfo", &format!("120000,{empty},mix.lock")]);
        } else {
            link(&stage, target, "mix.lock");
            stage.git(&["add", "--all"]);
        }
        stage.git(&["commit", "--quiet", "--allow-empty", "--message=Link"]);
        let ran = stage.run(&["diff", &before, "HEAD"]).ok().says("HEAD has no lock\n");
        assert!(
            ran.stdout.starts_with("  removed  alpha 1.0.0\n") && !ran.stderr.contains("BEGIN"),
            "{target}: {ran:?}"
        );
    }
}

#[test]
fn a_worktree_inside_gits_folder_is_read() {
    let stage = Stage::without_lock(Registry::sample());
    stage.lock(&PINNED);
    stage.git(&["add", "--all"]);
    stage.git(&["commit", "--quiet", "--message=Lock"]);
    stage.sandbox.git("", &["clone", "--quiet", "--bare", "project", "bare.git"]);
    stage.sandbox.git("bare.git", &["worktree", "add", "--quiet", "tree", "HEAD"]);
    stage.run_in("bare.git/tree", &["update"]).ok();
    stage.run_in("bare.git/tree", &["status"]).ok();
}

#[test]
fn a_lock_that_links_to_nothing_is_named_as_such() {
    let stage = Stage::without_lock(Registry::sample());
    stage.write("mix.exs", "");
    link(&stage, "../gone/mix.lock", "mix.lock");
    let says = || {
        let hint = "hint: left out: mix.lock (a link to a file that does not exist)";
        stage.run(&["status"]).exits(2).says("found no mix.lock").says(hint);
        stage.run(&["init", "--no-hooks"]).ok().says("left out: mix.lock (a link to a file that does not exist)");
    };
    says();
    stage.git(&["add", "--all"]);
    stage.git(&["commit", "--quiet", "--message=Link"]);
    says();
    fs::create_dir(stage.sandbox.path().join("gone")).unwrap();
    says();
}
