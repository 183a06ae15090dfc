//! `pre-push`, run by `git push`.

use std::fs;
use std::path::PathBuf;

use crate::support::stage::PINNED;
use crate::team::Team;

const MAIN: &str = "refs/heads/main";
const MIRROR: &str = "refs/heads/hexmirror";

#[test]
fn the_mirror_is_pushed_first_and_only_if_needed() {
    let (team, one) = Team::hooked();
    team.commit_lock(&one, &["alpha 1.1.0"]);
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "origin", "main"]).ok().says("pushed hexmirror to origin");
    assert_eq!(team.received(), [[MIRROR], [MAIN]]);
    // No lock changed: no request is made, although the mirror has more now.
    fs::write(one.join("code.ex"), "x").unwrap();
    team.commit(&one, "Code");
    team.lock(&one, &["alpha 1.1.0", "left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok().silent();
    assert_eq!(team.received(), [[MAIN]]);
    // A lock changed, but the remote had everything for it when last fetched: nothing is pushed.
    team.run(&one, &["push"]).ok();
    team.received();
    team.commit(&one, "Lock");
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok().silent();
    assert_eq!(team.received(), [[MAIN]]);
    team.is_whole(&team.remote);
}

#[test]
fn the_first_push_includes_a_fresh_mirror() {
    let (team, one) = Team::hooked();
    fs::write(one.join("code.ex"), "x").unwrap();
    team.commit(&one, "Code");
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
    assert_eq!(team.received(), [[MIRROR], [MAIN]]);
}

#[cfg(unix)]
#[test]
fn a_lock_that_is_a_link_is_checked_like_any_other() {
    let (team, one) = Team::hooked();
    fs::remove_file(one.join("mix.lock")).unwrap();
    std::os::unix::fs::symlink("prod.lck", one.join("mix.lock")).unwrap();
    fs::write(one.join("prod.lck"), team.stage.registry.mix_lock(&["left 1.0.0"])).unwrap();
    team.commit(&one, "Link");
    team.git(&one, &["push", "origin", "main"]).exits(1).says("is not fresh for the lock on main; it lacks left 1.0.0");
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
    assert_eq!(team.received(), [[MIRROR], [MAIN]]);
}

#[test]
fn a_stale_mirror_blocks_the_push_with_a_hint() {
    let (team, one) = Team::hooked();
    team.commit_lock(&one, &["alpha 1.1.0", "left 1.0.0", "right 1.0.0"]);
    let ran = team.git(&one, &["push", "origin", "main"]).exits(1);
    let said: Vec<&str> = ran.stderr.lines().collect();
    let told = [
        "git-hexmirror: the mirror hexmirror is not fresh for the lock on main; it lacks left 1.0.0, right 1.0.0, alpha 1.1.0",
        "hint: run `git hexmirror update` and push again, or push without the mirror with `git push --no-verify`",
    ];
    assert_eq!(said[..2], told);
    assert_eq!(team.received(), [[""; 0]; 0]);
    team.git(&one, &["push", "--quiet", "--no-verify", "origin", "main"]).ok().silent();
    assert_eq!(team.received(), [[MAIN]]);
    // What was pushed with --no-verify does not block the next push, which changes no lock.
    fs::write(one.join("code.ex"), "x").unwrap();
    team.commit(&one, "Code");
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
    team.run(&one, &["update"]).ok();
    team.commit_lock(&one, &["alpha 1.1.0"]);
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
    assert!(team.tip(&team.remote).is_some());
}

#[test]
fn check_only_reports_and_off_does_nothing() {
    let (team, one) = Team::hooked();
    team.git(&one, &["config", "hexmirror.prePush", "check"]).ok();
    team.commit_lock(&one, &["alpha 1.0.0"]);
    team.git(&one, &["push", "origin", "main"]).exits(1).says("run `git hexmirror push origin`");
    assert_eq!(team.received(), [[""; 0]; 0]);
    team.run(&one, &["push"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok().silent();
    team.git(&one, &["config", "hexmirror.prePush", "off"]).ok();
    team.commit_lock(&one, &["left 1.0.0"]);
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok().silent();
    assert_eq!(team.received(), [[MIRROR], [MAIN], [MAIN]]);
}

#[test]
fn deletions_notes_and_old_commits_do_not_concern_the_mirror() {
    let (team, one) = Team::hooked();
    team.run(&one, &["push"]).ok();
    let old = team.ask(&one, &["rev-parse", "HEAD"]);
    team.git(&one, &["push", "--quiet", "--no-verify", "origin", "main:old"]).ok();
    team.commit_lock(&one, &["left 1.0.0"]);
    team.git(&one, &["push", "--quiet", "--no-verify", "origin", "main"]).ok();
    team.commit_lock(&one, &["right 1.0.0"]);
    team.git(&one, &["tag", "v0", "HEAD^"]).ok();
    team.git(&one, &["notes", "add", "--message=x"]).ok();
    team.received();
    for arguments in [
        // A deletion, a tag of a commit that the remote has, notes.
        &["push", "--quiet", "origin", ":old"][..],
        &["push", "--quiet", "origin", "v0"],
        &["push", "--quiet", "origin", "refs/notes/commits"],
        // Commits that the remote has, under a new name and in reverse.
        &["push", "--quiet", "origin", "HEAD^:refs/heads/again"],
        &["push", "--quiet", "origin", &format!("{old}:refs/heads/older")],
        &["push", "--quiet", "--force", "origin", &format!("{old}:refs/heads/main")],
    ] {
        let ran = team.git(&one, arguments).ok();
        assert_eq!(ran.stderr, "", "{arguments:?}");
        assert_eq!(team.received().len(), 1, "{arguments:?}");
    }
    // The remote has no commit with this lock yet.
    team.git(&one, &["push", "--quiet", "origin", "HEAD:refs/heads/new"]).exits(1).says("for the lock on new");
}

#[test]
fn tags_are_checked_like_branches() {
    let (team, one) = Team::hooked();
    team.commit_lock(&one, &["left 1.0.0"]);
    team.git(&one, &["tag", "light"]).ok();
    team.git(&one, &["tag", "--annotate", "--message=x", "annotated"]).ok();
    for tag in ["light", "annotated"] {
        team.git(&one, &["push", "--quiet", "origin", tag])
            .exits(1)
            .says(&format!("for the lock on {tag}; it lacks left"));
    }
    assert_eq!(team.received(), [[""; 0]; 0]);
    // A tag in the history of a branch that is pushed too adds nothing.
    team.commit_lock(&one, &["alpha 1.1.0"]);
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "main", "light"]).ok();
    assert_eq!(team.received(), [vec![MIRROR], vec![MAIN, "refs/tags/light"]]);
}

#[test]
fn each_of_several_refs_is_checked() {
    let (team, one) = Team::hooked();
    team.git(&one, &["branch", "same"]).ok();
    team.git(&one, &["switch", "--quiet", "--create", "stale"]).ok();
    team.commit_lock(&one, &["left 1.0.0"]);
    team.git(&one, &["switch", "--quiet", "--create", "fresh", "main"]).ok();
    team.commit_lock(&one, &["alpha 1.0.0"]);
    let ran = team.git(&one, &["push", "origin", "same", "stale", "fresh"]).exits(1);
    ran.says("for the lock on stale");
    team.git(&one, &["push", "--quiet", "origin", "same", "fresh"]).ok();
    assert_eq!(team.received(), [vec![MIRROR], vec!["refs/heads/fresh", "refs/heads/same"]]);
}

#[test]
fn the_hint_fits_the_pushed_lock() {
    let (team, one) = Team::hooked();
    team.git(&one, &["push", "--quiet", "origin", "main", "hexmirror"]).ok();
    let two = team.clone("two");
    team.run(&two, &["pull"]).ok();
    team.lock(&two, &["left 1.0.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    team.git(&one, &["fetch", "--quiet"]).ok();
    // The remote's mirror covers the checked-out lock, but not the pushed one.
    team.git(&one, &["switch", "--quiet", "--create", "right"]).ok();
    team.commit_lock(&one, &["right 1.0.0"]);
    team.git(&one, &["switch", "--quiet", "main"]).ok().silent();
    team.git(&one, &["push", "--quiet", "origin", "right"])
        .exits(1)
        .says("it lacks right 1.0.0\nhint: run `git hexmirror update`");
}

#[test]
fn the_mirror_itself_may_be_among_what_is_pushed() {
    let (team, one) = Team::hooked();
    team.commit_lock(&one, &["alpha 1.0.0"]);
    team.git(&one, &["push", "--quiet", "--all", "origin"]).ok();
    assert_eq!(team.received(), [[MIRROR, MAIN]]);
    team.lock(&one, &["alpha 1.1.0"]);
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "hexmirror"]).ok();
    assert_eq!(team.received(), [[MIRROR]]);
}

#[test]
fn a_mirror_that_moved_on_the_remote_is_merged_first() {
    let (team, one) = Team::hooked();
    team.run(&one, &["push"]).ok();
    let two = team.clone("two");
    team.run(&two, &["init"]).ok();
    team.lock(&two, &["left 1.0.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    team.commit_lock(&one, &["right 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.git(&one, &["push", "origin", "main"]).ok().says("merged with 1 release");
    for release in ["left 1.0.0", "right 1.0.0"] {
        assert!(team.releases(&one).iter().any(|there| there == release));
    }
    assert_eq!(team.tip(&one), team.tip(&team.remote));
    team.is_whole(&one);
}

#[test]
fn releases_mirrored_by_another_user_count() {
    let (team, one) = Team::hooked();
    team.run(&one, &["push"]).ok();
    let two = team.clone("two");
    team.run(&two, &["init"]).ok();
    team.lock(&two, &["left 1.0.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    team.received();
    team.git(&one, &["fetch", "--quiet"]).ok();
    let tip = team.tip(&one);
    team.commit_lock(&one, &["left 1.0.0"]);
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok().silent();
    assert_eq!((team.received().len(), team.tip(&one)), (1, tip));
}

/// A clone whose unpushed lock pins less than its mirror has and than the remote had when last fetched, and another
/// clone, which has since pruned all of that from the remote. The first clone's mirror has commits of its own or is
/// behind.
fn dropped_there(ahead: bool, behind: bool) -> (Team, PathBuf) {
    let (team, one) = Team::hooked();
    team.git(&one, &["push", "--quiet", "origin", "main", "hexmirror"]).ok();
    let two = team.clone("two");
    team.run(&two, &["pull"]).ok();
    team.commit_lock(&two, &["left 1.0.0"]);
    team.run(&two, &["update"]).ok();
    if behind {
        team.run(&two, &["push"]).ok();
        team.git(&one, &["fetch", "--quiet"]).ok();
    }
    team.git(&two, &["push", "--quiet", "origin", "main"]).ok();
    team.run(&two, &["prune", "--keep-days=0"]).ok().says("removed 3 releases");
    team.run(&two, &["push"]).ok();
    if ahead {
        team.lock(&one, &["right 1.0.0"]);
        team.run(&one, &["update"]).ok();
    }
    team.git(&one, &["switch", "--quiet", "--create", "old"]).ok();
    team.commit_lock(&one, &["alpha 1.0.0"]);
    team.received();
    (team, one)
}

#[test]
fn items_pruned_from_the_remote_are_pushed_again_if_needed() {
    for (ahead, behind) in [(false, false), (true, false), (false, true), (true, true)] {
        let (team, one) = dropped_there(ahead, behind);
        let ran = team.git(&one, &["push", "--quiet", "origin", "old"]).ok().says("pushed hexmirror to origin");
        assert!(!ran.stderr.contains("already"), "{ran:#?}");
        assert_eq!(team.tip(&one), team.tip(&team.remote));
        assert!(team.tip_of(&team.remote, "old").is_some());
        assert!(team.releases(&team.remote).iter().any(|release| release == "alpha 1.0.0"), "{ahead} {behind}");
        team.run(&one, &["status"]).ok();
        team.is_whole(&team.remote);
    }
}

#[test]
fn a_push_is_blocked_if_another_user_pruned_what_it_needs() {
    let (team, one) = dropped_there(false, false);
    let commit = team.ask(&one, &["rev-parse", "old"]);
    team.git(&one, &["fetch", "--quiet", "origin", "main"]).ok();
    team.git(&one, &["checkout", "--quiet", "--force", "-B", "main", "origin/main"]).ok();
    team.git(&one, &["branch", "--quiet", "--delete", "--force", "old"]).ok();
    let push = ["push", "--quiet", "origin", &format!("{commit}:refs/heads/old")];
    team.git(&one, &push).exits(1).says("3 releases removed").says(
        "git-hexmirror: the mirror hexmirror is not fresh for the lock on old after merging origin's mirror; \
         it lacks alpha 1.0.0\n\
         hint: run `git hexmirror update` and push again, or push without the mirror with `git push --no-verify`\n",
    );
    assert_eq!((team.tip_of(&team.remote, "old"), team.tip(&one)), (None, team.tip(&team.remote)));
    // The recommended command works.
    team.git(&one, &["checkout", "--quiet", &commit]).ok();
    team.run(&one, &["update"]).ok();
    team.git(&one, &push).ok();
    assert!(team.releases(&team.remote).iter().any(|release| release == "alpha 1.0.0"));
    team.is_whole(&team.remote);
}

#[test]
fn with_check_the_remote_counts_as_last_fetched() {
    let (team, one) = dropped_there(false, false);
    team.git(&one, &["config", "hexmirror.prePush", "check"]).ok();
    let (ran, talked) = team.traced(&one, &["push", "--quiet", "origin", "old"]);
    ran.ok().silent();
    assert_eq!(talked, ["push"]);
    team.git(&one, &["fetch", "--quiet"]).ok();
    team.commit_lock(&one, &["beta 0.3.0"]);
    team.git(&one, &["push", "--quiet", "origin", "old"]).exits(1).says("run `git hexmirror push origin`");
}

#[test]
fn one_request_confirms_that_the_remote_still_has_it() {
    let (team, one) = Team::hooked();
    team.git(&one, &["push", "--quiet", "origin", "main", "hexmirror"]).ok();
    team.commit_lock(&one, &["alpha 1.0.0"]);
    let (ran, talked) = team.traced(&one, &["push", "--quiet", "origin", "main"]);
    ran.ok().silent();
    assert_eq!(talked, ["push", "push"]);
    // The same if the remote is known to be ahead.
    let two = team.clone("two");
    team.run(&two, &["pull"]).ok();
    team.lock(&two, &["left 1.0.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    team.git(&one, &["fetch", "--quiet"]).ok();
    team.commit_lock(&one, &["beta 0.3.0"]);
    let (ran, talked) = team.traced(&one, &["push", "--quiet", "origin", "main"]);
    ran.ok().says("pulled hexmirror from origin, at ");
    assert_eq!((talked, team.tip(&one)), (vec!["push", "push"], team.tip(&team.remote)));
    // A lock that pins nothing does not justify a request.
    fs::write(one.join("mix.lock"), "%{}\n").unwrap();
    team.commit(&one, "Nothing");
    let (ran, talked) = team.traced(&one, &["push", "--quiet", "origin", "main"]);
    ran.ok().silent();
    assert_eq!(talked, ["push"]);
}

#[test]
fn a_read_only_remote_that_has_everything_does_not_block_the_push() {
    let (team, one) = Team::hooked();
    team.git(&one, &["push", "--quiet", "origin", "main", "hexmirror"]).ok();
    let update = team.remote.join("hooks/update");
    crate::team::script(&update, "#!/bin/sh\ntest \"$1\" != refs/heads/hexmirror || { echo not here >&2; exit 1; }\n");
    team.lock(&one, &["left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.commit_lock(&one, &["alpha 1.0.0"]);
    let ran = team.git(&one, &["push", "--quiet", "origin", "main"]).ok().says("warning: origin rejected the push of");
    ran.says("git-hexmirror: when last fetched, origin's hexmirror had everything this push needs\n");
    assert_eq!(team.tip_of(&team.remote, "main"), team.tip_of(&one, "main"));
    team.commit_lock(&one, &["left 1.0.0"]);
    team.git(&one, &["push", "--quiet", "origin", "main"]).exits(1).says("error: origin rejected the push of");
}

#[test]
fn a_remote_that_rejects_the_mirror_blocks_the_push_with_its_reason() {
    let (team, one) = Team::hooked();
    let update = team.remote.join("hooks/update");
    crate::team::script(&update, "#!/bin/sh\ntest \"$1\" != refs/heads/hexmirror || { echo not here >&2; exit 1; }\n");
    team.commit_lock(&one, &["alpha 1.0.0"]);
    let main = team.ask(&one, &["rev-parse", "main"]);
    team.git(&one, &["push", "origin", "main"])
        .exits(1)
        .says("origin rejected the push of")
        .says("not here")
        .says("--no-verify");
    assert_ne!(team.tip_of(&team.remote, "main"), Some(main.clone()));
    team.git(&one, &["push", "--quiet", "--no-verify", "origin", "main"]).ok();
    assert_eq!(team.tip_of(&team.remote, "main"), Some(main));
}

#[test]
fn an_unreachable_remote_is_reported_by_git() {
    let (team, one) = Team::hooked();
    fs::rename(&team.remote, team.stage.sandbox.path().join("gone")).unwrap();
    team.commit_lock(&one, &["left 1.0.0"]);
    let tip = team.tip(&one);
    team.git(&one, &["push", "origin", "main"]).exits(128).says("does not appear to be a git repository");
    assert_eq!(team.tip(&one), tip);
}

#[test]
fn a_damaged_or_missing_mirror_blocks_only_pushes_that_need_it() {
    let (team, one) = Team::hooked();
    let mirror = team.tip(&one).unwrap();
    // Another user replaced it with something else.
    team.git(&one, &["update-ref", "refs/heads/hexmirror", "main"]).ok();
    let refs = || team.ask(&one, &["for-each-ref", "refs/heads"]);
    team.commit_lock(&one, &["alpha 1.0.0"]);
    let before = refs();
    team.git(&one, &["push", "origin", "main"]).exits(1).says("is not a mirror").says("--no-verify");
    assert_eq!(refs(), before);
    // Its commit is not available.
    fs::write(one.join(".git/refs/heads/hexmirror"), format!("{}\n", "1".repeat(40))).unwrap();
    team.git(&one, &["push", "origin", "main"]).exits(1).says("commit 1111").says("update --repair");
    // Another user deleted it.
    team.git(&one, &["update-ref", "-d", "refs/heads/hexmirror"]).ok();
    team.git(&one, &["push", "origin", "main"]).exits(1).says("it lacks alpha 1.0.0").says("git hexmirror update");
    assert_eq!(team.received(), [[""; 0]; 0]);
    // As long as the remote has it, nothing is missing.
    team.git(&one, &["push", "--quiet", "--no-verify", "origin", &format!("{mirror}:refs/heads/hexmirror")]).ok();
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok().silent();
}

#[test]
fn from_a_subfolder_a_worktree_and_a_path_with_blanks() {
    let team = Team::with(crate::team::registry(), &PINNED);
    let one = team.clone("zwei Wörter/été 'x'");
    team.run(&one, &["init"]).ok();
    team.run(&one, &["update"]).ok();
    fs::create_dir_all(one.join("lib/deep")).unwrap();
    team.commit_lock(&one, &["left 1.0.0"]);
    team.git(one.join("lib/deep"), &["push", "origin", "main"]).exits(1).says("it lacks left 1.0.0");
    team.run(one.join("lib/deep"), &["update"]).ok();
    team.git(one.join("lib/deep"), &["push", "--quiet", "origin", "main"]).ok();
    team.git(&one, &["worktree", "add", "--quiet", "../linked ü", "-b", "other"]).ok();
    let linked = one.with_file_name("linked ü");
    team.commit_lock(&linked, &["right 1.0.0"]);
    team.git(&linked, &["push", "origin", "other"]).exits(1).says("for the lock on other; it lacks right 1.0.0");
    team.run(&linked, &["update"]).ok();
    team.git(&linked, &["push", "--quiet", "origin", "other"]).ok();
    team.is_whole(&one);
    team.is_whole(&team.remote);
}

#[test]
fn a_lock_that_pins_nothing_needs_no_mirror() {
    let team = Team::new();
    let one = team.stage.project.clone();
    team.run(&one, &["hooks", "install"]).ok();
    for lock in ["%{}\n", "%{\n}\n"] {
        fs::write(one.join("mix.lock"), lock).unwrap();
        team.commit(&one, "Nothing");
        team.git(&one, &["push", "--quiet", "origin", "main"]).ok().silent();
        assert_eq!(team.tip_of(&team.remote, "main"), team.tip_of(&one, "main"));
    }
}

#[test]
fn a_project_without_a_lock_or_in_a_conflict() {
    let (team, one) = Team::hooked();
    fs::remove_file(one.join("mix.lock")).unwrap();
    team.commit(&one, "No lock");
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok().silent();
    fs::write(one.join("mix.lock"), "%{\n<<<<<<< HEAD\n}\n").unwrap();
    team.commit(&one, "Conflict");
    team.git(&one, &["push", "origin", "main"]).exits(1).says("unresolved merge conflict").says("--no-verify");
}

#[test]
fn a_push_that_broken_settings_or_locks_stop_names_the_file_and_the_way_out() {
    let (team, one) = Team::hooked();
    team.git(&one, &["push", "--quiet"]).ok();
    let way_out = "hint: fix this and push again, or push without the mirror with `git push --no-verify`\n";
    for (file, text) in [
        (".hexmirror.toml", "x = 1"),
        (".hexmirror.toml", "jobs = 0"),
        (".hexmirror.toml", "[repositories.'a b']"),
        (".hexmirror.toml", "branch = 'hexmirror..'"),
        ("mix.lock", "%{ broken"),
    ] {
        team.git(&one, &["switch", "--quiet", "--create", "review", "main"]).ok();
        fs::write(one.join(file), text).unwrap();
        team.commit(&one, "Break it");
        let push = ["push", "--quiet", "origin", "review"];
        let ran = team.git(&one, &push).exits(1).says(way_out);
        assert!(ran.stderr.contains(file) && !ran.stderr.contains("\\n"), "{ran:?}");
        assert_eq!(team.tip_of(&team.remote, "refs/heads/review"), None);
        team.git(&one, &[&push[..], &["--no-verify"]].concat()).ok();
        // A checkout only says so.
        team.git(&one, &["switch", "--quiet", "main"]).ok();
        let ran = team.git(&one, &["switch", "--quiet", "review"]).ok();
        assert!(ran.stderr.contains(file), "{ran:?}");
        team.git(&one, &["push", "--quiet", "--no-verify", "origin", ":review"]).ok();
        team.git(&one, &["switch", "--quiet", "main"]).ok();
        team.git(&one, &["branch", "--quiet", "-D", "review"]).ok();
    }
}

#[test]
fn settings_of_the_worktree_do_not_count_for_other_commits() {
    let (team, one) = Team::hooked();
    team.git(&one, &["branch", "side"]).ok();
    team.commit_lock(&one, &["alpha 1.1.0"]);
    team.run(&one, &["update"]).ok();
    team.git(&one, &["checkout", "--quiet", "side"]).ok();
    team.commit_lock(&one, &["alpha 1.1.0", "left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.git(&one, &["checkout", "--quiet", "main"]).ok();
    // A lock must pin the file first, which an update does here, and nowhere else.
    team.git(&one, &["config", "hexmirror.downloads", "https://example.test/tool.tgz"]).ok();
    team.git(&one, &["push", "--quiet", "origin", "side"]).ok();
    let lacks = "it lacks https://example.test/tool.tgz (no hexmirror.lock pins it yet)";
    let ran = team.git(&one, &["push", "origin", "main"]).exits(1).says(lacks);
    ran.says("hint: check out that branch, run `git hexmirror update`, commit hexmirror.lock, and push again");
}
