//! A cached answer for a lock serves `update`, `status` and every hook, without reading the lock again.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::stage::Ran;
use crate::team::Team;

/// Runs `pre-push` as git would for a new branch.
fn pre_push(team: &Team, folder: &Path, commit: &str) -> Ran {
    pre_push_of(team, folder, &format!("refs/heads/new {commit} refs/heads/new {}\n", "0".repeat(40)))
}

/// Runs `pre-push` with a line that describes the pushed ref.
fn pre_push_of(team: &Team, folder: &Path, line: &str) -> Ran {
    let arguments = ["hook", "pre-push", "origin", team.remote.to_str().unwrap()];
    let mut command = team.stage.bare_command_in(folder, &arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

/// Removes the loose object at a path of a commit.
fn lose(team: &Team, folder: &Path, object: &str) -> PathBuf {
    let id = team.ask(folder, &["rev-parse", object]);
    let path = folder.join(".git/objects").join(&id[..2]).join(&id[2..]);
    fs::remove_file(&path).unwrap();
    path
}

#[test]
fn a_hook_reads_no_lock_that_an_update_or_a_status_has_compared() {
    let (team, one) = Team::hooked();
    team.lock(&one, &["left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    team.commit(&one, "Lock");
    let remembered = one.join(".git/hexmirror/fresh");
    let latest = || fs::read_to_string(&remembered).unwrap().lines().next().unwrap().to_owned();
    let of_update = latest();
    lose(&team, &one, "HEAD:mix.lock");
    pre_push(&team, &one, &team.ask(&one, &["rev-parse", "HEAD"])).ok().silent();
    assert_eq!(latest(), of_update);
    // Without a cached answer, it must read the lock.
    fs::remove_file(&remembered).unwrap();
    let commit = team.ask(&one, &["rev-parse", "HEAD"]);
    pre_push(&team, &one, &commit).exits(5).says("mix.lock");
    // `status` reads the lock in the worktree, which is identical.
    team.run(&one, &["status"]).ok();
    pre_push(&team, &one, &commit).ok().silent();
    // It adds the numbers of retired and vulnerable pins.
    assert_eq!(latest(), of_update + " 0 0");
}

/// Runs a test of a repository in which no object can be read.
fn without_objects(folder: &Path, test: impl FnOnce()) {
    let (objects, hidden) = (folder.join(".git/objects"), folder.join(".git/objects.hidden"));
    fs::rename(&objects, &hidden).unwrap();
    fs::create_dir(&objects).unwrap();
    test();
    fs::remove_dir_all(&objects).unwrap();
    fs::rename(&hidden, &objects).unwrap();
}

/// With many packs, the first object that a process looks up costs more than everything else.
#[test]
fn with_many_packs_status_and_hooks_look_up_no_object_the_next_time() {
    let (team, one) = Team::hooked();
    team.commit_lock(&one, &["left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    team.git(&one, &["push", "--quiet", "--no-verify", "origin", "HEAD"]).ok();
    let before = team.ask(&one, &["rev-parse", "HEAD"]);
    team.git(&one, &["commit", "--quiet", "--allow-empty", "--message=Code"]).ok();
    let after = team.ask(&one, &["rev-parse", "HEAD"]);
    for number in 0..30 {
        fs::write(one.join(format!(".git/objects/pack/{number}")), "").unwrap();
    }
    let all = || {
        team.run(&one, &["status"]).ok().prints("fresh");
        team.run(&one, &["hook", "post-checkout", &before, &after, "1"]).ok().silent();
        team.run(&one, &["hook", "post-merge", "0"]).ok().silent();
        let line = format!("refs/heads/main {after} refs/heads/main {before}\n");
        pre_push_of(&team, &one, &line).ok().silent();
    };
    team.git(&one, &["update-ref", "ORIG_HEAD", &before]).ok();
    all();
    // One process saves what it finds first.
    all();
    without_objects(&one, all);
    // A commit that is not known is looked up.
    team.git(&one, &["commit", "--quiet", "--allow-empty", "--message=More"]).ok();
    without_objects(&one, || drop(team.run(&one, &["status"]).exits(5)));
    team.run(&one, &["status"]).ok().prints("fresh");
}

#[test]
fn several_locks_are_cached_too() {
    for locks in ["mix.lock apps/x/mix.lock", "**/mix.lock"] {
        let (team, one) = Team::hooked();
        team.git(&one, &["config", "hexmirror.locks", locks]).ok();
        fs::create_dir_all(one.join("apps/x")).unwrap();
        fs::write(one.join("apps/x/mix.lock"), team.stage.registry.mix_lock(&["left 1.0.0"])).unwrap();
        team.run(&one, &["update"]).ok();
        team.run(&one, &["push"]).ok();
        team.commit(&one, "Locks");
        lose(&team, &one, "HEAD:apps/x/mix.lock");
        let commit = team.ask(&one, &["rev-parse", "HEAD"]);
        pre_push(&team, &one, &commit).ok().silent();
        fs::remove_file(one.join(".git/hexmirror/fresh")).unwrap();
        pre_push(&team, &one, &commit).exits(5).says("apps/x/mix.lock");
    }
}

#[test]
fn an_answer_cached_by_a_hook_serves_status() {
    let (team, one) = Team::hooked();
    team.run(&one, &["push"]).ok();
    team.commit_lock(&one, &["alpha 1.0.0"]);
    let remembered = one.join(".git/hexmirror/fresh");
    fs::remove_file(&remembered).unwrap();
    pre_push(&team, &one, &team.ask(&one, &["rev-parse", "HEAD"])).ok();
    let of_hook = fs::read_to_string(&remembered).unwrap();
    assert_eq!(of_hook.lines().count(), 1);
    // The answer to another question would now be the newest.
    team.run(&one, &["status"]).ok();
    assert_eq!(fs::read_to_string(&remembered).unwrap(), of_hook.trim_end().to_owned() + " 0 0\n");
}

#[test]
fn another_lock_path_or_mirror_is_another_question() {
    let (team, one) = Team::hooked();
    team.run(&one, &["push"]).ok();
    let remembered = one.join(".git/hexmirror/fresh");
    let answers = || fs::read_to_string(&remembered).unwrap().lines().count();
    let before = answers();
    // The same content at another path.
    fs::create_dir(one.join("sub")).unwrap();
    fs::copy(one.join("mix.lock"), one.join("sub/mix.lock")).unwrap();
    fs::write(one.join("sub/mix.exs"), "").unwrap();
    team.run(one.join("sub"), &["status"]).ok();
    assert_eq!(answers(), before + 1);
    // A lock that is not mirrored, at the same path.
    team.lock(&one, &["left 1.0.0"]);
    team.run(&one, &["status"]).exits(1);
    team.run(&one, &["update"]).ok();
    team.run(&one, &["status"]).ok();
    assert_eq!(answers(), before + 2);
    // Another user replaces the mirror with an older one.
    team.git(&one, &["update-ref", "refs/heads/hexmirror", "hexmirror^"]).ok();
    team.run(&one, &["status"]).exits(1);
    assert_eq!(answers(), before + 2, "only a yes is remembered");
}

#[test]
fn line_ends_that_git_converts_are_remembered_by_themselves() {
    let (team, one) = Team::hooked();
    team.run(&one, &["push"]).ok();
    fs::write(one.join(".gitattributes"), "mix.lock text eol=crlf\n").unwrap();
    team.commit_lock(&one, &["alpha 1.0.0"]);
    fs::remove_file(one.join("mix.lock")).unwrap();
    team.git(&one, &["checkout", "--quiet", "--", "mix.lock"]).ok();
    assert!(fs::read_to_string(one.join("mix.lock")).unwrap().contains("\r\n"));
    let remembered = one.join(".git/hexmirror/fresh");
    fs::remove_file(&remembered).unwrap();
    let answers = || fs::read_to_string(&remembered).unwrap().lines().count();
    team.run(&one, &["status"]).ok();
    assert_eq!(answers(), 1);
    let commit = team.ask(&one, &["rev-parse", "HEAD"]);
    for _ in 0..2 {
        pre_push(&team, &one, &commit).ok().silent();
        team.run(&one, &["status"]).ok();
        assert_eq!(answers(), 2);
    }
}
