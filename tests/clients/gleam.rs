//! gleam, whose addresses nothing overrides: `run` and `env` give it a filled cache of packages and lead its git to the
//! mirror. A test is skipped, with a message, if there is no gleam on the `PATH`.

use std::fs;
use std::path::PathBuf;

use crate::runs;
use crate::support::forge::Scene;
use crate::support::registry::Registry;
use crate::support::stage::{Ran, Stage};

const GLEAM_TOML: &str = "name = \"app\"\nversion = \"1.0.0\"\ntarget = \"javascript\"\n\n[dependencies]\nfruit = \">= 1.0.0 and < 2.0.0\"\npear = { git = \"https://forge.test/team/pear\", ref = \"main\" }\n";
const APP: &str = "import fruit\nimport pear\n\npub fn main() {\n  fruit.name() <> pear.name()\n}\n";

/// A gleam project with a package of hexpm and one from git, mirrored, with stopped upstreams.
fn prepare() -> Option<Scene> {
    let mut registry = Registry::sample();
    let files = [
        ("gleam.toml".to_owned(), "name = \"fruit\"\nversion = \"1.0.0\"\n".to_owned()),
        ("src/fruit.gleam".to_owned(), "pub fn name() -> String {\n  \"fruit\"\n}\n".to_owned()),
    ];
    let outer = registry.publish("fruit 1.0.0", &[], &files).outer;
    let scene = Scene::of(Stage::without_lock(registry));
    if !runs(&scene.stage, "gleam", &["--version"], &[]) {
        eprintln!("skipped: there is no gleam");
        return None;
    }
    let pear = [
        ("gleam.toml", "name = \"pear\"\nversion = \"1.0.0\"\n"),
        ("src/pear.gleam", "pub fn name() -> String {\n  \"pear\"\n}\n"),
    ];
    let commit = scene.forge.commit("team/pear", "main", &pear);
    let outer = outer.to_string().to_uppercase();
    scene.stage.write("gleam.toml", GLEAM_TOML);
    scene.stage.write("src/app.gleam", APP);
    scene.stage.write(
        "manifest.toml",
        &format!(
            "packages = [\n  {{ name = \"fruit\", version = \"1.0.0\", build_tools = [\"gleam\"], requirements = [], otp_app = \"fruit\", source = \"hex\", outer_checksum = \"{outer}\" }},\n  {{ name = \"pear\", version = \"1.0.0\", build_tools = [\"gleam\"], requirements = [], source = \"git\", repo = \"https://forge.test/team/pear\", commit = \"{commit}\" }},\n]\n\n[requirements]\nfruit = {{ version = \">= 1.0.0 and < 2.0.0\" }}\npear = {{ git = \"https://forge.test/team/pear\", ref = \"main\" }}\n"
        ),
    );
    scene.update();
    Some(scene)
}

fn cached(scene: &Scene) -> PathBuf {
    let folder = scene.stage.project.join(".git/hexmirror/cache-home/gleam/hex/hexpm/packages");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

/// Builds without a network, and checks that nothing was asked.
#[track_caller]
fn builds(scene: &Scene) {
    let manifest = fs::read(scene.stage.project.join("manifest.toml")).unwrap();
    let _ = fs::remove_dir_all(scene.stage.project.join("build"));
    let (asked, connected) = (scene.stage.upstream.count("*"), scene.forge.connections());
    Ran::of(&mut scene.stage.command(&["run", "--offline", "--", "gleam", "build"])).ok();
    assert_eq!((scene.stage.upstream.count("*"), scene.forge.connections()), (asked, connected));
    assert!(scene.stage.project.join("build/dev/javascript/app/app.mjs").exists());
    assert_eq!(fs::read(scene.stage.project.join("manifest.toml")).unwrap(), manifest, "the manifest was changed");
    assert!(!scene.sandbox().home().join(".cache/gleam").exists(), "the user's cache was written");
}

#[test]
fn builds_offline_and_verifies_the_cache_before_each_use() {
    let Some(scene) = prepare() else { return };
    builds(&scene);
    let tarball = cached(&scene);
    let good = fs::read(&tarball).unwrap();
    // gleam would use any bytes: it trusts the file's name.
    for damage in [&b"damaged"[..], b""] {
        fs::write(&tarball, damage).unwrap();
        builds(&scene);
        assert_eq!(fs::read(&tarball).unwrap(), good);
    }
    let shown = scene.stage.run(&["env", "--json"]).ok().json();
    let home = shown["XDG_CACHE_HOME"].as_str().expect("a folder");
    assert!(tarball.starts_with(home), "{home}");
    fs::write(&tarball, "damaged").unwrap();
    scene.stage.run(&["env"]).ok();
    assert_eq!(fs::read(&tarball).unwrap(), good);
}

#[test]
fn only_the_bytes_that_the_lock_pins_are_cached() {
    let stage = Stage::mirrored();
    let pin = |outer: &str| {
        let package = format!(
            "{{ name = \"alpha\", version = \"1.0.0\", build_tools = [\"gleam\"], requirements = [], otp_app = \"alpha\", source = \"hex\", outer_checksum = \"{outer}\" }}"
        );
        stage.write("gleam.toml", "name = \"app\"\n");
        stage.write("manifest.toml", &format!("packages = [\n  {package},\n]\n\n[requirements]\n"));
    };
    fs::remove_file(stage.project.join("mix.lock")).unwrap();
    let right = stage.registry.get("alpha 1.0.0").outer.to_string().to_uppercase();
    let other = "0".repeat(64);
    let cached = |outer: &str| {
        stage.project.join(format!(".git/hexmirror/cache-home/gleam/hex/hexpm/packages/{outer}.tar")).exists()
    };
    pin(&other);
    stage.run(&["env"]).ok();
    assert!(!cached(&other), "the mirror's bytes have the name of others");
    pin(&right);
    stage.run(&["env"]).ok();
    assert!(cached(&right));
}
