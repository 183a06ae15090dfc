//! What `tools install` leaves out, and how it says so.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::asset_tools::{Assets, CONFIG, LINUX, MACOS, program};
use crate::support::mount::Mount;
use crate::support::stage::Ran;

const FREEBSD: &str = "x86_64-unknown-freebsd13.2 2.16";

/// Replaces what the project configures.
fn configured(config: &str) -> Assets {
    let assets = Assets::offered();
    assets.stage.write("config/config.exs", config);
    assets
}

fn install(assets: &Assets) -> Ran {
    assets.on(LINUX, &["tools", "install"])
}

/// Adds versions to the setting.
fn set(assets: &Assets, versions: &str) {
    let setting = assets.stage.git(&["config", "hexmirror.assetTools"]);
    assets.stage.git(&["config", "hexmirror.assetTools", &format!("{setting} {versions}")]);
}

#[test]
fn a_tool_without_a_literal_version_is_named() {
    let assets = configured("config :esbuild, version: System.get_env(\"V\")\nconfig :tailwind, version: \"4.1.0\"\n");
    assets.on(LINUX, &["update"]).ok();
    let ran = install(&assets).exits(1);
    ran.says("not installed: esbuild: config/config.exs:1: the version of esbuild is not a literal version")
        .says("git config --add hexmirror.assetTools esbuild@VERSION");
    // Everything else is installed.
    assert!(assets.built("tailwind-linux-x64-4.1.0").exists());
    let ran = assets.on(LINUX, &["tools", "install", "--json"]).exits(1).json();
    assert_eq!(
        ran["not_installed"],
        json!(["esbuild: config/config.exs:1: the version of esbuild is not a literal version"])
    );
    // What the hint says helps.
    set(&assets, "esbuild@0.25.0");
    assets.on(LINUX, &["update"]).ok();
    install(&assets).ok();
    assert!(assets.built("esbuild-linux-x64").exists());
    // Also if nothing else is configured.
    let assets = configured("config :esbuild, version: version()\n");
    install(&assets).exits(1).says("not installed: esbuild: ");
}

#[test]
fn a_tool_without_a_build_for_this_machine_is_named() {
    let assets = configured("config :dart_sass, version: \"1.77.8\"\nconfig :tailwind, version: \"4.1.0\"\n");
    assets.on(FREEBSD, &["update"]).ok();
    let ran = assets.on(FREEBSD, &["tools", "install"]).exits(1);
    ran.says("not installed: tailwind 4.1.0 freebsd-x64: its publisher has no such build, says hexmirror.lock")
        .says("`git hexmirror update --refresh` asks the publisher again")
        .says("not installed: dart_sass 1.77.8: the package dart_sass knows no build for x86_64-freebsd")
        .says("config :dart_sass, path: ");
    // On another machine, the hint names the command that adds it.
    let ran = assets.on(MACOS, &["tools", "install"]).exits(1);
    ran.says("not installed: tailwind 4.1.0 macos-arm64: no hexmirror.lock pins it")
        .says("`git hexmirror targets add aarch64-darwin --nif 2.17` and `git hexmirror update`");
    let add = ["targets", "add", "aarch64-darwin", "--nif", "2.17"];
    assets.stage.run(&add).ok();
    assets.on(FREEBSD, &["update"]).ok();
    assets.on(MACOS, &["tools", "install"]).ok();
}

#[test]
fn without_erlang_the_machines_of_the_lock_count() {
    let assets = configured("config :tailwind, version: \"4.1.0\"\n");
    // A PATH without an Erlang.
    let folder = assets.stage.sandbox.path().join("bin");
    fs::create_dir_all(&folder).unwrap();
    let paths = std::env::var_os("PATH").unwrap();
    for program in ["git", "sh"] {
        let found = std::env::split_paths(&paths).map(|folder| folder.join(program)).find(|file| file.exists());
        symlink(found.unwrap(), folder.join(program)).unwrap();
    }
    let path = [("PATH", folder.to_str().unwrap())];
    let install = || assets.stage.run_with(&["tools", "install"], &path);
    let ran = install().exits(1);
    ran.says("not installed: tailwind 4.1.0: there is no erl").says("git hexmirror targets add");
    assets.on(FREEBSD, &["update"]).ok();
    install().exits(1).says("not installed: tailwind 4.1.0 freebsd-x64: its publisher");
    // One of the machines has a build, so this may be that one.
    assets.on(LINUX, &["update"]).ok();
    install().ok();
    assert!(assets.built("tailwind-linux-x64-4.1.0").exists());
}

#[test]
fn versions_of_elixir_that_no_lock_pins_are_named() {
    let assets = Assets::mirrored();
    assets.stage.write(".tool-versions", "erlang 25.2.3\nelixir 1.14.0-otp-25\n");
    let ran = install(&assets).exits(1);
    ran.says("not installed: Hex and rebar3 for Elixir 1.14.0 otp 25: no hexmirror.lock pins them");
    let off = [("HEXMIRROR_TOOLS", "off")];
    assets.with(LINUX, &["tools", "install"], &off).ok();
}

#[test]
fn of_two_versions_with_one_file_name_none_is_installed() {
    let assets = configured("config :esbuild, version: \"0.25.0\"\n");
    assets.stage.write("config/test.exs", "config :esbuild, version: \"0.24.0\"\n");
    assets.publish_esbuild("linux-x64", "0.24.0", &program("old"));
    assets.on(LINUX, &["update"]).ok();
    let ran = install(&assets).exits(1);
    ran.says("_build/esbuild-linux-x64: the package looks for all of these under this name: ")
        .says("esbuild 0.24.0 (config/test.exs:1), esbuild 0.25.0 (config/config.exs:1)")
        .says("git config --add hexmirror.assetTools esbuild@0.24.0");
    assert!(!assets.built("esbuild-linux-x64").exists());
    set(&assets, "esbuild@0.24.0");
    install(&assets).ok();
    assert_eq!(fs::read(assets.built("esbuild-linux-x64")).unwrap(), program("old"));
    // Versions of Tailwind have names of their own, also with old names that only one version can have.
    let assets = Assets::mirrored();
    install(&assets).ok();
    let content = |name: &str| fs::read(assets.built(name)).unwrap();
    assert_eq!(content("tailwind-linux-x64"), program("tailwind 4.1.0 linux-x64"));
    assert_eq!(content("tailwind-linux-x64-3.4.3"), program("tailwind 3.4.3 linux-x64"));
}

#[test]
fn a_literal_version_comes_before_the_setting() {
    let assets = configured("config :esbuild, version: \"0.25.0\"\n");
    assets.publish_esbuild("linux-x64", "0.24.0", &program("old"));
    assets.publish_esbuild("linux-x64", "0.26.0", &program("new"));
    set(&assets, "esbuild@0.24.0 esbuild@0.26.0");
    assets.on(LINUX, &["update"]).ok();
    let mut ran = install(&assets).ok();
    assert_eq!(fs::read(assets.built("esbuild-linux-x64")).unwrap(), program("esbuild linux-x64"));
    for version in ["0.24.0", "0.26.0"] {
        ran = ran.says(&format!(
            "esbuild {version} of the setting asset_tools is only mirrored: config/config.exs:1 names another version"
        ));
    }
    // Two projects with different versions cannot share a folder.
    assets.stage.write("other/mix.exs", "x");
    assets.stage.write("other/mix.lock", "%{}\n");
    assets.stage.write("other/config/config.exs", "config :esbuild, version: \"0.26.0\"\n");
    assets.stage.git(&["add", "."]);
    assets.stage.git(&["commit", "--quiet", "--message", "Add a project"]);
    assets.on(LINUX, &["update"]).ok();
    install(&assets).ok();
    let built = assets.stage.project.join("other/_build/esbuild-linux-x64");
    assert_eq!(fs::read(built).unwrap(), program("new"));
    let to = assets.stage.sandbox.path().join("to");
    let ran = assets.on(LINUX, &["tools", "install", "--to", to.to_str().unwrap()]).exits(1);
    ran.says("esbuild 0.25.0 (config/config.exs:1), esbuild 0.26.0 (other/config/config.exs:1)").says("without --to");
    assert!(!to.join("_build").exists());
}

#[test]
fn a_computed_version_beside_a_literal_one_is_named() {
    let assets = configured(&CONFIG.replace("legacy: [version: \"3.4.3\"]", "legacy: [version: version()]"));
    assets.on(LINUX, &["update"]).ok();
    let ran = install(&assets).exits(1);
    ran.says("not installed: tailwind: config/config.exs:9: the version of tailwind is not a literal version");
    set(&assets, "tailwind@3.4.3");
    assets.on(LINUX, &["update"]).ok();
    install(&assets).ok();
    assert!(assets.built("tailwind-linux-x64-3.4.3").exists() && assets.built("tailwind-linux-x64-4.1.0").exists());
}

#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let assets = configured("config :esbuild, version: \"0.25.0\"\nconfig :tailwind, version: \"4.1.0\"\n");
    let large = |name: &str| [program(name), vec![b'x'; 700_000]].concat();
    assets.stage.upstream.put("tailwind/v4.1.0/x-linux-x64", &large("tailwind"));
    assets.on(LINUX, &["update"]).ok();
    let small = assets.stage.sandbox.path().join("small");
    let Some(_mount) = Mount::new(&small, &["-t", "tmpfs", "-o", "size=1m", "none"]) else { return };
    fs::write(small.join("filling"), vec![1; 600_000]).unwrap();
    let install = || assets.with(LINUX, &["tools", "install"], &[("MIX_BUILD_ROOT", small.to_str().unwrap())]);
    let names = || {
        let files = fs::read_dir(&small).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = files.collect();
        names.sort();
        names
    };
    // What was there stays.
    fs::write(small.join("tailwind-linux-x64"), "old").unwrap();
    install().exits(5).says("cannot write").says("No space left on device").says("free some space");
    assert_eq!(names(), ["esbuild-linux-x64", "filling", "tailwind-linux-x64"]);
    assert_eq!(fs::read(small.join("esbuild-linux-x64")).unwrap(), program("esbuild linux-x64"));
    assert_eq!(fs::read(small.join("tailwind-linux-x64")).unwrap(), b"old");
    fs::remove_file(small.join("filling")).unwrap();
    // Without a version of the package, there are two names of this file, and the disk has room for one.
    fs::remove_file(small.join("tailwind-linux-x64")).unwrap();
    install().exits(5).says("No space left on device");
    assert_eq!(names(), ["esbuild-linux-x64", "tailwind-linux-x64"]);
    assert_eq!(fs::read(small.join("tailwind-linux-x64")).unwrap(), large("tailwind"));
}

#[test]
fn the_machines_are_listed_with_their_asset_tools() {
    let assets = Assets::mirrored();
    assets.on(LINUX, &["targets"]).ok().prints("4 files");
    assets.stage.run(&["targets", "add", "aarch64-darwin", "--nif", "2.17"]).ok();
    assets.on(LINUX, &["targets"]).ok().prints("aarch64-darwin nif 2.17  0 files").prints("lacks 4");
}
