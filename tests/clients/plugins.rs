//! Plugins of rebar3 that a dependency needs to compile, under mix and under rebar3, offline.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use crate::mix::mix_home;
use crate::rebar3::trusting;
use crate::support::registry::{Registry, key};
use crate::support::stage::{Ran, Stage};
use crate::support::upstream::TestUpstream;
use crate::{nobody_was_asked, runs, told};

/// What the plugin writes into each application that asks for it, with the help of its own dependency.
const MADE: &str = "made by maker with paint 0.2.0";
const MAKER: &str = "-module(maker).\n-export([init/1, do/1, format_error/1]).\n\
    init(State) ->\n    {ok, rebar_state:add_provider(State, providers:create([{name, make}, {namespace, maker},\n        \
    {module, ?MODULE}, {bare, true}, {deps, []}, {example, \"\"}, {opts, []}, {short_desc, \"\"}, {desc, \"\"}]))}.\n\
    do(State) ->\n    Apps = case rebar_state:current_app(State) of undefined -> rebar_state:project_apps(State); App -> [App] end,\n    \
    [ok = file:write_file(filename:join(rebar_app_info:dir(App), \"made\"), [\"made by maker with \", paint:text()]) || App <- Apps],\n    \
    {ok, State}.\nformat_error(_) -> \"\".\n";
const NATIVE: &str =
    "{plugins, [maker]}.\n{provider_hooks, [{pre, [{compile, {maker, make}}]}]}.\n{project_plugins, [nowhere]}.\n";

fn application(name: &str, version: &str, files: &[(&str, String)]) -> Vec<(String, String)> {
    let source = format!("{{application, {name}, [{{vsn, \"{version}\"}}, {{applications, [kernel, stdlib]}}]}}.\n");
    let own = [(format!("src/{name}.app.src"), source)];
    own.into_iter().chain(files.iter().map(|(path, text)| ((*path).to_owned(), text.clone()))).collect()
}

/// A package that needs a plugin to compile, the plugin, and what the plugin depends on.
fn registry() -> Registry {
    let mut registry = Registry::default();
    let native = application(
        "native",
        "1.0.0",
        &[("rebar.config", NATIVE.into()), ("src/native.erl", "-module(native).\n".into())],
    );
    registry.publish("native 1.0.0", &[], &native);
    registry.publish(
        "maker 1.0.0",
        &["paint ~> 0.1"],
        &application("maker", "1.0.0", &[("src/maker.erl", MAKER.into())]),
    );
    for version in ["0.1.0", "0.2.0"] {
        let text = format!("-module(paint).\n-export([text/0]).\ntext() -> \"paint {version}\".\n");
        registry.publish(&format!("paint {version}"), &[], &application("paint", version, &[("src/paint.erl", text)]));
    }
    registry
}

/// Returns a project whose mirror was made by `update`, with a rebar3 that trusts its registry, after upstream got newer
/// versions and stopped. `None`, with a message, if there is no rebar3.
fn prepare(prepare: impl FnOnce(&Stage)) -> Option<Stage> {
    let mut stage = Stage::without_lock(registry());
    if !runs(&stage, "rebar3", &["version"], &[]) {
        eprintln!("skipped: there is no rebar3");
        return None;
    }
    prepare(&stage);
    let folder = stage.sandbox.home().join(".config/rebar3");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("rebar.config"), trusting(&key().public_key().to_pem())).unwrap();
    stage.run(&["update"]).ok();
    stage.run(&["status"]).ok();
    let nowhere = tempfile::tempdir().expect("a temporary folder");
    stage.upstream = TestUpstream::serve(nowhere.path());
    Some(stage)
}

/// Removes what was built, but not rebar3's cache.
fn clean(stage: &Stage) {
    for folder in ["deps", "_build"] {
        let _ = fs::remove_dir_all(stage.project.join(folder));
    }
}

#[track_caller]
fn compiled(stage: &Stage, ran: Ran, made: &str) {
    let ran = ran.ok();
    let told = told(&ran);
    assert!(!told.contains("Errors loading plugin"), "{told}");
    assert_eq!(fs::read_to_string(stage.project.join(made)).unwrap_or_default(), MADE, "{told}");
    nobody_was_asked(stage);
}

fn rebar3() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join("rebar3")).find(|path| path.exists())
}

fn mix(stage: &Stage, mix_home: &OsString, arguments: &[&str]) -> Ran {
    let mut command = stage.command(&[&["run", "--offline", "--", "mix"], arguments].concat());
    command.env("MIX_HOME", mix_home).env("HEX_HOME", stage.sandbox.path().join("hex")).env("HEX_HTTP_TIMEOUT", "120");
    Ran::of(command.env("MIX_REBAR3", rebar3().expect("it ran")))
}

#[test]
fn mix_compiles_a_dependency_that_needs_a_plugin() {
    let stage = prepare(|stage| {
        stage.lock(&["native 1.0.0"]);
        stage.write(
            "mix.exs",
            "defmodule App.MixProject do\n  use Mix.Project\n  def project, do: [app: :app, version: \"0.1.0\", \
             deps: [{:native, \"1.0.0\"}]]\nend\n",
        );
    });
    let Some(stage) = stage else { return };
    let Some(mix_home) = mix_home(&stage) else { return };
    let public_key = stage.sandbox.path().join("hexpm.pem");
    mix(&stage, &mix_home, &["hex.repo", "set", "hexpm", "--public-key", public_key.to_str().unwrap()]).ok();
    // First with an empty cache of rebar3, then with a full one.
    for _ in 0..2 {
        clean(&stage);
        mix(&stage, &mix_home, &["deps.get"]).ok();
        compiled(&stage, mix(&stage, &mix_home, &["deps.compile"]), "deps/native/made");
    }
}

#[test]
fn rebar3_compiles_a_dependency_that_needs_a_plugin() {
    let stage = prepare(|stage| {
        stage.write("rebar.config", "{deps, [native]}.\n{project_plugins, [maker]}.\n");
        stage.write("rebar.lock", &stage.registry.rebar_lock(&["native 1.0.0"]));
        for (path, text) in application("app", "1", &[]) {
            stage.write(&path, &text);
        }
    });
    let Some(stage) = stage else { return };
    for _ in 0..2 {
        clean(&stage);
        let ran = stage.run(&["run", "--offline", "--", "rebar3", "compile"]);
        compiled(&stage, ran, "_build/default/lib/native/made");
    }
}
