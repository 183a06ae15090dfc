//! `post-checkout`, `post-merge` and `post-rewrite`, run by `git switch`, `git merge`, `git rebase`, …

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::stage::PINNED;
use crate::team::{Team, told};

const LACKS_LEFT: &str = "git-hexmirror: the mirror hexmirror is not fresh for the lock that is checked out; it lacks left 1.0.0\n\
                          hint: run `git hexmirror update`\n";

/// A clone with a branch `left` that needs more than its mirror has, and a branch `code` with main's lock.
fn branches() -> (Team, PathBuf) {
    let (team, one) = Team::hooked();
    team.git(&one, &["switch", "--quiet", "--create", "left"]).ok();
    team.commit_lock(&one, &["alpha 1.0.0", "left 1.0.0"]);
    team.git(&one, &["switch", "--quiet", "--create", "code", "main"]).ok();
    fs::write(one.join("code.ex"), "x").unwrap();
    team.commit(&one, "Code");
    team.git(&one, &["switch", "--quiet", "main"]).ok();
    (team, one)
}

#[test]
fn a_switch_reports_missing_items_only_if_the_lock_changed() {
    let (team, one) = branches();
    let switch = |branch: &str| team.git(&one, &["switch", "--quiet", branch]).ok();
    switch("code").silent();
    switch("main").silent();
    let ran = switch("left");
    assert_eq!(told(&ran), LACKS_LEFT);
    // Leaves the branch whose lock is not covered. Checking out files does not run the check.
    switch("main").silent();
    team.git(&one, &["checkout", "--quiet", "left", "--", "mix.lock"]).ok().silent();
    team.git(&one, &["checkout", "--quiet", "HEAD", "--", "mix.lock"]).ok().silent();
    // Switching between two branches with the same lock prints nothing, although the mirror does not cover it.
    switch("left");
    team.git(&one, &["switch", "--quiet", "--create", "left2"]).ok();
    fs::write(one.join("more.ex"), "x").unwrap();
    team.commit(&one, "More");
    switch("left").silent();
    // Upstream received no request.
    assert_eq!(team.stage.upstream.count("/tarballs/left-1.0.0.tar"), 0);
    team.run(&one, &["update"]).ok();
    switch("main").silent();
    switch("left").silent();
}

#[test]
fn a_branch_may_lack_a_lock_that_the_settings_name() {
    let (team, one) = branches();
    team.git(&one, &["config", "hexmirror.locks", "mix.lock apps/later/mix.lock"]).ok();
    let ran = team.git(&one, &["switch", "--quiet", "left"]).ok();
    assert_eq!(told(&ran), LACKS_LEFT);
    team.run(&one, &["status"]).exits(2).says("found no apps/later/mix.lock");
}

#[test]
fn merges_rebases_and_amended_commits_report_missing_items_too() {
    for (begin, arguments) in [
        ("main", &["merge", "--quiet", "--ff-only", "left"][..]),
        ("code", &["merge", "--quiet", "--no-edit", "left"]),
        ("code", &["merge", "--quiet", "--squash", "left"]),
        ("code", &["rebase", "--quiet", "left"]),
        ("code", &["pull", "--quiet", "--no-rebase", ".", "left"]),
    ] {
        let (team, one) = branches();
        team.git(&one, &["switch", "--quiet", begin]).ok();
        let ran = team.git(&one, arguments).ok();
        assert!(told(&ran).contains(LACKS_LEFT), "{arguments:?}: {ran:#?}");
    }
    let (team, one) = branches();
    team.lock(&one, &["left 1.0.0"]);
    let ran = team.git(&one, &["commit", "--quiet", "--all", "--amend", "--no-edit"]).ok();
    assert_eq!(told(&ran), LACKS_LEFT);
    // No lock changed.
    for (begin, arguments) in [
        ("main", &["merge", "--quiet", "--no-ff", "--no-edit", "code"][..]),
        ("left", &["merge", "--quiet", "--no-edit", "code"]),
        ("left", &["rebase", "--quiet", "--force-rebase", "HEAD^"]),
        ("left", &["commit", "--quiet", "--allow-empty", "--amend", "--message=x"]),
    ] {
        let (team, one) = branches();
        team.git(&one, &["switch", "--quiet", begin]).ok();
        // A rebase checks out another lock in between.
        let ran = team.git(&one, arguments).ok();
        assert_eq!(told(&ran), "", "{arguments:?}: {ran:#?}");
    }
}

#[test]
fn a_new_worktree_and_a_clone_with_hooks() {
    let (team, one) = branches();
    let ran = team.git(&one, &["worktree", "add", "--quiet", "../linked ä", "left"]).ok();
    assert_eq!(told(&ran), LACKS_LEFT);
    let linked = team.stage.sandbox.path().join("linked ä");
    team.git(&linked, &["switch", "--quiet", "--detach", "main"]).ok().silent();
    team.run(&linked, &["update"]).ok();
    team.git(&linked, &["switch", "--quiet", "left"]).exits(0);
    team.run(&linked, &["update"]).ok();
    team.git(&linked, &["switch", "--quiet", "--detach", "main"]).ok().silent();
    team.git(&linked, &["switch", "--quiet", "left"]).ok().silent();
}

#[test]
fn a_remote_known_to_have_the_missing_items_is_named() {
    let (team, one) = branches();
    let two = team.clone("two");
    team.lock(&two, &["alpha 1.0.0", "left 1.0.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    team.git(&one, &["fetch", "--quiet"]).ok();
    team.git(&one, &["switch", "--quiet", "left"]).ok().says("run `git hexmirror pull origin`");
    team.run(&one, &["pull", "origin"]).ok();
    team.run(&one, &["status"]).ok();
}

/// A clone on `main` whose mirror was pruned of what `v0` pins, while the remote's mirror still has it.
fn dropped() -> (Team, PathBuf) {
    let (team, one) = Team::hooked();
    team.git(&one, &["tag", "v0"]).ok();
    team.run(&one, &["push"]).ok();
    team.commit_lock(&one, &["left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
    team.run(&one, &["prune", "--keep-days=0"]).ok().says("removed 3 releases");
    (team, one)
}

#[test]
fn a_remote_with_items_pruned_here_is_not_recommended() {
    let lacks = "git-hexmirror: reading origin's hexmirror, as last fetched; the local hexmirror has dropped some of it: run \
                 `git hexmirror update`";
    let (team, one) = dropped();
    team.git(&one, &["switch", "--quiet", "--detach", "v0"]).ok().says(&format!("{lacks}\n"));
    team.git(&one, &["switch", "--quiet", "main"]).ok().silent();
    // Nor does a mirror count whose history was compacted here.
    team.run(&one, &["compact"]).ok();
    team.git(&one, &["switch", "--quiet", "--detach", "v0"]).ok().says(&format!("{lacks}\n"));
    team.git(&one, &["switch", "--quiet", "main"]).ok().silent();
    mode(&team, &one, "update");
    team.git(&one, &["switch", "--quiet", "--detach", "v0"]).ok().says("updated hexmirror");
    team.run(&one, &["status"]).ok();
}

#[test]
fn pruned_items_that_are_needed_again_return_with_a_pull() {
    let (team, one) = dropped();
    mode(&team, &one, "update");
    // The remote's mirror has new commits, so a pull adds something, in addition to what was pruned here.
    let two = team.clone("two");
    team.run(&two, &["pull"]).ok();
    team.lock(&two, &["right 1.0.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    team.git(&one, &["fetch", "--quiet"]).ok();
    let here = team.stage.upstream.count("*");
    let ran = team.git(&one, &["switch", "--quiet", "--detach", "v0"]).ok().says("merged hexmirror with origin's");
    assert_eq!(told(&ran), "");
    team.run(&one, &["status"]).ok();
    assert_eq!(team.stage.upstream.count("*"), here);
}

fn mode(team: &Team, folder: &Path, mode: &str) {
    team.git(folder, &["config", "hexmirror.postCheckout", mode]).ok();
}

#[test]
fn pull_fetches_missing_items_and_reports_the_rest() {
    let (team, one) = branches();
    mode(&team, &one, "pull");
    team.git(&one, &["switch", "--quiet", "left"]).ok().says("origin has no branch hexmirror");
    let two = team.clone("two");
    team.lock(&two, &["right 1.0.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    team.git(&one, &["switch", "--quiet", "main"]).ok();
    let ran = team.git(&one, &["switch", "--quiet", "left"]).ok().says("merged hexmirror with origin's");
    assert_eq!(told(&ran), LACKS_LEFT);
    team.lock(&two, &["alpha 1.0.0", "left 1.0.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    team.git(&one, &["switch", "--quiet", "main"]).ok();
    let ran = team.git(&one, &["switch", "--quiet", "left"]).ok().says("with 1 release");
    assert_eq!(told(&ran), "");
    team.run(&one, &["status"]).ok();
    // The remote is gone, but the switch succeeds.
    team.git(&one, &["switch", "--quiet", "main"]).ok();
    team.commit_lock(&one, &["right 1.0.0", "left 1.0.0", "alpha 1.1.0"]);
    team.git(&one, &["switch", "--quiet", "code"]).ok();
    fs::rename(&team.remote, team.stage.sandbox.path().join("gone")).unwrap();
    team.git(&one, &["switch", "--quiet", "main"]).ok().says("there is no repository at origin");
    assert_eq!(team.ask(&one, &["branch", "--show-current"]), "main");
}

#[test]
fn update_fetches_missing_items_and_off_reports_nothing() {
    let (team, one) = branches();
    mode(&team, &one, "off");
    team.git(&one, &["switch", "--quiet", "left"]).ok().silent();
    team.git(&one, &["switch", "--quiet", "main"]).ok().silent();
    mode(&team, &one, "update");
    let upstream = team.stage.upstream.url();
    team.git(&one, &["config", "hexmirror.hexpm.url", "http://127.0.0.1:9"]).ok();
    team.git(&one, &["switch", "--quiet", "left"]).ok().says("error:");
    assert_eq!(team.ask(&one, &["branch", "--show-current"]), "left");
    team.git(&one, &["switch", "--quiet", "main"]).ok();
    team.git(&one, &["config", "hexmirror.hexpm.url", &upstream]).ok();
    team.git(&one, &["switch", "--quiet", "left"]).ok().says("updated hexmirror");
    team.run(&one, &["status"]).ok();
}

#[test]
fn nothing_fails_a_checkout() {
    let (team, one) = branches();
    let switch = |branch: &str| team.git(&one, &["switch", "--quiet", branch]).ok();
    team.git(&one, &["update-ref", "refs/heads/hexmirror", "main"]).ok();
    switch("left").says("is not a mirror");
    switch("main");
    team.git(&one, &["update-ref", "-d", "refs/heads/hexmirror"]).ok();
    switch("left").says("it lacks alpha 1.0.0, left 1.0.0");
    switch("main");
    team.git(&one, &["config", "hexmirror.postCheckout", "sometimes"]).ok();
    switch("left").says("git's setting hexmirror.postCheckout");
    team.git(&one, &["config", "--unset", "hexmirror.postCheckout"]).ok();
    fs::write(one.join("mix.lock"), "%{").unwrap();
    team.commit(&one, "Half");
    switch("main");
    switch("left").says("mix.lock");
    let (team, one) = Team::hooked();
    team.git(&one, &["switch", "--quiet", "--orphan", "empty"]).ok().silent();
    assert_eq!(PINNED.len(), team.releases(&one).len());
}

#[test]
fn a_clone_without_a_mirror_gets_the_same_advice_everywhere() {
    let (team, one) = Team::hooked();
    let two = team.stage.sandbox.path().join("single");
    let arguments = ["clone", "--quiet", "--single-branch", "--branch=main", team.remote.to_str().unwrap()];
    team.git(&one, &[&arguments[..], &[two.to_str().unwrap()]].concat()).ok();
    team.git(&two, &["config", "user.email", "two@example.org"]).ok();
    team.git(&two, &["config", "user.name", "Two"]).ok();
    team.run(&two, &["hooks", "install"]).ok();
    let advice =
        "run `git hexmirror pull origin` to fetch it from origin; if origin has none, run `git hexmirror init`";
    for command in ["status", "diff"] {
        assert!(team.run(&two, &[command]).stderr.contains(advice), "{command}");
    }
    team.commit_lock(&two, &["alpha 1.0.0", "left 1.0.0"]);
    team.git(&two, &["switch", "--quiet", "--detach", "HEAD~1"]).ok().says("it lacks alpha 1.0.0").says(advice);
    team.git(&two, &["switch", "--quiet", "main"]).ok();
    team.git(&two, &["push", "--quiet", "origin", "main"]).exits(1).says(advice).says("and push again");
}
