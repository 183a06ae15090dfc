//! The plan is complete, minimal, and settled by carrying it out.

use proptest::prelude::*;

use super::*;
use crate::model::{
    EntryChecksum, InnerChecksum, ManifestPart, OuterChecksum, ReleaseId, Storage, StoredEntry, StoredRelease,
};

fn entry(package: &str) -> EntryId {
    EntryId { repository: RepositoryName::hexpm(), package: package.parse().unwrap() }
}

fn signer(byte: u8) -> Fingerprint {
    Fingerprint::from_bytes([byte; 32])
}

/// Adds `PACKAGE VERSION`, whose checksums consist of one byte.
fn put(manifest: &mut Manifest, release: &str, byte: u8) {
    let (package, version) = release.split_once(' ').unwrap();
    let EntryId { repository, package } = entry(package);
    let (outer, inner) = (OuterChecksum::from_bytes([byte; 32]), InnerChecksum::from_bytes([byte; 32]));
    let id = ReleaseId { repository, package, version: version.parse().unwrap() };
    manifest.releases.insert(id, StoredRelease { outer, inner, storage: Storage::Unpacked, bytes: 1 });
}

fn put_entry(manifest: &mut Manifest, package: &str, byte: u8) {
    let stored = StoredEntry { checksum: EntryChecksum::from_bytes([byte; 32]), bytes: 1 };
    manifest.entries.insert(entry(package), stored);
}

fn plan(manifest: &Manifest) -> IndexPlan {
    IndexPlan::new(manifest, &BTreeSet::new(), Some(signer(1)))
}

fn is_carried_out(manifest: &Manifest) -> bool {
    plan(manifest) == IndexPlan::default()
}

/// Records in a manifest that its index is up to date.
fn carry_out(manifest: &mut Manifest) {
    let IndexPlan { build, remove, whole, dropped } = plan(manifest);
    manifest.index.extend(build);
    manifest.index.retain(|id, _| !remove.contains(id));
    manifest.index_signers.extend(whole.into_iter().map(|repository| (repository, signer(1))));
    manifest.index_signers.retain(|repository, _| !dropped.contains(repository));
}

fn sample() -> Manifest {
    let mut manifest = Manifest::default();
    put(&mut manifest, "alpha 1.0.0", 1);
    put(&mut manifest, "beta 1.0.0", 2);
    for (package, byte) in [("alpha", 1), ("beta", 2), ("gamma", 3)] {
        put_entry(&mut manifest, package, byte);
    }
    manifest.absent.insert(entry("nobody"));
    carry_out(&mut manifest);
    manifest
}

fn built(manifest: &Manifest) -> Vec<String> {
    plan(manifest).build.keys().map(ToString::to_string).collect()
}

#[test]
fn an_empty_mirror_has_no_index_and_a_new_one_is_built_completely() {
    assert!(is_carried_out(&Manifest::default()));
    let mut manifest = sample();
    assert!(is_carried_out(&manifest));
    manifest.index_signers.clear();
    assert_eq!(built(&manifest), ["alpha", "beta", "gamma", "nobody"]);
}

#[test]
fn only_what_an_entry_is_built_from_makes_it_behind() {
    type Change = fn(&mut Manifest);
    let changes: [(&str, Change, &[&str]); 6] = [
        ("a new version", |manifest| put(manifest, "alpha 1.1.0", 9), &["alpha"]),
        ("another checksum", |manifest| put(manifest, "beta 1.0.0", 9), &["beta"]),
        ("news of a stored package", |manifest| put_entry(manifest, "alpha", 9), &["alpha"]),
        ("news of a package that is only mentioned", |manifest| put_entry(manifest, "gamma", 9), &[]),
        ("a release of a package that was only mentioned", |manifest| put(manifest, "gamma 1.0.0", 9), &["gamma"]),
        ("a new dependency", |manifest| put_entry(manifest, "delta", 9), &["delta"]),
    ];
    for (what, change, expected) in changes {
        let mut manifest = sample();
        change(&mut manifest);
        assert_eq!(built(&manifest), expected, "{what}");
    }
    // The form of storage does not matter.
    let mut manifest = sample();
    manifest.releases.values_mut().for_each(|stored| stored.storage = Storage::Tarball);
    assert!(is_carried_out(&manifest));
}

#[test]
fn removed_releases_leave_the_index() {
    let mut manifest = sample();
    manifest.entries.remove(&entry("gamma"));
    assert_eq!(plan(&manifest).remove, BTreeSet::from([entry("gamma")]));
    let nothing =
        Manifest { index: manifest.index.clone(), index_signers: manifest.index_signers, ..Manifest::default() };
    assert_eq!(plan(&nothing).dropped, BTreeSet::from([RepositoryName::hexpm()]));
}

#[test]
fn another_key_signs_everything_again() {
    let manifest = sample();
    let plan = IndexPlan::new(&manifest, &BTreeSet::new(), Some(signer(2)));
    assert_eq!((plan.build.len(), plan.whole.len()), (4, 1));
    assert_eq!(IndexPlan::new(&manifest, &BTreeSet::new(), None), IndexPlan::default());
}

#[test]
fn a_merge_takes_the_index_that_fits_its_result() {
    let ours = sample();
    let mut theirs = ours.clone();
    put(&mut theirs, "alpha 1.1.0", 9);
    let merged = theirs.clone();
    assert!(better_indexes([&ours, &theirs], &merged).is_empty(), "both are behind in one package");
    carry_out(&mut theirs);
    assert_eq!(better_indexes([&ours, &theirs], &merged), [RepositoryName::hexpm()]);
    assert!(better_indexes([&theirs, &ours], &merged).is_empty());
    theirs.index_signers.insert(RepositoryName::hexpm(), signer(2));
    assert!(better_indexes([&ours, &theirs], &merged).is_empty(), "another signer");
    assert_eq!(better_indexes([&Manifest::default(), &theirs], &merged), [RepositoryName::hexpm()]);
}

/// Returns what the parts of a manifest that are not settled say, together.
fn unsettled(manifest: &Manifest) -> Manifest {
    let all = ManifestPart::all().collect();
    let parts = manifest.texts(&all).into_iter().map(|(part, text)| Manifest::parse_part(part, &text).unwrap());
    let parts = parts.filter(|part| !is_settled(part, &manifest.index_signers));
    let unsettled = Manifest::combined(parts.map(std::sync::Arc::new));
    Manifest { index_signers: manifest.index_signers.clone(), ..unsettled }
}

#[test]
fn a_part_is_settled_only_if_no_other_part_matters() {
    let mut manifest = sample();
    assert_eq!(unsettled(&manifest).index.len(), 0);
    let without_signers = BTreeMap::new();
    let alpha = Manifest::parse_part(
        ManifestPart::of(&entry("alpha").package),
        &manifest.texts(&BTreeSet::from([ManifestPart::of(&entry("alpha").package)])).into_values().next().unwrap(),
    );
    assert!(!is_settled(&alpha.unwrap(), &without_signers));
    // Its dependencies may be in other parts.
    manifest.entries.remove(&entry("alpha"));
    carry_out(&mut manifest);
    assert_eq!(unsettled(&manifest).index.keys().map(ToString::to_string).collect::<Vec<_>>(), ["alpha"]);
    // A package that is listed only because it is mentioned.
    manifest.index.insert(entry("mentioned"), manifest.index[&entry("beta")]);
    assert!(unsettled(&manifest).index.contains_key(&entry("mentioned")));
}

proptest! {
    #[test]
    fn the_parts_that_are_not_settled_give_the_plan_of_the_whole(
        releases in proptest::collection::vec(("[a-j]", 0u8..2, 0u8..3), 0..12),
        entries in proptest::collection::vec(("[a-j]", 0u8..3), 0..12),
        later in proptest::collection::vec(("[a-j]", 0u8..2, 0u8..3), 0..3),
        gone in proptest::collection::vec("[a-j]", 0..3),
    ) {
        let mut manifest = Manifest::default();
        let add = |manifest: &mut Manifest, releases: Vec<(String, u8, u8)>| {
            for (package, minor, byte) in releases {
                put(manifest, &format!("{package} 1.{minor}.0"), byte);
            }
        };
        add(&mut manifest, releases);
        for (package, byte) in entries {
            put_entry(&mut manifest, &package, byte);
        }
        carry_out(&mut manifest);
        add(&mut manifest, later);
        manifest.releases.retain(|id, _| !gone.iter().any(|gone| *gone == id.package.as_str()));
        manifest.entries.retain(|id, _| !gone.iter().any(|gone| *gone == id.package.as_str()));
        let whole = plan(&manifest);
        prop_assert_eq!(IndexPlan { dropped: BTreeSet::new(), ..plan(&unsettled(&manifest)) }, IndexPlan { dropped: BTreeSet::new(), ..whole });
    }

    #[test]
    fn nothing_is_left_to_do_after_a_plan_was_carried_out(
        before in proptest::collection::vec(("[a-e]", 0u8..4, any::<u8>()), 0..12),
        after in proptest::collection::vec(("[a-e]", 0u8..4, any::<u8>()), 0..12),
    ) {
        let mut manifest = Manifest::default();
        for (package, minor, byte) in before {
            put(&mut manifest, &format!("{package} 1.{minor}.0"), byte);
        }
        carry_out(&mut manifest);
        prop_assert!(is_carried_out(&manifest));
        let mut next = Manifest { index: manifest.index.clone(), index_signers: manifest.index_signers.clone(), ..Manifest::default() };
        for (package, minor, byte) in after {
            put(&mut next, &format!("{package} 1.{minor}.0"), byte);
        }
        // A package is built if and only if its releases changed.
        let releases = |manifest: &Manifest, id: &EntryId| {
            let of_package = manifest.releases_of(&id.repository, &id.package);
            of_package.map(|(id, stored)| (id.clone(), *stored)).collect::<Vec<_>>()
        };
        let changed: Vec<EntryId> = next.releases.keys().map(ReleaseId::entry).collect::<BTreeSet<_>>().into_iter()
            .filter(|id| releases(&manifest, id) != releases(&next, id)).collect();
        prop_assert_eq!(plan(&next).build.into_keys().collect::<Vec<_>>(), changed);
        carry_out(&mut next);
        prop_assert!(is_carried_out(&next));
    }
}

#[test]
fn an_imported_index_stays_until_another_is_built_or_every_package_has_its_entry() {
    let hexpm = RepositoryName::hexpm();
    let mut manifest = sample();
    assert!(!has_imported_index(&manifest, &hexpm));
    manifest.entries.remove(&entry("beta"));
    manifest.index = ["alpha", "unrelated"].map(|name| (entry(name), IndexSource::IMPORTED)).into();
    manifest.index_signers = [(hexpm.clone(), signer(2))].into();
    assert!(has_imported_index(&manifest, &hexpm) && !is_superseded_index(&manifest, &hexpm));
    assert_eq!(IndexPlan::new(&manifest, &BTreeSet::new(), None), IndexPlan::default(), "nothing is behind");
    // Even a key that signed the imported index signs all of it again.
    for by in [1, 2] {
        let plan = IndexPlan::new(&manifest, &BTreeSet::new(), Some(signer(by)));
        assert_eq!((plan.whole.len(), plan.remove), (1, [entry("unrelated")].into()));
        assert!(plan.build.contains_key(&entry("alpha")) && plan.build.contains_key(&entry("beta")));
    }
    put_entry(&mut manifest, "beta", 2);
    assert!(is_superseded_index(&manifest, &hexpm));
    let theirs = manifest.clone();
    manifest.index_signers.clear();
    manifest.index.clear();
    assert_eq!(better_indexes([&manifest, &theirs], &manifest), [], "it is not taken over any more");
    manifest.entries.remove(&entry("beta"));
    assert_eq!(better_indexes([&manifest, &theirs], &manifest), [hexpm]);
}
