//! The manifest's records of what is stored of Hex repositories.

use serde::{Deserialize, Serialize};

use super::{EntryChecksum, InnerChecksum, OuterChecksum};

/// The form in which the branch stores a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// As ordinary blobs and trees, with the recipe that rebuilds the tarball.
    Unpacked,
    /// As the tarball itself, because it cannot be rebuilt byte for byte.
    Tarball,
}

impl Storage {
    /// Returns the word for this form in the manifest and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unpacked => "unpacked",
            Self::Tarball => "tarball",
        }
    }
}

/// The manifest's record of a stored release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredRelease {
    /// The SHA-256 of the tarball.
    pub outer: OuterChecksum,
    /// The SHA-256 over the parts of the tarball.
    pub inner: InnerChecksum,
    /// The form in which the release is stored.
    pub storage: Storage,
    /// The size of the tarball in bytes.
    pub bytes: u64,
}

/// The manifest's record of a stored registry entry or policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredEntry {
    /// The SHA-256 of the signed message.
    pub checksum: EntryChecksum,
    /// The size of the signed message in bytes.
    pub bytes: u64,
}
