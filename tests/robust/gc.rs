//! `git gc` during an update: unreachable objects may disappear at any time.

use std::fs;
use std::process::Stdio;

use crate::support::registry::Registry;
use crate::support::stage::{PINNED, Ran, Stage};
use crate::support::upstream::Fault;

/// The last tarball that sequential requests fetch.
const LAST: &str = "/tarballs/zeta-1.0.0.tar";

/// A project whose lock pins one release more than its mirror has. The download of that release stalls.
fn stalled(pinned: &[&str]) -> Stage {
    let mut registry = Registry::sample();
    registry.publish("zeta 1.0.0", &[], &[("lib/zeta.ex".into(), "zeta".into())]);
    let stage = Stage::with(registry, pinned);
    stage.upstream.fail(LAST, 1, Fault::StallAfter(10));
    stage
}

/// Runs an update, and meanwhile removes as many objects as possible.
fn update_beside_gc(stage: &Stage, folder: &str) {
    let mut command = stage.command_in(stage.sandbox.path().join(folder), &["update", "--jobs=1"]);
    let update = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program can be run");
    stage.upstream.wait_for(LAST, 1);
    collect(stage, folder);
    stage.upstream.release();
    Ran::from(update.wait_with_output().unwrap()).ok();
}

fn collect(stage: &Stage, folder: &str) {
    stage.sandbox.git(folder, &["reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all"]);
    stage.sandbox.git(folder, &["gc", "--quiet", "--prune=now"]);
    stage.sandbox.git(folder, &["prune", "--expire=now"]);
}

fn is_whole(stage: &Stage, folder: &str) {
    stage.run_in(folder, &["verify"]).ok();
    stage.run_in(folder, &["status"]).ok();
    stage.sandbox.git(folder, &["fsck", "--strict", "--no-dangling"]);
    collect(stage, folder);
    stage.run_in(folder, &["verify"]).ok();
    let packs = fs::read_dir(stage.sandbox.path().join(folder).join(".git/objects/pack")).unwrap();
    let names: Vec<String> = packs.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().all(|name| name.starts_with("pack-") && !name.ends_with(".keep")), "{names:?}");
}

#[test]
fn unreachable_objects_may_disappear_while_an_update_waits() {
    let stage = stalled(&PINNED);
    stage.run(&["update"]).ok();
    let before = stage.tip().unwrap();
    stage.lock(&["alpha 1.0.0", "beta 0.3.0", "delta 4.5.6+build.7", "gamma 1.0.0"]);
    stage.run(&["update"]).ok();
    // The undone commit still exists, but is unreachable.
    stage.git(&["update-ref", "refs/heads/hexmirror", &before]);
    let object = stage.git(&["rev-parse", "hexmirror@{1}:hex/hexpm/packages/be/gamma/contents/lib/gamma.ex"]);
    stage.git(&["reflog", "delete", "hexmirror@{0}"]);
    stage.git(&["cat-file", "-e", &object]);
    stage.lock(&["alpha 1.0.0", "beta 0.3.0", "delta 4.5.6+build.7", "gamma 1.0.0", "zeta 1.0.0"]);
    update_beside_gc(&stage, "project");
    is_whole(&stage, "project");
}

#[test]
fn a_new_mirror_survives_too() {
    let stage = stalled(&["alpha 1.0.0", "beta 0.3.0", "zeta 1.0.0"]);
    update_beside_gc(&stage, "project");
    is_whole(&stage, "project");
}

#[test]
fn the_base_may_be_held_by_a_remote_s_ref_alone() {
    let stage = stalled(&PINNED);
    stage.run(&["update"]).ok();
    stage.git(&["add", "--all"]);
    stage.git(&["commit", "--quiet", "--message=Lock"]);
    stage.sandbox.git("", &["clone", "--quiet", "--no-local", "project", "clone"]);
    let lock = stage.registry.mix_lock(&["alpha 1.1.0", "beta 0.3.0", "delta 4.5.6+build.7", "zeta 1.0.0"]);
    fs::write(stage.sandbox.path().join("clone/mix.lock"), lock).unwrap();
    assert_eq!(stage.sandbox.git("clone", &["branch", "--list", "hexmirror"]), "");
    update_beside_gc(&stage, "clone");
    is_whole(&stage, "clone");
}

#[test]
fn packs_of_a_killed_update_are_removed() {
    let stage = Stage::mirrored();
    let packs = stage.project.join(".git/objects/pack");
    for (name, text) in [
        (".hexmirror-abc", "half a pack"),
        ("pack-1.keep", "git-hexmirror moves a ref to this pack\n"),
        ("pack-2.keep", "mine\n"),
        ("tmp_pack_x", "of git"),
    ] {
        fs::write(packs.join(name), text).unwrap();
    }
    stage.lock(&["alpha 1.1.0"]);
    stage.run(&["update"]).ok();
    let left = |name: &str| packs.join(name).exists();
    assert!(!left(".hexmirror-abc") && !left("pack-1.keep"));
    assert!(left("pack-2.keep") && left("tmp_pack_x"), "what is not this program's own stays");
}
