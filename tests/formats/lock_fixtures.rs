//! Reads the project's own small locks, which cover every valid form and every kind of error.

use std::path::Path;

use git_hexmirror::lock::{Dependency, Lock, LockKind, Source};
use git_hexmirror::plan::Wanted;
use proptest::prelude::*;
use serde_json::{Value, json};

const INNER: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const OUTER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const REVISION: &str = "c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeebeef";

fn contents(file: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/locks").join(file)).expect(file)
}

fn lock(file: &str) -> Lock {
    Lock::parse(file, contents(file)).unwrap_or_else(|error| panic!("{file}: {error:?}"))
}

/// Asserts that the JSON of a lock has exactly these entries.
#[track_caller]
fn assert_entries(file: &str, entries: Value) {
    let expected = json!({"file": file, "entries": entries});
    assert_eq!(serde_json::to_value(lock(file)).unwrap(), expected, "{file}");
}

fn hex(app: &str, package: &str, version: &str, repo: &str, inner: Option<&str>, outer: Option<&str>) -> Value {
    json!({
        "app": app, "kind": "hex", "package": package, "version": version, "repo": repo,
        "inner_checksum": inner, "outer_checksum": outer,
    })
}

fn level(mut entry: Value, level: i64) -> Value {
    entry["level"] = level.into();
    entry
}

#[test]
fn mix_locks_of_2014_name_packages_without_checksums() {
    let apple = json!({"app": "apple", "kind": "package", "version": "0.3.1"});
    let git = |app: &str, url: &str, options: Value| json!({"app": app, "kind": "git", "url": url, "rev": REVISION, "options": options});
    let pear = git("pear", "git://example.com/pear.git", json!({"tag": "v2.0"}));
    let plum = git("plum", "git://example.com/plum.git", json!({}));
    assert_entries("2014-keywords-mix.lock", json!([apple, pear, plum]));
    let pear = git("pear", "git@example.com:fruit/pear.git", json!({"tag": "v2.0"}));
    assert_entries("2014-map-mix.lock", json!([apple, pear]));
}

#[test]
fn hex_entries_have_grown_over_the_years() {
    let old = |app: &str, inner| hex(app, app, "1.0.0", "hexpm", inner, None);
    let (five, four) = (old("five", Some(INNER)), old("four", Some(INNER)));
    let (six, three) = (old("six", Some(INNER)), old("three", None));
    assert_entries("2016-mix.lock", json!([five, four, six, three]));

    let shallow = json!({
        "app": "shallow", "kind": "git", "url": "https://example.com/shallow.git", "rev": REVISION,
        "options": {"branch": "main", "depth": 1, "sparse": "packages/a", "submodules": true},
    });
    let eight = hex("eight", "eight", "1.2.3-rc.1", "hexpm", Some(INNER), Some(OUTER));
    let renamed = hex("renamed", "other-name", "0.1.0", "hexpm:acme", Some(INNER), Some(OUTER));
    let seven = hex("seven", "seven", "1.0.0", "acme", Some(INNER), None);
    assert_entries("today-mix.lock", json!([eight, renamed, seven, shallow]));
}

#[test]
fn dependencies_of_a_release_are_read_in_both_shapes() {
    let dependencies = |file: &str, app: &str| -> Vec<Dependency> {
        let entry = lock(file).entries.into_iter().find(|entry| &*entry.app == app).unwrap();
        match entry.source {
            Source::Hex(release) => release.dependencies,
            other => panic!("{other:?}"),
        }
    };
    let dependency = |app: &str, package: &str, repository: &str, requirement: &str, optional| Dependency {
        app: app.to_owned(),
        package: package.to_owned(),
        repository: repository.to_owned(),
        requirement: Some(requirement.to_owned()),
        optional,
    };
    let pear = dependency("pear", "pear_hex", "hexpm", "~> 1.0 or ~> 2.0", true);
    assert_eq!(dependencies("2016-mix.lock", "six"), [pear]);
    let apple = dependency("apple", "apple", "hexpm", "~> 1.0", false);
    let pear = dependency("pear", "pear", "hexpm:acme", ">= 0.0.0", true);
    assert_eq!(dependencies("today-mix.lock", "eight"), [apple, pear]);
}

#[test]
fn unheard_of_kinds_and_longer_entries_are_kept() {
    let unknown = |app: &str, kind: &str| json!({"app": app, "kind": kind});
    let entries = json!([
        hex("longer", "longer", "1.0.0", "hexpm", Some(INNER), Some(OUTER)),
        unknown("mercurial", "hg"),
        unknown("nothing", "nil"),
        unknown("number", "integer"),
        unknown("text", "string"),
    ]);
    assert_entries("unheard-of-mix.lock", entries);
}

#[test]
fn unusual_syntax_is_read_as_elixir_reads_it() {
    let entries = json!([
        {
            "app": "escapedé😀", "kind": "git", "url": "https://example.com/a.git", "rev": REVISION,
            "options": {"tag": "v#{1}", "opts": {"a": 1, "b": ["c", null]}},
        },
        hex("keyed", "keyed", "1.0.0", "hexpm", None, None),
        {"app": "string key", "kind": "package", "version": "1.0.0"},
        hex("twice", "twice", "2.0.0", "hexpm", Some(INNER), None),
    ]);
    assert_entries("odd-writing-mix.lock", entries);
    assert_entries("blank-mix.lock", json!([]));
}

#[test]
fn rebar_locks_with_and_without_checksums() {
    let apple = |package: &str, inner, outer| level(hex("apple", package, "1.0.0", "hexpm", inner, outer), 0);
    let pear = json!({
        "app": "pear", "kind": "git", "url": "https://example.com/pear.git", "ref": REVISION, "level": 1,
    });
    assert_entries("beta-rebar.lock", json!([apple("apple", None, None), pear]));
    let b = "b".repeat(64);
    let plum = level(hex("plum", "plum", "2.0.0", "hexpm", Some(&b), None), 1);
    assert_entries("hashes-rebar.lock", json!([apple("apple_hex", Some(INNER), Some(OUTER)), plum]));
    assert_entries("blank-rebar.lock", json!([]));
}

#[test]
fn rebar_locks_with_every_source() {
    let git = |app: &str, url: &str, key: &str, value: &str| json!({"app": app, "kind": "git", "url": url, key: value, "level": 0});
    let mut subdir = git("subdir", "u://s", "ref", REVISION);
    subdir["subdir"] = "apps/s".into();
    let entries = json!([
        git("branch", "u://b", "branch", "main"),
        level(hex("inline", "inline", "1.0.0", "hexpm", Some(INNER), Some(OUTER)), 0),
        {"app": "mercurial", "kind": "hg", "level": 2},
        git("plain", "u://p", "ref", REVISION),
        {"app": "raw", "kind": "git", "url": "u://r", "ref": "1", "level": 1},
        subdir,
        git("tag", "u://t", "tag", "v1"),
        level(hex("twice", "twice", "1.0.0", "hexpm", None, None), 0),
    ]);
    assert_entries("sources-rebar.lock", entries);
}

#[test]
fn gleam_manifests_with_every_source() {
    let git = |app: &str, url: &str| json!({"app": app, "kind": "git", "url": url, "ref": REVISION});
    let mut plum = git("plum", "git@example.com:fruit/plum.git");
    plum["subdir"] = "packages/plum".into();
    let entries = json!([
        hex("gleam_json", "gleam_json", "2.3.0", "hexpm", None, Some(OUTER)),
        hex("gleam_stdlib", "gleam_stdlib", "0.62.0", "hexpm", None, Some(OUTER)),
        {"app": "newer", "kind": "tarball"},
        git("pear", "https://example.com/pear.git"),
        plum,
    ]);
    assert_entries("sources-manifest.toml", entries);
    assert_entries("blank-manifest.toml", json!([]));
    let sources = contents("sources-manifest.toml");
    for (kind, text) in [
        (LockKind::Gleam, &sources[..]),
        (LockKind::Gleam, b"[requirements]\n"),
        (LockKind::Mix, b"# a comment\n%{}"),
        (LockKind::Mix, b"[apple: {}]"),
        (LockKind::Rebar, b"[{<<\"apple\">>"),
    ] {
        assert_eq!(LockKind::of_contents(text), kind, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn plugins_are_pinned_by_version_or_revision() {
    let plugin = |package: &str, version: &str, repo: &str| hex(package, package, version, repo, None, Some(OUTER));
    let git = |app: &str, named: Option<(&str, &str)>| {
        let mut entry =
            json!({"app": app, "kind": "git", "url": format!("https://example.com/{app}.git"), "ref": REVISION});
        if let Some((kind, name)) = named {
            entry[kind] = name.into();
        }
        entry
    };
    let entries = json!([
        plugin("apple", "1.0.0", "hexpm"),
        plugin("apple", "1.2.0", "hexpm"),
        git("cherry", Some(("branch", "main"))),
        git("grape", None),
        git("lemon", None),
        git("melon", Some(("tag", "v1/2"))),
        json!({ "app": "target", "kind": "target", "target": "x86_64-linux-gnu nif 2.16" }),
        plugin("tool", "1.0.0", "acme"),
    ]);
    assert_entries("plugins-hexmirror.lock", entries);
    assert_entries("blank-hexmirror.lock", json!([]));
    let plugins = contents("plugins-hexmirror.lock");
    assert_eq!(LockKind::of_contents(&plugins), LockKind::Hexmirror);
    let mut wanted = Wanted::default();
    wanted.add(&lock("plugins-hexmirror.lock")).unwrap();
    let targets: Vec<_> = wanted.targets.iter().map(ToString::to_string).collect();
    assert_eq!(targets, ["x86_64-linux-gnu nif 2.16"]);
    let releases: Vec<_> = wanted.releases.keys().map(ToString::to_string).collect();
    assert_eq!(releases, ["acme/tool 1.0.0", "apple 1.0.0", "apple 1.2.0"]);
    let names =
        wanted.git.iter().map(|pin| (pin.app.as_str(), pin.names.iter().map(ToString::to_string).collect::<String>()));
    let expected = [("cherry", "heads/main"), ("grape", "HEAD"), ("lemon", ""), ("melon", "tags/v1/2")];
    assert_eq!(names.collect::<Vec<_>>(), expected.map(|(app, name)| (app, name.to_owned())));
}

#[test]
fn errors_are_named_with_their_position() {
    let conflict = "unresolved merge conflict";
    let cases: &[(&str, &str, (usize, usize), &str)] = &[
        ("conflict-mix.lock", conflict, (3, 1), "<<<<<<< HEAD"),
        ("conflict-hexmirror.lock", conflict, (2, 1), "<<<<<<< HEAD"),
        ("conflict-left-over-mix.lock", conflict, (3, 1), "======="),
        ("conflict-rebar.lock", conflict, (3, 1), "<<<<<<< HEAD"),
        ("conflict-manifest.toml", conflict, (2, 1), "<<<<<<< HEAD"),
        ("code-mix.lock", "`System` is code, but only literal terms are supported", (2, 27), "System"),
        ("interpolation-mix.lock", "interpolation is not supported: only literal terms are", (2, 30), "#{"),
        ("unterminated-mix.lock", "this string is never closed", (2, 27), "\""),
        ("unclosed-rebar.lock", "unexpected `}`", (2, 47), "}"),
        ("no-version-mix.lock", "the entry of `apple` has no version", (2, 12), "{:hex, :apple}"),
        ("wrong-version-mix.lock", "the version of `apple` is a float, not a string", (2, 27), "1.0"),
        ("not-a-map-mix.lock", "unexpected `{`", (1, 1), "{"),
        ("not-an-entry-rebar.lock", "expected an entry in the list, found an atom", (1, 49), "apple"),
        ("deep-mix.lock", "terms are nested more than 64 levels deep", (1, 74), "{"),
        ("deep-rebar.lock", "terms are nested more than 64 levels deep", (1, 65), "["),
        ("not-utf8-mix.lock", "the file is not UTF-8", (2, 27), "\u{fffd}"),
    ];
    for (file, message, place, marked) in cases {
        let contents = contents(file);
        let error = Lock::parse(file, &contents).expect_err(file);
        assert_eq!(error.message, *message, "{file}");
        assert_eq!(error.line_column(&contents), *place, "{file}");
        assert_eq!(String::from_utf8_lossy(&contents[error.span.range()]), *marked, "{file}");
    }
}

#[test]
fn too_many_terms_and_too_many_bytes_are_refused() {
    let many = format!("%{{\"apple\": [{}]}}", "1,".repeat(4_000_001));
    assert!(Lock::parse("mix.lock", &many).unwrap_err().message.contains("more than 4000000 terms"));
    let large = vec![b' '; (64 << 20) + 1];
    assert!(Lock::parse("mix.lock", &large).unwrap_err().message.contains("larger than 64 MB"));
    assert!(Lock::parse("rebar.lock", &large).unwrap_err().message.contains("larger than 64 MB"));
    assert!(Lock::parse("manifest.toml", &large).unwrap_err().message.contains("larger than 64 MB"));
}

/// The names and contents of all locks of the project.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/locks");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = files.map(|file| (file.clone(), contents(&file))).collect();
    files.sort();
    files
}

/// Reads a lock and, if it is invalid, computes the position of the error. Neither may panic.
fn read_anyhow(file: &str, contents: &[u8]) {
    match Lock::parse(file, contents) {
        Ok(lock) => drop(serde_json::to_string(&lock).unwrap()),
        Err(error) => {
            error.line_column(contents);
            assert!(contents.get(error.span.range()).is_some(), "{error:?} is outside of the file");
            assert!(!error.message.is_empty() && !error.label.is_empty(), "{error:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(contents in prop::collection::vec(any::<u8>(), 0..200)) {
        read_anyhow("mix.lock", &contents);
        read_anyhow("rebar.lock", &contents);
        read_anyhow("manifest.toml", &contents);
    }

    #[test]
    fn tokens_in_any_order_never_panic(tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..40)) {
        let contents = tokens.concat();
        read_anyhow("mix.lock", contents.as_bytes());
        read_anyhow("rebar.lock", contents.as_bytes());
    }

    #[test]
    fn mutated_locks_never_panic(
        choice in any::<prop::sample::Index>(),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), 0..3u8, any::<u8>()), 1..8),
    ) {
        let (file, mut contents) = choice.get(&fixtures()).clone();
        for (place, kind, byte) in mutations {
            let place = place.index(contents.len() + 1);
            match kind {
                0 => contents.insert(place, byte),
                1 => contents.truncate(place),
                _ if place < contents.len() => contents[place] = byte,
                _ => {}
            }
        }
        read_anyhow(&file, &contents);
    }
}

const TOKENS: &[&str] = &[
    "%{",
    "#{",
    "{",
    "}",
    "[",
    "]",
    "<<",
    ">>",
    "<",
    ">",
    ",",
    ".",
    ":",
    "=>",
    "\"",
    "'",
    "\"\"\"",
    "\\",
    "\\x",
    "\\x{",
    "\\u{",
    "\\^",
    "~c",
    "~s(",
    "~",
    "$",
    "?",
    "-",
    "+",
    "0x",
    "16#",
    "1",
    "1.5",
    "1e",
    "_",
    "a",
    "a: ",
    ":a",
    "\"a\": ",
    "nil",
    "A",
    "é",
    "→",
    "\u{feff}",
    "/utf8",
    "%",
    "#",
    "\n",
    "\r",
    " ",
    "\0",
    ":hex, ",
    "pkg, ",
    "{:git, ",
    "<<<<<<< ",
    "\n=======\n",
    "|",
];
