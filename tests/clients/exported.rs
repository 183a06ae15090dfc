//! Real clients install from an exported folder, which nginx serves.

use std::fs;
use std::process::Command;

use crate::mix::mix_home;
use crate::support::forge::Scene;
use crate::support::nginx::Nginx;
use crate::support::sample::Sample;
use crate::support::stage::{Ran, Stage};
use crate::{nobody_was_asked, offline, rebar3, runs, told};

/// Exports the mirror of a folder of the stage, and serves the files.
fn exported(stage: &Stage, folder: &str, options: &[&str]) -> Option<Nginx> {
    let www = stage.sandbox.path().join("www");
    let arguments = [&["export", www.to_str().unwrap()], options].concat();
    Ran::of(&mut offline(stage, folder, &arguments)).ok();
    Nginx::serve(&stage.sandbox, &www)
}

/// Runs a command with the variables that `env` prints for a server.
fn led(stage: &Stage, nginx: &Nginx, command: &mut Command) -> Ran {
    let folder = command.get_current_dir().expect("a folder of the stage").to_owned();
    let arguments = ["env", "--json", "--url", &nginx.url];
    let variables = Ran::of(&mut offline(stage, folder.to_str().unwrap(), &arguments)).ok().json();
    for (name, value) in variables.as_object().expect("an object") {
        match value.as_str() {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Ran::of(command)
}

#[test]
fn mix_installs_packages_and_git_dependencies() {
    let Some(sample) = Sample::new() else { return };
    let Some(mix_home) = mix_home(&sample.stage) else { return };
    let (stage, lock) = crate::git::whole_sample(sample);
    let Some(nginx) = exported(&stage, "project", &[]) else { return };
    let mut command = stage.sandbox.command("mix", &stage.project);
    command.env("MIX_HOME", &mix_home).env("HEX_HOME", stage.sandbox.path().join("hex"));
    // The sample's registry is signed with its own key, which the export has.
    let key = stage.sandbox.path().join("www/public_key");
    Ran::of(command.args(["hex.repo", "set", "hexpm", "--public-key"]).arg(key)).ok();
    let mut command = stage.sandbox.command("mix", &stage.project);
    command.env("MIX_HOME", &mix_home).env("HEX_HOME", stage.sandbox.path().join("hex"));
    let told = told(&led(&stage, &nginx, command.arg("deps.get")).ok());
    for nuisance in ["Failed to check", "unsafe", "out of date"] {
        assert!(!told.contains(nuisance), "{nuisance:?} is told: {told}");
    }
    assert_eq!(fs::read_to_string(stage.project.join("mix.lock")).unwrap(), lock, "the lock was changed");
    crate::git::has_whole_sample(&stage.project);
}

#[test]
fn rebar3_installs_from_an_empty_cache() {
    let Some(stage) = rebar3::prepare(true) else { return };
    let Some(nginx) = exported(&stage, "app", &[]) else { return };
    let mut command = stage.sandbox.command("rebar3", &stage.sandbox.path().join("app"));
    rebar3::installed(&stage, Ran::of(command.arg("get-deps").env("HEX_CDN", &nginx.url)));
}

#[test]
fn mix_resolves_with_the_pinned_index() {
    let Some(sample) = Sample::new() else { return };
    let Some(mix_home) = mix_home(&sample.stage) else { return };
    let stage = crate::mirrored(sample);
    let signer = stage.run(&["index", "--init", "--json"]).ok().json()["signer"].as_str().unwrap().to_owned();
    let Some(nginx) = exported(&stage, "project", &["--registry=pinned"]) else { return };
    stage.write("mix.exs", "defmodule App.MixProject do\n  use Mix.Project\n  def project, do: [app: :app, version: \"0.1.0\", deps: [{:phoenix, \">= 0.0.0\"}]]\nend\n");
    fs::remove_file(stage.project.join("mix.lock")).unwrap();
    let mix = |arguments: &[&str]| {
        let mut command = stage.sandbox.command("mix", &stage.project);
        command.env("MIX_HOME", &mix_home).env("HEX_HOME", stage.sandbox.path().join("hex"));
        Ran::of(command.args(arguments)).ok()
    };
    mix(&["hex.repo", "add", "hexpm", &nginx.url, "--fetch-public-key", &signer]);
    mix(&["deps.get"]);
    assert!(stage.project.join("deps/phoenix/.hex").exists());
    nobody_was_asked(&stage);
}

/// git uses the smart protocol only if a program answers, here git itself over the same folder.
#[test]
fn git_clones_by_both_protocols() {
    let scene = Scene::new();
    let revision = scene.forge.commit("team/lib", "main", &[("a", "1"), ("b", &"x".repeat(5000))]);
    let hidden = scene.forge.commit("team/lib", "main", &[("later", "x")]);
    scene.lock(&[("lib", "team/lib", &hidden, ""), ("old", "team/lib", &revision, "")]);
    scene.update();
    scene.lock(&[("lib", "team/lib", &revision, "")]);
    let stage = &scene.stage;
    let Some(nginx) = exported(stage, "project", &[]) else { return };
    let www = stage.sandbox.path().join("www/git");
    let addresses = [
        ("dumb", format!("{}/git/forge.test/team/lib.git", nginx.url)),
        ("without-git", format!("{}/git/forge.test/team/lib", nginx.url)),
        ("local", www.join("forge.test/team/lib.git").to_str().unwrap().to_owned()),
    ];
    for (name, address) in addresses {
        stage.sandbox.git("", &["clone", "--quiet", &address, name]);
        assert_eq!(stage.sandbox.git(name, &["rev-parse", "HEAD"]), revision, "{name}");
        stage.sandbox.git(name, &["fsck", "--strict"]);
    }
    if !runs(stage, "git", &["http-backend", "--help"], &[]) {
        return eprintln!("skipped: there is no git http-backend");
    }
    let mut command = stage.sandbox.command("git", "".as_ref());
    command.arg("http-backend").env("GIT_PROJECT_ROOT", &www).env("REQUEST_METHOD", "GET");
    command.env("PATH_INFO", "/forge.test/team/lib/info/refs").env("QUERY_STRING", "service=git-upload-pack");
    let ran = Ran::of(&mut command).ok().prints("application/x-git-upload-pack-advertisement").prints(&revision);
    assert!(!ran.stdout.contains(&hidden), "no lock pins it");
}
