//! `prune` of git repositories.

use crate::support::forge::Scene;
use crate::support::stage::Ran;

const PRUNE: [&str; 2] = ["prune", "--keep-days=0"];

/// Text that hardly compresses.
fn large() -> String {
    (0..20_000_u64).map(|number| format!("{:x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect()
}

/// Prunes, and checks that the mirror is then intact and fresh.
#[track_caller]
fn prune(scene: &Scene) -> Ran {
    let ran = scene.stage.run(&PRUNE).ok();
    scene.stage.run(&["verify"]).ok();
    scene.stage.run(&["status"]).ok();
    scene.stage.git(&["fsck", "--strict", "--no-dangling"]);
    ran
}

#[test]
fn an_ancestor_revision_is_removed_without_repacking() {
    let scene = Scene::new();
    let first = scene.forge.commit("a/one", "main", &[("large", &large())]);
    scene.lock(&[("one", "a/one", &first, "")]);
    scene.update();
    let second = scene.forge.commit("a/one", "main", &[("f", "2")]);
    scene.lock(&[("one", "a/one", &second, "")]);
    scene.update();
    let packs = scene.packs("a/one");
    prune(&scene).says(&format!("forge.test/a/one {}", &first[..10])).says("removed 1 git revision: 0 B of");
    assert_eq!(scene.packs("a/one"), packs);
    let folder = scene.export("a/one");
    scene.git_in(&folder, &["fsck", "--strict", "--full"]);
    assert_eq!(
        scene.git_in(&folder, &["for-each-ref", "--format=%(refname)"]),
        format!("refs/heads/hexmirror/{second}")
    );
    assert_eq!(scene.git_in(&folder, &["rev-list", "--count", "HEAD"]), "2");
    scene.stage.run(&PRUNE).ok().says("nothing to remove");
}

#[test]
fn objects_of_a_pruned_revision_leave_the_packs() {
    let scene = Scene::new();
    let main = scene.forge.commit("a/one", "main", &[("f", "1")]);
    let other = scene.forge.commit("a/one", "other", &[("large", &large())]);
    let both = [("one", "a/one", &*main, r#"branch: "main""#), ("other", "a/one", &*other, r#"branch: "other""#)];
    scene.lock(&both);
    scene.update();
    scene.lock(&both[..1]);
    let plan = scene.stage.run(&["prune", "--keep-days=0", "--dry-run", "--json"]).ok().json();
    let objects = scene.stage.git(&["count-objects", "-v"]);
    let document = scene.stage.run(&["prune", "--keep-days=0", "--json"]).ok().json();
    assert_eq!(document["git"][0]["revision"], *other);
    assert_eq!(plan["bytes"], document["bytes"], "the plan is what came of it");
    assert!(document["bytes"].as_u64().unwrap() > 100_000, "{document}");
    assert_ne!(objects, scene.stage.git(&["count-objects", "-v"]), "only the plan wrote nothing");
    scene.stage.run(&["verify"]).ok();
    scene.stage.run(&["status"]).ok();
    assert_eq!(scene.packs("a/one").len(), 1);
    let folder = scene.export("a/one");
    assert_eq!(
        scene.git_in(&folder, &["cat-file", "--batch-all-objects", "--batch-check=%(objecttype)"]).lines().count(),
        3
    );
    assert_eq!(scene.git_in(&folder, &["rev-parse", "HEAD", "main"]), format!("{main}\n{main}"));
    // It can be added again.
    scene.lock(&both);
    scene.update();
    assert_eq!(scene.packs("a/one").len(), 2);
}

#[test]
fn an_unneeded_repository_is_removed_with_its_submodules() {
    let scene = Scene::new();
    let inner = scene.forge.commit("b/inner", "main", &[("f", "1")]);
    let modules = "[submodule \"inner\"]\n\tpath = inner\n\turl = ../../b/inner.git\n";
    let outer =
        scene.forge.commit("a/outer", "main", &[(".gitmodules", modules), ("inner", &format!("commit {inner}"))]);
    let plain = scene.forge.commit("c/plain", "main", &[("f", "1")]);
    let entries = [("outer", "a/outer", &*outer, "submodules: true"), ("plain", "c/plain", &*plain, "")];
    scene.lock(&entries);
    scene.update();
    // The outer repository needs the inner one, which no lock names.
    scene.lock(&entries[..1]);
    prune(&scene).says("removed 1 git revision");
    assert!(scene.packs("c/plain").is_empty());
    assert_eq!((scene.packs("a/outer").len(), scene.packs("b/inner").len()), (1, 1));
    scene.lock(&entries[1..]);
    scene.update();
    prune(&scene).says("removed 2 git revisions");
    let git: Vec<String> = scene.stage.paths().into_iter().filter(|path| path.starts_with("git/")).collect();
    assert!(git.iter().all(|path| path.starts_with("git/forge.test/c/plain.git/")) && !git.is_empty(), "{git:?}");
}

#[test]
fn a_shallow_repository_stays_shallow() {
    let scene = Scene::shallow();
    scene.forge.commit("a/one", "main", &[("f", "1")]);
    let main = scene.forge.commit("a/one", "main", &[("f", "2")]);
    scene.forge.commit("a/one", "other", &[("g", "1")]);
    let other = scene.forge.commit("a/one", "other", &[("large", &large())]);
    let both = [("one", "a/one", &*main, "depth: 1"), ("other", "a/one", &*other, "depth: 1")];
    scene.lock(&both);
    scene.update();
    scene.lock(&both[..1]);
    prune(&scene).says("removed 1 git revision");
    let folder = scene.export("a/one");
    scene.git_in(&folder, &["fsck", "--strict", "--full"]);
    assert_eq!(std::fs::read_to_string(folder.join("shallow")).unwrap(), format!("{main}\n"));
    assert_eq!(scene.git_in(&folder, &["rev-list", "--count", "--all"]), "1");
}
