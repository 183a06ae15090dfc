//! Clients that do not support the option `depth`: Elixir before 1.17, and rebar3.

use crate::support::forge::Scene;
use crate::support::stage::Ran;

/// Runs the commands of Elixir 1.14 for a git dependency (`checkout/1` and `update/1` of its
/// `lib/mix/lib/mix/scm/git.ex`) with the mirror, in a new folder.
fn elixir_1_14(scene: &Scene, folder: &str, revision: &str) -> Ran {
    let script = format!(
        "set -e; mkdir {folder}; cd {folder}; git init --quiet; \
         git --git-dir=.git remote add origin https://forge.test/a/one.git; \
         git --git-dir=.git config remote.origin.url https://forge.test/a/one.git; \
         git --git-dir=.git fetch --force --quiet --progress; \
         git --git-dir=.git checkout --quiet {revision}; test -f f; \
         git fsck --connectivity-only"
    );
    scene.stage.run(&["run", "--", "sh", "-c", &script])
}

/// Runs the commands of rebar3 (`rebar_git_resource:git_clone/4`, for a `ref`).
fn rebar3(scene: &Scene, folder: &str, revision: &str) -> Ran {
    let script = format!(
        "set -e; git clone --quiet -n https://forge.test/a/one.git {folder}; cd {folder}; git checkout --quiet {revision}; test -f f"
    );
    scene.stage.run(&["run", "--", "sh", "-c", &script])
}

#[test]
fn they_can_use_an_entry_with_a_depth() {
    let scene = Scene::new();
    let commits: Vec<String> =
        (0..3).map(|number| scene.forge.commit("a/one", "main", &[("f", &number.to_string())])).collect();
    scene.lock(&[("one", "a/one", &commits[1], r#"branch: "main", depth: 1"#)]);
    scene.update();
    let connections = scene.forge.connections();
    elixir_1_14(&scene, "new-elixir", &commits[1]).ok();
    rebar3(&scene, "new-rebar3", &commits[1]).ok();
    assert_eq!(scene.forge.connections(), connections, "upstream was asked");
    // Later commits can be fetched on top.
    let deps =
        "set -e; git clone --quiet --depth=1 --branch=main https://forge.test/a/one.git new-depth; test -f new-depth/f";
    scene.stage.run(&["run", "--", "sh", "-c", deps]).ok();
}

#[test]
fn a_shallow_repository_is_deepened_when_the_setting_is_removed() {
    let scene = Scene::shallow();
    let commits: Vec<String> =
        (0..3).map(|number| scene.forge.commit("a/one", "main", &[("f", &number.to_string())])).collect();
    scene.lock(&[("one", "a/one", &commits[2], "depth: 1")]);
    scene.update();
    assert!(scene.export("a/one").join("shallow").exists());
    // The setting behaves as documented: the commit arrives, but neither its ref nor the shallow boundary.
    let broken = elixir_1_14(&scene, "shallow", &commits[2]);
    assert_ne!(broken.code, Some(0));
    assert!(format!("{broken:?}").contains("broken link"), "{broken:?}");
    scene.stage.git(&["config", "--unset", "hexmirror.shallow"]);
    scene.stage.run(&["status"]).exits(1);
    scene.update();
    assert!(!scene.export("a/one").join("shallow").exists());
    elixir_1_14(&scene, "full", &commits[2]).ok();
    // Both forms work if shallow storage is allowed.
    scene.stage.git(&["config", "hexmirror.shallow", "true"]);
    scene.stage.run(&["status"]).ok();
    let tip = scene.stage.tip();
    scene.update();
    assert_eq!(scene.stage.tip(), tip);
}

#[test]
fn the_setting_is_read_from_every_source() {
    let scene = Scene::new();
    let commit = scene.forge.commit("a/one", "main", &[("f", "1")]);
    scene.lock(&[("one", "a/one", &commit, "depth: 1")]);
    scene.stage.run_with(&["status"], &[("HEXMIRROR_SHALLOW", "maybe")]).exits(2).says("HEXMIRROR_SHALLOW");
    scene.stage.write(".hexmirror.toml", "shallow = true\n");
    scene.update();
    assert!(scene.export("a/one").join("shallow").exists());
    scene.stage.run_with(&["status"], &[("HEXMIRROR_SHALLOW", "no")]).exits(1);
}
