//! `import` of git repositories in folders.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use walkdir::WalkDir;

use crate::support::forge::Scene;
use crate::support::stage::Ran;

/// Copies a repository of the forge as git tracks it: without `refs`, which is an empty folder there.
fn committed(scene: &Scene, name: &str, to: &str) -> PathBuf {
    scene.forge.run(name, &["repack", "-adq"]);
    scene.forge.run(name, &["pack-refs", "--all"]);
    let folder = scene.sandbox().path().join(to);
    fs::create_dir_all(folder.parent().unwrap()).unwrap();
    let mut copy = scene.sandbox().command("cp", "".as_ref());
    assert!(copy.arg("-r").arg(scene.forge.path(name)).arg(&folder).status().unwrap().success());
    fs::remove_dir_all(folder.join("refs")).unwrap();
    folder
}

fn import(scene: &Scene, arguments: &[&str]) -> Ran {
    let before = scene.forge.connections();
    let ran = scene.stage.run(&[&["import"], arguments].concat());
    assert_eq!(scene.forge.connections(), before, "the server was asked: {ran:?}");
    let left = scene.stage.project.join(".git/hexmirror/import");
    assert!(!left.exists(), "{} was left behind", left.display());
    ran
}

fn fresh(scene: &Scene) {
    scene.stage.run(&["status"]).ok();
    scene.stage.run(&["verify"]).ok();
    scene.stage.git(&["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn the_pinned_revisions_are_found_in_whatever_folder_has_them() {
    let scene = Scene::new();
    let first = scene.forge.commit("team/lib", "main", &[("a", "1")]);
    let second = scene.forge.commit("team/lib", "main", &[("a", "2"), ("big", &"x".repeat(50_000))]);
    let other = scene.forge.commit("team/other", "main", &[("b", "1")]);
    let unpinned = scene.forge.commit("team/other", "main", &[("b", "unpinned")]);
    committed(&scene, "team/lib", "git_repo/renamed.git");
    committed(&scene, "team/other", "git_repo/deep/team/other.git");
    scene.lock(&[
        ("lib", "team/lib", &second, ""),
        ("old", "team/lib", &first, ""),
        ("other", "team/other", &other, ""),
    ]);
    let plan = import(&scene, &["../git_repo", "--dry-run", "--json"]).ok().json();
    assert_eq!((scene.stage.tip(), plan["added"].as_array().unwrap().len()), (None, 3));
    let document = import(&scene, &["../git_repo", "--json"]).ok().json();
    assert_eq!((&document["added"], &document["lacking"]), (&plan["added"], &json!([])));
    fresh(&scene);
    let message = scene.stage.git(&["log", "-1", "--format=%s", "hexmirror"]);
    assert!(message.starts_with("Import 3 git revisions: forge.test/team/lib "), "{message}");
    let folder = scene.export("team/other");
    assert_eq!(scene.git_in(&folder, &["rev-parse", "HEAD"]), other);
    let has = scene.sandbox().try_git("", &["--git-dir", folder.to_str().unwrap(), "cat-file", "-e", &unpinned]);
    assert!(!has.status.success(), "what no lock pins is not stored");
    import(&scene, &["../git_repo"]).ok().says("up to date").says("3 already there");
    // The next update has nothing to do.
    let before = scene.forge.connections();
    scene.stage.run(&["update"]).ok().says("nothing to do");
    assert_eq!(scene.forge.connections(), before);
}

#[test]
fn what_no_folder_has_is_left_to_an_update() {
    let scene = Scene::new();
    let one = scene.forge.commit("team/one", "main", &[("a", "1")]);
    committed(&scene, "team/one", "git_repo/one.git");
    let two = scene.forge.commit("team/two", "main", &[("a", "2")]);
    scene.lock(&[("one", "team/one", &one, ""), ("two", "team/two", &two, "")]);
    scene.forge.commit("team/three", "main", &[("a", "3")]);
    let unused = committed(&scene, "team/three", "git_repo/three.git");
    let ran = import(&scene, &["../git_repo", "--verbose"]).ok().says("1 git revision");
    let ran = ran.says(&format!("missing: none of the folders has forge.test/team/two {}", &two[..10]));
    let ran = ran.says("not fresh: hexmirror lacks forge.test/team/two");
    let ran = ran.says("1 git repository left out because the locks pin nothing in them");
    let ran = ran.says(&format!("left out {}: no lock pins any of its commits", unused.display()));
    assert!(!ran.stderr.contains("one.git: no lock"), "{ran:?}");
    scene.update();
    scene.lock(&[("two", "team/two", &scene.forge.commit("team/two", "main", &[("a", "3")]), "")]);
    import(&scene, &["../git_repo"]).exits(2).says("no lock pins any of the 2");
}

#[test]
fn clones_and_their_submodules_are_sources_too() {
    let scene = Scene::new();
    let inner = scene.forge.commit("team/inner", "main", &[("c", "1")]);
    let modules = "[submodule \"inner\"]\n\tpath = inner\n\turl = https://forge.test/team/inner.git\n";
    let outer = [(".gitmodules", modules), ("inner", &format!("commit {inner}"))];
    let outer = scene.forge.commit("team/outer", "main", &outer);
    for name in ["outer", "inner"] {
        let from = format!("https://forge.test/team/{name}.git");
        scene.sandbox().git("", &["clone", "--quiet", &from, &format!("deps/{name}")]);
    }
    scene.lock(&[("outer", "team/outer", &outer, "submodules: true")]);
    let document = import(&scene, &["../deps", "--json"]).ok().json();
    assert_eq!((&document["unused_git"], &document["lacking"]), (&json!([]), &json!([])));
    fresh(&scene);
    let other = Scene::new();
    let mut copy = other.sandbox().command("cp", "".as_ref());
    let to = other.sandbox().path().join("deps");
    fs::create_dir(&to).unwrap();
    assert!(copy.arg("-r").arg(scene.sandbox().path().join("deps/outer")).arg(&to).status().unwrap().success());
    other.lock(&[("outer", "team/outer", &outer, "submodules: true")]);
    import(&other, &["../deps"]).ok().says("no folder has the submodule").says("not fresh");
}

#[test]
fn an_ancestry_that_is_cut_off_counts_only_where_the_lock_allows_it() {
    let scene = Scene::shallow();
    for number in 0..4 {
        scene.forge.commit("team/lib", "main", &[("a", &number.to_string())]);
    }
    let tip = scene.forge.run("team/lib", &["rev-parse", "refs/heads/main"]);
    let clone = ["clone", "--quiet", "--bare", "--depth=2", "https://forge.test/team/lib.git", "cut/lib.git"];
    scene.sandbox().git("", &clone);
    scene.lock(&[("lib", "team/lib", &tip, "")]);
    let ran = import(&scene, &["../cut"]).exits(2).says("forge.test/team/lib has no complete history in ");
    ran.says("/cut/lib.git has it without its history").says("git fetch --unshallow");
    scene.lock(&[("lib", "team/lib", &tip, "depth: 2")]);
    import(&scene, &["../cut"]).ok();
    fresh(&scene);
    // Beside a complete repository, the one that is cut off does no harm.
    let other = Scene::new();
    for (from, to) in
        [(scene.sandbox().path().join("cut/lib.git"), "all/cut.git"), (scene.forge.path("team/lib"), "all/lib.git")]
    {
        let to = other.sandbox().path().join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        let mut copy = other.sandbox().command("cp", "".as_ref());
        assert!(copy.arg("-r").arg(from).arg(to).status().unwrap().success());
    }
    other.lock(&[("lib", "team/lib", &tip, "")]);
    import(&other, &["../all"]).ok();
    fresh(&other);
}

#[test]
fn a_damaged_repository_refuses_the_import() {
    let scene = Scene::new();
    let revision = scene.forge.commit("team/lib", "main", &[("a", &"some content ".repeat(500)), ("b", "2")]);
    let folder = committed(&scene, "team/lib", "git_repo/lib.git");
    scene.lock(&[("lib", "team/lib", &revision, "")]);
    let pack = find(&folder, "pack");
    let good = fs::read(&pack).unwrap();
    // The header stays, so that git finds the commit; some of what it needs does not.
    for at in [good.len() / 2, good.len() - 30] {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        replace(&pack, &bad);
        let ran = import(&scene, &["../git_repo"]);
        assert!(matches!(ran.code, Some(2 | 4)), "{at}: {ran:?}");
        // No server was asked, so none is to blame.
        assert!(!ran.stderr.contains("https://") && ran.stderr.contains("git fsck"), "{at}: {ran:?}");
        assert!(ran.code == Some(2) || ran.stderr.contains("git_repo/lib.git is damaged"), "{at}: {ran:?}");
        assert_eq!(scene.stage.tip(), None);
    }
    replace(&pack, &good[..good.len() - 40]);
    let ran = import(&scene, &["../git_repo"]);
    assert!(matches!(ran.code, Some(2 | 4)), "{ran:?}");
    assert_eq!(scene.stage.tip(), None);
    replace(&pack, &good);
    import(&scene, &["../git_repo"]).ok();
    fresh(&scene);
}

/// The configuration, the hooks and the alternates of a repository come from elsewhere.
#[test]
fn a_repository_in_a_folder_runs_nothing() {
    let scene = Scene::new();
    let revision = scene.forge.commit("team/lib", "main", &[("a", "1")]);
    let folder = committed(&scene, "team/lib", "git_repo/lib.git");
    let proof = scene.sandbox().path().join("proof");
    let touch = format!("touch {}", proof.display());
    let config = format!(
        "[core]\n\tbare = true\n\tfsmonitor = {touch}\n\tsshCommand = {touch}\n[uploadpack]\n\tpackObjectsHook = {touch}\n[remote \"origin\"]\n\turl = ext::{touch}\n\tpromisor = true\n"
    );
    fs::write(folder.join("config"), config).unwrap();
    fs::create_dir_all(folder.join("hooks")).unwrap();
    for hook in ["post-checkout", "pre-receive", "reference-transaction", "post-upload-pack"] {
        fs::write(folder.join("hooks").join(hook), format!("#!/bin/sh\n{touch}\n")).unwrap();
    }
    scene.lock(&[("lib", "team/lib", &revision, "")]);
    import(&scene, &["../git_repo"]).ok();
    fresh(&scene);
    assert!(!proof.exists());
}

fn find(folder: &Path, extension: &str) -> PathBuf {
    let files = WalkDir::new(folder).into_iter().map(|entry| entry.unwrap().into_path());
    files.into_iter().find(|path| path.extension().is_some_and(|found| found == extension)).expect("a pack")
}

/// Replaces a file that git made read-only.
fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}
