//! Determines which registry entries a mirror needs for its releases.

use std::collections::{BTreeMap, BTreeSet};

use crate::hex::registry::{Package, Signed};
use crate::model::{EntryId, ReleaseId, Version};
use crate::ops::{OpError, Result};
use crate::store::Snapshot;

/// Returns the entries that the given releases need: their own entries and those of all their dependencies, including
/// optional ones. `package` reads an entry and may return `None`; such a package adds no dependencies.
pub(in crate::ops) fn needed_entries<'a>(
    releases: impl IntoIterator<Item = &'a ReleaseId>,
    package: impl Fn(&EntryId) -> Result<Option<Package>>,
) -> Result<BTreeSet<EntryId>> {
    let mut versions = BTreeMap::<EntryId, BTreeSet<&Version>>::new();
    for release in releases {
        versions.entry(release.entry()).or_default().insert(&release.version);
    }
    let mut needed: BTreeSet<EntryId> = versions.keys().cloned().collect();
    for (entry, versions) in &versions {
        let package = package(entry)?;
        let releases = package.iter().flat_map(|package| &package.releases);
        let stored = releases.filter(|release| versions.contains(&release.version));
        needed.extend(stored.flat_map(|release| release.mentions(&entry.repository)));
    }
    Ok(needed)
}

/// Reads a registry entry of a snapshot without verifying its signature, which was verified when the entry was stored.
pub(in crate::ops) fn read_entry(snapshot: &Snapshot, id: &EntryId) -> Result<Option<Package>> {
    let refused = |source| OpError::Entry { entry: id.clone(), source };
    let Some(bytes) = snapshot.entry(id)? else { return Ok(None) };
    let signed = Signed::decode(&bytes).map_err(refused)?;
    Package::decode(signed.unverified_payload(), &id.repository, &id.package).map(Some).map_err(refused)
}
