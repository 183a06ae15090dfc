//! Damaged git repositories in the mirror, and large ones whose objects arrive in packs.

use std::fs;
use std::path::PathBuf;

use crate::support::forge::{Fault, Scene};
use crate::support::registry::Registry;
use crate::support::stage::{PINNED, Ran, Stage};

fn scene() -> Scene {
    let scene = Scene::new();
    let one = scene.forge.commit("a/one", "main", &[("f", "1\n")]);
    scene.lock(&[("one", "a/one", &one, "tag: \"v1\"")]);
    scene.forge.run("a/one", &["tag", "v1", "main"]);
    scene.update();
    scene
}

/// Unpacks the mirror's objects and returns the files of those that belong to a stored repository.
fn loose(scene: &Scene) -> Vec<(String, PathBuf)> {
    let objects = scene.stage.project.join(".git/objects");
    let packs = fs::read_dir(objects.join("pack")).unwrap().map(|file| file.unwrap().path());
    let packs: Vec<PathBuf> = packs.filter(|path| path.extension().is_some_and(|name| name == "pack")).collect();
    for pack in packs {
        let aside = scene.sandbox().path().join("aside");
        fs::rename(&pack, &aside).unwrap();
        fs::remove_file(pack.with_extension("idx")).unwrap();
        let mut command = scene.sandbox().command("git", &scene.stage.project);
        Ran::of(command.args(["unpack-objects", "-q"]).stdin(fs::File::open(aside).unwrap())).ok();
    }
    let listed = scene.stage.git(&["ls-tree", "-r", "-t", "hexmirror", "git/"]);
    let line = |line: &str| {
        let (object, path) = line.split_once('\t').unwrap();
        let id = object.rsplit(' ').next().unwrap();
        (path.to_owned(), objects.join(&id[..2]).join(&id[2..]))
    };
    listed.lines().map(line).collect()
}

#[test]
fn every_file_of_a_stored_repository_is_checked_and_restored() {
    let scene = scene();
    let tree = scene.stage.git(&["rev-parse", "hexmirror^{tree}"]);
    let files = loose(&scene);
    assert!(files.len() >= 10, "{files:?}");
    let copy = |from: &str, to: &str| {
        let _ = fs::remove_dir_all(scene.sandbox().path().join(to));
        Ran::of(scene.sandbox().command("cp", scene.sandbox().path()).args(["-a", from, to])).ok();
    };
    copy("project/.git", "whole.git");
    for (number, (path, file)) in files.iter().enumerate() {
        copy("whole.git", "project/.git");
        let mut bytes = fs::read(file).unwrap();
        fs::remove_file(file).unwrap();
        match number % 3 {
            0 => {}
            1 => fs::write(file, &bytes[..bytes.len() - 2]).unwrap(),
            _ => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x55;
                fs::write(file, bytes).unwrap();
            }
        }
        let ran = scene.stage.run(&["verify"]).exits(1);
        assert!(ran.stdout.contains("damaged: "), "{path}: {ran:?}");
        let ran = scene.stage.run(&["update", "--repair"]);
        assert_eq!(ran.code, Some(0), "{path}: {ran:#?}");
        scene.stage.run(&["verify"]).ok();
        scene.stage.run(&["status"]).ok();
        // git packs the same objects in the same way, so even packs that are fetched again are identical.
        assert_eq!(scene.stage.git(&["rev-parse", "hexmirror^{tree}"]), tree, "{path}");
    }
}

#[test]
fn a_flipped_byte_in_a_committed_index_or_pack_is_noticed_and_restored() {
    let scene = scene();
    let listed = scene.stage.git(&["ls-tree", "-r", "--name-only", "hexmirror", "git/"]);
    for extension in [".idx", ".pack"] {
        let path = listed.lines().find(|path| path.ends_with(extension)).unwrap();
        scene.stage.git(&["worktree", "add", "--quiet", "../edit", "hexmirror"]);
        let file = scene.sandbox().path().join("edit").join(path);
        let mut bytes = fs::read(&file).unwrap();
        let at = bytes.len() - 30;
        bytes[at] ^= 0x55;
        fs::write(&file, bytes).unwrap();
        scene.sandbox().git("edit", &["commit", "--quiet", "--all", "--message=Edit"]);
        scene.stage.git(&["worktree", "remove", "../edit"]);
        scene.stage.run(&["verify"]).exits(1).prints("git/forge.test/a/one.git");
        scene.stage.run(&["update", "--repair"]).ok().says("restored git repository forge.test/a/one");
        scene.stage.run(&["verify"]).ok();
    }
}

#[test]
fn items_missing_upstream_are_named() {
    let scene = scene();
    let files = loose(&scene);
    let (_, pack) = files.iter().find(|(path, _)| path.ends_with(".pack")).unwrap();
    fs::remove_file(pack).unwrap();
    scene.forge.fail(Some(Fault::Hangup));
    let ran = scene.stage.run(&["update", "--repair"]).exits(3).prints("damaged: git/forge.test/a/one.git");
    assert!(ran.stderr.contains("still damaged"), "{ran:#?}");
    scene.forge.fail(None);
    scene.stage.run(&["update", "--repair"]).ok().says("restored git repository forge.test/a/one");
    scene.stage.run(&["verify"]).ok();
}

#[test]
fn a_large_pack_arrives_in_a_pack_that_no_gc_removes() {
    let mut registry = Registry::sample();
    registry.publish("zeta 1.0.0", &[], &[("lib/zeta.ex".into(), "zeta".into())]);
    let scene = Scene::of(Stage::with(registry, &PINNED));
    let mut random = fastrand::Rng::with_seed(3);
    let noise: String = std::iter::repeat_with(|| random.alphanumeric()).take(12 << 20).collect();
    let one = scene.forge.commit("a/one", "main", &[("noise", &noise)]);
    scene.lock(&[("one", "a/one", &one, "")]);
    scene.update();
    let counted = scene.stage.git(&["count-objects", "-v"]);
    assert!(counted.contains("size-garbage: 0"), "{counted}");
    let id = scene.stage.git(&["ls-tree", "-r", "hexmirror", "git/"]);
    let id = id.lines().find(|line| line.ends_with(".pack")).and_then(|line| line.split([' ', '\t']).nth(2)).unwrap();
    assert!(!scene.stage.project.join(".git/objects").join(&id[..2]).join(&id[2..]).exists(), "it is loose");
    scene.stage.git(&["reflog", "expire", "--expire=now", "--all"]);
    scene.stage.git(&["gc", "--quiet", "--prune=now"]);
    scene.stage.run(&["verify"]).ok();
}
