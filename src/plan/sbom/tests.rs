use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::hex::registry::{Dependency, Package, Release};
use crate::lock::Lock;
use crate::model::InnerChecksum;
use crate::term::Lines;

const REVISION: &str = "b43616a08459451cc5afdcd9839b732cbc1dedfa";

fn locked(file: &str, text: &str) -> LockedEntries {
    LockedEntries::of(&Lock::parse(file, text).unwrap(), &Lines::of(text), &BTreeSet::new()).unwrap()
}

/// Writes entries `NAME VERSION` with what the lock says that they require, by name.
fn mix(entries: &[(&str, &[&str])]) -> String {
    let entry = |(release, requires): &(&str, &[&str])| {
        let (name, version) = release.split_once(' ').unwrap();
        let requires: Vec<_> = requires.iter().map(|name| format!(r#"{{:{name}, ">= 0.0.0", []}}"#)).collect();
        let (sum, requires) = ("a".repeat(64), requires.join(", "));
        format!(r#""{name}": {{:hex, :{name}, "{version}", "{sum}", [:mix], [{requires}], "hexpm", "{sum}"}},"#)
    };
    format!("%{{\n{}\n}}\n", entries.iter().map(entry).collect::<Vec<_>>().join("\n"))
}

fn bill_with(locks: Vec<LockedEntries>, releases: BTreeMap<ReleaseId, ReleaseDetails>, manifest: &str) -> Sbom {
    let manifest = manifest.parse().unwrap();
    let facts = SbomFacts { releases, artefacts: BTreeSet::new(), manifest: &manifest };
    Sbom::new([(String::new(), locks)].into(), &facts)
}

fn bill(locks: Vec<LockedEntries>) -> Sbom {
    bill_with(locks, BTreeMap::new(), "")
}

fn shown(ids: &BTreeSet<ComponentId>) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

fn requires(sbom: &Sbom, reference: &str) -> Vec<String> {
    let (_, component) = sbom.components.iter().find(|(id, _)| id.to_string() == reference).expect(reference);
    shown(&component.requires)
}

/// The details of a release that its registry entry lists, with its requirements.
fn listed(release: &str, requirements: &[(&str, &str)]) -> (ReleaseId, ReleaseDetails) {
    let (name, version) = release.split_once(' ').unwrap();
    let requirement = |(name, requirement): &(&str, &str)| Dependency {
        package: name.parse().unwrap(),
        requirement: (*requirement).into(),
        optional: false,
        app: None,
        repository: None,
    };
    let release = Release {
        version: version.parse().unwrap(),
        inner_checksum: InnerChecksum::from_bytes([7; 32]),
        outer_checksum: None,
        dependencies: requirements.iter().map(requirement).collect(),
        retired: None,
        advisories: Vec::new(),
        published_at: None,
    };
    let version = release.version.clone();
    let package =
        Package { name: name.parse().unwrap(), releases: vec![release], advisories: Vec::new(), skipped: Vec::new() };
    let details = ReleaseDetails {
        is_stored: true,
        outer: None,
        listing: Listing::of(Some(&package), &version),
        licenses: None,
        requirements: None,
        repository_url: None,
    };
    (ReleaseId { repository: "hexpm".parse().unwrap(), package: package.name, version }, details)
}

#[test]
fn the_registry_says_what_is_required_and_the_lock_otherwise() {
    let text = mix(&[("a 1.0.0", &["b"]), ("b 1.0.0", &["c"]), ("c 1.0.0", &[])]);
    let sbom = bill(vec![locked("mix.lock", &text)]);
    assert_eq!(shown(&sbom.projects[0].requires), ["hex:hexpm/a@1.0.0"]);
    assert_eq!(requires(&sbom, "hex:hexpm/a@1.0.0"), ["hex:hexpm/b@1.0.0"]);
    let a = [listed("a 1.0.0", &[("c", "~> 1.0"), ("not_locked", "~> 1.0")])].into();
    let sbom = bill_with(vec![locked("mix.lock", &text)], a, "");
    assert_eq!(requires(&sbom, "hex:hexpm/a@1.0.0"), ["hex:hexpm/c@1.0.0"]);
    assert_eq!(shown(&sbom.projects[0].requires), ["hex:hexpm/a@1.0.0", "hex:hexpm/b@1.0.0"]);
}

#[test]
fn members_of_a_circle_are_reached() {
    let sbom = bill(vec![locked("mix.lock", &mix(&[("a 1.0.0", &["b", "a"]), ("b 1.0.0", &["a"])]))]);
    assert_eq!(shown(&sbom.projects[0].requires), ["hex:hexpm/a@1.0.0"]);
    assert_eq!(requires(&sbom, "hex:hexpm/a@1.0.0"), ["hex:hexpm/b@1.0.0"]);
}

#[test]
fn levels_of_a_lock_decide() {
    let rebar = r#"{"1.2.0",[{<<"a">>,{pkg,<<"a">>,<<"1.0.0">>},0},{<<"b">>,{pkg,<<"b">>,<<"1.0.0">>},0},
        {<<"c">>,{pkg,<<"c">>,<<"1.0.0">>},1}]}."#;
    let a = [listed("a 1.0.0", &[("b", "~> 1.0")])].into();
    let sbom = bill_with(vec![locked("rebar.lock", rebar)], a, "");
    // Nothing is known to require the deeper one, which must be reached all the same.
    let roots = ["hex:hexpm/a@1.0.0", "hex:hexpm/b@1.0.0", "hex:hexpm/c@1.0.0"];
    assert_eq!(shown(&sbom.projects[0].requires), roots);
    assert_eq!(requires(&sbom, "hex:hexpm/a@1.0.0"), ["hex:hexpm/b@1.0.0"]);
}

#[test]
fn an_application_may_come_from_git_or_from_another_package() {
    let text = format!(
        r#"%{{"plug": {{:git, "https://h/plug", "{REVISION}", []}}, "mime": {{:hex, :mime_fork, "2.0.0"}},
        "web": {{:hex, :web, "1.0.0", "{0}", [:mix], [{{:plug, "~> 1.0", []}}, {{:mime, "~> 1.0", []}}], "hexpm", "{0}"}}}}"#,
        "a".repeat(64)
    );
    let sbom = bill(vec![locked("mix.lock", &text)]);
    let expected = ["hex:hexpm/mime_fork@2.0.0".to_owned(), format!("git:h/plug@{REVISION}#plug")];
    assert_eq!(requires(&sbom, "hex:hexpm/web@1.0.0"), expected);
}

#[test]
fn a_lock_of_plugins_is_searched_last_and_by_version() {
    let sum = "a".repeat(64);
    let plugin = |release: &str| format!("plugin hexpm {release} {sum} for .\n");
    let own = ["pc 1.0.0", "helper 1.0.0", "helper 2.0.0"].map(plugin).concat();
    let releases =
        || BTreeMap::from([listed("pc 1.0.0", &[("helper", "~> 2.0")]), listed("a 1.0.0", &[("helper", "~> 1.0")])]);
    let of = |text: &str| bill_with(vec![locked("hexmirror.lock", &own), locked("mix.lock", text)], releases(), "");
    let sbom = of(&mix(&[("a 1.0.0", &[])]));
    assert_eq!(requires(&sbom, "hex:hexpm/pc@1.0.0"), ["hex:hexpm/helper@2.0.0"]);
    assert_eq!(requires(&sbom, "hex:hexpm/a@1.0.0"), ["hex:hexpm/helper@1.0.0"]);
    let sbom = of(&mix(&[("a 1.0.0", &[]), ("helper 2.0.0", &[])]));
    assert_eq!(requires(&sbom, "hex:hexpm/a@1.0.0"), ["hex:hexpm/helper@2.0.0"], "the lock decides");
    let role = |name: &str| sbom.components.iter().find(|(id, _)| id.to_string() == name).unwrap().1.role;
    assert_eq!(role("hex:hexpm/helper@2.0.0"), Role::Dependency);
    assert_eq!(role("hex:hexpm/helper@1.0.0"), Role::Plugin);
}

#[test]
fn submodules_are_followed_even_in_circles() {
    let lock = format!(r#"%{{"a": {{:git, "https://h/a", "{REVISION}", [submodules: true]}}}}"#);
    let other = "1".repeat(40);
    let manifest = format!(
        "git h/a {REVISION} full submodules HEAD\ngit h/b {other} full submodules\n\
         submodule h/a {REVISION} h/b {other}\nsubmodule h/b {other} h/a {REVISION}\n"
    );
    let sbom = bill_with(vec![locked("mix.lock", &lock)], BTreeMap::new(), &manifest);
    let (a, b) = (format!("git:h/a@{REVISION}#a"), format!("git:h/b@{other}#b"));
    assert_eq!(requires(&sbom, &a), std::slice::from_ref(&b));
    assert_eq!(requires(&sbom, &b), [a]);
    assert!(sbom.components.values().all(|component| component.is_mirrored));
    let without = bill_with(vec![locked("mix.lock", &lock.replace("true", "false"))], BTreeMap::new(), &manifest);
    assert_eq!(without.components.len(), 1);
}

#[test]
fn references_differ_if_components_do() {
    let [one, other] = [("a:b", None), ("b", Some("a"))].map(|(app, subdir)| ComponentId::Revision {
        app: app.into(),
        address: "h/x".parse().unwrap(),
        revision: REVISION.parse().unwrap(),
        subdir: subdir.map(str::to_owned),
    });
    assert_ne!(one.to_string(), other.to_string());
}
