//! `lock`: prints a lock as the program reads it.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::support::data::real_input;
use crate::support::registry::Registry;
use crate::support::stage::{PINNED, Ran, Stage};

#[test]
fn prints_the_entries_of_both_kinds_of_lock() {
    let stage = Stage::new();
    let document = stage.run(&["lock", "--json"]).ok().silent().json();
    assert_eq!(document["file"], "mix.lock");
    let alpha = stage.registry.get("alpha 1.0.0");
    assert_eq!(
        document["entries"][0],
        json!({
            "app": "alpha",
            "kind": "hex",
            "package": "alpha",
            "version": "1.0.0",
            "repo": "hexpm",
            "inner_checksum": alpha.listed.inner_checksum.to_string(),
            "outer_checksum": alpha.outer.to_string(),
        })
    );
    stage.write("rebar.lock", &stage.registry.rebar_lock(&PINNED));
    let document = stage.run(&["lock", "rebar.lock", "--json"]).ok().json();
    assert_eq!(document["entries"][0]["outer_checksum"], alpha.outer.to_string());
    assert_eq!(document["entries"].as_array().unwrap().len(), 3);
    stage.run(&["lock"]).ok().prints("alpha 1.0.0").prints("delta 4.5.6+build.7");
}

#[test]
fn several_locks_are_still_one_document() {
    let stage = Stage::new();
    stage.write("rebar.lock", &stage.registry.rebar_lock(&PINNED[..1]));
    let document = stage.run(&["lock", "--json"]).ok().json();
    let files: Vec<_> = document.as_array().expect("an array").iter().map(|lock| &lock["file"]).collect();
    assert_eq!(files, ["mix.lock", "rebar.lock"]);
}

#[test]
fn needs_no_repository_for_a_file() {
    let stage = Stage::new();
    fs::create_dir(stage.sandbox.path().join("elsewhere")).unwrap();
    fs::copy(stage.project.join("mix.lock"), stage.sandbox.path().join("elsewhere/some.lock")).unwrap();
    stage.run_in("elsewhere", &["lock", "some.lock", "--json"]).ok();
    stage.run_in("home", &["-C", "../elsewhere", "lock", "some.lock"]).ok().prints("beta 0.3.0");
    stage.run_in("elsewhere", &["lock", "no.lock"]).exits(2).says("no.lock");
    stage
        .run_in("elsewhere", &["lock"])
        .exits(2)
        .says("found no mix.lock, rebar.lock, manifest.toml or hexmirror.lock in")
        .says("elsewhere");
    stage.run_in("elsewhere", &["lock", "--lock", "some.lock"]).ok().prints("beta 0.3.0");
    fs::copy(stage.project.join("mix.lock"), stage.sandbox.path().join("elsewhere/mix.lock")).unwrap();
    let document = stage.run_in("", &["-C", "elsewhere", "lock", "--json"]).ok().silent().json();
    assert_eq!(document["file"], "mix.lock");
}

#[test]
fn reads_a_lock_from_standard_input() {
    let stage = Stage::new();
    for text in [stage.registry.mix_lock(&PINNED), stage.registry.rebar_lock(&PINNED)] {
        let file = stage.sandbox.path().join("input");
        fs::write(&file, text).unwrap();
        let mut command = stage.command_in("home", &["lock", "-", "--json"]);
        let document = Ran::of(command.stdin(fs::File::open(file).unwrap())).ok().json();
        assert_eq!((&document["file"], document["entries"].as_array().unwrap().len()), (&json!("-"), 3));
    }
}

#[test]
fn a_rebar_lock_is_mirrored_like_a_mix_lock() {
    let stage = Stage::without_lock(Registry::sample());
    stage.write("rebar.lock", &stage.registry.rebar_lock(&PINNED));
    stage.run(&["update"]).ok();
    stage.run(&["status"]).ok().prints("3 releases");
    stage.run(&["verify"]).ok();
}

#[test]
fn reads_every_real_lock_as_elixir_and_erlang_do() {
    let Some(data) = real_input(".") else { return };
    let folder = data.join("locks");
    let expected = fs::read_to_string(folder.join("expected.jsonl")).unwrap();
    let expected: BTreeMap<String, Value> = expected
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|value| (value["file"].as_str().unwrap().to_owned(), value))
        .collect();
    assert_eq!(expected.len(), 203);
    let stage = Stage::without_lock(Registry::default());
    let mut refused = 0;
    for (file, expected) in &expected {
        let path = folder.join(file);
        let ran = stage.run_in("", &["lock", "--json", path.to_str().unwrap()]);
        if expected.get("error").is_some() {
            refused += 1;
            assert_eq!(ran.clone().exits(2).stdout, "");
            let line = ran.stderr.lines().any(|line| line.contains("-->") && line.contains(file.as_str()));
            assert!(line && ran.stderr.contains("unresolved merge conflict"), "{file}: {}", ran.stderr);
            continue;
        }
        let document = ran.ok().silent().json();
        assert_eq!(document["entries"], expected["entries"], "{file}");
    }
    assert_eq!(refused, 2);
}

#[test]
fn what_the_mirror_has_is_listed_even_if_locks_disagree() {
    let stage = Stage::mirrored();
    let lock = fs::read_to_string(stage.project.join("mix.lock")).unwrap();
    let sum = stage.registry.get("alpha 1.0.0").outer.to_string();
    stage.write("app/mix.exs", "");
    stage.write("app/mix.lock", &lock.replace(&sum, &"0".repeat(64)));
    stage.write("mix.exs", "");
    stage.git(&["add", "--all"]);
    stage.git(&["commit", "--quiet", "--message", "Locks"]);
    stage.run(&["status"]).exits(4);
    let ran = stage.run(&["list"]).ok().says("warning: ").says("disagree: alpha 1.0.0 is locked twice");
    assert!(ran.stdout.starts_with("alpha 1.0.0  "), "{ran:?}");
}
