//! Several projects in one repository: all commands and hooks act on the same locks.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::stage::Stage;
use crate::team::{Team, registry, told};

/// The folders of the projects.
const FOLDERS: [&str; 3] = ["", "backend", "erl/lib"];

/// A hooked clone with the locks `backend/mix.lock` and `erl/rebar.lock`, whose remote has its commit and its mirror.
fn poncho() -> (Team, PathBuf) {
    let team = Team::with(registry(), &[]);
    let one = team.stage.project.clone();
    fs::remove_file(one.join("mix.lock")).unwrap();
    write(&one, "backend/mix.exs", "");
    write(&one, "backend/mix.lock", &team.stage.registry.mix_lock(&["alpha 1.0.0"]));
    write(&one, "erl/rebar.config", "");
    write(&one, "erl/rebar.lock", &team.stage.registry.rebar_lock(&["beta 0.3.0"]));
    write(&one, "erl/lib/x.erl", "");
    for stray in ["backend/test/fixtures/mix.lock", "docs/mix.lock", "vendor/x/rebar.lock"] {
        write(&one, stray, "%{ not a lock");
    }
    team.commit(&one, "Projects");
    team.run(&one, &["init"])
        .ok()
        .says("the mirror follows backend/mix.lock, erl/rebar.lock\n")
        .says("left out: backend/test/fixtures/mix.lock (below a folder test), docs/mix.lock (no mix.exs beside it), vendor/x/rebar.lock (below a folder vendor)");
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
    assert_eq!(team.tip(&team.remote), team.tip(&one));
    team.received();
    (team, one)
}

fn write(folder: &Path, path: &str, text: &str) {
    fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
    fs::write(folder.join(path), text).unwrap();
}

fn locks(team: &Team, folder: &Path) -> Value {
    team.run(folder, &["status", "--json"]).json()["locks"].clone()
}

#[test]
fn every_command_follows_the_same_locks_from_every_folder() {
    let (team, one) = poncho();
    for folder in FOLDERS.map(|folder| one.join(folder)) {
        assert_eq!(locks(&team, &folder), json!(["backend/mix.lock", "erl/rebar.lock"]));
        team.run(&folder, &["status"]).ok().prints("2 releases for backend/mix.lock, erl/rebar.lock");
        assert_eq!(team.run(&folder, &["diff", "--exit-code"]).ok().stdout, "");
        assert_eq!(team.run(&folder, &["lock"]).ok().stdout.lines().count(), 2);
        team.run(&folder, &["verify"]).ok();
        assert_eq!(team.run(&folder, &["prune", "--keep-days=0", "--json"]).ok().json()["releases"], json!([]));
    }
    // A lock that git does not track yet counts in its own project, and once it is tracked everywhere.
    write(&one, "tool/mix.exs", "");
    write(&one, "tool/mix.lock", &team.stage.registry.mix_lock(&["left 1.0.0"]));
    team.run(&one, &["status"]).ok();
    team.run(one.join("tool"), &["status"])
        .exits(1)
        .prints("lacks what backend/mix.lock, erl/rebar.lock, tool/mix.lock pin");
    team.commit(&one, "Tool");
    for folder in FOLDERS.map(|folder| one.join(folder)) {
        team.run(&folder, &["status"]).exits(1).prints("missing left 1.0.0");
    }
    let diff = team.run(one.join("erl"), &["diff", "HEAD~.."]).ok();
    assert_eq!(diff.stdout, "  added    left 1.0.0\n");
    // What is deleted in the worktree no longer counts, except in a sparse checkout.
    fs::remove_dir_all(one.join("tool")).unwrap();
    team.run(&one, &["status"]).ok();
    team.git(&one, &["checkout", "--quiet", "."]).ok();
    team.git(&one, &["sparse-checkout", "set", "backend"]).ok();
    assert!(!one.join("tool").exists());
    team.run(&one, &["status"]).exits(1).prints("missing left 1.0.0");
    // The same is true of locks that a setting names, with or without wildcards.
    for lock in ["--lock=t*/mix.lock", "--lock=tool/mix.lock"] {
        team.run(&one, &["status", lock]).exits(1).prints("missing left 1.0.0");
    }
    team.run(&one, &["status", "--lock=t*/rebar.lock"]).exits(2).says("found no t*/rebar.lock");
    team.git(&one, &["sparse-checkout", "disable"]).ok();
    fs::remove_file(one.join("tool/mix.lock")).unwrap();
    team.run(&one, &["status", "--lock=t*/mix.lock"]).exits(2).says("found no t*/mix.lock");
}

#[test]
fn hooks_notice_a_changed_lock_in_any_folder() {
    let (team, one) = poncho();
    write(&one, "backend/lib/x.ex", "code");
    team.commit(&one, "Code");
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok().silent();
    write(&one, "erl/rebar.lock", &team.stage.registry.rebar_lock(&["left 1.0.0"]));
    team.commit(&one, "Lock");
    team.received();
    team.git(&one, &["push", "origin", "main"]).exits(1).says("for the lock on main; it lacks left 1.0.0");
    team.git(&one, &["switch", "--quiet", "--create", "old", "HEAD~"]).ok();
    let ran = team.git(&one, &["switch", "--quiet", "main"]).ok();
    assert!(told(&ran).contains("it lacks left 1.0.0"), "{ran:#?}");
    team.run(one.join("backend"), &["update"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
    assert_eq!(team.received(), [["refs/heads/hexmirror"], ["refs/heads/main"]]);
    // A file that becomes a lock because its project file is added.
    write(&one, "docs/mix.lock", &team.stage.registry.mix_lock(&["right 1.0.0"]));
    team.commit(&one, "No lock yet");
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok().silent();
    write(&one, "docs/mix.exs", "");
    team.commit(&one, "A project");
    team.git(&one, &["push", "origin", "main"]).exits(1).says("it lacks right 1.0.0");
}

#[test]
fn the_locks_of_packages_on_the_mirror_branch_are_not_the_projects() {
    let (team, one) = poncho();
    team.git(&one, &["switch", "--quiet", "--force", "--detach", "hexmirror"]).ok();
    team.run(&one, &["status"]).exits(2).says("found no mix.lock, rebar.lock, manifest.toml or hexmirror.lock");
}

#[test]
fn locks_that_disagree_about_a_release_are_named() {
    let (team, one) = poncho();
    let lock = fs::read_to_string(one.join("backend/mix.lock")).unwrap();
    let outer = team.stage.registry.get("alpha 1.0.0").outer.to_string();
    write(&one, "zeta/mix.exs", "");
    write(&one, "zeta/mix.lock", &lock.replace(&outer, &"0".repeat(64)));
    team.commit(&one, "Disagree");
    for command in ["status", "update", "diff"] {
        let ran = team.run(&one, &[command]).exits(4);
        ran.says("alpha 1.0.0 is locked twice").says("zeta/mix.lock:2").says("the other lock is backend/mix.lock");
    }
    team.git(&one, &["push", "origin", "main"]).exits(1).says("zeta/mix.lock");
}

/// Folders without any sense, beside a project with a lock.
#[test]
fn odd_names_of_folders_do_no_harm() {
    let (team, one) = poncho();
    for folder in ["-rf", "ä ö", "a\nb", "\u{1b}[31m", "mix.exs", ".hidden", "x/mix.lock"] {
        write(&one, &format!("{folder}/mix.exs"), "");
        write(&one, &format!("{folder}/mix.lock"), &team.stage.registry.mix_lock(&["alpha 1.0.0"]));
    }
    #[cfg(unix)]
    {
        let raw: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"raw\xff");
        fs::create_dir(one.join(raw)).unwrap();
        fs::write(one.join(raw).join("mix.exs"), "").unwrap();
        fs::write(one.join(raw).join("mix.lock"), "%{ broken").unwrap();
    }
    team.commit(&one, "Odd");
    let found = locks(&team, &one);
    assert_eq!(found.as_array().unwrap().len(), 2 + 7, "{found}");
    let ran = team.run(&one, &["status"]).ok();
    assert!(!ran.stdout.contains('\u{1b}'), "{ran:?}");
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
}

/// Everything that one search finds is found by the next one too, whichever tree it starts from.
#[test]
fn a_large_repository_is_searched_once() {
    let (team, one) = poncho();
    for number in 0..40 {
        write(&one, &format!("apps/{number}/mix.exs"), "");
        write(&one, &format!("apps/{number}/mix.lock"), &team.stage.registry.mix_lock(&["alpha 1.0.0"]));
    }
    team.commit(&one, "Apps");
    let saved = one.join(".git/hexmirror/trees");
    assert!(!saved.exists());
    team.run(&one, &["status"]).ok();
    let first = fs::read_to_string(&saved).unwrap();
    assert_eq!(first.lines().count(), 2 + 42);
    fs::remove_file(one.join("apps/7/mix.exs")).unwrap();
    team.commit(&one, "No project");
    assert_eq!(locks(&team, &one).as_array().unwrap().len(), 41);
    assert_eq!(fs::read_to_string(&saved).unwrap(), first, "a small difference is not worth saving");
    // A damaged file is ignored.
    for damage in [first.replace("file ", ""), first[..first.len() / 2].to_owned(), "\0".repeat(100)] {
        fs::write(&saved, damage).unwrap();
        assert_eq!(locks(&team, &one).as_array().unwrap().len(), 41);
    }
    let configured = team.run(&one, &["status", "--lock=**/rebar.lock", "--json"]);
    assert_eq!(configured.json()["locks"], json!(["erl/rebar.lock", "vendor/x/rebar.lock"]));
}

#[test]
fn in_a_bare_repository_all_locks_of_head_count() {
    let (team, _) = poncho();
    assert_eq!(locks(&team, &team.remote), json!(["backend/mix.lock", "erl/rebar.lock"]));
    let stage: &Stage = &team.stage;
    stage.sandbox.git("", &["clone", "--quiet", "remote.git", "fresh"]);
    assert_eq!(
        locks(&team, &stage.sandbox.path().join("fresh/backend")),
        json!(["backend/mix.lock", "erl/rebar.lock"])
    );
}
