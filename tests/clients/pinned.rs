//! Real clients resolve a new requirement with nothing but the pinned index.

use std::fs;

use git_hexmirror::hex::gzip::gunzip;
use git_hexmirror::hex::registry::{Names, Package, Signed};
use git_hexmirror::model::RepositoryName;

use crate::mix::mix_home;
use crate::rebar3::trusting;
use crate::support::sample::Sample;
use crate::support::stage::{Ran, Serving, Stage};
use crate::{mirrored, nobody_was_asked, offline, runs, told};

/// The mirrored sample with a pinned index, and a server of it.
fn serving(sample: Sample) -> (Stage, Serving, String) {
    let stage = mirrored(sample);
    let index = Ran::of(&mut offline(&stage, "project", &["index", "--init", "--json"])).ok().json();
    let serving = Serving::start(&mut offline(&stage, "project", &["serve", "--listen=127.0.0.1:0"]));
    let url = format!("{}/pinned", serving.url);
    stage.write("fingerprint", index["signer"].as_str().expect("a fingerprint"));
    (stage, serving, url)
}

/// Requirements whose highest matching versions upstream are higher than the mirrored ones.
const MIX_EXS: &str = "defmodule App.MixProject do\n  use Mix.Project\n  def project, do: [app: :app, version: \"0.1.0\", deps: deps()]\n  defp deps, do: [{:plug_cowboy, \"~> 2.0\"}, {:jason, \">= 0.0.0\"}]\nend\n";

#[test]
fn mix_resolves_a_new_requirement_and_goes_back() {
    let Some(sample) = Sample::new() else { return };
    let Some(mix_home) = mix_home(&sample.stage) else { return };
    let (stage, serving, url) = serving(sample);
    let app = stage.sandbox.path().join("app");
    fs::create_dir_all(&app).unwrap();
    fs::write(app.join("mix.exs"), MIX_EXS).unwrap();
    let mix = |arguments: &[&str]| {
        let mut command = stage.sandbox.command("mix", &app);
        Ran::of(command.args(arguments).env("MIX_HOME", &mix_home).env("HEX_HOME", stage.sandbox.path().join("hex")))
    };
    let fingerprint = fs::read_to_string(stage.project.join("fingerprint")).unwrap();
    mix(&["hex.repo", "add", "hexpm", &url, "--fetch-public-key", &fingerprint]).ok();
    let ran = mix(&["deps.get"]).ok();
    let told = told(&ran);
    for nuisance in ["Failed to fetch", "warning", "unsafe"] {
        assert!(!told.contains(nuisance), "{nuisance:?} is told: {told}");
    }
    let lock = fs::read_to_string(app.join("mix.lock")).unwrap();
    let pinned = fs::read_to_string(stage.project.join("mix.lock")).unwrap();
    for name in ["plug_cowboy", "jason", "cowboy", "cowlib", "ranch", "plug", "telemetry"] {
        let line = |lock: &str| lock.lines().find(|line| line.contains(&format!("\"{name}\":"))).map(str::to_owned);
        // The lock also names the requirements of the parent, but not in these fields.
        let version = |lock: &str| line(lock).and_then(|line| line.split('"').nth(3).map(str::to_owned));
        assert_eq!(version(&lock), version(&pinned), "{name}");
        assert!(app.join("deps").join(name).join("hex_metadata.config").exists(), "{name}");
    }
    // The default address and key are back.
    mix(&["hex.repo", "remove", "hexpm"]).ok();
    let list = mix(&["hex.repo", "list"]).ok();
    assert!(list.stdout.contains("https://repo.hex.pm"), "{list:#?}");
    nobody_was_asked(&stage);
    serving.stop("TERM").ok();
}

#[test]
fn rebar3_resolves_a_new_requirement() {
    let Some(sample) = Sample::new() else { return };
    if !runs(&sample.stage, "rebar3", &["version"], &[]) {
        eprintln!("skipped: there is no rebar3");
        return;
    }
    let (stage, serving, url) = serving(sample);
    let app = stage.sandbox.path().join("app");
    fs::create_dir_all(app.join("src")).unwrap();
    fs::write(app.join("rebar.config"), "{deps, [{cowboy, \"~> 2.0\"}]}.\n").unwrap();
    fs::write(app.join("src/app.app.src"), "{application, app, [{vsn, \"1\"}, {applications, [kernel, stdlib]}]}.\n")
        .unwrap();
    let folder = stage.sandbox.home().join(".config/rebar3");
    fs::create_dir_all(&folder).unwrap();
    let key = stage.git(&["show", "hexmirror:hex/hexpm/index/public_key"]);
    fs::write(folder.join("rebar.config"), trusting(&key)).unwrap();
    let ran = Ran::of(stage.sandbox.command("rebar3", &app).arg("get-deps").env("HEX_CDN", &url)).ok();
    assert!(!told(&ran).contains("Failed"), "{ran:#?}");
    let lock = fs::read_to_string(app.join("rebar.lock")).unwrap();
    for version in ["<<\"cowboy\">>,<<\"2.9.0\">>", "<<\"cowlib\">>,<<\"2.11.0\">>", "<<\"ranch\">>,<<\"1.8.0\">>"] {
        assert!(lock.contains(version), "{lock}");
    }
    nobody_was_asked(&stage);
    serving.stop("TERM").ok();
}

/// Every field that `mix hex.registry build` writes over the same tarballs, decoded.
#[test]
fn the_index_has_what_hexs_own_tool_builds() {
    let Some(sample) = Sample::new() else { return };
    let Some(mix_home) = mix_home(&sample.stage) else { return };
    let tarballs = sample.data.join(".hex_repo/tarballs");
    let stage = mirrored(sample);
    Ran::of(&mut offline(&stage, "project", &["index", "--init"])).ok();
    let public = stage.sandbox.path().join("public");
    fs::create_dir_all(public.join("tarballs")).unwrap();
    for entry in fs::read_dir(tarballs).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, public.join("tarballs").join(path.file_name().unwrap())).unwrap();
    }
    let key = stage.project.join(".git/hexmirror/index-key.pem");
    let mut command = stage.sandbox.command("mix", stage.sandbox.path());
    let arguments = ["hex.registry", "build", public.to_str().unwrap(), "--name=hexpm"];
    let ran = Ran::of(
        command
            .args(arguments)
            .arg(format!("--private-key={}", key.display()))
            .env("MIX_HOME", &mix_home)
            .env("HEX_HOME", stage.sandbox.path().join("hex")),
    );
    ran.ok();
    let hexpm = RepositoryName::hexpm();
    let built = |file: &str| {
        let bytes = gunzip(&fs::read(public.join(file)).unwrap(), 1 << 24).unwrap();
        Signed::decode(&bytes).unwrap().unverified_payload().to_vec()
    };
    let listed = stage.git(&["ls-tree", "-r", "--name-only", "hexmirror", "hex/hexpm/index/"]);
    let ours = |file: &str| {
        // Entries are in shards, which this test need not know.
        let is_named = |path: &&str| path.rsplit('/').next() == Some(file);
        let path = format!("hexmirror:{}", listed.lines().find(is_named).unwrap());
        let mut command = stage.sandbox.command("git", &stage.project);
        let output = command.args(["cat-file", "blob", &path]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        Signed::decode(&output.stdout).unwrap().unverified_payload().to_vec()
    };
    let mut compared = 0;
    for entry in fs::read_dir(public.join("packages")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let package = name.parse().unwrap();
        let decode = |payload: &[u8]| Package::decode(payload, &hexpm, &package).unwrap();
        let mut expected = decode(&built(&format!("packages/{name}")));
        // An application that is named like its package is the default (registry/package.proto).
        for dependency in expected.releases.iter_mut().flat_map(|release| &mut release.dependencies) {
            dependency.app = dependency.app.take().filter(|app| app != dependency.package.as_str());
        }
        assert_eq!(decode(&ours(&name)), expected, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 32);
    assert_eq!(ours("versions"), built("versions"));
    let names = |payload: Vec<u8>| {
        let names = Names::decode(&payload, &hexpm).unwrap().packages;
        names.into_iter().map(|entry| entry.name).collect::<Vec<_>>()
    };
    assert_eq!(names(ours("names")), names(built("names")));
}
