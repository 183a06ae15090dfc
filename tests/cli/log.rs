//! The mirror's history as a changelog.

use std::fs;

use serde_json::{Value, json};

use crate::support::registry::{Registry, key, policy};
use crate::support::stage::{Ran, Stage};

/// Commits the lock that pins some releases, and updates the mirror.
fn update(stage: &Stage, pinned: &[&str], message: &str) {
    stage.lock(pinned);
    stage.git(&["add", "mix.lock"]);
    stage.git(&["commit", "--quiet", "--message", message]);
    stage.run(&["update"]).ok();
}

fn three_updates() -> Stage {
    let stage = Stage::without_lock(Registry::sample());
    update(&stage, &["alpha 1.0.0", "beta 0.3.0"], "Begin");
    update(&stage, &["alpha 1.1.0", "beta 0.3.0"], "Raise alpha");
    update(&stage, &["alpha 1.1.0", "beta 0.3.0", "gamma 1.0.0"], "Use gamma");
    stage
}

/// Returns the number of the line with a text.
#[track_caller]
fn line_of(ran: &Ran, text: &str) -> usize {
    ran.stdout.lines().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{text:?}: {ran:#?}"))
}

#[test]
fn each_commit_is_shown_with_its_changes_and_the_projects_commit() {
    let stage = three_updates();
    let log = stage.run(&["log"]).ok().silent();
    let lines =
        ["for ", "Use gamma", "  + gamma 1.0.0", "Raise alpha", "  ~ alpha 1.0.0 → 1.1.0", "Begin", "  + alpha 1.0.0"];
    let found: Vec<usize> = lines.iter().map(|text| line_of(&log, text)).collect();
    assert!(found.is_sorted(), "{found:?}: {log:#?}");
    assert!(log.stdout.starts_with(&stage.tip().unwrap()[..10]), "{log:?}");
    stage.run(&["log", "-n", "0"]).exits(2).says("0 is not in 1..");
    let one = stage.run(&["log", "-n", "1"]).ok();
    assert!(one.stdout.contains("gamma") && !one.stdout.contains("Raise alpha"), "{one:?}");
}

#[test]
fn the_log_of_a_package_has_only_its_changes() {
    let stage = three_updates();
    let log = stage.run(&["log", "alpha"]).ok().silent();
    assert!(log.stdout.contains("~ alpha 1.0.0 → 1.1.0") && log.stdout.contains("+ alpha 1.0.0"), "{log:?}");
    assert!(!log.stdout.contains("+ beta") && !log.stdout.contains("+ gamma"), "{log:?}");
    // The limit counts the commits that are shown.
    let log = stage.run(&["log", "beta", "-n", "1"]).ok();
    assert!(log.stdout.contains("+ beta 0.3.0"), "{log:?}");
    stage.run(&["log", "omega"]).exits(1).says("nothing changed in omega");
}

#[test]
fn a_range_is_of_the_project_or_of_the_mirror() {
    let stage = three_updates();
    for range in ["HEAD~2..HEAD~1", "hexmirror~2..hexmirror~1"] {
        let log = stage.run(&["log", range]).ok();
        assert!(log.stdout.contains("~ alpha 1.0.0 → 1.1.0"), "{range}: {log:?}");
        assert!(!log.stdout.contains("+ gamma") && !log.stdout.contains("+ beta"), "{range}: {log:?}");
    }
    stage.run(&["log", "HEAD..HEAD"]).ok().says("the mirror did not change from HEAD to HEAD");
    stage.run(&["log", "omega..HEAD"]).exits(2).says("omega");
}

#[test]
fn a_prune_is_linked_to_the_nearest_commit_of_the_project() {
    let stage = three_updates();
    stage.run(&["prune", "--keep-days", "0"]).ok();
    let log = stage.run(&["log", "-n", "1"]).ok();
    assert!(log.stdout.contains("  - alpha 1.0.0"), "{log:?}");
    assert!(log.stdout.contains("nearest by date: ") && log.stdout.contains("Use gamma"), "{log:?}");
}

#[test]
fn the_document_has_typed_changes() {
    let stage = three_updates();
    let document: Value = stage.run(&["log", "--json", "-n", "2"]).ok().silent().json();
    assert_eq!((&document["branch"], &document["shallow"]), (&json!("hexmirror"), &json!(false)));
    let [newest, before] = &document["commits"].as_array().unwrap()[..] else { panic!("{document}") };
    assert_eq!(newest["commit"], stage.tip().unwrap());
    assert_eq!(newest["project"]["commit"], stage.tip_of("HEAD").unwrap());
    assert_eq!((&newest["project"]["recorded"], &newest["project"]["subject"]), (&json!(true), &json!("Use gamma")));
    let gamma = json!({ "kind": "hex", "repository": "hexpm", "package": "gamma", "from": null, "to": "1.0.0" });
    assert_eq!(newest["added"], json!([gamma]));
    let alpha = json!({ "kind": "hex", "repository": "hexpm", "package": "alpha", "from": "1.0.0", "to": "1.1.0" });
    assert_eq!((&before["updated"], &before["added"]), (&json!([alpha]), &json!([])));
}

#[test]
fn a_shallow_clone_says_where_its_history_ends() {
    let stage = three_updates();
    let url = format!("file://{}", stage.project.display());
    let clone = ["clone", "--quiet", "--depth=1", "--no-single-branch", &url, "clone"];
    stage.sandbox.git("", &clone);
    let log = stage.run_in("clone", &["log"]).ok().says("git fetch --unshallow origin hexmirror");
    assert!(log.stdout.contains("its changes are not known"), "{log:?}");
    let document: Value = stage.run_in("clone", &["log", "--json"]).ok().json();
    assert_eq!((&document["shallow"], &document["commits"][0]["known"]), (&json!(true), &json!(false)));
}

#[test]
fn a_compacted_history_begins_with_its_contents() {
    let stage = three_updates();
    stage.run(&["compact"]).ok();
    let log = stage.run(&["log"]).ok();
    assert!(log.stdout.contains("begins with "), "{log:?}");
    assert!(stage.run(&["log", "--verbose"]).ok().stdout.contains("+ gamma 1.0.0"));
}

#[test]
fn a_mirror_without_contents_has_a_log_and_a_missing_one_is_named() {
    let stage = Stage::without_lock(Registry::sample());
    stage.run(&["log"]).exits(5).says("git hexmirror init");
    fs::write(stage.project.join("file"), "").unwrap();
    stage.run(&["init", "--no-hooks"]).ok();
    let log = stage.run(&["log"]).ok();
    assert!(log.stdout.contains("  Create the mirror\n") && !log.stdout.contains("  + "), "{log:?}");
    stage.run_in("home", &["log"]).exits(5).says("git init");
}

#[test]
fn policies_are_shown() {
    let stage = Stage::mirrored();
    stage.upstream.put("repos/acme/policies/strict", &policy("hexpm:acme/strict", "one", key()));
    stage.git(&["config", "hexmirror.policies", "hexpm:acme/strict"]);
    stage.run(&["update"]).ok();
    assert!(stage.run(&["log", "-n", "1"]).ok().stdout.contains("\n  + policy hexpm:acme/strict "));
    let document: Value = stage.run(&["log", "-n", "1", "--json"]).ok().json();
    let added = &document["commits"][0]["added"][0];
    assert_eq!((&added["kind"], &added["policy"]), (&json!("policy"), &json!("strict")));
}
