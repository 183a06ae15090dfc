//! What an update stored.

use crate::model::{GitAddress, ReleaseId, Revision, StoredRelease, Version};

/// A release that an update stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The release.
    pub id: ReleaseId,
    /// Its record in the manifest.
    pub stored: StoredRelease,
    /// The reason why the release is stored as a tarball, if it is.
    pub fallback: Option<String>,
    /// The highest version of the package that the mirror had before.
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
