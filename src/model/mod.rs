//! The basic types: names, versions, checksums, releases.
//!
//! A type can only be constructed through its validating `FromStr`, so its values are safe in paths, URLs and trees.
//! `FromStr` reads back what `Display` writes. This module does no I/O and imports no other module of the crate.

/// Implements serde's traits for a type through its text form.
macro_rules! as_text {
    ($($name:ident: $error:ty),*) => {
        $(
            impl TryFrom<String> for $name {
                type Error = $error;

                fn try_from(text: String) -> Result<Self, $error> {
                    text.parse()
                }
            }

            impl From<$name> for String {
                fn from(value: $name) -> String {
                    value.to_string()
                }
            }
        )*
    };
}

mod address_rules;
mod asset_tool;
mod canonical_address;
mod checksum;
mod count;
mod day;
mod destination;
mod fingerprint;
mod git_address;
mod git_branch;
mod git_name;
mod git_url;
mod hex_digits;
mod index_file;
mod local_error;
mod manifest;
mod manifest_line;
mod manifest_part;
mod name;
mod percent;
mod policy;
mod public_url;
mod redacted;
mod release;
mod remote;
mod remotes;
mod shard;
mod shortened;
mod static_path;
mod stored_file;
mod stored_git;
mod stored_hex;
mod target;
mod tools_pair;
mod version;

pub use address_rules::{AddressRule, AddressRules};
pub use asset_tool::{AssetBuild, AssetTool, AssetToolError, AssetToolId};
pub use checksum::{ChecksumError, EntryChecksum, FileChecksum, IndexSource, InnerChecksum, OuterChecksum, TrustHash};
pub use count::{bytes, count};
pub use day::{Day, DayError};
pub use destination::{BucketAddress, BucketService, Destination, DestinationError};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use git_address::{GitAddress, GitAddressError};
pub use git_branch::{GitBranch, GitBranchError};
pub use git_name::{GitName, GitNameError, Revision};
pub use git_url::GitUrl;
pub use hex_digits::hex_digits;
pub use index_file::IndexFile;
pub use local_error::{is_local, is_local_message, local_cause};
pub use manifest::{Manifest, ManifestError};
pub use manifest_part::ManifestPart;
pub use name::{NameError, PackageName, PolicyName, RepositoryName};
pub use percent::percent_decoded;
pub use policy::{PolicyId, PolicyIdError};
pub use public_url::public_url;
pub use redacted::{Secrets, redacted, redacted_address};
pub use release::{EntryId, ReleaseId};
pub use remote::Remote;
pub use remotes::Remotes;
pub use shard::{Shard, ShardError};
pub use shortened::shortened;
pub use static_path::{StaticPath, StaticPathError, StaticStage};
pub use stored_file::{DownloadError, FileAddress, FileId, FilePath, FilePathError, FileTrust, StoredFile};
pub use stored_git::{GitContent, StoredGit, StoredRevision};
pub use stored_hex::{Storage, StoredEntry, StoredRelease};
pub use target::{NifVersion, Platform, Target, TargetError};
pub use tools_pair::{Tool, ToolsPair, ToolsPairError};
pub use version::{Version, VersionError};
