//! Daily work with git while the hooks are installed: pull, amend, stash, rebase with a conflict, force-push.

use std::fs;
use std::path::PathBuf;

use crate::team::{Team, state, told};

const MAIN: &str = "refs/heads/main";
const MIRROR: &str = "refs/heads/hexmirror";

/// A clone with hooks that has pushed and then committed. The remote has another user's lock, which is mirrored there.
fn diverged() -> (Team, PathBuf) {
    let (team, one) = Team::hooked();
    team.git(&one, &["push", "--quiet", "origin", "main", "hexmirror"]).ok();
    let two = team.clone("two");
    team.run(&two, &["pull"]).ok();
    team.lock(&two, &["alpha 1.0.0", "left 1.0.0"]);
    team.run(&two, &["update"]).ok();
    team.commit(&two, "Left");
    team.git(&two, &["push", "--quiet", "origin", "main", "hexmirror"]).ok();
    fs::write(one.join("code.ex"), "x").unwrap();
    team.commit(&one, "Code");
    (team, one)
}

#[test]
fn every_kind_of_pull_says_which_remote_has_what_the_mirror_lacks() {
    let lacks = "git-hexmirror: reading origin's hexmirror, as last fetched; the local hexmirror is behind: \
                 run `git hexmirror pull origin`\n";
    for (begin, arguments) in [
        ("HEAD", &["pull", "--quiet", "--no-rebase", "--no-edit"][..]),
        ("HEAD", &["pull", "--quiet", "--rebase"]),
        ("HEAD^", &["pull", "--quiet", "--ff-only"]),
        ("HEAD^", &["pull", "--quiet", "--rebase"]),
    ] {
        let (team, one) = diverged();
        team.git(&one, &["reset", "--quiet", "--hard", begin]).ok();
        let mirror = team.tip(&one);
        let ran = team.git(&one, arguments).ok();
        assert!(told(&ran).contains(lacks), "{begin} {arguments:?}: {ran:#?}");
        assert_eq!(team.tip(&one), mirror, "only said");
        team.run(&one, &["pull", "origin"]).ok();
        team.run(&one, &["status"]).ok();
        // There is nothing more to report, and nothing of the mirror to push.
        team.git(&one, &["pull", "--quiet"]).ok().silent();
        fs::write(one.join("more.ex"), "x").unwrap();
        team.commit(&one, "More");
        team.received();
        team.git(&one, &["push", "--quiet", "origin", "main"]).ok().silent();
        assert_eq!(team.received(), [[MAIN]]);
    }
}

#[test]
fn a_pull_updates_the_mirror_if_configured() {
    for arguments in [&["pull", "--quiet", "--no-rebase", "--no-edit"][..], &["pull", "--quiet", "--rebase"]] {
        let (team, one) = diverged();
        team.git(&one, &["config", "hexmirror.postCheckout", "pull"]).ok();
        let ran = team.git(&one, arguments).ok().says("pulled hexmirror from origin");
        assert_eq!(told(&ran), "");
        assert_eq!(team.tip(&one), team.tip(&team.remote));
        team.run(&one, &["status"]).ok();
    }
}

#[test]
fn an_amended_commit_is_pushed_by_force_with_its_mirror_and_the_mirror_never_by_force() {
    let (team, one) = Team::hooked();
    team.commit_lock(&one, &["alpha 1.0.0"]);
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
    let there = team.tip_of(&team.remote, "main");
    team.lock(&one, &["left 1.0.0"]);
    team.git(&one, &["commit", "--quiet", "--all", "--amend", "--no-edit"]).ok().says("it lacks left 1.0.0");
    team.received();
    for force in ["--force", "--force-with-lease"] {
        let before = state(&team, &one);
        team.git(&one, &["push", "--quiet", force, "origin", "main"]).exits(1).says("it lacks left 1.0.0");
        assert_eq!((team.received().len(), team.tip_of(&team.remote, "main")), (0, there.clone()));
        assert_eq!(state(&team, &one), before);
    }
    // Another user's push moved the mirror: the force only applies to the branch that the user named.
    let two = team.clone("two");
    team.run(&two, &["pull"]).ok();
    team.lock(&two, &["right 1.0.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    team.run(&one, &["update"]).ok();
    team.received();
    team.git(&one, &["push", "--force", "origin", "main"]).ok().says("merged with 1 release, 1 registry entry");
    assert_eq!(team.received(), [[MIRROR], [MAIN]]);
    assert_eq!(team.tip_of(&team.remote, "main"), team.tip_of(&one, "main"));
    assert!(team.releases(&team.remote).iter().any(|release| release == "right 1.0.0"));
    // A rewritten commit with the same lock: no request is made.
    team.git(&one, &["commit", "--quiet", "--amend", "--message=Reworded"]).ok().silent();
    team.git(&one, &["push", "--quiet", "--force-with-lease", "origin", "main"]).ok().silent();
    assert_eq!(team.received(), [[MAIN]]);
}

#[test]
fn a_stash_removes_and_restores_the_lock() {
    let (team, one) = Team::hooked();
    team.lock(&one, &["left 1.0.0"]);
    let edited = fs::read(one.join("mix.lock")).unwrap();
    let mirror = team.tip(&one);
    // git runs no hook for this.
    team.git(&one, &["stash", "--quiet"]).ok().silent();
    team.run(&one, &["status"]).ok();
    team.git(&one, &["stash", "pop", "--quiet"]).ok().silent();
    assert_eq!(fs::read(one.join("mix.lock")).unwrap(), edited);
    team.git(&one, &["stash", "--quiet"]).ok().silent();
    // The lock changes after the switch, so the message refers to the lock that the switch checked out.
    team.git(&one, &["stash", "branch", "later"]).ok();
    assert_eq!(fs::read(one.join("mix.lock")).unwrap(), edited);
    // An edited lock that survives a switch of branches is the one that counts.
    team.git(&one, &["switch", "--quiet", "main"]).ok().silent();
    assert_eq!(fs::read(one.join("mix.lock")).unwrap(), edited);
    team.run(&one, &["status"]).exits(1);
    assert_eq!(team.tip(&one), mirror);
}

/// A clone on `right`, whose lock conflicts with that of `main`.
fn conflict() -> (Team, PathBuf) {
    let (team, one) = Team::hooked();
    team.git(&one, &["switch", "--quiet", "--create", "right"]).ok();
    team.commit_lock(&one, &["alpha 1.0.0", "right 1.0.0"]);
    fs::write(one.join("code.ex"), "x").unwrap();
    team.commit(&one, "Code");
    team.git(&one, &["switch", "--quiet", "main"]).ok();
    team.commit_lock(&one, &["alpha 1.0.0", "left 1.0.0"]);
    team.git(&one, &["switch", "--quiet", "right"]).ok();
    (team, one)
}

#[test]
fn a_rebase_through_a_conflict_in_the_lock() {
    let (team, one) = conflict();
    let before = state(&team, &one);
    for back in ["--abort", "--quit"] {
        team.git(&one, &["rebase", "--quiet", "main"]).exits(1).prints("conflict in mix.lock");
        assert!(fs::read_to_string(one.join("mix.lock")).unwrap().contains("<<<<<<<"));
        // A lock with conflict markers does not prevent the user from taking one side's.
        team.git(&one, &["checkout", "--quiet", "--theirs", "mix.lock"]).ok().silent();
        team.git(&one, &["rebase", back]).ok();
        if back == "--quit" {
            team.git(&one, &["reset", "--quiet", "--hard"]).ok();
            team.git(&one, &["switch", "--quiet", "right"]).ok();
        }
        assert_eq!(state(&team, &one), before, "{back}");
    }
    team.git(&one, &["rebase", "--quiet", "main"]).exits(1);
    team.lock(&one, &["alpha 1.0.0", "left 1.0.0", "right 1.0.0"]);
    team.git(&one, &["add", "mix.lock"]).ok();
    let ran = team.git(&one, &["-c", "core.editor=true", "rebase", "--continue"]).ok();
    assert!(told(&ran).contains("it lacks left 1.0.0, right 1.0.0\n"), "{ran:#?}");
    assert_eq!(team.ask(&one, &["log", "--format=%s", "main.."]), "Code\nLock");
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "right"]).ok();
    team.is_whole(&team.remote);
}

#[test]
fn a_merge_with_a_conflict_in_the_lock() {
    let (team, one) = conflict();
    let before = state(&team, &one);
    team.git(&one, &["merge", "--quiet", "main"]).exits(1);
    team.git(&one, &["merge", "--abort"]).ok();
    assert_eq!(state(&team, &one), before);
    team.git(&one, &["merge", "--quiet", "main"]).exits(1);
    team.lock(&one, &["alpha 1.0.0", "left 1.0.0", "right 1.0.0"]);
    team.git(&one, &["commit", "--quiet", "--all", "--no-edit"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "right"]).exits(1).says("it lacks left 1.0.0, right 1.0.0");
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "right"]).ok();
    assert_eq!(team.tip(&team.remote), team.tip(&one));
}

#[test]
fn with_a_detached_head() {
    let (team, one) = conflict();
    team.git(&one, &["switch", "--quiet", "--detach", "main"]).ok().says("it lacks left 1.0.0");
    team.git(&one, &["push", "--quiet", "origin", "HEAD:refs/heads/x"]).exits(1).says("for the lock on x");
    team.git(&one, &["cherry-pick", "right"]).ok();
    team.run(&one, &["update"]).ok();
    team.received();
    team.git(&one, &["push", "--quiet", "origin", "HEAD:refs/heads/x"]).ok();
    assert_eq!(team.received(), [[MIRROR], ["refs/heads/x"]]);
    team.git(&one, &["checkout", "--quiet", "HEAD^"]).ok().silent();
    assert_eq!(team.ask(&one, &["branch", "--show-current"]), "");
}

#[test]
fn irrelevant_pushes_use_no_network() {
    let (team, one) = Team::hooked();
    team.git(&one, &["push", "--quiet", "origin", "main", "hexmirror"]).ok();
    fs::write(one.join("code.ex"), "x").unwrap();
    team.commit(&one, "Code");
    team.git(&one, &["tag", "v1"]).ok();
    for arguments in [
        &["push", "--quiet", "origin", "main"][..],
        &["push", "--quiet", "origin", "v1"],
        &["push", "--quiet", "origin", "main:same"],
        &["push", "--quiet", "origin", ":same"],
    ] {
        let (ran, commands) = team.traced(&one, arguments);
        ran.ok().silent();
        assert_eq!(commands, ["push"], "{arguments:?}");
    }
    // If a lock changed, the mirror needs the network, as the trace shows.
    team.lock(&one, &["left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.commit(&one, "Lock");
    let (ran, commands) = team.traced(&one, &["push", "--quiet", "origin", "main"]);
    ran.ok();
    assert!(commands.len() > 1, "{commands:?}");
}
