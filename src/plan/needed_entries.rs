//! Determines which registry entries a mirror needs for its releases.

use std::collections::{BTreeMap, BTreeSet};

use crate::hex::registry::Package;
use crate::model::{EntryId, ReleaseId, Version};

/// Returns the entries that the given releases need: their own entries and those of all their dependencies, including
/// optional ones. `package` reads an entry and may return `None`; such a package adds no dependencies.
///
/// # Errors
/// Returns the first error of `package`.
pub fn needed_entries<'a, E>(
    releases: impl IntoIterator<Item = &'a ReleaseId>,
    package: impl Fn(&EntryId) -> Result<Option<Package>, E>,
) -> Result<BTreeSet<EntryId>, E> {
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
