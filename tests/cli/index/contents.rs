//! What the index lists.

use git_hexmirror::hex::registry::Timestamp;
use git_hexmirror::hex::tarball::{Tarball, TarballLimits};
use git_hexmirror::model::{IndexFile, Version};
use git_hexmirror::store::{ReleaseEncoder, Repository, Transaction};

use super::{Index, indexed};
use crate::support::registry::{Registry, tarball};
use crate::support::stage::{PINNED, Stage};

fn versions(index: &Index, package: &str) -> Vec<String> {
    index.package(package).releases.iter().map(|release| release.version.to_string()).collect()
}

#[test]
fn it_lists_what_is_stored_and_empty_entries_for_what_is_only_mentioned() {
    let index = Index::of(&indexed());
    // Upstream has 1.1.0 and 2.0.0-rc.1, too.
    assert_eq!(versions(&index, "alpha"), ["1.0.0"]);
    assert_eq!(versions(&index, "beta"), ["0.3.0"]);
    // An optional dependency that no lock pins.
    assert_eq!(versions(&index, "gamma"), [""; 0]);
    let beta = index.package("beta");
    let dependencies = &beta.releases[0].dependencies;
    let named: Vec<_> = dependencies.iter().map(|found| (found.package.as_str(), &found.requirement[..])).collect();
    assert_eq!(named, [("alpha", "~> 1.0"), ("gamma", ">= 0.0.0")]);
    assert!(dependencies.iter().all(|found| found.repository.is_none()), "hexpm is the entry's own repository");
    let listed: Vec<String> = index.names().packages.iter().map(|entry| entry.name.to_string()).collect();
    assert_eq!(listed, ["alpha", "beta", "delta"]);
    let listed: Vec<_> = index.versions().packages;
    assert_eq!(listed[2].versions, ["4.5.6+build.7".parse::<Version>().unwrap()]);
    assert_eq!(listed[2].retired, [0]);
}

#[test]
fn facts_of_upstreams_entries_are_kept_for_the_stored_releases() {
    let mut registry = Registry::sample();
    registry.advise(&["alpha 1.1.0", "alpha 2.0.0-rc.1"], "GHSA-1");
    registry.advise(&["alpha 1.0.0"], "GHSA-2");
    registry.listed("alpha 1.0.0").published_at = Some(Timestamp { seconds: 1_600_000_000, nanos: 7 });
    let stage = Stage::with(registry, &PINNED);
    stage.run(&["update"]).ok();
    stage.run(&["index", "--init"]).ok();
    let index = Index::of(&stage);
    let alpha = index.package("alpha");
    assert_eq!(alpha.advisories.len(), 1);
    assert_eq!(alpha.advisories[0].id, "GHSA-2");
    assert_eq!(alpha.releases[0].advisories, [0]);
    let delta = index.package("delta");
    assert_eq!(delta.releases[0].retired.as_ref().unwrap().message.as_deref(), Some("use epsilon"));
    assert_eq!(index.versions().packages[0].with_advisories, [0]);
    assert_eq!(index.names().packages[0].updated_at, alpha.releases[0].published_at);
    assert_eq!(index.names().packages[1].updated_at, None);
}

#[test]
fn an_independent_reader_reads_it() {
    let index = Index::of(&indexed());
    let pem = index.file(&IndexFile::PublicKey);
    let package = |name: &str| {
        let entry = index.file(&IndexFile::Package(name.parse().unwrap()));
        hexpm::repository_v2_package_parse_body(&entry, &pem).unwrap()
    };
    let beta = package("beta");
    assert_eq!((&beta.name[..], &beta.repository[..], beta.releases.len()), ("beta", "hexpm", 1));
    assert_eq!(beta.releases[0].requirements["alpha"].requirement.as_str(), "~> 1.0");
    assert!(package("delta").releases[0].is_retired());
    let versions = hexpm::repository_v2_get_versions_body(&index.file(&IndexFile::Versions), &pem).unwrap();
    assert_eq!(versions["alpha"].len(), 1);
}

/// The same contents give the same bytes, whatever the order in which they were stored.
#[test]
fn the_same_contents_give_the_same_index() {
    let one = indexed();
    let two = Stage::with(Registry::sample(), &[PINNED[2]]);
    let key = super::key_file(&one);
    two.run(&["update"]).ok();
    two.run(&["index", "--init", "--private-key", key.to_str().unwrap()]).ok();
    two.lock(&PINNED);
    two.run(&["update"]).ok();
    let tree = |stage: &Stage| stage.git(&["rev-parse", "hexmirror:hex/hexpm/index"]);
    assert_eq!(tree(&one), tree(&two));
    let manifest = |stage: &Stage| Index::of(stage).manifest().index.clone();
    assert_eq!(manifest(&one), manifest(&two));
}

#[test]
fn releases_of_an_organisation_have_an_index_of_their_own() {
    let stage = Stage::with(Registry::sample(), &["hexpm:acme/secret 0.1.0", "alpha 1.0.0"]);
    stage.run(&["update"]).ok();
    let document = stage.run(&["index", "--init", "--json"]).ok().json();
    assert_eq!(document["packages"], 2);
    let paths = stage.paths();
    assert!(paths.iter().any(|path| path.starts_with("hex/hexpm:acme/index/packages/")), "{paths:?}");
    stage.run(&["verify"]).ok();
}

/// The metadata decides on a package's name, not where it is stored.
#[test]
fn a_release_with_the_metadata_of_another_one_is_left_out_and_named() {
    let mut registry = Registry::sample();
    registry.publish_tarball("epsilon 1.0.0", tarball("zeta 9.9.9", &[], &[("lib/a.ex".into(), b"a".to_vec())]));
    let stage = Stage::with(registry, &["alpha 1.0.0", "epsilon 1.0.0"]);
    stage.run(&["update"]).ok();
    let ran = stage.run(&["index", "--init"]).ok();
    let ran = ran.says("the index does not list epsilon 1.0.0: its metadata is that of zeta 9.9.9");
    assert!(!ran.stderr.contains("alpha"), "{ran:#?}");
    let index = Index::of(&stage);
    assert_eq!(versions(&index, "epsilon"), [""; 0]);
    assert_eq!(versions(&index, "alpha"), ["1.0.0"]);
    stage.run(&["verify"]).ok();
}

/// A client reads the requirements of all releases that an entry lists, and fails at the first one that is none.
#[test]
fn a_release_with_a_requirement_that_is_none_is_left_out_and_named() {
    let mut registry = Registry::sample();
    let files = [("lib/theta.ex".to_owned(), String::new())];
    registry.publish("theta 1.0.0", &["alpha ~> 1.0"], &files);
    registry.publish("theta 1.1.0", &["alpha not a req"], &files);
    let stage = Stage::with(registry, &[PINNED[0], "theta 1.1.0"]);
    stage.run(&["update"]).ok();
    let ran = stage.run(&["index", "--init"]).ok();
    ran.says("the index does not list theta 1.1.0: \"not a req\" is not a version requirement");
    assert_eq!(versions(&Index::of(&stage), "theta"), [""; 0]);
    stage.run(&["verify"]).ok();
}

/// Someone who may write the mirror branch adds a release that nobody published.
#[test]
fn a_release_that_upstream_does_not_list_is_not_signed() {
    let stage = Stage::mirrored();
    let mut rogue = Registry::sample();
    rogue.publish("alpha 9.0.0", &[], &[("lib/alpha.ex".into(), "rogue".into())]);
    let id = crate::support::registry::release_id("alpha 9.0.0");
    let repository = Repository::open(&stage.project).unwrap();
    let branch = repository.branch("hexmirror").unwrap();
    let base = repository.snapshot(&branch).unwrap();
    let mut transaction = Transaction::begin(&repository, &branch, base.as_ref()).unwrap();
    let encoder = ReleaseEncoder::new(&repository, TarballLimits::default()).unwrap();
    let tarball = &rogue.get("alpha 9.0.0").tarball;
    let tarball = Tarball::open(tarball, &TarballLimits::default()).unwrap();
    transaction.add_release(encoder.encode(id, &tarball).unwrap()).unwrap();
    transaction.publish("by hand").unwrap();
    let ran = stage.run(&["index", "--init"]).ok();
    ran.says("the index does not list alpha 9.0.0: the registry entry does not list it");
    assert_eq!(versions(&Index::of(&stage), "alpha"), ["1.0.0"]);
}
