//! Builds a package's entry in the pinned index.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::hex::metadata::{Metadata, MetadataError};
use crate::hex::registry::{Dependency, Package, Release};
use crate::hex::requirement::{Requirement, RequirementError};
use crate::model::{EntryId, ReleaseId, StoredRelease};

/// A stored release with its metadata.
#[derive(Debug, Clone)]
pub struct StoredMetadata {
    /// The release.
    pub id: ReleaseId,
    /// What the manifest records about it.
    pub stored: StoredRelease,
    /// The content of its `metadata.config`.
    pub metadata: Result<Metadata, MetadataError>,
}

/// A stored release that the pinned index does not list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnlistedRelease {
    /// The release.
    pub id: ReleaseId,
    /// The reason.
    pub reason: Rejection,
}

/// Why the pinned index does not list a stored release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// Its metadata cannot be read.
    Metadata(MetadataError),
    /// Its metadata is that of another release, given as text.
    OtherRelease(String),
    /// A requirement in its metadata is not one, so that clients could not resolve it.
    Requirement(RequirementError),
    /// The registry entry does not list its version.
    Unlisted,
    /// The registry entry has other checksums for its version.
    OtherChecksum,
}

impl fmt::Display for UnlistedRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.id)?;
        match &self.reason {
            Rejection::Metadata(error) => write!(f, "{error}"),
            Rejection::OtherRelease(found) => write!(f, "its metadata is that of {found}"),
            Rejection::Requirement(error) => write!(f, "{error}"),
            Rejection::Unlisted => f.write_str("the registry entry does not list it"),
            Rejection::OtherChecksum => f.write_str("the registry entry has another checksum"),
        }
    }
}

/// Builds a package's entry in the pinned index from its stored releases, lowest version first.
///
/// Versions, checksums and dependencies come from the releases themselves. Retirements, advisories, publication times
/// and the repositories of dependencies that the metadata does not name come from `upstream`, the package's verified
/// registry entry. If there is one, it must list each release.
pub fn indexed_package(
    id: &EntryId,
    releases: Vec<StoredMetadata>,
    upstream: Option<&Package>,
) -> (Package, Vec<UnlistedRelease>) {
    let (mut listed, mut left_out) = (Vec::new(), Vec::new());
    for release in releases {
        match indexed_release(id, &release, upstream) {
            Ok(release) => listed.push(release),
            Err(reason) => left_out.push(UnlistedRelease { id: release.id, reason }),
        }
    }
    let advisories = keep_used_advisories(&mut listed, upstream);
    (Package { name: id.package.clone(), releases: listed, advisories, skipped: Vec::new() }, left_out)
}

fn indexed_release(id: &EntryId, release: &StoredMetadata, upstream: Option<&Package>) -> Result<Release, Rejection> {
    let StoredMetadata { id: ReleaseId { version, .. }, stored, metadata } = release;
    let metadata = metadata.as_ref().map_err(|error| Rejection::Metadata(error.clone()))?;
    if metadata.name != id.package || metadata.version != *version {
        return Err(Rejection::OtherRelease(format!("{} {}", metadata.name, metadata.version)));
    }
    // Clients parse the requirements of all releases that an entry lists, and fail at the first one that they cannot read.
    let invalid = metadata.requirements.iter().find_map(|found| found.requirement.parse::<Requirement>().err());
    if let Some(error) = invalid {
        return Err(Rejection::Requirement(error));
    }
    let known = upstream.map(|package| package.release(version).ok_or(Rejection::Unlisted)).transpose()?;
    let agrees = |known: &Release| {
        known.inner_checksum == stored.inner && known.outer_checksum.is_none_or(|outer| outer == stored.outer)
    };
    if !known.is_none_or(agrees) {
        return Err(Rejection::OtherChecksum);
    }
    // Of repeated requirements the last one counts, as in the map that Hex makes of them.
    let dependencies: BTreeMap<_, _> = metadata.requirements.iter().map(|found| (&found.package, found)).collect();
    Ok(Release {
        version: version.clone(),
        inner_checksum: stored.inner,
        outer_checksum: Some(stored.outer),
        dependencies: dependencies.into_values().map(|found| indexed_dependency(id, found, known)).collect(),
        retired: known.and_then(|known| known.retired.clone()),
        advisories: known.map(|known| known.advisories.clone()).unwrap_or_default(),
        published_at: known.and_then(|known| known.published_at),
    })
}

/// Completes a dependency of the metadata. Its repository is only stated if it differs from the entry's.
fn indexed_dependency(id: &EntryId, found: &Dependency, known: Option<&Release>) -> Dependency {
    let upstream = known.and_then(|known| known.dependencies.iter().find(|known| known.package == found.package));
    let repository = found.repository.as_ref().or(upstream.and_then(|known| known.repository.as_ref()));
    let is_own = |name: &str| name == id.repository.as_str() || name == id.repository.registry_name();
    let repository = repository.filter(|name| !is_own(name.as_str())).cloned();
    Dependency { repository, ..found.clone() }
}

/// Returns the advisories of the listed releases, and changes the releases' indexes accordingly.
fn keep_used_advisories(releases: &mut [Release], upstream: Option<&Package>) -> Vec<crate::hex::registry::Advisory> {
    let used: BTreeSet<u32> = releases.iter().flat_map(|release| release.advisories.iter().copied()).collect();
    let position = |index: &u32| used.iter().position(|known| known == index).and_then(|at| u32::try_from(at).ok());
    for release in releases {
        release.advisories = release.advisories.iter().filter_map(position).collect();
    }
    let advisories = upstream.map(|package| &package.advisories[..]).unwrap_or_default();
    used.iter().filter_map(|index| advisories.get(*index as usize).cloned()).collect()
}
