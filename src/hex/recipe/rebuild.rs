//! Rebuilds the published tarball from its recipe, metadata and files.

use std::collections::HashMap;
use std::error::Error;

use super::order::listed_files;
use super::{Archive, Members, OUTER_NAMES, Recipe};
use crate::hex::gzip::Writer;
use crate::hex::path;
use crate::hex::tarball::{self, TarballLimits};
use crate::hex::ustar::{BLOCK, Kind, Member};
use crate::model::InnerChecksum;

/// Why a tarball cannot be rebuilt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// The recipe refers to the file list of `metadata.config`, which has none.
    #[error("the recipe needs the file list of metadata.config, which has none")]
    NoFileList,
    /// `metadata.config` lists a path that a tree cannot contain.
    #[error("metadata.config lists {path:?}, which is not a plain relative path")]
    BadPath {
        /// The path, truncated to 200 characters.
        path: String,
    },
    /// A file cannot be read.
    #[error("cannot read the file {path:?} of the release")]
    File {
        /// The file's path.
        path: String,
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A path, a size or a number is too large for its field in a tar header.
    #[error("{path:?} does not fit into a tar header")]
    Header {
        /// The member's path.
        path: String,
    },
    /// The contents are larger than the limit.
    #[error("the contents exceed the limit of {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}

/// Rebuilds the tarball that `recipe` describes. `read` returns the bytes of a file, given its path.
///
/// This function does not verify its input. Before using the result, compare its checksum with the recorded one.
///
/// # Errors
/// Fails if `read` fails, if recipe, metadata and files do not match each other, or if they exceed `limits`.
pub fn rebuild<B: AsRef<[u8]>>(
    recipe: &Recipe,
    metadata: &[u8],
    mut read: impl FnMut(&str) -> Result<B, Box<dyn Error + Send + Sync>>,
    limits: &TarballLimits,
) -> Result<Vec<u8>, RebuildError> {
    let members = recipe.members(metadata)?;
    let mut contents = Vec::new();
    recipe.write_contents::<_, RebuildError>(
        &members,
        |path| read(path).map_err(|source| RebuildError::File { path: path.to_owned(), source }),
        limits,
        |chunk| {
            contents.extend_from_slice(chunk);
            Ok(())
        },
    )?;
    let mut tarball = Vec::with_capacity(contents.len() + metadata.len() + 16 * BLOCK);
    let checksum = tarball::inner_checksum(metadata, &contents);
    recipe.write_outer::<RebuildError>(metadata, &contents, checksum, |chunk| {
        tarball.extend_from_slice(chunk);
        Ok(())
    })?;
    Ok(tarball)
}

impl Recipe {
    /// Returns the members of the contents, in order.
    pub(super) fn members(&self, metadata: &[u8]) -> Result<Vec<Member>, RebuildError> {
        let deviating = match &self.members {
            Members::Listed(members) => return Ok(members.clone()),
            Members::Metadata(deviating) => deviating,
        };
        let paths = std::str::from_utf8(metadata).ok().and_then(listed_files).ok_or(RebuildError::NoFileList)?;
        let deviating: HashMap<&str, &Member> = deviating.iter().map(|member| (member.path.as_str(), member)).collect();
        let member = |path: String| match deviating.get(path.as_str()) {
            Some(member) => Ok((*member).clone()),
            None if path::is_plain(&path) => {
                Ok(Member { path, kind: Kind::File, attributes: self.inner.attributes.clone(), split: None })
            }
            None => Err(RebuildError::BadPath { path: path.chars().take(200).collect() }),
        };
        paths.into_iter().map(member).collect()
    }

    /// Writes `contents.tar.gz` to `sink`, in pieces.
    pub(super) fn write_contents<B: AsRef<[u8]>, E: From<RebuildError>>(
        &self,
        members: &[Member],
        mut read: impl FnMut(&str) -> Result<B, E>,
        limits: &TarballLimits,
        sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let too_large = || RebuildError::TooLarge { limit: limits.unpacked };
        let mut writer = Writer::new(self.gzip, sink);
        let mut length = 0usize;
        for member in members {
            let data = match member.kind {
                Kind::File => Some(read(&member.path)?),
                Kind::Folder { .. } => None,
            };
            let data = data.as_ref().map_or(&[][..], AsRef::as_ref);
            length = length.saturating_add(BLOCK + data.len());
            if length > limits.unpacked {
                return Err(too_large().into());
            }
            write_member(member, &self.inner, data, &mut |chunk| writer.write(chunk))?;
            length = length.next_multiple_of(BLOCK);
        }
        write_zeros(self.inner.trailer(length), &mut |chunk| writer.write(chunk))?;
        writer.finish()
    }

    /// Writes the outer archive to `sink`, in pieces.
    pub(super) fn write_outer<E: From<RebuildError>>(
        &self,
        metadata: &[u8],
        contents: &[u8],
        checksum: InnerChecksum,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let checksum = checksum.to_string().to_ascii_uppercase();
        let data = [tarball::VERSION, checksum.as_bytes(), metadata, contents];
        let mut length = 0;
        for index in self.outer_order {
            let member = Member { attributes: self.outer.attributes.clone(), ..Member::file(OUTER_NAMES[index]) };
            write_member(&member, &self.outer, data[index], &mut sink)?;
            length += BLOCK + data[index].len().next_multiple_of(BLOCK);
        }
        write_zeros(self.outer.trailer(length), &mut sink)
    }
}

impl Archive {
    fn trailer(&self, length: usize) -> usize {
        self.trailer.unwrap_or_else(|| self.dialect.trailer(length))
    }
}

fn write_member<E: From<RebuildError>>(
    member: &Member,
    archive: &Archive,
    data: &[u8],
    sink: &mut impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let header = member
        .header(data.len() as u64, archive.dialect)
        .ok_or_else(|| RebuildError::Header { path: member.path.clone() })?;
    sink(&header)?;
    sink(data)?;
    write_zeros(data.len().next_multiple_of(BLOCK) - data.len(), sink)
}

fn write_zeros<E>(mut count: usize, sink: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    const ZEROS: [u8; 4096] = [0; 4096];
    while count > 0 {
        let piece = count.min(ZEROS.len());
        sink(&ZEROS[..piece])?;
        count -= piece;
    }
    Ok(())
}
