//! The documentation of pinned releases: how it is pinned and stored, what is refused, and that every command knows it.

use std::fs;

use git_hexmirror::hex::gzip::gzip;
use git_hexmirror::hex::tarball::{Tarball, TarballLimits};
use git_hexmirror::model::hex_digits;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::http::get;
use crate::support::registry::{Registry, tarball};
use crate::support::stage::{Serving, Stage};
use crate::support::upstream::{ALWAYS, Fault};

/// The path of documentation that the test's upstream has.
const ALPHA: &str = "docs/alpha-1.0.0.tar.gz";
const DELTA: &str = "docs/delta-4.5.6+build.7.tar.gz";

/// Documentation in the form in which Hex publishes it, which is that of a release's contents.
pub fn archive(pages: &[(&str, &str)]) -> Vec<u8> {
    let files: Vec<_> = pages.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    let release = tarball("docs 1.0.0", &[], &files);
    Tarball::open(&release, &TarballLimits::default()).unwrap().contents().to_vec()
}

fn alpha() -> Vec<u8> {
    archive(&[("index.html", "<h1>alpha</h1>"), ("dist/search_data-1.js", "{}"), ("run.sh", "x")])
}

fn sum(content: &[u8]) -> String {
    hex_digits(&Sha256::digest(content))
}

/// A project whose packages alpha and delta have documentation, delta's in a form that no recipe rebuilds. beta has none.
fn offered() -> (Stage, Vec<u8>) {
    let stage = Stage::mirrored();
    let delta = [alpha(), gzip(b"")].concat();
    stage.upstream.put(ALPHA, &alpha());
    stage.upstream.put(DELTA, &delta);
    (stage, delta)
}

fn mirrored() -> (Stage, Vec<u8>) {
    let (stage, delta) = offered();
    stage.write(".hexmirror.toml", "docs = true\n");
    stage.run(&["update"]).ok();
    (stage, delta)
}

fn lock(stage: &Stage) -> String {
    fs::read_to_string(stage.project.join("hexmirror.lock")).unwrap()
}

#[test]
fn entries_of_releases_that_no_lock_pins_are_removed() {
    let (stage, _) = mirrored();
    stage.git(&["add", "-A"]);
    stage.git(&["commit", "--quiet", "-m", "one"]);
    let pinned = lock(&stage);
    let unused = "docs hexpm gone 1.0.0 none 2026-11-28\n";
    // Nobody's documentation is asked for now, but what there is of pinned releases stays.
    stage.write(".hexmirror.toml", "");
    stage.write("hexmirror.lock", &format!("{pinned}{unused}"));
    stage.run(&["update", "--refresh", "--locked"]).ok();
    assert_eq!(lock(&stage), format!("{pinned}{unused}"));
    stage.run(&["update", "--refresh"]).ok().says("hexmirror.lock");
    assert_eq!(lock(&stage), pinned);
    // A lock that is not there may pin more.
    let mix = fs::read_to_string(stage.project.join("mix.lock")).unwrap();
    stage.write("apps/a/mix.exs", "");
    stage.write("apps/a/mix.lock", &mix);
    stage.git(&["add", "-A"]);
    stage.git(&["commit", "--quiet", "-m", "two"]);
    fs::remove_file(stage.project.join("apps/a/mix.lock")).unwrap();
    stage.write("hexmirror.lock", &format!("{pinned}{unused}"));
    stage.run(&["update", "--refresh"]).ok();
    assert!(lock(&stage).contains(unused), "{}", lock(&stage));
}

#[test]
fn documentation_is_pinned_on_first_use() {
    let (stage, delta) = offered();
    stage.run(&["status"]).ok();
    stage.write(".hexmirror.toml", "docs = true\n");
    stage.run(&["status"]).exits(1).prints("missing documentation of alpha 1.0.0 (update pins it)");
    let status = stage.run(&["status", "--json"]).exits(1).json();
    assert_eq!(status["unpinned_docs"], json!(["alpha 1.0.0", "beta 0.3.0", "delta 4.5.6+build.7"]));
    stage.run(&["update", "--dry-run"]).exits(1).prints("3 files");
    stage.run(&["update", "--locked"]).exits(1).says("hexmirror.lock would change");
    assert!(!stage.project.join("hexmirror.lock").exists());

    let update = stage.run(&["update", "--json"]).ok().json();
    assert_eq!(update["pinned_in"], json!("hexmirror.lock"));
    assert_eq!(update["files"].as_array().unwrap().len(), 2);
    let text = lock(&stage);
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("docs ")).collect();
    for (line, begin) in lines.iter().zip([
        format!("docs hexpm alpha 1.0.0 {} {} first-use 20", sum(&alpha()), alpha().len()),
        "docs hexpm beta 0.3.0 none 20".to_owned(),
        format!("docs hexpm delta 4.5.6+build.7 {} {} first-use 20", sum(&delta), delta.len()),
    ]) {
        assert!(line.starts_with(&begin), "{text}");
    }
    let paths = stage.paths();
    for path in ["contents/index.html", "contents/dist/search_data-1.js", "recipe"] {
        assert!(
            paths.iter().any(|known| known.ends_with(&format!("/alpha/{path}")) && known.starts_with("docs/hexpm/"))
        );
    }
    assert!(!paths.iter().any(|path| path.starts_with("docs/hexpm/") && path.contains("delta")), "{paths:?}");
    assert!(paths.contains(&format!("files/{}/{}", &sum(&delta)[..2], sum(&delta))), "{paths:?}");
    stage.run(&["status"]).ok();
    stage.run(&["list", "alpha-1.0.0.tar.gz"]).ok().prints("trusted on first use, 20");
    stage.run(&["verify"]).ok().says("2 files (2 trusted on first use)");

    // That beta has none is remembered, until someone asks for what is new.
    let asked = stage.upstream.count("*");
    stage.run(&["update"]).ok();
    assert_eq!(stage.upstream.count("*"), asked);
    stage.upstream.put("docs/beta-0.3.0.tar.gz", &archive(&[("index.html", "beta")]));
    stage.run(&["update", "--refresh"]).ok();
    assert!(lock(&stage).contains(&format!("docs hexpm beta 0.3.0 {}", sum(&archive(&[("index.html", "beta")])))));
    assert_eq!(stage.upstream.count(&format!("/{ALPHA}")), 1);
    // What a lock pins is mirrored whatever the settings say.
    fs::remove_file(stage.project.join(".hexmirror.toml")).unwrap();
    stage.git(&["update-ref", "-d", "refs/heads/hexmirror"]);
    stage.run(&["status"]).exits(1).prints("missing https://repo.hex.pm/docs/alpha-1.0.0.tar.gz");
    stage.upstream.put(ALPHA, &archive(&[("index.html", "published again")]));
    stage.run(&["update"]).exits(4).says("wrong checksum");
    stage.upstream.put(ALPHA, &alpha());
    stage.run(&["update"]).ok();
}

#[test]
fn the_option_and_other_settings_do_the_same() {
    let (stage, _) = offered();
    stage.run_with(&["status"], &[("HEXMIRROR_DOCS", "1")]).exits(1);
    stage.git(&["config", "hexmirror.docs", "true"]);
    stage.run(&["status"]).exits(1);
    stage.git(&["config", "hexmirror.docs", "false"]);
    stage.run(&["status"]).ok();
    stage.run(&["update", "--docs"]).ok();
    stage.run(&["status"]).ok();
    assert!(lock(&stage).contains("docs hexpm alpha 1.0.0 "));
}

#[test]
fn documentation_is_served_exported_reviewed_and_pruned() {
    let (stage, delta) = mirrored();
    let serving = Serving::start(&mut stage.command(&["serve", "--listen", "127.0.0.1:0"]));
    for (path, content) in [(ALPHA, alpha()), (DELTA, delta)] {
        let answer = get(serving.authority(), &format!("/{path}"));
        assert_eq!((answer.status, answer.body), (200, content), "{path}");
    }
    let answer = get(serving.authority(), "/docs/beta-0.3.0.tar.gz");
    assert_eq!(answer.status, 404);
    assert!(String::from_utf8_lossy(&answer.body).contains("update --docs"));
    drop(serving);
    let folder = stage.sandbox.path().join("out");
    stage.run(&["export", folder.to_str().unwrap()]).ok();
    assert_eq!(fs::read(folder.join(ALPHA)).unwrap(), alpha());
    stage.git(&["add", "."]);
    stage.git(&["commit", "--quiet", "--message", "With documentation"]);

    // The next version takes the place of the last one, which moves beside it.
    let mut registry = Registry::sample();
    registry.publish("alpha 1.1.0", &[], &[]);
    registry.put(&stage.upstream);
    let next = archive(&[("index.html", "<h1>alpha 1.1</h1>"), ("dist/search_data-1.js", "{}")]);
    stage.upstream.put("docs/alpha-1.1.0.tar.gz", &next);
    stage.write("mix.lock", &registry.mix_lock(&["alpha 1.1.0", "beta 0.3.0", "delta 4.5.6+build.7"]));
    stage.run(&["update"]).ok();
    assert!(!lock(&stage).contains("docs hexpm alpha 1.0.0 "), "{}", lock(&stage));
    let beside = format!("alpha@1.0.0@{}/contents/index.html", sum(&alpha()));
    assert!(stage.paths().iter().any(|path| path.ends_with(&beside)), "{:?}", stage.paths());
    stage.run(&["verify"]).ok().says("3 files");
    stage.git(&["commit", "--quiet", "--all", "--message", "Update"]);
    stage.run(&["diff", "HEAD~1..HEAD"]).prints("docs/alpha-1.1.0.tar.gz");
    stage.run(&["prune", "--keep-days", "0"]).ok();
    stage.git(&["checkout", "--quiet", "--orphan", "other"]);
    stage.git(&["commit", "--quiet", "--message", "Alone"]);
    let branches = stage.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads"]);
    let old = branches.lines().find(|name| !["hexmirror", "other"].contains(name)).unwrap().to_owned();
    stage.git(&["branch", "-D", &old]);
    stage.run(&["prune", "--keep-days", "0"]).ok();
    assert!(!stage.paths().iter().any(|path| path.ends_with(&beside)), "{:?}", stage.paths());
    stage.run(&["verify"]).ok().says("2 files");
    stage.run(&["status"]).ok();
}

/// The pages of a version in the form of ExDoc's: each names the version, links to the data of the search, whose name has its
/// checksum, and has text of its own.
fn pages(version: &str, changed: usize) -> Vec<(String, String)> {
    let text = |page: usize| {
        let mut state = page as u64 + 1;
        let mut word = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("<code>{:x}</code> ", state >> 44)
        };
        (0..400).map(|_| word()).collect::<String>()
    };
    let all: String = (0..20).map(text).collect();
    let search = format!("dist/search_data-{}.js", sum(version.as_bytes())[..8].to_uppercase());
    let page = |number: usize| {
        let seed = if number < changed { number + 1000 } else { number };
        let head = format!("<title>Page {number} — v{version}</title><script src=\"{search}\"></script>");
        (format!("Page{number}.html"), format!("{head}{}<footer>v{version}</footer>", text(seed)))
    };
    (0..20).map(page).chain([(search.clone(), format!("{version}{all}"))]).collect()
}

/// A project with the first of two versions, both of which have documentation.
fn two_versions() -> Stage {
    let mut registry = Registry::sample();
    registry.publish("alpha 1.1.0", &[], &[]);
    let stage = Stage::with(registry, &["alpha 1.0.0"]);
    let archived = |version: &str, changed| {
        let pages = pages(version, changed);
        archive(&pages.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>())
    };
    stage.upstream.put(ALPHA, &archived("1.0.0", 0));
    stage.upstream.put("docs/alpha-1.1.0.tar.gz", &archived("1.1.0", 1));
    stage.run(&["update"]).ok();
    stage
}

#[test]
fn the_next_version_adds_little() {
    let stage = two_versions();
    let packed = || {
        stage.git(&["gc", "--quiet", "--prune=now"]);
        let packs = fs::read_dir(stage.project.join(".git/objects/pack")).unwrap();
        packs.map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>()
    };
    let without = packed();
    stage.run(&["update", "--docs"]).ok();
    let first = packed() - without;
    stage.lock(&["alpha 1.1.0"]);
    stage.run(&["update", "--docs"]).ok();
    let both = packed() - without;
    assert!(both * 5 <= first * 6, "{first} bytes for the first version, {both} for both");
}

#[test]
fn little_of_the_next_version_is_pushed() {
    let stage = two_versions();
    // As in a push, the deltas of a bundle refer to what the other side has, and only to files at the same path.
    let pushed = |before: &str| {
        let file = stage.sandbox.path().join("pushed");
        let range = format!("{before}..hexmirror");
        stage.git(&["bundle", "create", "--quiet", file.to_str().unwrap(), &range]);
        fs::metadata(file).unwrap().len()
    };
    let before = stage.tip().unwrap();
    stage.run(&["update", "--docs"]).ok();
    let (first, before) = (pushed(&before), stage.tip().unwrap());
    stage.lock(&["alpha 1.1.0"]);
    stage.run(&["update", "--docs"]).ok();
    let second = pushed(&before);
    assert!(second * 5 <= first, "{first} bytes for the first version, {second} for the second one");
}

#[test]
fn organisations_have_documentation_at_their_own_path() {
    let mut registry = Registry::sample();
    registry.publish("hexpm:acme/own 1.0.0", &[], &[]);
    let stage = Stage::with(registry, &["hexpm:acme/own 1.0.0"]);
    stage.upstream.put("repos/acme/docs/own-1.0.0.tar.gz", &alpha());
    stage.run(&["update", "--docs"]).ok();
    assert!(lock(&stage).contains("docs hexpm:acme own 1.0.0 "), "{}", lock(&stage));
    let serving = Serving::start(&mut stage.command(&["serve", "--listen", "127.0.0.1:0"]));
    let answer = get(serving.authority(), "/repos/acme/docs/own-1.0.0.tar.gz");
    assert_eq!((answer.status, answer.body), (200, alpha()));
    stage.run(&["verify"]).ok();
}

#[test]
fn what_is_no_documentation_is_refused() {
    let (stage, _) = offered();
    let before = stage.tip();
    let update = || stage.run(&["update", "--docs"]);
    stage.upstream.put(ALPHA, b"<!DOCTYPE html><title>Sign in</title>");
    update().exits(3).says("responded with a web page");
    stage.upstream.put(ALPHA, b"Sign in");
    update().exits(4).says("refused the documentation of alpha 1.0.0").says("it is not gzip");
    stage.upstream.put(ALPHA, &gzip("<!DOCTYPE html>".repeat(100).as_bytes()));
    update().exits(4).says("the archive is invalid");
    let mut hostile = git_hexmirror::hex::gzip::gunzip(&alpha(), 1 << 20).unwrap();
    let at = hostile.windows(10).position(|window| window == b"index.html").unwrap();
    hostile[at..at + 10].copy_from_slice(b"../evil.ht");
    // The checksum of a header is the sum of its bytes.
    let (start, end) = (at + 148, at + 156);
    hostile[start..end].copy_from_slice(b"        ");
    let total: u32 = hostile[at..at + 512].iter().map(|byte| u32::from(*byte)).sum();
    hostile[start..end].copy_from_slice(format!("{total:06o}\0 ").as_bytes());
    stage.upstream.put(ALPHA, &gzip(&hostile));
    update().exits(4).says("is not allowed: it contains '..'");
    stage.upstream.put(ALPHA, &gzip(&vec![0; 64 << 20]));
    update().exits(4).says("inflates to more than");
    stage.upstream.fail(&format!("/{ALPHA}"), ALWAYS, Fault::ClaimLength(1 << 30));
    update().exits(3).says("larger than");
    assert_eq!(stage.tip(), before);
    assert!(!stage.project.join("hexmirror.lock").exists());
    stage.upstream.heal();
    stage.upstream.put(ALPHA, &alpha());
    update().ok();
}
