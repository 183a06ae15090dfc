//! `prune`: what it removes, what it keeps, and that others do not bring removed releases back.

use std::fs;
use std::path::Path;

use crate::support::registry::Registry;
use crate::support::stage::Ran;
use crate::team::Team;

/// A time long ago, for git and for the program.
const LONG_AGO: &str = "2020-02-20T20:20:20Z";

/// The registry: packages that each only one branch or tag needs, and one that depends on another.
fn registry() -> Registry {
    let mut registry = Registry::sample();
    for name in ["branch", "detached", "kept", "recent", "remote", "stash", "tag", "unpushed", "worktree"] {
        registry.publish(&format!("{name} 1.0.0"), &[], &[(format!("lib/{name}.ex"), name.to_owned())]);
    }
    registry.publish("needy 1.0.0", &["alpha >= 1.0.0"], &[("lib/needy.ex".to_owned(), "needy".to_owned())]);
    registry
}

/// Runs the program with a time long ago.
fn update_long_ago(team: &Team, folder: &Path) -> Ran {
    let mut command = team.stage.bare_command_in(folder, &["update"]);
    Ran::of(command.env("GIT_COMMITTER_DATE", LONG_AGO).env("GIT_AUTHOR_DATE", LONG_AGO)).ok()
}

fn commit_long_ago(team: &Team, folder: &Path, pinned: &[&str]) {
    team.lock(folder, pinned);
    team.git(folder, &["add", "--all"]).ok();
    let mut command = team.stage.sandbox.command("git", folder);
    command.args(["commit", "--quiet", "--message=Lock"]);
    Ran::of(command.env("GIT_COMMITTER_DATE", LONG_AGO).env("GIT_AUTHOR_DATE", LONG_AGO)).ok();
}

/// A shared project whose lock pinned `before` and then `after`, long ago. The mirror, here and on the remote, has
/// both.
fn aged(before: &[&str], after: &[&str]) -> (Team, std::path::PathBuf) {
    let team = Team::with(registry(), before);
    let one = team.stage.project.clone();
    // The project's first commit was made today, so what it pins would be kept.
    team.git(&one, &["checkout", "--quiet", "--orphan", "aged"]).ok();
    for pinned in [before, after] {
        commit_long_ago(&team, &one, pinned);
        update_long_ago(&team, &one);
    }
    team.git(&one, &["branch", "--quiet", "--move", "--force", "main"]).ok();
    team.git(&one, &["push", "--quiet", "--force", "--set-upstream", "origin", "main"]).ok();
    team.git(&one, &["update-ref", "-d", "ORIG_HEAD"]).ok();
    team.run(&one, &["push"]).ok();
    (team, one)
}

#[test]
fn unneeded_items_are_pruned_and_can_be_restored() {
    let (team, one) = aged(&["alpha 1.0.0", "beta 0.3.0", "delta 4.5.6+build.7"], &["alpha 1.1.0"]);
    let before = team.tip(&one).unwrap();
    let plan = team.run(&one, &["prune", "--dry-run"]).ok().says("would remove 3 releases");
    plan.prints("- alpha 1.0.0 (").prints("- beta 0.3.0 (").prints("- delta 4.5.6+build.7 (");
    let document = team.run(&one, &["prune", "--dry-run", "--json"]).ok().json();
    assert_eq!(document["releases"].as_array().unwrap().len(), 3);
    let (bytes, all) = (document["bytes"].as_u64().unwrap(), document["of_bytes"].as_u64().unwrap());
    assert!(bytes > all / 2 && bytes < all, "{document}");
    assert_eq!(team.tip(&one).unwrap(), before, "it was only to be known");

    let ran = team.run(&one, &["prune"]).ok().says("removed 3 releases").says("git update-ref refs/heads/hexmirror");
    assert_eq!(team.releases(&one), ["alpha 1.1.0"]);
    assert_eq!(team.ask(&one, &["log", "-1", "--format=%P", "hexmirror"]), before);
    let subject = team.ask(&one, &["log", "-1", "--format=%s", "hexmirror"]);
    assert_eq!(subject, "Prune alpha 1.0.0, beta 0.3.0, delta 4.5.6+build.7");
    team.run(&one, &["status"]).ok().prints("fresh");
    team.is_whole(&one);
    team.run(&one, &["prune"]).ok().says("nothing to remove");
    // The result is identical to a mirror that never had it.
    let two = team.clone("two");
    team.git(&two, &["remote", "remove", "origin"]).ok();
    team.run(&two, &["update"]).ok();
    let tree = |folder: &Path| team.ask(folder, &["rev-parse", "hexmirror^{tree}"]);
    assert_eq!(tree(&one), tree(&two));

    let undo = ran.stderr.split('`').find(|text| text.starts_with("git update-ref")).unwrap();
    let words: Vec<&str> = undo.split(' ').skip(1).collect();
    team.git(&one, &words).ok();
    assert_eq!(team.tip(&one).unwrap(), before);
}

#[test]
fn live_branches_keep_what_they_need() {
    let old = ["branch", "detached", "kept", "recent", "remote", "stash", "tag", "unpushed", "worktree"];
    let old: Vec<String> = old.iter().map(|name| format!("{name} 1.0.0")).collect();
    let old: Vec<&str> = old.iter().map(String::as_str).collect();
    let (team, one) = aged(&old, &["kept 1.0.0"]);
    let git = |arguments: &[&str]| team.ask(&one, arguments);
    let on_branch = |name: &str, pinned: &str| {
        git(&["checkout", "--quiet", "-b", name, "main"]);
        commit_long_ago(&team, &one, &[pinned]);
    };
    on_branch("branch", "branch 1.0.0");
    on_branch("remote", "remote 1.0.0");
    git(&["push", "--quiet", "origin", "remote"]);
    on_branch("tag", "tag 1.0.0");
    git(&["tag", "v1"]);
    on_branch("detached", "detached 1.0.0");
    git(&["checkout", "--quiet", "--detach"]);
    git(&["worktree", "add", "--quiet", "--detach", "../elsewhere"]);
    // Two commits ago on main, made today, and not pushed.
    git(&["checkout", "--quiet", "main"]);
    commit_long_ago(&team, &one, &["unpushed 1.0.0"]);
    commit_long_ago(&team, &one, &["kept 1.0.0"]);
    team.lock(&one, &["stash 1.0.0"]);
    git(&["stash", "--quiet"]);
    let worktree = team.stage.sandbox.path().join("elsewhere");
    fs::create_dir(worktree.join("apps")).unwrap();
    fs::write(worktree.join("apps/mix.exs"), "").unwrap();
    fs::write(worktree.join("apps/mix.lock"), team.stage.registry.mix_lock(&["worktree 1.0.0"])).unwrap();
    team.git(&one, &["branch", "--quiet", "-D", "remote", "tag", "detached"]).ok();

    let gone = |arguments: &[&str]| -> Vec<String> {
        let document = team.run(&one, &[&["prune", "--dry-run", "--json"], arguments].concat()).ok().json();
        document["releases"].as_array().unwrap().iter().map(|id| id["package"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(gone(&["--keep-tags", "v*"]), ["recent"]);
    assert_eq!(gone(&[]), ["recent", "tag"]);
    git(&["config", "hexmirror.keepTags", "w* v1"]);
    assert_eq!(gone(&[]), ["recent"]);
    // A commit of today that no ref points to but that is in the history. The old commit is pushed.
    for pinned in ["recent 1.0.0", "kept 1.0.0"] {
        team.commit_lock(&one, &[pinned]);
    }
    git(&["push", "--quiet", "--no-verify", "origin", "main"]);
    assert_eq!(gone(&[]), ["unpushed"]);
    assert_eq!(gone(&["--keep-days=0"]), ["recent", "unpushed"]);
    git(&["stash", "drop", "--quiet"]);
    git(&["worktree", "remove", "--force", "../elsewhere"]);
    git(&["branch", "--quiet", "-D", "branch"]);
    git(&["push", "--quiet", "--no-verify", "origin", ":remote"]);
    assert_eq!(gone(&["--keep-days=0"]), ["branch", "detached", "recent", "remote", "stash", "unpushed", "worktree"]);
}

#[test]
fn recent_items_are_kept() {
    let (team, one) = aged(&["alpha 1.0.0", "beta 0.3.0"], &["alpha 1.0.0"]);
    // Another user's release, for a branch that is unknown here.
    let two = team.clone("two");
    team.run(&two, &["pull"]).ok();
    team.lock(&two, &["kept 1.0.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    team.run(&one, &["pull"]).ok();
    team.run(&one, &["prune"]).ok().says("removed 1 release, 2 registry entries");
    assert_eq!(team.releases(&one), ["alpha 1.0.0", "kept 1.0.0"]);
    // After compaction, the age of everything is still known.
    team.run(&one, &["compact"]).ok();
    team.run(&one, &["prune", "--dry-run"]).ok().says("nothing to remove");
    team.run(&one, &["prune", "--keep-days=0"]).ok().says("removed 1 release");
    assert_eq!(team.releases(&one), ["alpha 1.0.0"]);
    team.is_whole(&one);
}

#[test]
fn other_clones_do_not_restore_pruned_items() {
    let (team, one) = aged(&["alpha 1.0.0", "beta 0.3.0", "kept 1.0.0"], &["kept 1.0.0"]);
    let two = team.clone("two");
    team.run(&two, &["pull"]).ok();
    team.run(&one, &["prune"]).ok();
    team.run(&one, &["push"]).ok();
    // This release depends on alpha, whose entry was removed with its release. The entry is needed again.
    team.lock(&two, &["kept 1.0.0", "needy 1.0.0"]);
    team.run(&two, &["update"]).ok();
    assert_eq!(team.releases(&two), ["alpha 1.0.0", "beta 0.3.0", "kept 1.0.0", "needy 1.0.0"]);
    let document = team.run(&two, &["push", "--json"]).ok().json();
    assert_eq!(document["merged"]["pruned"], 2);
    assert_eq!(team.releases(&two), ["kept 1.0.0", "needy 1.0.0"]);
    let manifest = team.ask(&two, &crate::support::tree::MANIFEST);
    let entries: Vec<&str> = manifest.lines().filter_map(|line| line.strip_prefix("registry hexpm ")).collect();
    let mut names: Vec<&str> = entries.iter().map(|line| line.split(' ').next().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["alpha", "kept", "needy"]);
    team.run(&two, &["status"]).ok();
    team.is_whole(&two);
    team.run(&one, &["pull"]).ok();
    assert_eq!(team.tip(&one), team.tip(&two));
    // The reverse: the clone that pruned merges what another user added, and keeps what that newly needs.
    team.lock(&two, &["beta 0.3.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    team.lock(&one, &["recent 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.run(&one, &["pull"]).ok().says("merged");
    assert_eq!(team.releases(&one), ["beta 0.3.0", "kept 1.0.0", "needy 1.0.0", "recent 1.0.0"]);
    team.is_whole(&one);
}

#[test]
fn an_unreadable_lock_blocks_pruning() {
    let (team, one) = aged(&["alpha 1.0.0", "beta 0.3.0"], &["alpha 1.0.0"]);
    // Another mirror is not a project, although its packages contain locks.
    team.git(&one, &["branch", "backup", "hexmirror"]).ok();
    team.git(&one, &["checkout", "--quiet", "-b", "broken"]).ok();
    fs::write(one.join("mix.lock"), "%{\"a\": {:hex, :a}}\n").unwrap();
    team.commit(&one, "Broken");
    team.git(&one, &["checkout", "--quiet", "main"]).ok();
    let before = team.tip(&one);
    team.run(&one, &["prune"]).exits(2).says("refs/heads/broken:mix.lock");
    assert_eq!(team.tip(&one), before);
    // An older lock, which no branch uses now.
    team.git(&one, &["checkout", "--quiet", "broken"]).ok();
    team.commit_lock(&one, &["alpha 1.0.0"]);
    team.git(&one, &["checkout", "--quiet", "main"]).ok();
    // Both sides of an unresolved merge are kept.
    fs::write(one.join("mix.lock"), "<<<<<<< ours\n=======\n>>>>>>> theirs\n").unwrap();
    let ran = team.run(&one, &["prune"]).ok().says("removed 1 release");
    ran.says("cannot parse the lock mix.lock of an older commit").says("project; prune may remove what it needs");
    team.run(team.stage.sandbox.repository("empty"), &["prune"]).exits(5).says("has no mirror branch");
}

#[test]
fn locks_count_in_any_place_and_under_any_name() {
    let old = ["branch", "detached", "kept", "recent", "remote", "stash", "tag", "worktree"];
    let old: Vec<String> = old.iter().map(|name| format!("{name} 1.0.0")).collect();
    let old: Vec<&str> = old.iter().map(String::as_str).collect();
    let (team, one) = aged(&old, &["kept 1.0.0"]);
    let gone = || -> Vec<String> {
        let document = team.run(&one, &["prune", "--keep-days=0", "--dry-run", "--json"]).ok().json();
        document["releases"].as_array().unwrap().iter().map(|id| id["package"].as_str().unwrap().to_owned()).collect()
    };
    let lock = |path: &str, pinned: &str| {
        fs::create_dir_all(one.join(path).parent().unwrap()).unwrap();
        fs::write(one.join(path), team.stage.registry.mix_lock(&[pinned])).unwrap();
    };
    assert_eq!(gone(), ["branch", "detached", "recent", "remote", "stash", "tag", "worktree"]);
    // A link in the worktree to a lock with another name.
    lock("locks/prod.lck", "recent 1.0.0");
    fs::create_dir(one.join("app")).unwrap();
    fs::write(one.join("app/mix.exs"), "").unwrap();
    std::os::unix::fs::symlink("../locks/prod.lck", one.join("app/mix.lock")).unwrap();
    // A lock that is only in the index, and one that a rebase has set aside.
    lock("mix.lock", "stash 1.0.0");
    team.git(&one, &["add", "mix.lock"]).ok();
    lock("mix.lock", "tag 1.0.0");
    let aside = team.ask(&one, &["stash", "create"]);
    fs::create_dir(one.join(".git/rebase-merge")).unwrap();
    fs::write(one.join(".git/rebase-merge/autostash"), format!("{aside}\n")).unwrap();
    lock("mix.lock", "kept 1.0.0");
    // A lock in a skipped folder, named explicitly, and one that only another branch's settings name.
    lock("deps/x/own.lock", "worktree 1.0.0");
    team.git(&one, &["config", "hexmirror.locks", "mix.lock deps/x/own.lock"]).ok();
    assert_eq!(gone(), ["branch", "detached", "remote"]);
    fs::remove_dir_all(one.join(".git/rebase-merge")).unwrap();
    assert_eq!(gone(), ["branch", "detached", "remote", "tag"]);
    team.git(&one, &["checkout", "--quiet", "--force", "-b", "other"]).ok();
    fs::write(one.join(".hexmirror.toml"), "locks = [\"other.lck\"]\n").unwrap();
    lock("other.lck", "remote 1.0.0");
    team.git(&one, &["add", ".hexmirror.toml", "other.lck"]).ok();
    team.git(&one, &["commit", "--quiet", "--message=Others"]).ok();
    team.git(&one, &["checkout", "--quiet", "main"]).ok();
    let left = gone();
    assert!(!left.contains(&"remote".to_owned()) && left.contains(&"branch".to_owned()), "{left:?}");
    // Pull requests, as some users fetch them, but not notes.
    team.git(&one, &["checkout", "--quiet", "--detach"]).ok();
    for (name, pinned) in [("refs/pull/1/head", "branch 1.0.0"), ("refs/notes/x", "detached 1.0.0")] {
        team.commit_lock(&one, &[pinned]);
        team.git(&one, &["update-ref", name, "HEAD"]).ok();
        team.git(&one, &["checkout", "--quiet", "--detach", "main"]).ok();
    }
    let left = gone();
    assert!(!left.contains(&"branch".to_owned()) && left.contains(&"detached".to_owned()), "{left:?}");
}

#[test]
fn a_local_branch_keeps_what_another_clone_pruned() {
    let (team, one) = aged(&["alpha 1.0.0", "beta 0.3.0", "kept 1.0.0"], &["kept 1.0.0"]);
    let two = team.clone("two");
    team.run(&two, &["pull"]).ok();
    team.run(&one, &["prune"]).ok().says("removed 2 releases");
    team.run(&one, &["push"]).ok();
    // Only this clone has the branch.
    team.git(&two, &["switch", "--quiet", "--create", "revert"]).ok();
    team.commit_lock(&two, &["alpha 1.0.0"]);
    team.run(&two, &["pull"]).ok().says("1 release removed").says("is ahead of origin");
    team.run(&two, &["status"]).ok().prints("fresh");
    assert_eq!(team.releases(&two), ["alpha 1.0.0", "kept 1.0.0"]);
    assert_eq!(team.ask(&two, &["rev-list", "--count", "--merges", "hexmirror"]), "0");
    team.run(&two, &["push"]).ok();
    team.is_whole(&team.remote);
    // The same if both have commits of their own.
    team.run(&one, &["pull"]).ok();
    team.run(&one, &["prune"]).ok().says("removed 1 release");
    team.run(&one, &["push"]).ok();
    team.lock(&two, &["alpha 1.0.0", "recent 1.0.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    assert_eq!(team.releases(&two), ["alpha 1.0.0", "kept 1.0.0", "recent 1.0.0"]);
    team.run(&two, &["status"]).ok();
    team.is_whole(&two);
}

#[test]
fn items_that_were_added_again_do_not_count_as_pruned() {
    let (team, one) = aged(&["alpha 1.0.0", "kept 1.0.0"], &["kept 1.0.0"]);
    let (two, three) = (team.clone("two"), team.clone("three"));
    for folder in [&two, &three] {
        team.run(folder, &["pull"]).ok();
    }
    team.run(&one, &["prune"]).ok();
    // Both sides merge another clone's update, so the mirrors have two merge bases, with and without it.
    team.lock(&three, &["recent 1.0.0"]);
    team.run(&three, &["update"]).ok();
    for (folder, other) in [(&one, &three), (&two, &three), (&two, &one)] {
        team.run(folder, &["pull", other.to_str().unwrap()]).ok();
    }
    team.git(&two, &["checkout", "--quiet", "--detach"]).ok();
    team.lock(&two, &["alpha 1.0.0"]);
    team.run(&two, &["update"]).ok();
    fs::remove_file(two.join("mix.lock")).unwrap();
    team.run(&two, &["pull", one.to_str().unwrap()]).ok();
    assert!(team.releases(&two).contains(&"alpha 1.0.0".to_owned()), "{:?}", team.releases(&two));
    team.is_whole(&two);
}
