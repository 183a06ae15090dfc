//! The outer tarball of a package, format version 3: `VERSION`, `CHECKSUM`, `metadata.config`, `contents.tar.gz`
//! (<https://github.com/hexpm/specifications/blob/main/package_tarball.md>).

mod build;
mod files;

pub use build::{BuildError, BuildFile, build, metadata_text};
pub use files::FileKind;

use sha2::{Digest, Sha256};

use super::archive::{self, ArchiveError, Scan};
use super::gzip::{self, GzipError, Inflated};
use crate::model::{InnerChecksum, OuterChecksum};

/// The only version of the format in use.
pub(super) const VERSION: &[u8] = b"3";
/// The maximum number of outer members. The format has four. Tarballs with more are accepted here, but
/// [recipes](super::recipe) cannot express them.
const OUTER_MEMBERS: usize = 4096;
/// The number of digits in `CHECKSUM`.
const CHECKSUM_DIGITS: usize = 64;
/// The largest `metadata.config` that hex_core reads, in bytes (`MAX_METADATA_SIZE` in its `hex_tarball.erl`).
const METADATA_BYTES: usize = 1 << 20;

/// The limits above which a tarball is rejected.
///
/// hex_core's own limits are 16 MiB for a tarball and 128 MiB for its contents. Self-hosted repositories can raise them,
/// so the defaults are higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TarballLimits {
    /// The size of the tarball, in bytes. Default: 128 MiB.
    pub tarball: usize,
    /// The size of the inflated contents, in bytes. Default: 512 MiB.
    pub unpacked: usize,
    /// The number of members in the contents, including folders and extension headers. Default: 100,000.
    pub entries: usize,
    /// The maximum ratio of the inflated contents to `contents.tar.gz`. It applies to contents above
    /// [`TarballLimits::RATIO_FLOOR`]. Default: 200 (deflate reaches 1032; source code about 5).
    pub ratio: usize,
}

impl TarballLimits {
    /// The size of inflated contents, in bytes, up to which the ratio is not checked. Small files of zeros are harmless.
    pub const RATIO_FLOOR: usize = 16 << 20;

    /// Returns the maximum size of the inflated contents if the compressed ones have `compressed` bytes.
    pub(super) fn inflated(&self, compressed: usize) -> usize {
        self.unpacked.min(compressed.saturating_mul(self.ratio).max(Self::RATIO_FLOOR))
    }
}

impl Default for TarballLimits {
    fn default() -> Self {
        Self { tarball: 128 << 20, unpacked: 512 << 20, entries: 100_000, ratio: 200 }
    }
}

/// Why a tarball is rejected. Nothing of a rejected tarball may be stored or served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TarballError {
    /// The tarball is larger than the limit.
    #[error("the tarball is {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The size in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The outer tar archive is malformed or hostile.
    #[error("the tarball is invalid")]
    Outer {
        /// The cause.
        source: ArchiveError,
    },
    /// One of the four members is missing.
    #[error("the tarball has no {member}")]
    Missing {
        /// The member's name.
        member: &'static str,
    },
    /// `VERSION` is not `3`.
    #[error("the tarball has format version {version:?}, but only version 3 is supported")]
    UnknownVersion {
        /// The content of `VERSION`, truncated to 32 characters.
        version: String,
    },
    /// `metadata.config` is larger than the limit.
    #[error("metadata.config is {size} bytes, more than the limit of {limit}")]
    MetadataTooLarge {
        /// The size in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// `CHECKSUM` does not consist of 64 hexadecimal digits. One more byte may follow them.
    #[error("CHECKSUM is not a SHA-256 checksum")]
    BadChecksum,
    /// `CHECKSUM` does not match the other three members.
    #[error("CHECKSUM says {stated}, but the tarball's inner checksum is {computed}")]
    WrongInnerChecksum {
        /// The checksum in `CHECKSUM`.
        stated: InnerChecksum,
        /// The computed checksum.
        computed: InnerChecksum,
    },
    /// `contents.tar.gz` cannot be inflated.
    #[error("contents.tar.gz is invalid")]
    Gzip {
        /// The cause.
        source: GzipError,
    },
    /// The archive in `contents.tar.gz` is malformed or hostile.
    #[error("the archive in contents.tar.gz is invalid")]
    Contents {
        /// The cause.
        source: ArchiveError,
    },
}

/// An opened tarball, whose own `CHECKSUM` is correct.
///
/// Compare [`Self::outer_checksum`] with the lock before using anything else.
pub struct Tarball<'a> {
    bytes: &'a [u8],
    outer_checksum: OuterChecksum,
    inner_checksum: InnerChecksum,
    pub(super) scan: Scan<'a>,
    metadata: &'a [u8],
    contents: &'a [u8],
}

impl<'a> Tarball<'a> {
    /// Opens a tarball. Does not inflate its contents.
    ///
    /// # Errors
    /// Returns an error if the tarball is above `limits`, is not a tarball of format version 3, is hostile, or has a
    /// wrong `CHECKSUM`.
    pub fn open(bytes: &'a [u8], limits: &TarballLimits) -> Result<Self, TarballError> {
        if bytes.len() > limits.tarball {
            return Err(TarballError::TooLarge { size: bytes.len(), limit: limits.tarball });
        }
        let scan = archive::scan(bytes, OUTER_MEMBERS).map_err(|source| TarballError::Outer { source })?;
        let member = |name| find_member(bytes, &scan, name);
        let (version, stated) = (member("VERSION")?, member("CHECKSUM")?);
        let (metadata, contents) = (member("metadata.config")?, member("contents.tar.gz")?);
        if version != VERSION {
            let version = String::from_utf8_lossy(version).chars().take(32).collect();
            return Err(TarballError::UnknownVersion { version });
        }
        if metadata.len() > METADATA_BYTES {
            return Err(TarballError::MetadataTooLarge { size: metadata.len(), limit: METADATA_BYTES });
        }
        // hex_core decodes pairs of digits and ignores an incomplete pair (`decode_base16/1`), which is often a line
        // ending.
        let digits = if stated.len() == CHECKSUM_DIGITS + 1 { &stated[..CHECKSUM_DIGITS] } else { stated };
        let stated: InnerChecksum =
            std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(TarballError::BadChecksum)?;
        let computed = inner_checksum(metadata, contents);
        if stated != computed {
            return Err(TarballError::WrongInnerChecksum { stated, computed });
        }
        Ok(Self { bytes, outer_checksum: outer_checksum(bytes), inner_checksum: computed, scan, metadata, contents })
    }

    /// Returns the SHA-256 of the whole tarball.
    pub fn outer_checksum(&self) -> OuterChecksum {
        self.outer_checksum
    }

    /// Returns the SHA-256 over `VERSION`, `metadata.config` and `contents.tar.gz`. It equals the tarball's own
    /// `CHECKSUM`.
    pub fn inner_checksum(&self) -> InnerChecksum {
        self.inner_checksum
    }

    /// Returns the text of `metadata.config`; [`super::metadata`] parses it.
    pub fn metadata(&self) -> &'a [u8] {
        self.metadata
    }

    /// Returns `contents.tar.gz`.
    pub fn contents(&self) -> &'a [u8] {
        self.contents
    }

    /// Returns the bytes of the whole tarball.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn inflate(&self, limits: &TarballLimits) -> Result<Inflated, TarballError> {
        gzip::inflate(self.contents, limits.inflated(self.contents.len()))
            .map_err(|source| TarballError::Gzip { source })
    }
}

impl std::fmt::Debug for Tarball<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tarball")
            .field("outer_checksum", &self.outer_checksum)
            .field("inner_checksum", &self.inner_checksum)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// Computes the SHA-256 of a whole tarball.
pub fn outer_checksum(tarball: &[u8]) -> OuterChecksum {
    OuterChecksum::from_bytes(Sha256::digest(tarball).into())
}

/// Computes the inner checksum: the SHA-256 over `VERSION`, `metadata.config` and `contents.tar.gz`.
pub(super) fn inner_checksum(metadata: &[u8], contents: &[u8]) -> InnerChecksum {
    let digest = Sha256::new().chain_update(VERSION).chain_update(metadata).chain_update(contents).finalize();
    InnerChecksum::from_bytes(digest.into())
}

/// Returns the data of the member with this name. hex_core unpacks all members into a folder, so the last of several
/// wins, and names may also be spelled `./NAME` or `NAME/`.
fn find_member<'a>(bytes: &'a [u8], scan: &Scan<'_>, name: &'static str) -> Result<&'a [u8], TarballError> {
    let is_named = |member: &&archive::ScannedMember<'_>| {
        let found = member.unpacked_name();
        let mut parts = found.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
        parts.next() == Some(name.as_bytes()) && parts.next().is_none()
    };
    let mut named = scan.members.iter().filter(is_named);
    let missing = || TarballError::Missing { member: name };
    let last = named.clone().next_back().ok_or_else(missing)?;
    // If a link had this name, hex_core would write through it.
    if named.all(archive::ScannedMember::is_file) { Ok(&bytes[last.data.clone()]) } else { Err(missing()) }
}
