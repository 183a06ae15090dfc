//! Installs whole locks, including git dependencies, without any network except loopback. If possible, this happens in
//! a separate network namespace.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::mix::mix_home;
use crate::support::forge::Scene;
use crate::support::sample::Sample;
use crate::support::stage::{PROGRAM, Ran, Stage};
use crate::{runs, told};

const NSQ: (&str, &str) = ("wistia/elixir_nsq", "b43616a08459451cc5afdcd9839b732cbc1dedfa");
const RUMMAGE: (&str, &str) = ("annkissam/rummage_ecto", "b9f6c94d8dc1ac9489efd28edfb91958b039a46e");

/// Prepares to run the program in a network namespace with only the loopback interface.
fn isolated(stage: &Stage, arguments: &[&str]) -> Command {
    let alone = "ip link set lo up && exec \"$@\"";
    if !runs(stage, "unshare", &["--net", "sh", "-c", alone, "sh", "true"], &[]) {
        eprintln!("skipped: no network namespace can be made here; the test goes on without one");
        return stage.bare_command_in(&stage.project, arguments);
    }
    let mut command = stage.sandbox.command("unshare", &stage.project);
    command.args(["--net", "sh", "-c", alone, "sh", PROGRAM]).args(arguments);
    command
}

/// Removes the configuration that redirects git to the forge.
fn without_forge(scene: Scene) -> Stage {
    let _ = fs::remove_file(scene.stage.sandbox.home().join(".gitconfig"));
    scene.stage
}

/// Checks that everything that the real lock pins is installed, with the options of each entry.
pub fn mix_exs(lock: &str) -> String {
    let dependency = |line: &str| {
        let name = line.trim().strip_prefix('"')?.split('"').next()?;
        Some(match name {
            "elixir_nsq" => format!(
                "{{:elixir_nsq, git: \"https://github.com/wistia/elixir_nsq\", ref: \"{}\", override: true}}",
                NSQ.1
            ),
            "rummage_ecto" => "{:rummage_ecto, git: \"https://github.com/annkissam/rummage_ecto.git\", branch: \"v2.0\", override: true}".into(),
            name => format!("{{:{name}, \">= 0.0.0\", override: true}}"),
        })
    };
    let dependencies: Vec<String> = lock.lines().filter_map(dependency).collect();
    assert_eq!(dependencies.len(), 34);
    format!(
        "defmodule App.MixProject do\n  use Mix.Project\n  def project, do: [app: :app, version: \"0.1.0\", deps: deps()]\n  defp deps do\n    [\n{}\n    ]\n  end\nend\n",
        dependencies.join(",\n")
    )
}

/// Serves the git dependencies of the real project in the place of GitHub.
pub fn with_real_repositories(sample: Sample) -> Scene {
    let data = sample.data.clone();
    let scene = Scene::of(sample.stage);
    scene.redirect("https://github.com/");
    for (name, _) in [NSQ, RUMMAGE] {
        let to = scene.forge.path(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        let mut copy = scene.sandbox().command("cp", "".as_ref());
        copy.arg("-r").arg(data.join(format!(".git_repo/{name}.git"))).arg(&to);
        assert!(copy.status().unwrap().success());
        // Empty folders are missing from the real data.
        fs::create_dir_all(to.join("refs")).unwrap();
    }
    scene
}

/// Asserts that mix installed everything that the lock of the real project pins.
#[track_caller]
pub fn has_whole_sample(project: &Path) {
    let deps = || fs::read_dir(project.join("deps")).unwrap().map(|dep| dep.unwrap().path());
    let with = |file: &str| deps().filter(|dep| dep.join(file).exists()).count();
    assert_eq!((with(".hex"), with(".git")), (32, 2));
}

/// Mirrors the whole real project, and prepares a mix.exs. Returns the lock.
pub fn whole_sample(sample: Sample) -> (Stage, String) {
    let lock = fs::read_to_string(sample.data.join("mix.lock")).unwrap();
    let scene = with_real_repositories(sample);
    scene.update();
    let stage = without_forge(scene);
    stage.write("mix.exs", &mix_exs(&lock));
    (stage, lock)
}

#[test]
fn mix_installs_the_whole_real_lock_without_a_network() {
    let Some(sample) = Sample::new() else { return };
    let Some(mix_home) = mix_home(&sample.stage) else { return };
    let data = sample.data.clone();
    let (stage, lock) = whole_sample(sample);
    let hex_home = stage.sandbox.path().join("hex");
    let with_hex = |command: &mut Command| Ran::of(command.env("MIX_HOME", &mix_home).env("HEX_HOME", &hex_home));
    let key = data.join(".hex_repo/public_key");
    let mut command = stage.sandbox.command("mix", &stage.project);
    with_hex(command.args(["hex.repo", "set", "hexpm", "--public-key"]).arg(key)).ok();

    let ran = with_hex(&mut isolated(&stage, &["run", "--", "mix", "deps.get"])).ok();
    // The compiler's message about a dependency's mix.exs.
    let about_source = "warning: found quoted keyword \"test\"";
    let told_of_it = told(&ran).replacen(about_source, "", 1);
    for nuisance in ["Failed to fetch", "warning", "unsafe", "out of date", "HTTP"] {
        assert!(!told_of_it.contains(nuisance), "{nuisance:?} is told: {told_of_it}");
    }
    assert_eq!(fs::read_to_string(stage.project.join("mix.lock")).unwrap(), lock, "the lock was changed");
    has_whole_sample(&stage.project);
    for (name, (_, revision)) in [("elixir_nsq", NSQ), ("rummage_ecto", RUMMAGE)] {
        assert_eq!(stage.sandbox.git(stage.project.join("deps").join(name), &["rev-parse", "HEAD"]), revision);
    }
    // mix considers everything up to date: a second run fetches nothing, even without a server.
    let ran = with_hex(stage.sandbox.command("mix", &stage.project).arg("deps")).ok();
    assert_eq!(told(&ran).matches("locked at").count(), 34, "{}", told(&ran));
    assert!(!told(&ran).contains("mismatch"), "{}", told(&ran));
}

#[test]
fn rebar3_installs_a_git_dependency_without_a_network() {
    let scene = Scene::new();
    if !runs(&scene.stage, "rebar3", &["version"], &[]) {
        return eprintln!("skipped: there is no rebar3");
    }
    let app_src = "{application, lib, [{vsn, \"1.2.3\"}, {applications, [kernel, stdlib]}]}.\n";
    let revision =
        scene.forge.commit("team/lib", "main", &[("src/lib.app.src", app_src), ("rebar.config", "{deps, []}.\n")]);
    scene.forge.commit("team/lib", "main", &[("later", "x")]);
    let dependency = format!("{{git,\"https://forge.test/team/lib.git\",{{ref,\"{revision}\"}}}}");
    scene.stage.write("rebar.config", &format!("{{deps, [{{lib, {dependency}}}]}}.\n"));
    // Formatted with the line breaks that rebar3 uses.
    let lock = format!("[{{<<\"lib\">>,\n  {},\n  0}}].\n", dependency.replace("{ref", "\n       {ref"));
    scene.stage.write("rebar.lock", &lock);
    scene.stage.write("src/app.app.src", "{application, app, [{vsn, \"1\"}, {applications, [kernel, stdlib]}]}.\n");
    scene.update();
    let stage = without_forge(scene);
    let ran = Ran::of(&mut isolated(&stage, &["run", "--", "rebar3", "get-deps"])).ok();
    let folder = stage.project.join("_build/default/lib/lib");
    assert_eq!(stage.sandbox.git(&folder, &["rev-parse", "HEAD"]), revision, "{ran:?}");
    assert!(!folder.join("later").exists());
    assert_eq!(fs::read_to_string(stage.project.join("rebar.lock")).unwrap(), lock);
}
