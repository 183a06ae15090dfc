//! What names a release.

use std::fmt;

use super::{EntryId, PackageName, RepositoryName, Version};

/// Names one release: repository, package and version.
///
/// Shown as `NAME VERSION`, with the repository in front where it is not `hexpm`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseId {
    /// The Hex repository that published it.
    pub repository: RepositoryName,
    /// The package.
    pub package: PackageName,
    /// The version.
    pub version: Version,
}

impl ReleaseId {
    /// Returns what names the registry entry that lists this release: its package's.
    pub fn entry(&self) -> EntryId {
        EntryId { repository: self.repository.clone(), package: self.package.clone() }
    }

    /// Returns the file name that Hex gives the tarball: `NAME-VERSION.tar`.
    pub fn tarball_name(&self) -> String {
        format!("{}-{}.tar", self.package, self.version)
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.repository != RepositoryName::hexpm() {
            write!(f, "{}/", self.repository)?;
        }
        write!(f, "{} {}", self.package, self.version)
    }
}
