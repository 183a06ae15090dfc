//! Mirrors of format 2, which had no shards.

use std::collections::BTreeSet;
use std::path::Path;

use git_hexmirror::model::ManifestPart;

use crate::signers::{flatten, manifest};
use crate::team::Team;

/// The ids of all files of a clone's mirror, except the manifest and what describes the format.
fn contents(team: &Team, folder: &Path) -> BTreeSet<String> {
    let listed = team.ask(folder, &["ls-tree", "-r", "hexmirror", "hex"]);
    listed.lines().map(|line| line.split(['\t', ' ']).nth(2).unwrap().to_owned()).collect()
}

#[test]
fn the_next_update_migrates_without_asking_anyone_and_keeps_every_file() {
    let (team, one) = Team::hooked();
    flatten(&team, &one, &manifest(&team, &one), "format = 2\n");
    team.run(&one, &["status"]).ok().prints("fresh");
    team.run(&one, &["verify"]).ok();
    let (before, asked) = (contents(&team, &one), team.stage.upstream.count("*"));
    let document = team.run(&one, &["update", "--json"]).ok().json();
    assert_eq!(document["migrated"], true);
    assert_eq!(team.stage.upstream.count("*"), asked);
    assert_eq!(team.ask(&one, &["log", "-1", "--format=%s", "hexmirror"]), "Migrate the mirror to format 3");
    assert_eq!(contents(&team, &one), before);
    let paths = team.ask(&one, &["ls-tree", "-r", "--name-only", "hexmirror"]);
    assert!(
        paths.lines().any(|path| path.starts_with("hex/hexpm/packages/") && path.split('/').nth(3).unwrap().len() == 2)
    );
    team.is_whole(&one);
    let tip = team.tip(&one);
    let again = team.run(&one, &["update", "--json"]).ok().json();
    assert_eq!((&again["migrated"], team.tip(&one)), (&false.into(), tip));
}

#[test]
fn the_files_of_a_pinned_index_move_to_shards_and_keep_their_signatures() {
    let (team, one) = Team::hooked();
    team.run(&one, &["index", "--init"]).ok();
    let index = |path: &str| team.ask(&one, &["rev-parse", "--verify", &format!("hexmirror:hex/hexpm/index/{path}")]);
    let shard = ManifestPart::of(&"alpha".parse().unwrap());
    let (sharded, entry) = (index(""), index(&format!("packages/{shard}/alpha")));
    flatten(&team, &one, &manifest(&team, &one), "format = 2\n");
    assert_eq!(index("packages/alpha"), entry);
    assert_ne!(index(""), sharded);
    team.run(&one, &["verify"]).ok();
    // The files are moved, so this does not need the key.
    std::fs::remove_file(one.join(".git/hexmirror/index-key.pem")).unwrap();
    let before = contents(&team, &one);
    team.run(&one, &["update"]).ok().says("migrated the mirror to format 3");
    assert_eq!((contents(&team, &one), index("")), (before, sharded));
    assert_eq!(team.run(&one, &["status", "--json"]).ok().json()["index_behind"], 0);
    team.is_whole(&one);
}

#[test]
fn an_update_that_adds_something_migrates_in_the_same_commit() {
    let (team, one) = Team::hooked();
    flatten(&team, &one, &manifest(&team, &one), "format = 2\n");
    let commits = team.ask(&one, &["rev-list", "--count", "hexmirror"]);
    team.lock(&one, &["alpha 1.0.0", "left 1.0.0"]);
    team.run(&one, &["update"]).ok().says("migrated the mirror to format 3").says("+ left 1.0.0");
    let message = team.ask(&one, &["log", "-1", "--format=%B", "hexmirror"]);
    assert!(
        message.starts_with("Add 1 package: left 1.0.0\n") && message.contains("\nMigrate the mirror to format 3\n")
    );
    let after = team.ask(&one, &["rev-list", "--count", "hexmirror"]);
    assert_eq!(after.parse::<u32>().unwrap(), commits.parse::<u32>().unwrap() + 1);
    team.is_whole(&one);
}
