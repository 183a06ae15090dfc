//! Registry entries: decodes, verifies, encodes and signs the protobuf messages
//! (<https://github.com/hexpm/specifications/blob/main/registry-v2.md>).
//!
//! Registries serve them compressed with gzip; see [`super::gzip`].

mod index;
mod key;
mod messages;
mod package;
mod policy;
mod signed;

pub use index::{Names, NamesEntry, Versions, VersionsEntry};
pub use key::{HEXPM_PUBLIC_KEY, KeyError, PrivateKey, PublicKey, contains_private_key, hexpm_key};
pub use messages::Timestamp;
pub use package::{Advisory, Dependency, Package, Release, Retirement, RetirementReason, Severity, Skipped};
pub use policy::check_policy;
pub use signed::Signed;

/// The largest payload that is decoded, in bytes. hex.pm's list of all versions has 0.6 MB.
pub const MAX_PAYLOAD: usize = 32 << 20;

/// Why a registry entry is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The bytes are not a protobuf message of the expected type.
    #[error("it is not a {message} message")]
    NotDecodable {
        /// The message's name: `Signed`, `Package`, `Policy`, `Names`, `Versions`.
        message: &'static str,
        /// The decoder's error.
        source: prost::DecodeError,
    },
    /// The message is larger than [`MAX_PAYLOAD`].
    #[error("it is {size} bytes, more than the limit of {MAX_PAYLOAD}")]
    TooLarge {
        /// The size of the message in bytes.
        size: usize,
    },
    /// The signature is missing, or was not made with the expected key.
    #[error("it is not signed with the repository's key")]
    BadSignature,
    /// The entry is for another package.
    #[error("it is for the package {found:?}, not {expected:?}")]
    OtherPackage {
        /// The requested package.
        expected: String,
        /// The entry's package, truncated to 80 characters.
        found: String,
    },
    /// The policy is another one.
    #[error("it is the policy {found:?}, not {expected:?}")]
    OtherPolicy {
        /// The name of the requested policy.
        expected: String,
        /// The policy's name, truncated to 80 characters.
        found: String,
    },
    /// The entry is for another repository.
    #[error("it is for the repository {found:?}, not {expected:?}")]
    OtherRepository {
        /// The registry name of the requested repository.
        expected: String,
        /// The entry's repository, truncated to 80 characters.
        found: String,
    },
}

/// Decodes a message of limited size.
fn decode<M: prost::Message + Default>(bytes: &[u8], message: &'static str) -> Result<M, RegistryError> {
    if bytes.len() > MAX_PAYLOAD {
        return Err(RegistryError::TooLarge { size: bytes.len() });
    }
    M::decode(bytes).map_err(|source| RegistryError::NotDecodable { message, source })
}

/// Checks that an entry is for the requested repository.
fn check_repository(found: &str, expected: &crate::model::RepositoryName) -> Result<(), RegistryError> {
    if found == expected.registry_name() {
        return Ok(());
    }
    Err(RegistryError::OtherRepository { expected: expected.registry_name().to_owned(), found: shortened(found) })
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
