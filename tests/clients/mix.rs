//! mix with Hex, configured only by `HEX_MIRROR`: no HEX_NO_VERIFY_REPO_ORIGIN, no HEX_UNSAFE_REGISTRY.
//!
//! Hex itself comes from the folder in HEXMIRROR_TEST_MIX_HOME or MIX_HOME, or else from the user's `~/.mix`.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::support::registry::Registry;
use crate::support::sample::Sample;
use crate::support::stage::{Ran, Serving, Stage};
use crate::support::upstream::TestUpstream;
use crate::{led, mirrored, nobody_was_asked, offline, runs, told};

/// Returns the folder of mix's archives. `None`, with a message, if mix or Hex is missing.
pub fn mix_home(stage: &Stage) -> Option<OsString> {
    let mix_home = std::env::var_os("HEXMIRROR_TEST_MIX_HOME").or_else(|| std::env::var_os("MIX_HOME"));
    let mix_home = mix_home.or_else(|| std::env::home_dir().map(|home| home.join(".mix").into_os_string()))?;
    if !runs(stage, "mix", &["hex.info"], &[("MIX_HOME", mix_home.to_str()?)]) {
        eprintln!("skipped: there is no mix with Hex (set HEXMIRROR_TEST_MIX_HOME)");
        return None;
    }
    Some(mix_home)
}

/// A stage whose project has a mix.exs for the real lock, and the folder of mix's archives. `None`, with a message, if
/// anything is missing.
fn prepare() -> Option<(Stage, OsString)> {
    let sample = Sample::new()?;
    let mix_home = mix_home(&sample.stage)?;
    let lock = sample.without_git();
    let public_key = sample.data.join(".hex_repo/public_key");
    let stage = mirrored(sample);
    stage.write("mix.lock", &lock);
    stage.write("mix.exs", &mix_exs(&lock));
    // The sample's registry is signed with its own key, which Hex receives as any user would configure it.
    let arguments = ["hex.repo", "set", "hexpm", "--public-key", public_key.to_str()?];
    mix(&stage, &arguments, &mix_home).ok();
    Some((stage, mix_home))
}

/// Requires every package in the lock, in any version.
fn mix_exs(lock: &str) -> String {
    let names = lock.lines().filter_map(|line| line.trim().strip_prefix('"')?.split('"').next());
    let deps: Vec<_> = names.map(|name| format!("      {{:{name}, \">= 0.0.0\", override: true}}")).collect();
    assert_eq!(deps.len(), 32);
    let deps = deps.join(",\n");
    format!(
        "defmodule App.MixProject do\n  use Mix.Project\n  def project, do: [app: :app, version: \"0.1.0\", deps: deps()]\n  defp deps do\n    [\n{deps}\n    ]\n  end\nend\n"
    )
}

fn mix(stage: &Stage, arguments: &[&str], mix_home: &OsString) -> Ran {
    let mut command = stage.sandbox.command("mix", &stage.project);
    Ran::of(command.args(arguments).env("MIX_HOME", mix_home).env("HEX_HOME", stage.sandbox.path().join("hex")))
}

#[track_caller]
fn installed(stage: &Stage, lock: &[u8], ran: Ran) {
    let ran = ran.ok();
    let told = told(&ran);
    for nuisance in ["Failed to fetch", "warning", "unsafe", "out of date", "HTTP"] {
        assert!(!told.contains(nuisance), "{nuisance:?} is told: {told}");
    }
    assert_eq!(fs::read(stage.project.join("mix.lock")).unwrap(), lock, "the lock was changed");
    let deps = fs::read_dir(stage.project.join("deps")).unwrap();
    assert_eq!(deps.filter(|dep| Path::new(&dep.as_ref().unwrap().path()).join(".hex").exists()).count(), 32);
    nobody_was_asked(stage);
}

#[test]
fn installs_through_run_from_an_empty_home() {
    let Some((stage, mix_home)) = prepare() else { return };
    let lock = fs::read(stage.project.join("mix.lock")).unwrap();
    let mut command = offline(&stage, "project", &["run", "--", "mix", "deps.get"]);
    command.env("MIX_HOME", &mix_home).env("HEX_HOME", stage.sandbox.path().join("hex"));
    installed(&stage, &lock, Ran::of(&mut command));
}

#[test]
fn the_kept_project_of_the_demo_gets_its_packages() {
    let stage = Stage::new();
    let Some(mix_home) = mix_home(&stage) else { return };
    Ran::of(&mut stage.bare_command_in("project", &["demo", "--keep", "../demo"])).ok();
    let run = |arguments: &[&str]| {
        let mut command = stage.bare_command_in("demo", arguments);
        Ran::of(command.env("MIX_HOME", &mix_home).env("HEX_HOME", stage.sandbox.path().join("hex"))).ok()
    };
    run(&["run", "--", "mix", "hex.repo", "set", "hexpm", "--public-key", "hex.pem"]);
    run(&["run", "--", "mix", "deps.get"]);
    assert!(stage.sandbox.path().join("demo/deps/party/.hex").exists());
}

/// What the mirror promises: it contains everything that the build needs.
#[test]
fn the_whole_build_needs_nothing_but_the_mirror() {
    let Some((stage, mix_home)) = prepare() else { return };
    let lock = fs::read(stage.project.join("mix.lock")).unwrap();
    // mix's own copy of rebar3 is not part of the mirror.
    let on_path = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|folder| folder.join("rebar3")).find(|program| program.is_file())
    });
    let Some(rebar3) = on_path else {
        eprintln!("skipped: there is no rebar3");
        return;
    };
    let build = ["run", "--offline", "--", "mix", "do", "deps.get", "+", "deps.compile"];
    let mut command = offline(&stage, "project", &build);
    command.env("MIX_HOME", &mix_home).env("HEX_HOME", stage.sandbox.path().join("hex"));
    command.env("MIX_REBAR3", rebar3);
    let ran = Ran::of(&mut command).ok().says("offline: the command asked the proxy for nothing but the mirror");
    assert!(told(&ran).contains("Generated jason app"), "{ran:?}");
    assert_eq!(fs::read(stage.project.join("mix.lock")).unwrap(), lock, "the lock was changed");
    nobody_was_asked(&stage);
}

#[test]
fn installs_through_serve_with_hex_mirror_alone() {
    let Some((stage, mix_home)) = prepare() else { return };
    let lock = fs::read(stage.project.join("mix.lock")).unwrap();
    let serving = Serving::start(&mut offline(&stage, "project", &["serve", "--listen=127.0.0.1:0"]));
    let mut command = stage.sandbox.command("mix", &stage.project);
    command
        .args(["deps.get"])
        .env("MIX_HOME", &mix_home)
        .env("HEX_HOME", stage.sandbox.path().join("hex"))
        .env("HEX_MIRROR", &serving.url);
    installed(&stage, &lock, Ran::of(&mut command));
    serving.stop("TERM").ok();
}

#[test]
fn installs_over_https_with_what_env_prints() {
    let Some((stage, mix_home)) = prepare() else { return };
    let lock = fs::read(stage.project.join("mix.lock")).unwrap();
    let serving = Serving::start(&mut offline(&stage, "project", &["serve", "--tls", "--listen=127.0.0.1:0"]));
    let mut command = stage.sandbox.command("mix", &stage.project);
    led(&stage, &serving, &mut command).arg("deps.get");
    command.env("MIX_HOME", &mix_home).env("HEX_HOME", stage.sandbox.path().join("hex"));
    installed(&stage, &lock, Ran::of(&mut command));
    serving.stop("TERM").ok();
}

#[test]
fn missing_packages_are_reported_after_mix_fails() {
    let Some((stage, mix_home)) = prepare() else { return };
    let lock = fs::read_to_string(stage.project.join("mix.lock")).unwrap();
    let pinned = lock.lines().find(|line| line.starts_with("  \"jason\":")).expect("jason is pinned");
    let version = pinned.split('"').nth(3).expect("a version");
    stage.write("mix.lock", &lock.replace(pinned, &pinned.replacen(version, "1.4.99", 1)));
    let mut command = offline(&stage, "project", &["run", "--", "mix", "deps.get"]);
    command.env("MIX_HOME", &mix_home).env("HEX_HOME", stage.sandbox.path().join("hex"));
    let ran = Ran::of(&mut command);
    assert_ne!(ran.code, Some(0));
    ran.says("the mirror lacks what mix.lock pins: jason 1.4.99; run `git hexmirror update`");
}

#[test]
fn refuses_a_registry_that_no_key_it_trusts_has_signed() {
    let Some((stage, mix_home)) = prepare() else { return };
    // `run` would give Hex the key that this program's settings have.
    let serving = Serving::start(&mut offline(&stage, "project", &["serve", "--listen=127.0.0.1:0"]));
    fs::remove_dir_all(stage.sandbox.path().join("hex")).unwrap();
    let mut command = stage.sandbox.command("mix", &stage.project);
    command.arg("deps.get").env("HEX_MIRROR", &serving.url);
    command.env("MIX_HOME", &mix_home).env("HEX_HOME", stage.sandbox.path().join("hex"));
    let ran = Ran::of(&mut command);
    assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
    serving.stop("TERM").ok();
}

#[test]
fn commands_that_look_for_news_say_how_old_the_answer_is() {
    let mut stage = Stage::with(Registry::sample(), &["alpha 1.0.0"]);
    let Some(mix_home) = mix_home(&stage) else { return };
    let project = |stage: &Stage, deps: &str| {
        let text = format!(
            "defmodule App.MixProject do\n  use Mix.Project\n  def project, do: [app: :app, version: \"0.1.0\", deps: [{deps}]]\nend\n"
        );
        stage.write("mix.exs", &text);
    };
    project(&stage, "{:alpha, \"~> 1.0\"}");
    stage.git(&["add", "--all"]);
    stage.git(&["commit", "--quiet", "--message", "Begin"]);
    stage.run(&["update"]).ok();
    let nowhere = tempfile::tempdir().unwrap();
    stage.upstream = TestUpstream::serve(nowhere.path());
    let run = |arguments: &[&str], notice: &str| {
        let mut command = stage.command(&[&["run", "--", "mix"], arguments].concat());
        // A busy machine may take longer than the 15 seconds that Hex waits by default.
        command
            .env("MIX_HOME", &mix_home)
            .env("HEX_HOME", stage.sandbox.path().join("hex"))
            .env("HEX_HTTP_TIMEOUT", "120");
        let ran = Ran::of(&mut command);
        let lines: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("gets its answers")).collect();
        let expected = usize::from(!notice.is_empty());
        assert_eq!(lines.len(), expected, "{arguments:?}: {ran:?}");
        assert!(
            lines.iter().all(|line| line.starts_with(&format!("git-hexmirror: {notice} from the mirror as of 20"))),
            "{ran:?}"
        );
        ran
    };
    run(&["deps.get"], "").ok();
    // The mirror's entry lists a newer release, as upstream signed it.
    run(&["hex.outdated"], "`mix hex.outdated` gets its answers").prints("1.1.0");
    run(&["hex.audit"], "`mix hex.audit` gets its answers").ok();
    let update = run(&["deps.update", "alpha"], "`mix deps.update` gets its answers");
    update.says("the mirror lacks and no lock pins: alpha 1.1.0");
    project(&stage, "{:alpha, \"~> 1.0 and < 1.1.0\"}");
    run(&["do", "deps.get", "+", "help"], "`mix deps.get` gets its answers for the changed mix.exs").ok();
    nobody_was_asked(&stage);
}
