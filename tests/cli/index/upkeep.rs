//! The index follows what else changes the mirror.

use std::fs;

use git_hexmirror::model::IndexFile;

use super::{Index, indexed, key_file};
use crate::support::stage::{PINNED, Stage};

const MORE: [&str; 4] = ["alpha 1.1.0", PINNED[1], PINNED[2], "gamma 1.0.0"];

fn commits(stage: &Stage) -> usize {
    stage.git(&["rev-list", "--count", "hexmirror"]).trim().parse().unwrap()
}

fn listed(stage: &Stage, package: &str) -> usize {
    Index::of(stage).package(package).releases.len()
}

#[test]
fn an_update_refreshes_the_index_in_its_own_commit_and_signs_only_what_changed() {
    let stage = indexed();
    let before = Index::of(&stage);
    let number = commits(&stage);
    stage.lock(&MORE);
    let document = stage.run(&["update", "--json"]).ok().json();
    assert_eq!(commits(&stage), number + 1);
    assert_eq!(document["commit"], stage.tip().unwrap());
    assert!(stage.git(&["log", "-1", "--format=%B", "hexmirror"]).contains("Lock: mix.lock"));
    let after = Index::of(&stage);
    assert_eq!((after.package("alpha").releases.len(), after.package("gamma").releases.len()), (2, 1));
    assert_eq!(after.names().packages.len(), 4);
    let changed: Vec<&str> = ["alpha", "beta", "gamma", "delta"]
        .into_iter()
        .filter(|name| {
            let file = IndexFile::Package(name.parse().unwrap());
            before.file(&file) != after.file(&file)
        })
        .collect();
    assert_eq!(changed, ["alpha", "gamma"]);
    stage.run(&["verify"]).ok();
    let status = stage.run(&["status", "--json"]).ok().json();
    assert_eq!(status["index_behind"], 0);
    // A fresh mirror is not touched.
    let tip = stage.tip();
    stage.run(&["update"]).ok();
    assert_eq!(stage.tip(), tip);
}

#[test]
fn without_the_key_everything_works_and_the_index_is_behind() {
    let stage = indexed();
    let key = fs::read(key_file(&stage)).unwrap();
    fs::remove_file(key_file(&stage)).unwrap();
    stage.lock(&MORE);
    let ran = stage.run(&["update"]).ok();
    assert!(!ran.stderr.contains("index"), "{ran:#?}");
    // Also if the answer is cached.
    for _ in 0..2 {
        stage.run(&["status"]).ok().prints("the pinned index is behind in 2 packages");
    }
    let verified = stage.run(&["verify", "--json"]).ok().json();
    assert_eq!((verified["index"].as_u64(), verified["index_behind"].as_u64()), (Some(4), Some(2)));
    assert_eq!(listed(&stage, "gamma"), 0);
    // The next update with the key catches up.
    fs::write(key_file(&stage), key).unwrap();
    let number = commits(&stage);
    stage.run(&["update"]).ok();
    assert_eq!((listed(&stage, "gamma"), commits(&stage)), (1, number + 1));
    let ran = stage.run(&["status"]).ok();
    assert!(!ran.stdout.contains("behind"), "{ran:#?}");
}

#[test]
fn a_key_that_cannot_be_used_stops_no_update() {
    let stage = indexed();
    fs::write(key_file(&stage), "nonsense").unwrap();
    stage.lock(&MORE);
    stage.run(&["update"]).ok().says("the pinned index was not refreshed");
    stage.run(&["status"]).ok().prints("behind");
}

#[test]
fn what_is_pruned_leaves_the_index() {
    let stage = indexed();
    stage.git(&["add", "mix.lock"]);
    stage.git(&["commit", "--quiet", "-m", "pin less"]);
    stage.lock(&[PINNED[0]]);
    stage.git(&["commit", "--quiet", "-am", "pin one"]);
    stage.git(&["config", "hexmirror.keepDays", "0"]);
    stage.run(&["prune", "--keep-days", "0"]).ok();
    let index = Index::of(&stage);
    let names: Vec<String> = index.names().packages.iter().map(|entry| entry.name.to_string()).collect();
    assert_eq!(names, ["alpha"]);
    assert_eq!(index.manifest().index.len(), 1);
    assert!(!stage.paths().contains(&"hex/hexpm/index/packages/f4/beta".to_owned()));
    stage.run(&["verify"]).ok();
    stage.run(&["compact"]).ok();
    stage.run(&["verify"]).ok();
}

#[test]
fn another_update_of_an_entry_without_news_for_the_stored_releases_signs_nothing() {
    let mut stage = indexed();
    let before = Index::of(&stage);
    stage.registry.publish("alpha 1.2.0", &[], &[("lib/alpha.ex".into(), "news".into())]);
    stage.registry.put(&stage.upstream);
    stage.run(&["update", "--refresh"]).ok();
    let after = Index::of(&stage);
    assert_ne!(before.manifest().index, after.manifest().index);
    let file = IndexFile::Package("alpha".parse().unwrap());
    assert_eq!(before.file(&file), after.file(&file));
    assert_eq!(before.file(&IndexFile::Names), after.file(&IndexFile::Names));
    stage.run(&["index"]).ok().says("up to date");
}

#[test]
fn a_repair_keeps_the_index_or_builds_it_again() {
    let stage = indexed();
    let file = IndexFile::Package("beta".parse().unwrap());
    let before = Index::of(&stage).file(&file);
    let packs = stage.project.join(".git/objects/pack");
    for entry in fs::read_dir(&packs).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "pack") {
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x55;
            fs::remove_file(&path).unwrap();
            fs::write(&path, bytes).unwrap();
        }
    }
    stage.run(&["update", "--repair"]).ok();
    stage.run(&["verify"]).ok();
    assert_eq!(Index::of(&stage).file(&file), before);
}
