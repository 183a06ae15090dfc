//! The options of an import, and what it returns.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::{Fingerprint, RepositoryName};
use crate::ops::{Added, AddedGit};
use crate::plan::Evidence;
use crate::store::ObjectId;

/// What to import.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The folders.
    pub folders: Vec<PathBuf>,
    /// Whether to import also releases that no lock pins.
    pub all: bool,
    /// Whether to only determine what would be imported.
    pub dry_run: bool,
}

/// An imported release.
#[derive(Debug, Clone)]
pub struct ImportedTarball {
    /// The release.
    pub added: Added,
    /// What it was verified against.
    pub evidence: Evidence,
}

/// A registry that another key than its repository's signed, kept as the pinned index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedIndex {
    /// The repository.
    pub repository: RepositoryName,
    /// The key that signed it.
    pub signer: Fingerprint,
}

/// The result of an import, or of a dry run.
#[derive(Debug, Default)]
pub struct Import {
    /// The imported releases.
    pub added: Vec<ImportedTarball>,
    /// The imported revisions of git repositories.
    pub added_git: Vec<AddedGit>,
    /// The number of imported registry entries that their repositories signed.
    pub entries: usize,
    /// The registries that another key signed.
    pub indexes: Vec<ImportedIndex>,
    /// The number of releases and git revisions that were found and that the mirror had already.
    pub present: usize,
    /// The files that were left out because no lock pins what they contain.
    pub unpinned: Vec<PathBuf>,
    /// The git repositories that were left out because no lock pins any of their commits.
    pub unused_git: Vec<PathBuf>,
    /// The git revisions that the locks pin and that the mirror still lacks. They are also in `lacking`.
    pub lacking_git: Vec<String>,
    /// The folders that could not be read.
    pub unreadable: Vec<PathBuf>,
    /// What the mirror still lacks of what the locks pin, git revisions first, because the folders should have had them.
    pub lacking: Vec<String>,
    /// The branch's tip before.
    pub before: Option<ObjectId>,
    /// The branch's tip now. In a dry run, and if there was nothing to import, it is the same.
    pub commit: Option<ObjectId>,
    /// The growth of the repository's object database, in bytes.
    pub stored_bytes: u64,
    /// The duration.
    pub elapsed: Duration,
}

impl Import {
    /// Returns whether anything was imported.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.added_git.is_empty() && self.entries == 0 && self.indexes.is_empty()
    }
}

/// Names folders for a message.
pub(super) fn listed(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}
