//! Output for programs: a single document on standard output, with the documented fields.

use serde_json::{Value, json};

use crate::support::stage::{PINNED, Stage};

fn fields(document: &Value) -> Vec<&str> {
    document.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[track_caller]
fn has(document: &Value, names: &[&str]) {
    for name in names {
        assert!(document.get(name).is_some(), "{name} is not in {document}");
    }
}

const GIT: &str =
    "  \"here\": {:git, \"https://token@example.com/here.git\", \"0123456789012345678901234567890123456789\", []},\n";
const ODD: &str = "  \"odd\": {:hg, \"https://example.com/odd\"},\n";

#[test]
fn status_and_diff_before_and_after() {
    let stage = Stage::new();
    let lock = stage.registry.mix_lock(&PINNED);
    stage.write("mix.lock", &lock.replacen("%{\n", &format!("%{{\n{GIT}{ODD}"), 1));
    let ran = stage.run(&["status", "--json"]).exits(1);
    let document = ran.json();
    has(&document, &["fresh", "missing", "changed", "extra", "branch", "commit", "locks", "present", "git", "ignored"]);
    assert_eq!((&document["fresh"], &document["commit"]), (&json!(false), &Value::Null));
    let kinds: Vec<_> = document["missing"].as_array().unwrap().iter().map(|missing| &missing["kind"]).collect();
    assert_eq!(kinds, ["hex", "hex", "hex", "git"]);
    let alpha = stage.registry.get("alpha 1.0.0");
    assert_eq!(
        document["missing"][0],
        json!({
            "kind": "hex",
            "repository": "hexpm",
            "package": "alpha",
            "version": "1.0.0",
            "outer_checksum": alpha.outer.to_string(),
            "inner_checksum": alpha.listed.inner_checksum.to_string(),
        })
    );
    assert_eq!(document["ignored"], json!([{ "app": "odd", "kind": "hg" }]));
    assert_eq!((&document["git"][0]["app"], &document["git"][0]["mirrored"]), (&json!("here"), &json!(false)));
    assert!(!ran.stdout.contains("token"), "{}", ran.stdout);
    let mut document = document;
    for of_status in ["refused", "unpushed", "lacks_hooks", "refreshed", "entry_age_days", "retired", "vulnerable"] {
        assert!(document.as_object_mut().unwrap().remove(of_status).is_some(), "{of_status}");
    }
    assert_eq!(stage.run(&["diff", "--json"]).ok().json(), document);
    stage.run(&["diff", "--json", "--exit-code"]).exits(1);

    stage.lock(&PINNED);
    stage.run(&["update"]).ok();
    stage.lock(&["alpha 1.1.0", PINNED[1]]);
    let document = stage.run(&["status", "--json"]).exits(1).json();
    assert_eq!(document["missing"], json!([]));
    assert_eq!(document["changed"][0]["version"], "1.1.0");
    assert_eq!(document["changed"][0]["mirrored"], json!(["1.0.0"]));
    assert_eq!(document["present"], 1);
    stage.run(&["update"]).ok();
    let ran = stage.run(&["status", "--json"]).ok().silent();
    let document = ran.json();
    assert_eq!((&document["fresh"], &document["commit"]), (&json!(true), &json!(stage.tip().unwrap())));
    assert_eq!(document["locks"], json!(["mix.lock"]));
    let extra: Vec<_> = document["extra"].as_array().unwrap().iter().map(|release| &release["version"]).collect();
    assert_eq!(extra, ["1.0.0", "4.5.6+build.7"]);
}

#[test]
fn a_remembered_answer_has_the_same_fields() {
    let stage = Stage::mirrored();
    let first = stage.run(&["status", "--json"]).ok().json();
    let second = stage.run(&["status", "--json"]).ok().json();
    assert_eq!(first, second);
    has(&second, &["missing", "changed", "extra", "missing_entries", "git", "ignored"]);
}

#[test]
fn update_reports_what_it_did() {
    let stage = Stage::new();
    let ran = stage.run(&["update", "--json"]).ok();
    let document = ran.json();
    has(&document, &["added", "replaced", "downloaded_bytes", "commit", "entries", "stored_bytes", "seconds", "git"]);
    assert_eq!(document["commit"], stage.tip().unwrap());
    assert_eq!((&document["entries"], &document["replaced"]), (&json!(4), &json!([])));
    let alpha = stage.registry.get("alpha 1.0.0");
    let added = &document["added"][0];
    assert_eq!(added["outer_checksum"], alpha.outer.to_string());
    assert_eq!((&added["storage"], &added["bytes"]), (&json!("unpacked"), &json!(alpha.tarball.len())));
    let tarballs: usize = PINNED.iter().map(|release| stage.registry.get(release).tarball.len()).sum();
    let entries: usize = ["alpha", "beta", "gamma", "delta"].iter().map(|name| stage.registry.signed(name).len()).sum();
    assert_eq!(document["downloaded_bytes"], tarballs + entries);
}

#[test]
fn list_is_an_array_of_the_mirrored_items() {
    let stage = Stage::mirrored();
    let ran = stage.run(&["list", "--json"]).ok().silent();
    let document = ran.json();
    let list = document.as_array().expect("an array");
    let delta = list.iter().find(|thing| thing["package"] == "delta").expect("a release");
    let published = stage.registry.get("delta 4.5.6+build.7");
    assert_eq!(
        *delta,
        json!({
            "kind": "hex",
            "repository": "hexpm",
            "package": "delta",
            "version": "4.5.6+build.7",
            "outer_checksum": published.outer.to_string(),
            "inner_checksum": published.listed.inner_checksum.to_string(),
            "storage": "unpacked",
            "bytes": published.tarball.len(),
        })
    );
    assert_eq!(list.len(), 3);
}

#[test]
fn verify_counts_the_checked_items() {
    let stage = Stage::mirrored();
    let document = stage.run(&["verify", "--json"]).ok().silent().json();
    let expected = [
        "commit",
        "damages",
        "entries",
        "files",
        "first_use",
        "git",
        "index",
        "index_behind",
        "objects",
        "policies",
        "releases",
        "unverified",
    ];
    assert_eq!(fields(&document), expected);
    assert_eq!((&document["releases"], &document["entries"], &document["damages"]), (&json!(3), &json!(4), &json!([])));
    assert_eq!(document["unverified"], json!([]));
    // A commit of the branch, and its trees and blobs.
    let objects = stage.git(&["ls-tree", "-r", "-t", "hexmirror"]).lines().count() + 2;
    assert_eq!(document["objects"], objects);
}

#[test]
fn env_is_an_object_of_variables() {
    let stage = Stage::mirrored();
    let ran = stage.run(&["env", "--json", "--url", "http://127.0.0.1:1234/"]).ok().silent();
    let document = ran.json();
    for name in ["HEX_MIRROR", "HEX_MIRROR_URL", "HEX_CDN", "HEX_BUILDS_URL"] {
        assert_eq!(document[name], "http://127.0.0.1:1234", "{name}");
    }
}

#[test]
fn a_failure_prints_no_document() {
    let stage = Stage::mirrored();
    stage.write("mix.lock", "%{ broken");
    for arguments in [["status", "--json"], ["update", "--json"], ["diff", "--json"], ["lock", "--json"]] {
        let ran = stage.run(&arguments).exits(2);
        assert_eq!(ran.stdout, "");
    }
    let stage = Stage::new();
    assert_eq!(stage.run(&["list", "--json"]).exits(5).stdout, "");
    assert_eq!(stage.run(&["verify", "--json"]).exits(5).stdout, "");
}

#[test]
fn list_has_only_the_given_packages() {
    let stage = Stage::mirrored();
    let listed = stage.run(&["list", "--json", "hexpm/alpha"]).ok().json();
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|release| &release["package"]).collect();
    assert_eq!(names, ["alpha"]);
    let text = stage.run(&["list", "delta"]).ok().prints("delta 4.5.6+build.7").stdout;
    assert!(!text.contains("alpha"), "{text}");
    stage.run(&["list", "alpha", "acme/alpha"]).exits(1).prints("alpha 1.0.0").says("nothing of acme/alpha");
}
