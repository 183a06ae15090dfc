//! Where the content of a file is that is known by the id of its content.

use std::borrow::Cow;

use super::worktree::{read_committed, read_tracked};
use crate::ops::{OpError, Result};
use crate::store::{ObjectId, Repository};

/// Where a file's content is.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// In git's object database.
    Stored,
    /// In the worktree.
    Worktree,
    /// In memory.
    Read(Vec<u8>),
}

/// Returns the content of a file of at most `limit` bytes.
///
/// # Errors
/// Fails if the file is larger, cannot be read, or is being changed.
pub(super) fn bytes_of<'c>(
    repository: &Repository,
    content: &'c Content,
    blob: ObjectId,
    file: &str,
    limit: u64,
) -> Result<Cow<'c, [u8]>> {
    match content {
        Content::Read(bytes) => Ok(Cow::Borrowed(bytes)),
        Content::Stored => Ok(Cow::Owned(read_committed(repository, blob, file, limit)?)),
        Content::Worktree => {
            let bytes = read_tracked(repository, file, limit)?.unwrap_or_default();
            // An answer about this content is remembered under its id.
            if Repository::blob_id(&bytes)? != blob {
                let source = std::io::Error::other("it is being changed; try again");
                return Err(OpError::Read { path: file.into(), source });
            }
            Ok(Cow::Owned(bytes))
        }
    }
}
