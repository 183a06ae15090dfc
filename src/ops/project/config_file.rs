//! A file of configuration that mentions asset tools.

use std::borrow::Cow;

use super::file_content::{Content, bytes_of};
use super::worktree::MAX_SETTINGS;
use crate::ops::Result;
use crate::store::{ObjectId, Repository};

/// A file of configuration.
#[derive(Debug, Clone)]
pub(in crate::ops) struct ConfigFile {
    /// Its path from the worktree's root.
    pub file: String,
    /// The id of its content as a git blob.
    pub blob: ObjectId,
    pub(super) content: Content,
}

impl PartialEq for ConfigFile {
    fn eq(&self, other: &Self) -> bool {
        (&self.file, self.blob) == (&other.file, other.blob)
    }
}

impl ConfigFile {
    /// Returns its content.
    ///
    /// # Errors
    /// Fails if it cannot be read, or is being changed.
    pub fn bytes(&self, repository: &Repository) -> Result<Cow<'_, [u8]>> {
        bytes_of(repository, &self.content, self.blob, &self.file, MAX_SETTINGS)
    }
}
