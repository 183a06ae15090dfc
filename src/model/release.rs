//! The identities of releases and registry entries.

use std::fmt;

use super::{PackageName, RepositoryName, Version};

/// The identity of a release: repository, package and version.
///
/// Displayed as `NAME VERSION`, preceded by the repository unless it is `hexpm`.
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
    /// Returns the id of the registry entry that lists this release.
    pub fn entry(&self) -> EntryId {
        EntryId { repository: self.repository.clone(), package: self.package.clone() }
    }

    /// Returns Hex's file name for the tarball: `NAME-VERSION.tar`.
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

/// The identity of a registry entry: a package of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The Hex repository.
    pub repository: RepositoryName,
    /// The package.
    pub package: PackageName,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.repository != RepositoryName::hexpm() {
            write!(f, "{}/", self.repository)?;
        }
        write!(f, "{}", self.package)
    }
}
