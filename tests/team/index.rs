//! The pinned index in a team, of which some have its key.

use std::fs;
use std::path::{Path, PathBuf};

use git_hexmirror::model::ManifestPart;

use crate::support::stage::PINNED;
use crate::team::{Team, registry};

fn key(folder: &Path) -> PathBuf {
    folder.join(".git/hexmirror/index-key.pem")
}

/// Two clones with the same mirror and its index. Only the first one has the key.
fn shared() -> (Team, PathBuf, PathBuf) {
    let team = Team::with(registry(), &PINNED);
    let one = team.stage.project.clone();
    team.run(&one, &["update"]).ok();
    team.run(&one, &["index", "--init"]).ok();
    team.run(&one, &["push"]).ok();
    let two = team.clone("two");
    team.run(&two, &["init", "--no-hooks"]).ok();
    (team, one, two)
}

/// Returns how many packages of the pinned index are behind.
fn behind(team: &Team, folder: &Path) -> u64 {
    team.run(folder, &["status", "--json"]).json()["index_behind"].as_u64().unwrap()
}

fn entry(team: &Team, folder: &Path, package: &str) -> String {
    let shard = ManifestPart::of(&package.parse().unwrap());
    team.ask(folder, &["rev-parse", &format!("hexmirror:hex/hexpm/index/packages/{shard}/{package}")])
}

#[test]
fn a_merge_without_the_key_leaves_the_index_behind_and_one_with_it_does_not() {
    let (team, one, two) = shared();
    assert_eq!(behind(&team, &two), 0);
    team.lock(&one, &[&PINNED[..], &["left 1.0.0"]].concat());
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    team.lock(&two, &[&PINNED[..], &["right 1.0.0"]].concat());
    team.run(&two, &["update"]).ok();
    assert_eq!(behind(&team, &two), 1);
    team.run(&two, &["pull"]).ok();
    // Of the two indexes the merge keeps the one that lists more of the result.
    assert_eq!(entry(&team, &two, "left"), entry(&team, &one, "left"));
    assert_eq!(behind(&team, &two), 1);
    team.is_whole(&two);
    team.run(&two, &["push"]).ok();
    // A fast-forward takes the index as it is, and the next update catches up.
    team.run(&one, &["pull"]).ok();
    assert_eq!(behind(&team, &one), 1);
    team.run(&one, &["update"]).ok();
    assert_eq!(behind(&team, &one), 0);
    entry(&team, &one, "right");
    team.is_whole(&one);
}

#[test]
fn a_merge_with_the_key_signs_the_result() {
    let (team, one, two) = shared();
    team.lock(&two, &[&PINNED[..], &["right 1.0.0"]].concat());
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    team.lock(&one, &[&PINNED[..], &["left 1.0.0"]].concat());
    team.run(&one, &["update"]).ok();
    team.run(&one, &["pull"]).ok();
    assert_eq!(behind(&team, &one), 0);
    for package in ["left", "right"] {
        entry(&team, &one, package);
    }
    assert_eq!(team.ask(&one, &["log", "-1", "--format=%p", "hexmirror"]).split(' ').count(), 2, "it is a merge");
    team.is_whole(&one);
    team.run(&one, &["push"]).ok();
    assert_eq!(team.tip(&one), team.tip(&team.remote));
}

/// An index that another clone signs with a key of its own replaces none.
#[test]
fn a_merge_keeps_the_local_index_if_the_other_one_has_another_signer() {
    let (team, one, two) = shared();
    let signer = |folder: &Path| team.ask(folder, &["rev-parse", "hexmirror:hex/hexpm/index/public_key"]);
    team.run(&two, &["index", "--rotate-key"]).ok();
    team.run(&two, &["push"]).ok();
    let before = signer(&one);
    team.lock(&one, &[&PINNED[..], &["left 1.0.0"]].concat());
    team.run(&one, &["update"]).ok();
    team.run(&one, &["pull"]).ok();
    assert_eq!(signer(&one), before);
    assert_eq!(behind(&team, &one), 0);
    team.is_whole(&one);
}

#[test]
fn a_clone_that_is_given_the_key_takes_over() {
    let (team, one, two) = shared();
    fs::create_dir_all(key(&two).parent().unwrap()).unwrap();
    fs::rename(key(&one), key(&two)).unwrap();
    team.lock(&two, &[&PINNED[..], &["right 1.0.0"]].concat());
    team.run(&two, &["update"]).ok();
    assert_eq!(behind(&team, &two), 0);
    team.run(&two, &["push"]).ok();
    team.run(&one, &["pull"]).ok();
    assert_eq!(entry(&team, &one, "right"), entry(&team, &two, "right"));
}
