//! What an update stored.

use super::fetching::{Stored, StoredRepository};
use crate::model::{GitAddress, ReleaseId, Revision, StoredRelease, Version};
use crate::ops::Result;
use crate::plan::previous;
use crate::store::Snapshot;

/// A release that an update stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The release.
    pub id: ReleaseId,
    /// Its record in the manifest.
    pub stored: StoredRelease,
    /// The reason why the release is stored as a tarball, if it is.
    pub fallback: Option<String>,
    /// The version of the package that the mirror had before: the next lower one, or else the next higher one.
    pub replaced: Option<Version>,
}

/// A revision of a git repository that an update stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedGit {
    /// The repository.
    pub address: GitAddress,
    /// The commit.
    pub revision: Revision,
    /// The commit of the repository that it replaces.
    pub replaced: Option<Revision>,
}

impl Added {
    /// Describes a stored release relative to the mirror before.
    ///
    /// # Errors
    /// Fails if the mirror's manifest is damaged.
    pub(in crate::ops) fn of(stored: &Stored, base: Option<&Snapshot>) -> Result<Self> {
        let Stored { id, stored, fallback, .. } = stored;
        let before = base.map(|base| base.manifest_of(&id.package)).transpose()?.unwrap_or_default();
        let versions: Vec<&Version> =
            before.releases_of(&id.repository, &id.package).map(|(id, _)| &id.version).collect();
        let replaced = match before.releases.contains_key(id) {
            true => Some(id.version.clone()),
            false => previous(versions, &id.version).cloned(),
        };
        Ok(Self { id: id.clone(), stored: *stored, fallback: fallback.clone(), replaced })
    }
}

impl AddedGit {
    /// Describes the new revisions of a repository.
    pub(in crate::ops) fn of(stored: &StoredRepository) -> Vec<Self> {
        let added = stored.added.iter();
        added.map(|&(revision, replaced)| Self { address: stored.address.clone(), revision, replaced }).collect()
    }
}
