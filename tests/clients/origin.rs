//! mix with Hex for a company's mirror of hex.pm that signs everything anew, in its own name.

use git_hexmirror::hex::gzip::gzip;

use crate::mix::mix_home;
use crate::support::registry::{Registry, key};
use crate::support::stage::{Ran, Stage};
use crate::support::upstream::TestUpstream;
use crate::{nobody_was_asked, told};

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
    std::fs::remove_dir_all(stage.project.join("deps")).expect("installed packages");
    // The server does not serve what is not accepted here.
    stage.git(&["config", "hexmirror.noVerifyRepoOrigin", "false"]);
    let ran = install();
    assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
    nobody_was_asked(&stage);
}
