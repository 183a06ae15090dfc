//! When pins of esbuild, Tailwind and Dart Sass stay, and when an update would add some.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::asset_tools::{Assets, LINUX};

#[test]
fn pins_stay_while_the_configuration_that_asked_for_them_is_not_read() {
    let assets = Assets::mirrored();
    let (stage, lock) = (&assets.stage, assets.lock());
    stage.git(&["add", "."]);
    stage.git(&["commit", "--quiet", "--message", "Configure assets"]);
    let config = stage.project.join("config");
    fs::remove_dir_all(&config).unwrap();
    let says =
        "config/config.exs is not in the worktree as a regular file, so what hexmirror.lock pins of asset tools stays";
    assets.on(LINUX, &["update", "--refresh"]).ok().says(says);
    assert_eq!(assets.lock(), lock);
    let outside = stage.sandbox.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, &config).unwrap();
    assets.on(LINUX, &["update", "--refresh"]).ok().says(says).says("config is a link");
    assert_eq!(assets.lock(), lock);
    // What was read and no longer asks for a tool drops it.
    fs::remove_file(&config).unwrap();
    stage.write("config/config.exs", "config :esbuild, version: \"0.25.0\"\n");
    assets.on(LINUX, &["update", "--refresh"]).ok();
    assert_eq!(assets.entries(), ["esbuild 0.25.0 linux-x64"]);
}

#[test]
fn pins_stay_in_a_sparse_checkout_whose_locks_are_named() {
    let assets = Assets::mirrored();
    let (stage, lock) = (&assets.stage, assets.lock());
    stage.git(&["config", "hexmirror.locks", "mix.lock"]);
    stage.git(&["add", "."]);
    stage.git(&["commit", "--quiet", "--message", "Configure assets"]);
    stage.git(&["sparse-checkout", "set", "--no-cone", "/*", "!/config/"]);
    assert!(!stage.project.join("config").exists());
    let says = "config/config.exs is not in the worktree as a regular file";
    assets.on(LINUX, &["update", "--refresh"]).ok().says(says);
    assert_eq!(assets.lock(), lock);
    // Without the lock, both count as they are in the commit.
    stage.git(&["sparse-checkout", "set", "--no-cone", "/hexmirror.lock"]);
    assert!(!stage.project.join("mix.lock").exists());
    stage.write("hexmirror.lock", "target x86_64-linux-gnu nif 2.16\n");
    assets.on(LINUX, &["status"]).exits(1).prints("esbuild 0.25.0 linux-x64");
}

#[test]
fn a_mirror_is_stale_if_an_update_on_this_machine_would_pin_tools() {
    let assets = Assets::offered();
    let stage = &assets.stage;
    let folder = stage.sandbox.path().join("without-erlang");
    fs::create_dir(&folder).unwrap();
    let all = std::env::var("PATH").unwrap();
    let git = std::env::split_paths(&all).map(|folder| folder.join("git")).find(|git| git.is_file()).unwrap();
    symlink(git, folder.join("git")).unwrap();
    let path = [("PATH", folder.to_str().unwrap())];
    let without = |arguments: &[&str]| stage.run_with(arguments, &path);
    for _ in 0..2 {
        without(&["status"]).ok();
        without(&["update"]).ok().says("nothing to do");
        assert_eq!(assets.lock(), "");
        assets.on("unknown 2.16", &["status"]).ok();
        let status = assets.on(LINUX, &["status", "--json"]).exits(1).json();
        assert_eq!(
            status["unpinned_asset_tools"],
            json!([
                "esbuild 0.25.0 linux-x64",
                "tailwind 3.4.3 linux-x64",
                "tailwind 4.1.0 linux-x64",
                "dart_sass 1.77.8 linux-x64"
            ])
        );
        assets.on(LINUX, &["update", "--locked"]).exits(1).says("hexmirror.lock");
    }
    assets.on(LINUX, &["update"]).ok();
    assets.on(LINUX, &["status"]).ok();
    without(&["status"]).ok();
    // With a machine in the lock, another one is added by an update there, as for precompiled files.
    assert_eq!(assets.entries().len(), 4);
}
