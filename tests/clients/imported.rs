//! The folders of the hand-made recipe are imported without a network, and its clients go on as before.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::git::mix_exs;
use crate::mix::mix_home;
use crate::support::nginx::Nginx;
use crate::support::sample::Sample;
use crate::support::stage::{Ran, Serving, Stage};
use crate::{nobody_was_asked, rebar3, told};

/// Imports the sample's folders. The program knows hex.pm's key only, not the recipe's.
fn imported(sample: Sample) -> Stage {
    let Sample { stage, data } = sample;
    let folders = [".hex_repo", ".git_repo"].map(|name| data.join(name).to_str().unwrap().to_owned());
    let ran = without_network(&stage, "project", &["import", &folders[0], &folders[1]]).ok();
    let ran = ran.says("32 packages verified by the locks").says("2 git revisions");
    ran.says("kept the registry of hexpm");
    without_network(&stage, "project", &["verify"]).ok();
    stage
}

/// Runs the program without an upstream and without its key.
fn without_network(stage: &Stage, folder: &str, arguments: &[&str]) -> Ran {
    Ran::of(stage.bare_command_in(folder, arguments).env("HEXMIRROR_URL", "http://127.0.0.1:1"))
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = folder.read_dir().unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// Exports what the recipe's clients need, and serves it.
fn served(stage: &Stage, folder: &str) -> Option<Nginx> {
    let www = stage.sandbox.path().join("www");
    without_network(stage, folder, &["export", www.to_str().unwrap(), "--registry=pinned"]).ok();
    Nginx::serve(&stage.sandbox, &www)
}

#[test]
fn an_export_has_the_same_tarballs_byte_for_byte() {
    let Some(sample) = Sample::new() else { return };
    let data = sample.data.clone();
    let stage = imported(sample);
    let www = stage.sandbox.path().join("www");
    without_network(&stage, "project", &["export", www.to_str().unwrap(), "--registry=pinned"]).ok();
    let (found, expected) = (files(&www.join("tarballs")), files(&data.join(".hex_repo/tarballs")));
    assert_eq!(expected.len(), 32);
    assert!(found == expected, "the tarballs differ");
    assert_eq!(fs::read(www.join("public_key")).unwrap(), fs::read(data.join(".hex_repo/public_key")).unwrap());
    // What was exported can be imported again, into an empty mirror, with the same result.
    let again = stage.sandbox.repository("again");
    fs::copy(stage.project.join("mix.lock"), again.join("mix.lock")).unwrap();
    fs::write(again.join("mix.exs"), "").unwrap();
    without_network(&stage, "again", &["import", "../www"]).ok().says("32 packages").says("2 git revisions");
    let tree = |folder: &str| stage.sandbox.git(folder, &["rev-parse", "hexmirror^{tree}:hex"]);
    assert_eq!(tree("again"), tree("project"));
    nobody_was_asked(&stage);
}

#[test]
fn mix_goes_on_with_the_key_of_the_recipe() {
    let Some(sample) = Sample::new() else { return };
    let Some(mix_home) = mix_home(&sample.stage) else { return };
    let stage = imported(sample);
    let lock = fs::read_to_string(stage.project.join("mix.lock")).unwrap();
    stage.write("mix.exs", &mix_exs(&lock));
    let Some(nginx) = served(&stage, "project") else { return };
    let mix = |arguments: &[&str]| {
        let mut command = stage.sandbox.command("mix", &stage.project);
        command.env("MIX_HOME", &mix_home).env("HEX_HOME", stage.sandbox.path().join("hex"));
        // What the recipe does with an alias of github.com.
        let rule = format!("url.{}/git/github.com/.insteadOf", nginx.url);
        command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", rule);
        command.env("GIT_CONFIG_VALUE_0", "https://github.com/");
        Ran::of(command.args(arguments)).ok()
    };
    let key = stage.sandbox.path().join("www/public_key");
    mix(&["hex.repo", "add", "hexpm", &nginx.url, "--public-key", key.to_str().unwrap()]);
    let ran = mix(&["deps.get"]);
    assert!(!told(&ran).contains("unsafe"), "{ran:?}");
    assert_eq!(fs::read_to_string(stage.project.join("mix.lock")).unwrap(), lock, "the lock was changed");
    crate::git::has_whole_sample(&stage.project);
    nobody_was_asked(&stage);
}

/// `run` needs hex.pm's entries. What it prints without them works without a network.
#[test]
fn run_names_the_commands_that_need_no_network() {
    let Some(sample) = Sample::new() else { return };
    let Some(mix_home) = mix_home(&sample.stage) else { return };
    let stage = imported(sample);
    let lock = fs::read_to_string(stage.project.join("mix.lock")).unwrap();
    stage.write("mix.exs", &mix_exs(&lock));
    let hex_home = stage.sandbox.path().join("hex");
    let mut run = stage.bare_command_in("project", &["run", "--", "mix", "deps.get"]);
    let ran = Ran::of(run.env("MIX_HOME", &mix_home).env("HEX_HOME", &hex_home));
    assert_ne!(ran.code, Some(0), "{ran:?}");
    let command = ran.stderr.lines().find_map(|line| line.split('`').find(|part| part.starts_with("mix hex.repo add")));
    let command = command.unwrap_or_else(|| panic!("{ran:?}")).to_owned();
    let mut serve = stage.bare_command_in("project", &["serve", "--listen=127.0.0.1:0"]);
    let serving = Serving::start(&mut serve);
    let variables = ["env", "--json", "--url", &serving.url];
    let variables = Ran::of(&mut stage.bare_command_in("project", &variables)).ok().json();
    let mix = |arguments: &[&str]| {
        let mut command = stage.sandbox.command("mix", &stage.project);
        command.env("MIX_HOME", &mix_home).env("HEX_HOME", &hex_home);
        // git is led to the server as before.
        for (name, value) in variables.as_object().unwrap().iter().filter(|(name, _)| name.starts_with("GIT_")) {
            command.env(name, value.as_str().unwrap());
        }
        Ran::of(command.args(arguments)).ok()
    };
    let command = command.replace("http://127.0.0.1:4040", &serving.url);
    mix(&command.split_whitespace().skip(1).collect::<Vec<_>>());
    mix(&["deps.get"]);
    assert_eq!(fs::read_to_string(stage.project.join("mix.lock")).unwrap(), lock, "the lock was changed");
    crate::git::has_whole_sample(&stage.project);
    nobody_was_asked(&stage);
}

#[test]
fn rebar3_goes_on_with_the_key_of_the_recipe() {
    let Some(sample) = Sample::new() else { return };
    let data = sample.data.clone();
    drop(sample);
    let Some(stage) = rebar3::prepare(true) else { return };
    // The small project forgets the mirror that it adopted.
    stage.sandbox.git("app", &["update-ref", "-d", "refs/heads/hexmirror"]);
    let folder = data.join(".hex_repo");
    let ran = without_network(&stage, "app", &["import", folder.to_str().unwrap()]).ok();
    ran.says("3 packages verified by the locks").says("29 files left out");
    let Some(nginx) = served(&stage, "app") else { return };
    let mut command = stage.sandbox.command("rebar3", &stage.sandbox.path().join("app"));
    rebar3::installed(&stage, Ran::of(command.arg("get-deps").env("HEX_CDN", &nginx.url)));
}
