//! mix with a Hex that enforces policies (from 2.5), which asks the mirror for them.

use std::ffi::OsString;
use std::fs;
use std::process::Command;

use crate::mix::mix_home;
use crate::support::registry::{Registry, key, policy};
use crate::support::stage::{Ran, Stage};
use crate::support::upstream::TestUpstream;
use crate::{nobody_was_asked, told};

const STRICT: &str = "hexpm:acme/strict";

/// A project that needs packages of hexpm and of an organisation.
struct Scene {
    stage: Stage,
    mix_home: OsString,
}

/// `None`, with a message, if there is no mix with Hex, or only an older one that ignores policies.
fn prepare() -> Option<Scene> {
    let stage = Stage::with(Registry::sample(), &["alpha 1.0.0", "hexpm:acme/secret 0.1.0"]);
    let mix_home = mix_home(&stage)?;
    let asks = stage
        .sandbox
        .command("mix", stage.sandbox.path())
        .args(["help", "hex.policy"])
        .env("MIX_HOME", &mix_home)
        .output();
    if !asks.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this Hex knows no policies");
        return None;
    }
    stage.upstream.put("repos/acme/policies/strict", &policy(STRICT, "one", key()));
    let scene = Scene { stage, mix_home };
    scene.write_project("");
    Some(scene)
}

impl Scene {
    fn write_project(&self, hex: &str) {
        let text = format!(
            "defmodule App.MixProject do\n  use Mix.Project\n  def project, do: [app: :app, version: \"0.1.0\", deps: deps(){hex}]\n  \
             defp deps, do: [{{:alpha, \"1.0.0\"}}, {{:secret, \"0.1.0\", organization: \"acme\"}}]\nend\n"
        );
        self.stage.write("mix.exs", &text);
    }

    /// Mirrors what the project needs, and stops upstream.
    fn offline(mut self, variables: &[(&str, &str)]) -> Self {
        self.stage.run_with(&["update"], variables).ok();
        let nowhere = tempfile::tempdir().expect("a temporary folder");
        self.stage.upstream = TestUpstream::serve(nowhere.path());
        self
    }

    fn client(&self, arguments: &[&str]) -> Command {
        let mut command = self.stage.command(&[&["run", "--"], arguments].concat());
        command
            .env("MIX_HOME", &self.mix_home)
            .env("HEX_HOME", self.stage.sandbox.path().join("hex"))
            .env("HEX_API_URL", "http://127.0.0.1:1/api")
            // A busy machine may take longer than the 15 seconds that Hex waits by default.
            .env("HEX_HTTP_TIMEOUT", "120");
        command
    }

    /// Gives the organisation a key in the user's Hex configuration, so that `HEX_MIRROR` does not redirect it.
    fn configure(&self, more: &str) {
        let home = self.stage.sandbox.path().join("hex");
        fs::create_dir_all(&home).expect("a writable folder");
        let repositories = "{'$repos',#{<<\"hexpm:acme\">> => #{auth_key => <<\"top-secret\">>}}}.\n";
        fs::write(home.join("hex.config"), format!("{repositories}{more}")).expect("a writable folder");
    }

    #[track_caller]
    fn installed(&self, ran: Ran) {
        let ran = ran.ok();
        let told = told(&ran);
        for nuisance in ["Failed", "HTTP", "not cached", "deprecated"] {
            assert!(!told.contains(nuisance), "{nuisance:?} is told: {told}");
        }
        for name in ["alpha", "secret"] {
            assert!(self.stage.project.join("deps").join(name).join(".hex").exists(), "{name}: {told}");
        }
        nobody_was_asked(&self.stage);
        fs::remove_dir_all(self.stage.project.join("deps")).expect("installed packages");
    }
}

#[test]
fn hex_gets_its_policy_from_the_mirror() {
    let Some(scene) = prepare() else { return };
    let scene = scene.offline(&[("HEX_POLICY", STRICT)]);
    let install = || Ran::of(scene.client(&["mix", "deps.get"]).env("HEX_POLICY", STRICT));
    scene.installed(install());
    scene.configure("");
    scene.installed(install());
    // Hex read the rules, too.
    let shown = Ran::of(scene.client(&["mix", "hex.policy", "show"]).env("HEX_POLICY", STRICT)).ok();
    let told = told(&shown);
    assert!(told.contains("acme/strict") && told.contains("gamma"), "{told}");
    // The user's own Hex configuration names it.
    scene.configure("{policy,<<\"hexpm:acme/strict\">>}.\n");
    scene.installed(Ran::of(&mut scene.client(&["mix", "deps.get"])));
    // The project names it.
    scene.configure("");
    scene.write_project(", hex: [policy: [org: \"acme\", name: \"strict\"]]");
    scene.installed(Ran::of(&mut scene.client(&["mix", "deps.get"])));
}

#[test]
fn a_policy_that_the_mirror_lacks_is_named() {
    let Some(scene) = prepare() else { return };
    let scene = scene.offline(&[]);
    // Hex stops without its policy, even though the lock is complete.
    let ran = Ran::of(scene.client(&["mix", "deps.get"]).env("HEX_POLICY", STRICT));
    assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
    ran.says("the policy hexpm:acme/strict").says("git hexmirror update");
    scene.installed(Ran::of(&mut scene.client(&["mix", "deps.get"])));
}
