//! `compact`: a shorter history with the same tree, and how other clones adopt it.

use std::path::{Path, PathBuf};

use crate::support::stage::PINNED;
use crate::team::{Team, registry, script};

/// Two clones with a mirror of three commits, which the remote has too.
fn shared() -> (Team, PathBuf, PathBuf) {
    let team = Team::with(registry(), &PINNED);
    let one = team.stage.project.clone();
    for count in 1..=3 {
        team.lock(&one, &PINNED[..count]);
        team.run(&one, &["update"]).ok();
    }
    team.run(&one, &["push"]).ok();
    let two = team.clone("two");
    team.run(&two, &["pull"]).ok();
    (team, one, two)
}

fn length(team: &Team, folder: &Path) -> String {
    team.ask(folder, &["rev-list", "--count", "hexmirror"])
}

#[test]
fn one_commit_with_the_same_tree_and_back_again() {
    let (team, one, _) = shared();
    let (before, tree) = (team.tip(&one).unwrap(), team.ask(&one, &["rev-parse", "hexmirror^{tree}"]));
    let ran = team.run(&one, &["compact"]).ok().says("compacted hexmirror from 3 commits to 1 commit");
    assert_eq!((length(&team, &one), team.ask(&one, &["rev-parse", "hexmirror^{tree}"])), ("1".into(), tree));
    let message = team.ask(&one, &["log", "-1", "--format=%B", "hexmirror"]);
    assert!(message.starts_with("Compact the history of the mirror: 3 commits in one\n"), "{message}");
    let first = team.ask(&one, &["rev-list", "--max-parents=0", &before]);
    assert!(message.ends_with(&format!("Replaces: {before}\nBegan-With: {first}")), "{message}");
    team.run(&one, &["status"]).ok();
    team.is_whole(&one);
    team.run(&one, &["compact"]).ok().says("nothing to do");
    let undo = ran.stderr.split('`').find(|text| text.starts_with("git update-ref")).unwrap();
    team.git(&one, &undo.split(' ').skip(1).collect::<Vec<_>>()).ok();
    assert_eq!(team.tip(&one).unwrap(), before);
    assert_eq!(
        team.ask(&one, &["rev-parse", "hexmirror@{1}^{tree}"]),
        team.ask(&one, &["rev-parse", "hexmirror^{tree}"])
    );
    // The newest commits remain, on top of one that replaces all older ones.
    let subjects = team.ask(&one, &["log", "--format=%s", "-2", "hexmirror"]);
    let document = team.run(&one, &["compact", "--keep=2", "--json"]).ok().json();
    assert_eq!((&document["commits"], &document["kept"]), (&3.into(), &2.into()));
    let newest = team.ask(&one, &["log", "--format=%s", "hexmirror"]);
    let first = subjects.lines().next().unwrap();
    assert_eq!(newest, format!("{first}\nCompact the history of the mirror: 2 commits in one"));
    team.is_whole(&one);
}

#[test]
fn a_bare_repository_keeps_the_history_before_in_a_reflog() {
    let (team, _, _) = shared();
    let before = team.tip(&team.remote).unwrap();
    team.run(&team.remote, &["compact"]).ok();
    assert_eq!(team.ask(&team.remote, &["rev-parse", "hexmirror@{1}"]), before);
    team.git(&team.remote, &["gc", "--quiet", "--prune=now"]).ok();
    team.git(&team.remote, &["update-ref", "refs/heads/hexmirror", &before]).ok();
    team.is_whole(&team.remote);
}

#[test]
fn the_remote_is_replaced_only_when_asked_and_the_others_follow() {
    let (team, one, two) = shared();
    team.run(&one, &["compact"]).ok();
    // Whatever names the command names the one that works.
    let command = "git hexmirror push --force-with-lease origin";
    team.run(&one, &["status"])
        .ok()
        .says(&format!("has the history from before `git hexmirror compact`; run `{command}`"));
    team.run(&one, &["doctor"]).exits(1).prints(&format!("run `{command}`"));
    let there = team.tip(&team.remote);
    team.run(&one, &["push"]).exits(5).says("was compacted here").says("git hexmirror push --force-with-lease origin");
    team.run(&one, &["pull"]).ok().says("hexmirror is up to date with origin");
    assert_eq!(team.tip(&team.remote), there);
    team.run(&one, &["push", "--force-with-lease"]).ok().says("pushed hexmirror to origin");
    assert_eq!(team.tip(&team.remote), team.tip(&one));
    team.run(&one, &["push"]).ok().says("origin already has hexmirror at");

    // A clone without commits of its own just moves.
    let three = team.clone("three");
    team.git(&two, &["push", "--quiet", three.to_str().unwrap(), "hexmirror"]).ok();
    assert_eq!(team.tip(&three), there);
    team.run(&three, &["pull"]).ok().says("moved hexmirror to origin's, which was compacted");
    assert_eq!(team.tip(&three), team.tip(&one));
    // A clone with commits of its own adds their contents on top. The previous history does not return.
    team.lock(&two, &["right 1.0.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    assert_eq!((length(&team, &two), length(&team, &team.remote)), ("2".into(), "2".into()));
    assert_eq!(team.releases(&two).len(), 4);
    team.run(&one, &["pull"]).ok().says("pulled");
    for folder in [&one, &two, &team.remote] {
        team.is_whole(folder);
    }
}

#[test]
fn previously_pruned_items_do_not_return() {
    let (team, one, two) = shared();
    team.lock(&one, &PINNED[..1]);
    team.commit(&one, "Lock");
    team.git(&one, &["push", "--quiet", "origin", "main"]).ok();
    let dropped = ["prune", "--keep-days=0"];
    // The project's first commit pins everything; without it, no commit does.
    team.git(&one, &["checkout", "--quiet", "--orphan", "anew"]).ok();
    team.commit(&one, "Begin");
    team.git(&one, &["branch", "--quiet", "--move", "--force", "main"]).ok();
    team.git(&one, &["push", "--quiet", "--force", "--no-verify", "origin", "main"]).ok();
    team.git(&one, &["update-ref", "-d", "ORIG_HEAD"]).ok();
    team.run(&one, &dropped).ok().says("removed 2 releases");
    team.run(&one, &["compact"]).ok();
    team.run(&one, &["push", "--force-with-lease"]).ok();
    // The previous tip is not available here, so the remote-tracking branch's reflog must suffice.
    team.git(&two, &["fetch", "--quiet", "origin"]).ok();
    team.git(&two, &["checkout", "--quiet", "--force", "-B", "main", "origin/main"]).ok();
    team.lock(&two, &["right 1.0.0"]);
    team.run(&two, &["update"]).ok().says("moved hexmirror to origin's").says("2 releases removed");
    assert_eq!(team.releases(&two), ["alpha 1.0.0", "right 1.0.0"]);
    assert_eq!(length(&team, &two), "2");
    team.is_whole(&two);
}

#[test]
fn nothing_that_others_pushed_is_lost() {
    let (team, one, two) = shared();
    team.lock(&two, &["right 1.0.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    // It was not fetched here yet.
    team.run(&one, &["compact"]).ok();
    team.run(&one, &["push", "--force-with-lease"]).exits(5).says("has contents that the local branch lacks");
    team.run(&one, &["pull"]).ok().says("merged hexmirror with origin's").says("1 release, 1 registry entry");
    assert_eq!((length(&team, &one), team.releases(&one).len()), ("2".into(), 4));
    // Another user pushes first.
    team.git(&two, &["push", "--quiet", "origin", "hexmirror~1:refs/others/1"]).ok();
    let overtake = "#!/bin/sh\ntest -e seen && exit 0\n: >seen\ngit update-ref refs/heads/hexmirror refs/others/1\n";
    script(&team.remote.join("hooks/pre-receive"), overtake);
    team.run(&one, &["push", "--force-with-lease"]).exits(3);
    team.run(&one, &["push", "--force-with-lease"]).ok();
    team.run(&two, &["pull"]).ok().says("moved hexmirror to origin's");
    assert_eq!(team.tip(&one), team.tip(&two));
    // What the remote is known to have leads to the same message without a request.
    team.lock(&two, &["left 1.0.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    team.git(&one, &["fetch", "--quiet", "origin"]).ok();
    team.run(&one, &["compact"]).exits(5).says("git hexmirror pull origin");
    team.is_whole(&one);
}

#[test]
fn items_that_one_clone_pruned_do_not_return_after_two_compactions() {
    let (team, one, two) = shared();
    for folder in [&one, &two] {
        team.git(folder, &["checkout", "--quiet", "--orphan", "anew"]).ok();
        team.lock(folder, &PINNED[..1]);
        team.commit(folder, "Begin");
        team.git(folder, &["branch", "--quiet", "--move", "--force", "main"]).ok();
        team.git(folder, &["update-ref", "-d", "ORIG_HEAD"]).ok();
        team.git(folder, &["push", "--quiet", "--force", "--no-verify", "origin", "main"]).ok();
    }
    team.git(&one, &["fetch", "--quiet", "origin"]).ok();
    team.run(&one, &["prune", "--keep-days=0"]).ok().says("removed 2 releases");
    team.run(&one, &["compact"]).ok();
    team.run(&one, &["push", "--force-with-lease"]).ok();
    team.run(&two, &["compact"]).ok();
    team.run(&two, &["pull"]).ok().says("2 releases removed");
    assert_eq!(team.tip(&two), team.tip(&one));
}
