//! The work of a command follows what it changes and what the locks pin, not what the mirror has.

use std::fs;

use git_hexmirror::model::{ManifestPart, PackageName};

use crate::support::registry::Registry;
use crate::support::stage::Stage;

/// How many packages the lock pins after the first update.
const PINNED: usize = 10;

/// The work of an update of one package.
#[derive(Debug, PartialEq, Eq)]
struct Work {
    requests: usize,
    objects: usize,
}

fn name(number: usize) -> String {
    format!("package_{number:04}")
}

fn releases(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{} 1.0.0", name(number))).collect()
}

/// Mirrors this many packages, with a pinned index, and then locks a new version of one of a few.
fn grown(packages: usize) -> Stage {
    let mut registry = Registry::default();
    let all = releases(0..packages);
    all.iter().chain([&format!("{} 1.0.1", name(0))]).for_each(|release| {
        registry.publish(release, &[], &[("lib/it.ex".into(), release.clone())]);
    });
    let pins = |releases: &[String]| releases.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    let stage = Stage::with(registry, &pins(&all).lines().collect::<Vec<_>>());
    stage.git(&["config", "gc.auto", "0"]);
    stage.git(&["config", "maintenance.auto", "false"]);
    stage.run(&["update"]).ok();
    stage.run(&["index", "--init"]).ok();
    stage.run(&["status"]).ok();
    let changed = [vec![format!("{} 1.0.1", name(0))], releases(1..PINNED)].concat();
    stage.lock(&pins(&changed).lines().collect::<Vec<_>>());
    stage
}

/// Removes the parts of the manifest, and the folders, of all packages but the pinned ones.
fn lose_the_rest(stage: &Stage) {
    let needed: Vec<String> = (0..PINNED)
        .map(|number| ManifestPart::of(&name(number).parse::<PackageName>().expect("a name")).to_string())
        .collect();
    let objects = stage.project.join(".git/objects");
    let packs = stage.sandbox.path().join("packs");
    fs::rename(objects.join("pack"), &packs).expect("a writable folder");
    for file in fs::read_dir(&packs).expect("a folder").flatten().map(|entry| entry.path()) {
        if file.extension().is_some_and(|extension| extension == "pack") {
            let pack = fs::File::open(&file).expect("a pack");
            let mut unpack = stage.sandbox.command("git", &stage.project);
            assert!(unpack.args(["unpack-objects", "-q"]).stdin(pack).status().expect("git").success());
        }
    }
    let mut lost = 0;
    for folder in ["manifest", "hex/hexpm/packages", "hex/hexpm/registry", "hex/hexpm/index/packages"] {
        for line in stage.git(&["ls-tree", &format!("hexmirror:{folder}")]).lines() {
            let (object, shard) = line.split_once('\t').expect("a tree's entry");
            let id = object.rsplit(' ').next().expect("an id");
            if shard.len() == 2 && !needed.iter().any(|needed| needed == shard) {
                fs::remove_file(objects.join(&id[..2]).join(&id[2..])).expect("a loose object");
                lost += 1;
            }
        }
    }
    assert!(lost > 0);
}

/// Returns the number of files below a folder that the last commit changed.
fn changed_in(stage: &Stage, folder: &str) -> usize {
    stage.git(&["diff", "--name-only", "hexmirror~1", "hexmirror", "--", folder]).lines().count()
}

fn work(packages: usize) -> Work {
    let stage = grown(packages);
    lose_the_rest(&stage);
    let before = stage.upstream.count("*");
    stage.run(&["status"]).exits(1).prints("changed package_0000 1.0.1");
    stage.run(&["update"]).ok();
    assert_eq!(changed_in(&stage, "hex/hexpm/index"), 2, "the list of versions and an entry");
    stage.run(&["status"]).ok().prints("fresh");
    fs::remove_file(stage.project.join(".git/hexmirror/fresh")).expect("the cached answer");
    let status = stage.run(&["status"]).ok().prints("fresh");
    assert!(!status.stdout.contains("behind"), "{status:#?}");
    stage.run(&["run", "--", "true"]).ok();
    let objects = stage.git(&["rev-list", "--objects", "hexmirror", "^hexmirror~1"]).lines().count();
    Work { requests: stage.upstream.count("*") - before, objects }
}

#[test]
fn an_update_reads_and_writes_as_much_in_a_large_mirror_as_in_a_small_one() {
    let (small, large) = (work(40), work(400));
    assert_eq!(small, large);
    assert_eq!(small.requests, 2, "the registry entry and the tarball");
    assert!(small.objects < 32, "{small:?}");
}
