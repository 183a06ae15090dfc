//! Bills of materials: what is in them, that independent validators accept them, and that nothing varies.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use git_hexmirror::hex::registry::Severity;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::asset_tools::Assets;
use crate::support::forge::Scene;
use crate::support::registry::{Registry, licensed};
use crate::support::stage::{PINNED, Ran, Stage};
use crate::support::validators;

const CYCLONEDX: [&str; 1] = ["sbom"];
const SPDX: [&str; 3] = ["sbom", "--format", "spdx"];

/// Checks both documents of a project with validators, and returns the one of CycloneDX.
#[track_caller]
fn both(stage: &Stage, code: i32, arguments: &[&str]) -> (Value, Value) {
    let of = |format: &[&str]| stage.run(&[format, arguments].concat()).exits(code);
    let (cyclonedx, spdx) = (of(&CYCLONEDX), of(&SPDX));
    validators::check("cyclonedx", &[&cyclonedx.stdout]);
    validators::check("spdx", &[&spdx.stdout]);
    (cyclonedx.json(), spdx.json())
}

fn component<'d>(document: &'d Value, reference: &str) -> &'d Value {
    let all = document["components"].as_array().expect("a list").iter();
    let found: Vec<&Value> = all.filter(|component| component["bom-ref"] == reference).collect();
    assert_eq!(found.len(), 1, "{reference} in {document:#}");
    found[0]
}

/// Returns what a component requires.
fn requires<'d>(document: &'d Value, reference: &str) -> Vec<&'d str> {
    let node = document["dependencies"].as_array().expect("a list").iter().find(|node| node["ref"] == reference);
    let required = node.unwrap_or_else(|| panic!("{reference} in {document:#}"))["dependsOn"].as_array();
    required.expect("a list").iter().map(|required| required.as_str().expect("a reference")).collect()
}

fn property<'d>(component: &'d Value, name: &str) -> Option<&'d str> {
    let all = component["properties"].as_array().expect("a list").iter();
    let name = format!("hexmirror:{name}");
    all.filter(|property| property["name"] == name).find_map(|property| property["value"].as_str())
}

#[test]
fn builds_of_asset_tools_are_described_as_tools() {
    let assets = Assets::mirrored();
    // The validator of SPDX accepts no address of a loopback server.
    let document = assets.stage.run(&CYCLONEDX).ok();
    validators::check("cyclonedx", &[&document.stdout]);
    let document = document.json();
    let all = document["components"].as_array().expect("a list").iter();
    let tools: Vec<&Value> =
        all.filter(|component| component["bom-ref"].as_str().is_some_and(|id| id.starts_with("asset-tool:"))).collect();
    let named =
        tools.iter().map(|tool| format!("{} {}", tool["name"].as_str().unwrap(), tool["version"].as_str().unwrap()));
    assert_eq!(named.collect::<Vec<_>>(), ["esbuild 0.25.0", "tailwind 3.4.3", "tailwind 4.1.0", "dart_sass 1.77.8"]);
    assert!(tools.iter().all(|tool| property(tool, "role") == Some("tool")));
    assert_eq!(tools[0]["purl"], "pkg:npm/%40esbuild/linux-x64@0.25.0");
    assert!(tools[1]["purl"].as_str().unwrap().starts_with("pkg:generic/tailwind@3.4.3?checksum=sha256:"));
}

#[test]
fn a_release_is_described_by_lock_registry_and_metadata() {
    let mut stage = Stage::new();
    stage.registry.retire("beta 0.3.0", "broken");
    let advisory = stage.registry.advise(&["alpha 1.0.0"], "GHSA-1");
    advisory.severity = Some(Severity::High);
    advisory.cvss_score = Some(8.1);
    advisory.aliases = vec!["CVE-2026-1".into()];
    advisory.html_url = "https://h.test/advisories/1".into();
    stage.registry.put(&stage.upstream);
    stage.run(&["update"]).ok();
    let (document, spdx) = both(&stage, 0, &["--name", "shop", "--project-version", "2.1"]);
    let root = &document["metadata"]["component"];
    assert_eq!(
        (&root["name"], &root["version"], &root["bom-ref"]),
        (&json!("shop"), &json!("2.1"), &json!("project:"))
    );
    let roots = ["hex:hexpm/beta@0.3.0", "hex:hexpm/delta@4.5.6+build.7"];
    assert_eq!(requires(&document, "project:"), roots);
    assert_eq!(requires(&document, "hex:hexpm/beta@0.3.0"), ["hex:hexpm/alpha@1.0.0"], "gamma is not locked");
    let delta = component(&document, "hex:hexpm/delta@4.5.6+build.7");
    let outer = stage.registry.get("delta 4.5.6+build.7").outer.to_string();
    assert_eq!(delta["purl"], "pkg:hex/delta@4.5.6%2Bbuild.7");
    assert_eq!(delta["hashes"], json!([{ "alg": "SHA-256", "content": outer }]));
    assert_eq!(delta["evidence"]["occurrences"], json!([{ "location": "mix.lock", "line": 4 }]));
    assert_eq!(property(component(&document, "hex:hexpm/beta@0.3.0"), "retired"), Some("deprecated: broken"));
    let found = &document["vulnerabilities"][0];
    assert_eq!(found["id"], "GHSA-1");
    assert_eq!(found["ratings"], json!([{ "severity": "high", "score": 8.1 }]));
    assert_eq!(found["source"], json!({ "name": "GitHub Advisory Database", "url": "https://h.test/advisories/1" }));
    assert_eq!(found["references"][0]["id"], "CVE-2026-1");
    let affected =
        json!([{ "ref": "hex:hexpm/alpha@1.0.0", "versions": [{ "version": "1.0.0", "status": "affected" }] }]);
    assert_eq!(found["affects"], affected);
    let packages = spdx["packages"].as_array().unwrap();
    let named = |name: &str| packages.iter().find(|package| package["name"] == name).unwrap();
    assert_eq!(named("shop")["versionInfo"], "2.1");
    assert_eq!(named("delta")["checksums"], json!([{ "algorithm": "SHA256", "checksumValue": outer }]));
    assert!(named("beta")["comment"].as_str().unwrap().contains("retired: deprecated: broken"));
    let references = named("alpha")["externalRefs"].as_array().unwrap();
    assert!(references.iter().any(|one| one["referenceLocator"] == "https://h.test/advisories/1"), "{references:?}");
}

#[test]
fn licenses_are_identifiers_expressions_or_names() {
    let mut registry = Registry::default();
    let hostile = "<b>\u{1b}[2J\u{202e}' OR ".to_owned() + &"x".repeat(3000);
    let cases: [(&str, &[&str], Value, &str); 7] = [
        ("a 1.0.0", &["mit"], json!([{ "license": { "id": "MIT" } }]), "MIT"),
        (
            "b 1.0.0",
            &["MIT", "Apache-2.0"],
            json!([{ "license": { "id": "Apache-2.0" } }, { "license": { "id": "MIT" } }]),
            "Apache-2.0 AND MIT",
        ),
        ("c 1.0.0", &["MIT OR ISC"], json!([{ "expression": "MIT OR ISC" }]), "MIT OR ISC"),
        (
            "d 1.0.0",
            &["MIT OR ISC", "0BSD"],
            json!([{ "expression": "0BSD AND (MIT OR ISC)" }]),
            "0BSD AND (MIT OR ISC)",
        ),
        ("e 1.0.0", &["Apache 2"], json!([{ "license": { "name": "Apache 2" } }]), "LicenseRef-Apache2-"),
        ("f 1.0.0", &["", " "], Value::Null, "NOASSERTION"),
        ("g 1.0.0", &[&hostile, "GPL-3.0", "LicenseRef-x"], Value::Null, "GPL-3.0 AND LicenseRef-b2JORx"),
    ];
    for (release, licenses, ..) in &cases {
        registry.publish_tarball(release, licensed(release, licenses));
    }
    let stage = Stage::with(registry, &cases.each_ref().map(|(release, ..)| *release));
    stage.run(&["update"]).ok();
    let (mut document, spdx) = both(&stage, 0, &[]);
    for license in document["components"].as_array_mut().unwrap().iter_mut().filter_map(|one| one.get_mut("licenses")) {
        for license in license.as_array_mut().unwrap() {
            let inner = if license.get("license").is_some() { &mut license["license"] } else { license };
            assert_eq!(inner.as_object_mut().unwrap().remove("acknowledgement"), Some(json!("declared")));
        }
    }
    for (release, _, cyclonedx, declared) in &cases {
        let name = release.split(' ').next().unwrap();
        let found = component(&document, &format!("hex:hexpm/{name}@1.0.0"));
        if name != "g" {
            assert_eq!(&found["licenses"], cyclonedx, "{name}");
        }
        let package = spdx["packages"].as_array().unwrap().iter().find(|package| package["name"] == name).unwrap();
        assert!(package["licenseDeclared"].as_str().unwrap().starts_with(declared), "{package:#}");
    }
}

#[test]
fn the_same_mirror_gives_the_same_document_and_times_only_if_asked() {
    let stage = Stage::mirrored();
    for format in [&CYCLONEDX[..], &SPDX] {
        let once = stage.run(format).ok().silent().stdout;
        let touched = stage.run_with(format, &[("TZ", "Asia/Tokyo"), ("LANG", "C")]).ok().stdout;
        assert_eq!(once, touched);
        assert!(!once.contains("2001-09-09"));
        let timed = stage.run(&[format, &["--timestamp", "1000000000"]].concat()).ok().stdout;
        assert!(timed.contains("\"2001-09-09T01:46:40Z\""), "{timed}");
        assert_eq!(timed, stage.run_with(format, &[("SOURCE_DATE_EPOCH", "1000000000")]).ok().stdout);
        stage.run_with(format, &[("SOURCE_DATE_EPOCH", "soon")]).exits(2);
        assert_eq!(stage.run(format).ok().stdout, stage.run_with(format, &[("SOURCE_DATE_EPOCH", "")]).ok().stdout);
        stage.run(&[format, &["--name", ""]].concat()).exits(2);
        stage.run(&[format, &["--timestamp", "-1"]].concat()).exits(2);
    }
    assert_eq!(stage.run(&CYCLONEDX).json()["metadata"].get("timestamp"), None);
    // In a clone, the mirror is read as fetched.
    let clone = stage.sandbox.path().join("clone");
    stage.git(&["add", "mix.lock"]);
    stage.git(&["commit", "--quiet", "--message", "Begin"]);
    stage.sandbox.git("", &["clone", "--quiet", stage.project.to_str().unwrap(), "clone"]);
    let [here, there] =
        [&stage.project, &clone].map(|folder| stage.run_in(folder, &["sbom", "--name", "x"]).ok().stdout);
    assert_eq!(here, there);
    assert_eq!(stage.run_in(&clone, &CYCLONEDX).json()["metadata"]["component"]["name"], "project");
}

#[test]
fn what_the_mirror_lacks_is_listed_and_the_exit_code_says_so() {
    let stage = Stage::new();
    stage.run(&CYCLONEDX).exits(5).says("no mirror");
    stage.run(&["update"]).ok();
    stage.lock(&["alpha 1.1.0", PINNED[1]]);
    let outer = stage.registry.get("alpha 1.1.0").outer.to_string();
    let (document, _) = both(&stage, 1, &[]);
    let alpha = component(&document, "hex:hexpm/alpha@1.1.0");
    assert_eq!(alpha["hashes"][0]["content"], json!(outer), "the lock has it");
    assert_eq!(property(alpha, "not-mirrored"), Some("the mirror does not have it"));
    assert_eq!(requires(&document, "hex:hexpm/beta@0.3.0"), ["hex:hexpm/alpha@1.1.0"]);
    stage
        .run(&CYCLONEDX)
        .exits(1)
        .says("the document is incomplete: the mirror lacks alpha 1.1.0; `git hexmirror update`");
    stage.write("mix.lock", "%{nonsense");
    stage.run(&CYCLONEDX).exits(2);
}

#[test]
fn every_project_of_a_repository_has_its_own_dependencies() {
    let stage = Stage::mirrored();
    stage.write("mix.exs", "");
    for (folder, pinned) in [("apps/a b", &["alpha 1.0.0"][..]), ("apps/c", &[PINNED[1], PINNED[0]])] {
        stage.write(&format!("{folder}/mix.exs"), "");
        stage.write(&format!("{folder}/mix.lock"), &stage.registry.mix_lock(pinned));
    }
    stage.write("apps/c/rebar.lock", &stage.registry.rebar_lock(&[PINNED[2]]));
    stage.write("apps/c/rebar.config", "");
    stage.git(&["add", "."]);
    stage.git(&["commit", "--quiet", "--message", "Begin"]);
    let (document, spdx) = both(&stage, 0, &["--name", "all"]);
    assert_eq!(requires(&document, "repository"), ["project:", "project:apps/a b", "project:apps/c"]);
    assert_eq!(requires(&document, "project:apps/a b"), ["hex:hexpm/alpha@1.0.0"]);
    let of_c = ["hex:hexpm/beta@0.3.0", "hex:hexpm/delta@4.5.6+build.7"];
    assert_eq!(requires(&document, "project:apps/c"), of_c);
    assert_eq!(component(&document, "project:apps/c")["name"], "all/apps/c");
    let alpha = component(&document, "hex:hexpm/alpha@1.0.0");
    assert_eq!(alpha["evidence"]["occurrences"].as_array().unwrap().len(), 3);
    assert_eq!(spdx["packages"].as_array().unwrap().len(), 1 + 3 + 3);
    let (one, _) = both(&stage, 0, &["--name", "all", "--lock", "apps/c/*.lock"]);
    assert_eq!(one["metadata"]["component"]["name"], "all/apps/c");
    assert_eq!(requires(&one, "project:apps/c"), of_c);
}

#[test]
fn git_dependencies_name_their_commit_and_their_submodules() {
    let scene = Scene::new();
    for name in ["part", "lib"] {
        scene.forge.create(name);
    }
    let part = scene.forge.commit("part", "main", &[("x", "x")]);
    scene.forge.commit("lib", "main", &[("mix.exs", "")]);
    let part_url = "https://forge.test/part.git";
    let modules = format!("[submodule \"part\"]\n\tpath = part\n\turl = {part_url}\n");
    let folder = scene.sandbox().repository("work");
    std::fs::write(folder.join(".gitmodules"), modules).unwrap();
    scene.sandbox().git(&folder, &["add", "."]);
    scene.sandbox().git(&folder, &["update-index", "--add", "--cacheinfo", &format!("160000,{part},part")]);
    scene.sandbox().git(&folder, &["commit", "--quiet", "--message", "With a part"]);
    let lib = scene.sandbox().git(&folder, &["rev-parse", "HEAD"]);
    let to = scene.forge.path("lib");
    scene.sandbox().git(&folder, &["push", "--quiet", "--force", to.to_str().unwrap(), "HEAD:refs/heads/main"]);
    scene.lock(&[("lib", "lib", lib.trim(), "submodules: true"), ("sub", "lib", lib.trim(), "subdir: \"a b\"")]);
    scene.stage.run(&["update"]).ok();
    let (document, _) = both(&scene.stage, 0, &[]);
    let reference = format!("git:forge.test/lib@{}#lib", lib.trim());
    let found = component(&document, &reference);
    assert_eq!(found["swhid"], json!([format!("swh:1:rev:{}", lib.trim())]));
    assert_eq!(found["externalReferences"][0]["url"], json!(format!("git+https://forge.test/lib.git@{}", lib.trim())));
    assert_eq!(requires(&document, &reference), [format!("git:forge.test/part@{part}#part")]);
    let submodule = component(&document, &format!("git:forge.test/part@{part}#part"));
    assert_eq!((property(submodule, "role"), property(submodule, "not-mirrored")), (Some("submodule"), None));
    component(&document, &format!("git:forge.test/lib@{}:a%20b#sub", lib.trim()));
}

/// An entry of a generated lock: its line, and the reference of its component.
type Generated = (String, String);

/// The kinds of entries that a mix.lock has; each digit chooses a variant. spdx-tools takes no host whose name has one part
/// or ends in more than five letters.
fn mix_entry(stage: &Registry, app: &str, kind: u8, digit: u8) -> Generated {
    let encoded = utf8_percent_encode(app, NON_ALPHANUMERIC);
    let revision = digit.to_string().repeat(40);
    let of_release = |release: &str| {
        let text = stage.mix_lock(&[release]);
        let line = text.lines().nth(1).expect("an entry").split_once("\": ").expect("a name").1.to_owned();
        let (name, version) = release.split_once(' ').expect("a name and a version");
        let name = if name.contains('/') { name.to_owned() } else { format!("hexpm/{name}") };
        (line.trim_end_matches(',').to_owned(), format!("hex:{name}@{version}"))
    };
    let (value, reference) = match kind {
        0 => of_release(PINNED[usize::from(digit) % 3]),
        1 => of_release(["alpha 1.1.0", "gamma 1.0.0", "hexpm:acme/secret 0.1.0"][usize::from(digit) % 3]),
        2 => (
            format!(
                "{{:hex, :own, \"1.0.{digit}\", \"{0}\", [:mix], [{{:\"{app}\", \">= 0.0.0\", []}}], \"my\", \"{0}\"}}",
                "a".repeat(64)
            ),
            format!("hex:my/own@1.0.{digit}"),
        ),
        3 => (
            format!("{{:git, \"git@h.test:x/r{digit}.git\", \"{revision}\", [subdir: \"s{digit}\"]}}"),
            format!("git:h.test/x/r{digit}@{revision}:s{digit}#{encoded}"),
        ),
        4 => (
            format!("{{:git, \"https://u:secret@github.com/x/y\", \"{revision}\", []}}"),
            format!("git:github.com/x/y@{revision}#{encoded}"),
        ),
        5 => (
            format!("{{:git, \"../r{digit}\", \"{revision}\", []}}"),
            format!("unmirrored:..%2Fr{digit}@{revision}#{encoded}"),
        ),
        _ => (format!("{{:hg, \"https://h/{digit}\"}}"), format!("unsupported:hg#{encoded}")),
    };
    (format!("  \"{app}\": {value},\n"), reference)
}

/// The installer that all entries of installers have.
const REBAR3: &str = "installs/1.18.0/rebar3-3.24.0-otp-27";

/// The checksum of what all entries of installers have.
fn of_all() -> String {
    "b".repeat(64)
}

fn own_entry(stage: &Registry, kind: u8, digit: u8) -> Generated {
    let sum = digit.to_string().repeat(64);
    match kind {
        0 => {
            let release = ["alpha 1.0.0", "alpha 1.1.0", "gamma 1.0.0"][usize::from(digit) % 3];
            let outer = stage.get(release).outer;
            (format!("plugin hexpm {release} {outer} for .\n"), format!("hex:hexpm/{}", release.replace(' ', "@")))
        }
        1 => {
            let revision = digit.to_string().repeat(40);
            let line = format!("plugin-git p{digit} https://h.test/p.git {revision} heads/main for .\n");
            (line, format!("git:h.test/p@{revision}#p{digit}"))
        }
        2 => {
            let revision = digit.to_string().repeat(40);
            let line = format!("git https://h.test/advisories.git {revision} heads/b{digit} as-of 2026-11-29\n");
            (line, format!("git:h.test/advisories@{revision}#advisories"))
        }
        3 => {
            let path = format!("docs/alpha-1.{digit}.0.tar.gz");
            (format!("docs hexpm alpha 1.{digit}.0 {sum} 7 first-use 2026-11-28\n"), format!("file:{path}@{sum}"))
        }
        4 => {
            let path = format!("downloads/h.test/d{digit}");
            (format!("download https://h.test/d{digit} {sum} 7 first-use 2026-11-28\n"), format!("file:{path}@{sum}"))
        }
        _ => {
            let path = format!("installs/1.18.0/hex-2.2.{digit}-otp-27.ez");
            let signed = ["installs/hex.csv", "installs/rebar.csv"]
                .map(|list| format!("{list} {0} {list}.signed {0} ", of_all()));
            let signed = signed.concat();
            let line = format!("tools elixir 1.18.4 otp 2{digit} {signed}{path} {sum} {REBAR3} {}\n", of_all());
            (line, format!("file:{path}@{sum}"))
        }
    }
}

#[test]
fn every_entry_of_generated_locks_is_listed_once_and_reached() {
    let stage = Stage::mirrored();
    let documents = RefCell::new((Vec::new(), Vec::new()));
    let app = prop::sample::select(vec!["alpha", "beta", "own", "é ü", "a'b", "x:y", ""]);
    let mix = prop::collection::btree_map(app, (0..7_u8, 0..10_u8), 0..6);
    let own = prop::collection::btree_set((0..6_u8, 0..10_u8), 0..4);
    let folder = prop::sample::select(vec!["", "apps/a", "b c/ü"]);
    let projects = prop::collection::btree_map(folder, (mix, own), 1..4);
    let mut runner = TestRunner::deterministic();
    for _ in 0..16 {
        let projects = projects.new_tree(&mut runner).expect("a value").current();
        let expected = written(&stage, &projects);
        let files: Vec<String> = projects.keys().flat_map(|folder| locks(folder)).collect();
        let arguments: Vec<&str> = files.iter().flat_map(|file| ["--lock", file]).collect();
        let run = |format: &[&str]| -> Ran { stage.run(&[format, &arguments].concat()) };
        let (cyclonedx, spdx) = (run(&CYCLONEDX), run(&SPDX));
        assert!(matches!(cyclonedx.code, Some(0 | 1)), "{cyclonedx:#?}");
        assert_eq!(cyclonedx.stdout, run(&CYCLONEDX).stdout);
        assert!(!cyclonedx.stdout.contains("u:secret") && !spdx.stdout.contains("u:secret"));
        let document = cyclonedx.json();
        let listed = document["components"].as_array().unwrap().iter().map(|one| one["bom-ref"].as_str().unwrap());
        let listed: Vec<&str> = listed.filter(|reference| !reference.starts_with("project:")).collect();
        assert_eq!(listed.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), expected);
        assert_eq!(listed.len(), expected.len());
        let (mut reached, mut unread) =
            (BTreeSet::new(), vec![document["metadata"]["component"]["bom-ref"].as_str().unwrap()]);
        while let Some(reference) = unread.pop() {
            if reached.insert(reference) {
                unread.extend(requires(&document, reference));
            }
        }
        assert_eq!(reached.len(), document["dependencies"].as_array().unwrap().len(), "{document:#}");
        let mut documents = documents.borrow_mut();
        documents.0.push(cyclonedx.stdout);
        documents.1.push(spdx.stdout);
    }
    let (cyclonedx, spdx) = documents.into_inner();
    validators::check("cyclonedx", &cyclonedx);
    validators::check("spdx", &spdx);
}

fn locks(folder: &str) -> [String; 2] {
    let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    ["mix.lock", "hexmirror.lock"].map(|name| format!("{folder}{name}"))
}

type Project = (BTreeMap<&'static str, (u8, u8)>, BTreeSet<(u8, u8)>);

/// Writes generated locks, and returns the references of everything that they pin.
fn written(stage: &Stage, projects: &BTreeMap<&'static str, Project>) -> BTreeSet<String> {
    let mut expected = BTreeSet::new();
    for (folder, (mix, own)) in projects {
        let mix: Vec<Generated> =
            mix.iter().map(|(app, (kind, digit))| mix_entry(&stage.registry, app, *kind, *digit)).collect();
        let own: Vec<Generated> = own.iter().map(|(kind, digit)| own_entry(&stage.registry, *kind, *digit)).collect();
        let lines = |entries: &[Generated]| entries.iter().map(|(line, _)| line.as_str()).collect::<String>();
        let [mix_lock, own_lock] = locks(folder);
        stage.write(&mix_lock, &format!("%{{\n{}}}\n", lines(&mix)));
        stage.write(&own_lock, &lines(&own));
        if own.iter().any(|(line, _)| line.starts_with("tools ")) {
            expected.insert(format!("file:{REBAR3}@{}", of_all()));
        }
        expected.extend(mix.into_iter().chain(own).map(|(_, reference)| reference));
    }
    expected
}
