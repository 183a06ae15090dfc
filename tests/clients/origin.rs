//! Clients for a company's mirror of hex.pm that signs everything anew, with its own key, or also in its own name.

use std::fs;

use git_hexmirror::hex::gzip::gzip;

use crate::mix::mix_home;
use crate::rebar3::trusting;
use crate::support::registry::{Registry, key};
use crate::support::stage::{Ran, Stage};
use crate::support::upstream::TestUpstream;
use crate::{nobody_was_asked, runs, told};

const MIX_EXS: &str = "defmodule App.MixProject do\n  use Mix.Project\n  def project, do: [app: :app, version: \"0.1.0\", deps: [{:alpha, \"1.0.0\"}]]\nend\n";

#[test]
fn hex_accepts_the_name_if_this_program_does() {
    let mut registry = Registry::sample();
    registry.forge("alpha", gzip(&registry.signed_as("alpha", "company/alpha", key())));
    let mut stage = Stage::with(registry, &["alpha 1.0.0"]);
    let Some(mix_home) = mix_home(&stage) else { return };
    stage.write("mix.exs", MIX_EXS);
    stage.git(&["config", "hexmirror.noVerifyRepoOrigin", "true"]);
    stage.run(&["update"]).ok();
    let nowhere = tempfile::tempdir().expect("a temporary folder");
    stage.upstream = TestUpstream::serve(nowhere.path());
    let install = || {
        let mut command = stage.command(&["run", "--", "mix", "deps.get"]);
        command.env("MIX_HOME", &mix_home).env("HEX_HOME", stage.sandbox.path().join("hex"));
        // A busy machine may take longer than the 15 seconds that Hex waits by default.
        command.env("HEX_HTTP_TIMEOUT", "120");
        Ran::of(&mut command)
    };
    let ran = install().ok();
    let told = told(&ran);
    assert!(!told.contains("Failed") && stage.project.join("deps/alpha/.hex").exists(), "{told}");
    fs::remove_dir_all(stage.project.join("deps")).expect("installed packages");
    // The server does not serve what is not accepted here.
    stage.git(&["config", "hexmirror.noVerifyRepoOrigin", "false"]);
    let ran = install();
    assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
    nobody_was_asked(&stage);
}

#[test]
fn hex_gets_the_key_that_this_programs_settings_give_hexpm() {
    let mut stage = Stage::with(Registry::sample(), &["alpha 1.0.0"]);
    let Some(mix_home) = mix_home(&stage) else { return };
    stage.write("mix.exs", MIX_EXS);
    stage.run(&["update"]).ok();
    let nowhere = tempfile::tempdir().expect("a temporary folder");
    stage.upstream = TestUpstream::serve(nowhere.path());
    let hex_home = stage.sandbox.path().join("hex");
    let install = |arguments: &[&str]| {
        let mut command = stage.command(arguments);
        command.env("MIX_HOME", &mix_home).env("HEX_HOME", &hex_home).env("HEX_HTTP_TIMEOUT", "120");
        Ran::of(&mut command)
    };
    for folder in ["an empty HEX_HOME", "one that is used"] {
        eprintln!("{folder}");
        let ran = install(&["run", "--", "mix", "deps.get"]).ok();
        assert!(stage.project.join("deps/alpha/.hex").exists(), "{}", told(&ran));
        fs::remove_dir_all(stage.project.join("deps")).expect("installed packages");
        assert!(!hex_home.join("hex.config").exists());
    }
    nobody_was_asked(&stage);
    // If Hex has that key by itself, it keeps its own folder and cache.
    let pem = stage.sandbox.path().join("hexpm.pem");
    let set = ["hex.repo", "set", "hexpm", "--public-key", pem.to_str().expect("a path in Unicode")];
    let mut mix = stage.sandbox.command("mix", &stage.project);
    Ran::of(mix.args(set).env("MIX_HOME", &mix_home).env("HEX_HOME", &hex_home)).ok();
    let shown = install(&["run", "--", "sh", "-c", "echo $HEX_HOME"]).ok();
    assert_eq!(shown.stdout.trim(), hex_home.to_str().expect("a path in Unicode"));
    install(&["run", "--", "mix", "deps.get"]).ok();
    assert!(stage.project.join("deps/alpha/.hex").exists());
}

#[test]
fn rebar3_accepts_the_name_if_this_program_does() {
    let mut registry = Registry::sample();
    let app = "{application, erl, [{vsn, \"1.0.0\"}, {applications, [kernel, stdlib]}]}.\n";
    registry.publish("erl 1.0.0", &[], &[("src/erl.app.src".into(), app.into())]);
    registry.forge("erl", gzip(&registry.signed_as("erl", "company/erl", key())));
    let mut stage = Stage::without_lock(registry);
    if !runs(&stage, "rebar3", &["version"], &[]) {
        eprintln!("skipped: there is no rebar3");
        return;
    }
    stage.write("rebar.config", "{deps, [{erl, \"1.0.0\"}]}.\n");
    stage.write("rebar.lock", &stage.registry.rebar_lock(&["erl 1.0.0"]));
    let folder = stage.sandbox.home().join(".config/rebar3");
    fs::create_dir_all(&folder).expect("a writable folder");
    fs::write(folder.join("rebar.config"), trusting(&key().public_key().to_pem())).expect("a writable folder");
    stage.git(&["config", "hexmirror.noVerifyRepoOrigin", "true"]);
    stage.run(&["update"]).ok();
    let nowhere = tempfile::tempdir().expect("a temporary folder");
    stage.upstream = TestUpstream::serve(nowhere.path());
    let ran = stage.run(&["run", "--", "rebar3", "get-deps"]).ok();
    assert!(stage.project.join("_build/default/lib/erl/src/erl.app.src").exists(), "{}", told(&ran));
    fs::remove_dir_all(stage.project.join("_build")).expect("installed packages");
    // The reason for a variable of its own. If rebar3 changes, this test says so.
    let without = ["run", "--", "env", "-u", "REBAR_NO_VERIFY_REPO_ORIGIN", "rebar3", "get-deps"];
    fs::remove_dir_all(stage.sandbox.home().join(".cache/rebar3")).expect("a cache");
    let ran = stage.run(&without);
    assert!(ran.code.is_some_and(|code| code != 0), "{}", told(&ran));
    nobody_was_asked(&stage);
}
