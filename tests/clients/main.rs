//! Real, unmodified clients install from the mirror of the real project while upstream is stopped. A test is skipped,
//! with a message, if its client or the real project is missing.

#[path = "../support/mod.rs"]
mod support;

mod artefacts;
mod containers;
mod docs;
mod exported;
mod git;
mod gleam;
mod imported;
mod mix;
mod moving;
mod organisations;
mod origin;
mod pinned;
mod plugins;
mod policies;
mod published;
mod rebar3;
mod tools;

use std::process::Command;

use support::sample::Sample;
use support::stage::{Ran, Serving, Stage};

/// Prepares to run the program without an upstream, but with what Erlang needs.
fn offline(stage: &Stage, folder: &str, arguments: &[&str]) -> Command {
    let mut command = stage.bare_command_in(folder, arguments);
    // Upstream is stopped, and no other server is reachable. The key still matches the entries.
    command.env("HEXMIRROR_URL", "http://127.0.0.1:1");
    command.env("HEXMIRROR_PUBLIC_KEY", stage.sandbox.path().join("hexpm.pem"));
    command
}

/// Configures a client with what `env --tls` prints for a running server.
fn led<'a>(stage: &Stage, serving: &Serving, command: &'a mut Command) -> &'a mut Command {
    let folder = command.get_current_dir().expect("a folder of the stage").to_owned();
    let arguments = ["env", "--tls", "--json", "--url", &serving.url];
    let variables = Ran::of(&mut offline(stage, folder.to_str().expect("a path in Unicode"), &arguments)).ok().json();
    for (name, value) in variables.as_object().expect("an object") {
        match value.as_str() {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Returns whether a program can be run.
fn runs(stage: &Stage, program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> bool {
    let output =
        stage.sandbox.command(program, stage.sandbox.path()).args(arguments).envs(variables.iter().copied()).output();
    output.is_ok_and(|output| output.status.success())
}

/// Mirrors the Hex packages of the real project, and stops its upstream.
fn mirrored(sample: Sample) -> Stage {
    sample.without_git();
    let mut stage = sample.stage;
    stage.run(&["update"]).ok();
    let nowhere = tempfile::tempdir().expect("a temporary folder");
    stage.upstream = support::upstream::TestUpstream::serve(nowhere.path());
    stage
}

/// Checks that all requests went to the mirror.
fn nobody_was_asked(stage: &Stage) {
    assert_eq!(stage.upstream.count("*"), 0);
}

/// Returns both outputs without colours.
fn told(ran: &Ran) -> String {
    format!("{}\n{}", ran.stdout, ran.stderr)
}
