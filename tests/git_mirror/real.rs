//! The two git dependencies of the real project, and the addresses in all real locks.

use std::fs;

use git_hexmirror::model::GitUrl;
use serde_json::Value;

use crate::support::data::real_input;
use crate::support::forge::Scene;

/// The real repositories, and the number of commits and objects that their locked revisions need.
const REAL: [(&str, &str); 2] = [
    ("wistia/elixir_nsq", "b43616a08459451cc5afdcd9839b732cbc1dedfa"),
    ("annkissam/rummage_ecto", "b9f6c94d8dc1ac9489efd28edfb91958b039a46e"),
];

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::write(to.join(entry.file_name()), fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

#[test]
fn the_real_repositories_are_mirrored() {
    let Some(data) = real_input(".") else { return };
    let scene = Scene::new();
    scene.redirect("https://github.com/");
    for (name, _) in REAL {
        copy(&data.join(format!("sample/.git_repo/{name}.git")), &scene.forge.path(name));
        fs::create_dir_all(scene.forge.path(name).join("refs")).unwrap();
    }
    let lock = fs::read_to_string(data.join("sample/mix.lock")).unwrap();
    let git: Vec<&str> = lock.lines().filter(|line| line.contains("{:git,")).collect();
    scene.stage.write("mix.lock", &format!("%{{\n{}\n}}\n", git.join("\n")));
    scene.update();
    for (name, revision) in REAL {
        let tree = format!("hexmirror:git/github.com/{name}.git");
        let listed = scene.stage.git(&["ls-tree", "-r", "--name-only", &tree]);
        assert_eq!(listed.lines().filter(|path| path.ends_with(".pack")).count(), 1);
        let upstream = scene.forge.run(name, &["rev-list", "--objects", "--no-object-names", revision]);
        let pack = listed.lines().find(|path| path.ends_with(".idx")).unwrap();
        let index = scene.sandbox().path().join("index.idx");
        let blob = scene.stage.git(&["rev-parse", &format!("{tree}/{pack}")]);
        let output = scene.sandbox().try_git(&scene.stage.project, &["cat-file", "blob", &blob]);
        fs::write(&index, output.stdout).unwrap();
        let stdin = fs::File::open(&index).unwrap();
        let shown = scene
            .sandbox()
            .command("git", std::path::Path::new(""))
            .args(["show-index", "--object-format=sha1"])
            .stdin(stdin)
            .output();
        let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
        let mut stored: Vec<&str> = shown.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
        let mut needed: Vec<&str> = upstream.lines().collect();
        stored.sort_unstable();
        needed.sort_unstable();
        assert!(stored == needed, "{name}: {} objects are stored, {} needed", stored.len(), needed.len());
    }
    scene.sandbox().git("", &["init", "--quiet", "--bare", "other.git"]);
    scene.sandbox().git("other.git", &["config", "transfer.fsckObjects", "true"]);
    scene.stage.git(&["push", "--quiet", "../other.git", "hexmirror"]);
}

#[test]
fn every_address_in_the_real_locks_can_be_stored() {
    let Some(data) = real_input(".") else { return };
    let expected = fs::read_to_string(data.join("locks/expected.jsonl")).unwrap();
    let mut places = std::collections::BTreeSet::new();
    for line in expected.lines() {
        let lock: Value = serde_json::from_str(line).unwrap();
        for entry in lock["entries"].as_array().into_iter().flatten().filter(|entry| entry["kind"] == "git") {
            let url = entry["url"].as_str().unwrap();
            let parsed: GitUrl = url.parse().unwrap_or_else(|error| panic!("{url}: {error}"));
            let place = parsed.address().to_string();
            assert_eq!(Some(place.as_str()), url.split_once("://").map(|(_, rest)| rest.trim_end_matches(".git")));
            places.insert(place);
        }
    }
    assert!(places.len() > 100, "{}", places.len());
}
