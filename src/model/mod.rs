//! The nouns that everything else is written in: names, versions, checksums, releases.
//!
//! Each type can only be made through `FromStr`, which validates, so a value of one is safe in a path, a URL or a tree.
//! Nothing here does I/O or imports another module of this crate.

mod checksum;
mod git;
mod manifest;
mod name;
mod release;
mod stored_git;
mod version;

pub use checksum::{ChecksumError, EntryChecksum, InnerChecksum, OuterChecksum};
pub use git::{GitAddress, GitAddressError, GitName, GitNameError, GitUrl, Revision, redacted};
pub use manifest::{EntryId, Manifest, ManifestError, Storage, StoredEntry, StoredRelease};
pub use name::{NameError, PackageName, RepositoryName};
pub use release::ReleaseId;
pub use stored_git::{GitContent, StoredGit, StoredRevision};
pub use version::{Version, VersionError};
