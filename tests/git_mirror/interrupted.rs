//! Updates that are killed while git runs.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::support::forge::Scene;
use crate::support::stage::spin;

const KILLS: usize = 40;

#[test]
fn an_update_killed_at_any_moment_loses_nothing() {
    let scene = Scene::shallow();
    let mut random = fastrand::Rng::with_seed(7);
    let noise: String = (0..200_000).map(|_| random.alphanumeric()).collect();
    let first = scene.forge.commit("a/one", "main", &[("f", &noise)]);
    let shallow = scene.forge.commit("a/two", "main", &[("f", "1")]);
    scene.lock(&[("one", "a/one", &first, ""), ("two", "a/two", &shallow, "depth: 1")]);
    let begun = Instant::now();
    scene.stage.run(&["update"]).ok();
    let whole = begun.elapsed();
    let mut published = 0;
    for number in 0..KILLS {
        let tip = scene.stage.tip();
        let next = scene.forge.commit("a/one", "main", &[(&format!("g{number}"), &noise[number..])]);
        let shallow = scene.forge.commit("a/two", "main", &[("f", &number.to_string())]);
        scene.lock(&[("one", "a/one", &next, ""), ("two", "a/two", &shallow, "depth: 1")]);
        let mut child = scene.stage.command(&["update"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (begun, moment) = (Instant::now(), whole.mul_f64(random.f64()));
        spin(&mut child, || begun.elapsed() >= moment);
        let _ = child.kill();
        child.wait().unwrap();
        published += usize::from(scene.stage.tip() != tip);
        // git may continue alone for a moment, which the next update must handle.
        if random.bool() {
            scene.stage.run(&["verify"]).ok();
        }
        scene.stage.run(&["update"]).ok();
        scene.stage.run(&["status"]).ok();
    }
    assert!(published < KILLS, "no kill came in time");
    scene.stage.run(&["verify"]).ok();
    scene.stage.git(&["fsck", "--strict", "--no-dangling"]);
    let left = scene.stage.project.join(".git/hexmirror/git-fetch");
    assert!(!left.exists(), "what was fetched is on the branch");
}

/// Returns a scene in which one of two repositories was fetched before an update failed, and the lock then mended, with the
/// two pinned revisions.
fn after_a_failure() -> (Scene, String, String) {
    let scene = Scene::new();
    let good = scene.forge.commit("a/good", "main", &[("f", "1")]);
    scene.forge.commit("a/bad", "main", &[("f", "1")]);
    scene.lock(&[("good", "a/good", &good, ""), ("bad", "a/bad", &"1".repeat(40), "")]);
    scene.stage.run(&["update"]).exits(3);
    let bad = scene.forge.run("a/bad", &["rev-parse", "main"]);
    scene.lock(&[("good", "a/good", &good, ""), ("bad", "a/bad", &bad, "")]);
    (scene, good, bad)
}

#[test]
fn a_retry_does_not_fetch_again_what_was_fetched_before_a_failure() {
    let (scene, good, _) = after_a_failure();
    std::fs::rename(scene.forge.path("a/good"), scene.forge.path("a/away")).unwrap();
    scene.update();
    assert_eq!(scene.git_in(&scene.export("a/good"), &["rev-parse", "HEAD"]), good);
}

#[test]
fn files_of_a_killed_git_do_not_block_later_updates() {
    let (scene, good, bad) = after_a_failure();
    let root = scene.stage.project.join(".git/hexmirror/git-fetch");
    let folders = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    for folder in folders.collect::<Vec<_>>() {
        let refs = ["HEAD", "config", "shallow", "packed-refs", "index", &format!("refs/heads/fetched/{bad}")]
            .map(|name| format!("{name}.lock"));
        let refs = refs.into_iter().chain([format!("refs/heads/fetched/{good}.lock")]);
        for name in refs.chain(["objects/pack/tmp_pack_x", "objects/pack/tmp_idx_x"].map(str::to_owned)) {
            std::fs::write(folder.join(name), "").unwrap();
        }
    }
    scene.update();
    assert!(!root.exists());
}

#[test]
fn lost_fetched_objects_are_detected_and_fetched_again() {
    let scene = Scene::new();
    let good = scene.forge.commit("a/good", "main", &[("f", "1")]);
    scene.forge.commit("a/bad", "main", &[("f", "1")]);
    scene.lock(&[("good", "a/good", &good, ""), ("bad", "a/bad", &"1".repeat(40), "")]);
    scene.stage.run(&["update"]).exits(3);
    // The packs are replaced by one that lacks the file.
    let root = scene.stage.project.join(".git/hexmirror/git-fetch");
    let folders = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path());
    let kept = folders.filter(|path| path.join("refs/heads/fetched").join(&good).exists()).collect::<Vec<_>>();
    let [folder] = &kept[..] else { panic!("{kept:?}") };
    let packs = folder.join("objects/pack");
    std::fs::remove_dir_all(&packs).unwrap();
    std::fs::create_dir(&packs).unwrap();
    let tree = scene.forge.run("a/good", &["rev-parse", "main^{tree}"]);
    let begin = packs.join("pack");
    scene.forge.feed("a/good", &["pack-objects", begin.to_str().unwrap()], &format!("{good}\n{tree}\n"));
    scene.lock(&[("good", "a/good", &good, "")]);
    scene.stage.run(&["update"]).exits(4).says("refused the repository forge.test/a/good");
    assert_eq!(scene.stage.tip(), None);
    scene.update();
}

#[test]
fn a_missing_or_outdated_git_is_reported() {
    let scene = Scene::new();
    let pinned = scene.forge.commit("a/one", "main", &[("f", "1")]);
    scene.lock(&[("one", "a/one", &pinned, "")]);
    let empty = scene.sandbox().path().join("bin");
    std::fs::create_dir(&empty).unwrap();
    let path = [("PATH", empty.to_str().unwrap())];
    scene.stage.run_with(&["update"], &path).exits(2).says("cannot run git");
    let old = empty.join("git");
    std::fs::write(&old, "#!/bin/sh\necho git version 2.20.1\n").unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&old).status().unwrap().success());
    scene.stage.run_with(&["update"], &path).exits(2).says("git 2.20.1 is too old; git-hexmirror needs 2.32 or later");
    assert_eq!(scene.stage.tip(), None);
}
