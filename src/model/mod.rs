//! The nouns that everything else is written in: names, versions, checksums, releases.
//!
//! Each type can only be made through `FromStr`, which validates, so a value of one is safe in a path, a URL or a tree.
//! Nothing here does I/O or imports another module of this crate.

mod checksum;
mod manifest;
mod name;
mod release;
mod version;

pub use checksum::{ChecksumError, EntryChecksum, InnerChecksum, OuterChecksum};
pub use manifest::{EntryId, Manifest, ManifestError, Storage, StoredEntry, StoredRelease};
pub use name::{NameError, PackageName, RepositoryName};
pub use release::ReleaseId;
pub use version::{Version, VersionError};
