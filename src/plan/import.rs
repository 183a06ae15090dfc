//! Decides which of the tarballs found in folders an import stores.
//!
//! The locks decide first: a tarball of a pinned release must have the checksums in the lock. A release that no lock pins is
//! left out unless the user wants everything; then the registry in its folder, if its repository signed it, or else the
//! tarball itself has to vouch for it. One refused tarball refuses the import.

use std::collections::{BTreeMap, BTreeSet};

use super::{Pin, Wanted};
use crate::hex::registry::Package;
use crate::model::{
    EntryId, InnerChecksum, Manifest, OuterChecksum, PackageName, ReleaseId, RepositoryName, StoredRelease, Version,
};

/// A tarball found in a folder. Its own `CHECKSUM` is correct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTarball {
    /// The file.
    pub file: String,
    /// The name in its metadata.
    pub package: PackageName,
    /// The version in its metadata.
    pub version: Version,
    /// The repository that the folder is of, if the folder says so, as in registry entries (without `hexpm:`) or in full.
    pub repository: Option<RepositoryName>,
    /// The SHA-256 of the file.
    pub outer: OuterChecksum,
    /// The inner checksum.
    pub inner: InnerChecksum,
}

/// What a release was verified against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// The checksums that a lock pins.
    Lock,
    /// A registry entry that the release's repository signed.
    Registry,
    /// Only the tarball's own checksum.
    Tarball,
}

impl Evidence {
    /// Returns the word for output and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Registry => "registry",
            Self::Tarball => "tarball",
        }
    }
}

/// A release to store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportedRelease {
    /// The position of its tarball among those found.
    pub found: usize,
    /// What vouches for it.
    pub evidence: Evidence,
}

/// Why an import is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedTarball {
    /// The tarball has another outer checksum than the lock or the registry says.
    #[error("{file}: {source_of} requires the outer checksum {expected} for {release}, but the file has {got}")]
    OuterChecksum {
        /// The file.
        file: String,
        /// The release.
        release: ReleaseId,
        /// What states the checksum.
        source_of: &'static str,
        /// The expected checksum.
        expected: OuterChecksum,
        /// The file's checksum.
        got: OuterChecksum,
    },
    /// The tarball has another inner checksum than the lock or the registry says.
    #[error("{file}: {source_of} requires the inner checksum {expected} for {release}, but the file has {got}")]
    InnerChecksum {
        /// The file.
        file: String,
        /// The release.
        release: ReleaseId,
        /// What states the checksum.
        source_of: &'static str,
        /// The expected checksum.
        expected: InnerChecksum,
        /// The file's checksum.
        got: InnerChecksum,
    },
    /// Two files claim to be one release, with different contents.
    #[error("{one} and {other} both claim to be {release}, with different contents")]
    TwoContents {
        /// The release.
        release: ReleaseId,
        /// The first file.
        one: String,
        /// The other file.
        other: String,
    },
    /// The mirror has another tarball of a release whose checksum no lock pins.
    #[error("{file}: the mirror has another tarball of {release}, with the outer checksum {stored}")]
    OtherThanStored {
        /// The file.
        file: String,
        /// The release.
        release: ReleaseId,
        /// The checksum of the stored tarball.
        stored: OuterChecksum,
    },
}

/// What an import stores.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportPlan {
    /// The releases to store.
    pub store: BTreeMap<ReleaseId, ImportedRelease>,
    /// The releases that the mirror has already.
    pub present: BTreeSet<ReleaseId>,
    /// The positions of the tarballs that no lock pins and that are left out.
    pub unpinned: Vec<usize>,
    /// Why the import must not happen.
    pub refused: Vec<RefusedTarball>,
}

/// What an import depends on.
#[derive(Debug, Clone, Copy)]
pub struct ImportInput<'a> {
    /// The tarballs.
    pub found: &'a [FoundTarball],
    /// What the locks pin.
    pub wanted: &'a Wanted,
    /// The mirror's manifest, of which the lines about the found packages suffice.
    pub manifest: &'a Manifest,
    /// The registry entries that their repositories signed, in the folders or in the mirror.
    pub registry: &'a BTreeMap<EntryId, Package>,
    /// Whether to store also what no lock pins.
    pub all: bool,
}

impl ImportPlan {
    /// Plans an import.
    pub fn new(input: ImportInput<'_>) -> Self {
        let mut plan = Self::default();
        let pins = Pins::of(input.wanted);
        for (found, tarball) in input.found.iter().enumerate() {
            let candidates = pins.satisfiable_by(tarball);
            if candidates.is_empty() && !input.all {
                plan.unpinned.push(found);
                continue;
            }
            let refusals: Vec<_> = candidates.iter().map(|pin| refused_by_lock(tarball, pin)).collect();
            let accepted = || candidates.iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none());
            for (pin, _) in accepted() {
                let is_stated = pin.outer.is_some() || pin.inner.is_some();
                plan.add(input, found, pin.id.clone(), is_stated);
            }
            if candidates.is_empty() {
                plan.add(input, found, unpinned_id(tarball), false);
            } else if accepted().next().is_none() {
                plan.refused.extend(refusals.into_iter().flatten().next());
            }
        }
        plan
    }

    /// Adds a tarball as a release. `is_locked` says whether a lock states a checksum, which the tarball has.
    fn add(&mut self, input: ImportInput<'_>, found: usize, id: ReleaseId, is_locked: bool) {
        let tarball = &input.found[found];
        let listed = input.registry.get(&id.entry()).and_then(|package| package.release(&id.version));
        if let Some(listed) = listed {
            let checksums = (listed.outer_checksum, Some(listed.inner_checksum));
            if let Some(refusal) = refused(tarball, &id, "the registry", checksums) {
                return self.refused.push(refusal);
            }
        }
        if let Some(known) = self.store.get(&id) {
            let one = &input.found[known.found];
            if one.outer != tarball.outer {
                let (one, other) = (one.file.clone(), tarball.file.clone());
                self.refused.push(RefusedTarball::TwoContents { release: id, one, other });
            }
            return;
        }
        match input.manifest.releases.get(&id) {
            Some(StoredRelease { outer, .. }) if *outer == tarball.outer => drop(self.present.insert(id)),
            Some(StoredRelease { outer, .. }) if !is_locked => {
                let (file, stored) = (tarball.file.clone(), *outer);
                self.refused.push(RefusedTarball::OtherThanStored { file, release: id, stored });
            }
            _ => {
                let evidence = match (is_locked, listed) {
                    (true, _) => Evidence::Lock,
                    (false, Some(_)) => Evidence::Registry,
                    (false, None) => Evidence::Tarball,
                };
                self.store.insert(id, ImportedRelease { found, evidence });
            }
        }
    }
}

/// The pins of locks, by package and version.
struct Pins<'a>(BTreeMap<(&'a PackageName, &'a Version), Vec<&'a Pin>>);

impl<'a> Pins<'a> {
    fn of(wanted: &'a Wanted) -> Self {
        let mut pins = BTreeMap::<_, Vec<&Pin>>::new();
        for pin in wanted.releases.values() {
            pins.entry((&pin.id.package, &pin.id.version)).or_default().push(pin);
        }
        Self(pins)
    }

    /// Returns the pins that a tarball may satisfy: those of the repository that its folder names. A folder may call the
    /// repository by another name than the locks do; then any pin counts that states a checksum.
    fn satisfiable_by(&self, tarball: &FoundTarball) -> Vec<&'a Pin> {
        let all = self.0.get(&(&tarball.package, &tarball.version)).cloned().unwrap_or_default();
        let Some(repository) = &tarball.repository else { return all };
        let is_named =
            |pin: &&&Pin| pin.id.repository == *repository || pin.id.repository.registry_name() == repository.as_str();
        let named: Vec<&Pin> = all.iter().filter(is_named).copied().collect();
        if named.is_empty() { all.into_iter().filter(|pin| pin.outer == Some(tarball.outer)).collect() } else { named }
    }
}

fn unpinned_id(tarball: &FoundTarball) -> ReleaseId {
    ReleaseId {
        repository: tarball.repository.clone().unwrap_or_else(RepositoryName::hexpm),
        package: tarball.package.clone(),
        version: tarball.version.clone(),
    }
}

fn refused_by_lock(tarball: &FoundTarball, pin: &Pin) -> Option<RefusedTarball> {
    refused(tarball, &pin.id, "the lock", (pin.outer, pin.inner))
}

/// Returns why a tarball is not a release with these checksums.
fn refused(
    tarball: &FoundTarball,
    release: &ReleaseId,
    source_of: &'static str,
    (outer, inner): (Option<OuterChecksum>, Option<InnerChecksum>),
) -> Option<RefusedTarball> {
    let (file, release) = (tarball.file.clone(), release.clone());
    match (outer, inner) {
        (Some(expected), _) if expected != tarball.outer => {
            Some(RefusedTarball::OuterChecksum { file, release, source_of, expected, got: tarball.outer })
        }
        (_, Some(expected)) if expected != tarball.inner => {
            Some(RefusedTarball::InnerChecksum { file, release, source_of, expected, got: tarball.inner })
        }
        _ => None,
    }
}

/// Returns whether a file's name claims to be another release than its metadata says: `NAME-VERSION.tar` with a valid name
/// and a valid version. Caches name files otherwise, for example after checksums.
pub fn claims_another_release(file: &str, package: &PackageName, version: &Version) -> bool {
    named_release(file).is_some_and(|(named, of)| named != *package || of != *version)
}

/// Parses a file name of the form `NAME-VERSION.tar`.
pub fn named_release(file: &str) -> Option<(PackageName, Version)> {
    let (name, version) = file.strip_suffix(".tar")?.split_once('-')?;
    Some((name.parse().ok()?, version.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lock::Lock;

    fn outer(byte: u8) -> OuterChecksum {
        OuterChecksum::from_bytes([byte; 32])
    }

    fn tarball(package: &str, byte: u8, repository: Option<&str>) -> FoundTarball {
        FoundTarball {
            file: format!("{}/{package}-1.0.0.tar", repository.unwrap_or("x")),
            package: package.parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            repository: repository.map(|name| name.parse().unwrap()),
            outer: outer(byte),
            inner: InnerChecksum::from_bytes([byte; 32]),
        }
    }

    /// Pins version 1.0.0 of packages in repositories, with checksums made of a byte.
    fn wanted(pins: &[(&str, &str, u8)]) -> Wanted {
        let mut wanted = Wanted::default();
        for (package, repository, byte) in pins {
            let sum = format!("{byte:02x}").repeat(32);
            let text =
                format!(r#"%{{"x": {{:hex, :{package}, "1.0.0", "{sum}", [:mix], [], "{repository}", "{sum}"}}}}"#);
            wanted.add(&Lock::parse("mix.lock", text).unwrap()).unwrap();
        }
        wanted
    }

    fn plan(found: &[FoundTarball], wanted: &Wanted, manifest: &str, all: bool) -> ImportPlan {
        let manifest = manifest.parse().unwrap();
        ImportPlan::new(ImportInput { found, wanted, manifest: &manifest, registry: &BTreeMap::new(), all })
    }

    fn stored(plan: &ImportPlan) -> Vec<(String, Evidence)> {
        plan.store.iter().map(|(id, release)| (id.to_string(), release.evidence)).collect()
    }

    #[test]
    fn the_lock_decides_the_repository_and_the_checksum() {
        let one = wanted(&[("a", "hexpm", 1)]);
        for repository in [None, Some("hexpm"), Some("recipe")] {
            let found = [tarball("a", 1, repository)];
            assert_eq!(stored(&plan(&found, &one, "", false)), [("a 1.0.0".into(), Evidence::Lock)], "{repository:?}");
        }
        let acme = wanted(&[("a", "hexpm:acme", 1)]);
        let found = [tarball("a", 1, Some("acme"))];
        assert_eq!(stored(&plan(&found, &acme, "", false)), [("hexpm:acme/a 1.0.0".into(), Evidence::Lock)]);
        let both = wanted(&[("a", "hexpm:acme", 1), ("a", "hexpm", 2)]);
        let found = [tarball("a", 1, None), tarball("a", 2, None)];
        assert_eq!(stored(&plan(&found, &both, "", false)).len(), 2);
    }

    #[test]
    fn what_no_lock_pins_is_left_out_unless_everything_is_wanted() {
        let found = [tarball("a", 1, None), tarball("b", 1, Some("acme"))];
        let without = plan(&found, &Wanted::default(), "", false);
        assert_eq!((without.unpinned, without.store.len()), (vec![0, 1], 0));
        let expected = [("acme/b 1.0.0".into(), Evidence::Tarball), ("a 1.0.0".into(), Evidence::Tarball)];
        assert_eq!(stored(&plan(&found, &Wanted::default(), "", true)), expected);
    }

    #[test]
    fn wrong_checksums_and_two_contents_are_refused() {
        let one = wanted(&[("a", "hexpm", 1)]);
        let wrong = plan(&[tarball("a", 2, None)], &one, "", true);
        assert!(matches!(&wrong.refused[..], [RefusedTarball::OuterChecksum { .. }]), "{wrong:?}");
        let good_and_wrong = plan(&[tarball("a", 1, None), tarball("a", 2, None)], &one, "", false);
        assert_eq!(good_and_wrong.refused.len(), 1, "a good copy does not excuse the other");
        let two = plan(&[tarball("a", 1, None), tarball("a", 2, None)], &Wanted::default(), "", true);
        assert!(matches!(&two.refused[..], [RefusedTarball::TwoContents { .. }]), "{two:?}");
        let same = plan(&[tarball("a", 1, None), tarball("a", 1, None)], &Wanted::default(), "", true);
        assert_eq!((same.refused.len(), same.store.len()), (0, 1));
    }

    #[test]
    fn the_mirror_keeps_its_own_unless_a_lock_says_otherwise() {
        let sum = "02".repeat(32);
        let manifest = format!("hex hexpm a 1.0.0 unpacked 1 {sum} {sum}\n");
        let present = plan(&[tarball("a", 2, None)], &Wanted::default(), &manifest, true);
        assert_eq!((present.present.len(), present.store.len()), (1, 0));
        let other = plan(&[tarball("a", 1, None)], &Wanted::default(), &manifest, true);
        assert!(matches!(&other.refused[..], [RefusedTarball::OtherThanStored { .. }]), "{other:?}");
        let pinned = plan(&[tarball("a", 1, None)], &wanted(&[("a", "hexpm", 1)]), &manifest, false);
        assert_eq!(stored(&pinned), [("a 1.0.0".into(), Evidence::Lock)]);
    }

    #[test]
    fn only_file_names_of_releases_claim_anything() {
        let (package, version) = ("a".parse().unwrap(), "1.0.0".parse().unwrap());
        for (file, claims) in [
            ("a-1.0.0.tar", false),
            ("a-1.0.1.tar", true),
            ("b-1.0.0.tar", true),
            (&format!("{}.tar", "AB".repeat(32)), false),
            ("backup-of-a.tar", false),
            ("a-1.0.0.tar.gz", false),
        ] {
            assert_eq!(claims_another_release(file, &package, &version), claims, "{file}");
        }
    }

    proptest! {
        /// Whatever is found: nothing is stored that contradicts a lock, and each tarball is accounted for.
        #[test]
        fn nothing_contradicts_a_lock(
            found in prop::collection::vec((0..3_u8, 1..4_u8, 0..3_u8), 0..8),
            pins in prop::collection::btree_map((0..3_u8, 0..2_u8), 1..4_u8, 0..5),
            all: bool,
        ) {
            let repositories = ["hexpm", "acme"];
            let pins: Vec<_> = pins
                .iter()
                .map(|((name, of), byte)| (["a", "b", "c"][usize::from(*name)], repositories[usize::from(*of)], *byte))
                .collect();
            let wanted = wanted(&pins);
            let found: Vec<_> = found
                .iter()
                .map(|(name, byte, of)| {
                    tarball(["a", "b", "c"][usize::from(*name)], *byte, repositories.get(usize::from(*of)).copied())
                })
                .collect();
            let plan = plan(&found, &wanted, "", all);
            for (id, release) in &plan.store {
                let tarball = &found[release.found];
                prop_assert!(id.package == tarball.package && id.version == tarball.version);
                match wanted.releases.get(id) {
                    Some(pin) => prop_assert_eq!(pin.outer, Some(tarball.outer)),
                    None => prop_assert!(all),
                }
                prop_assert_eq!(release.evidence == Evidence::Lock, wanted.releases.contains_key(id));
            }
            prop_assert!(plan.unpinned.is_empty() || !all);
            if plan.refused.is_empty() {
                for (position, tarball) in found.iter().enumerate() {
                    let is_stored = plan.store.values().any(|release| found[release.found].outer == tarball.outer);
                    prop_assert!(is_stored || plan.unpinned.contains(&position));
                }
            }
        }
    }
}
