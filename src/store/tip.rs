//! Reads the tip of the local mirror branch, once per request.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

use gix::ObjectId;

use super::{Branch, Repository, Result, Snapshot, StoreError};

/// Reads the tip of the local mirror branch from any thread. If the ref is loose, each call reads only one small file.
pub struct TipReader {
    repository: RwLock<gix::ThreadSafeRepository>,
    branch: Branch,
    /// The path of the loose ref (gitrepository-layout(5), `refs`).
    loose: PathBuf,
}

impl TipReader {
    /// Creates a reader for a branch.
    pub fn new(repository: &Repository, branch: &Branch) -> Self {
        let loose = repository.common_dir().join(branch.full_name());
        Self { repository: RwLock::new(repository.git.clone().into_sync()), branch: branch.clone(), loose }
    }

    /// Returns the commit that the branch points to, or `None` if it does not exist.
    ///
    /// # Errors
    /// Fails if the ref cannot be read or does not contain a commit id.
    pub fn local_tip(&self) -> Result<Option<ObjectId>> {
        match self.loose_tip() {
            Some(tip) => Ok(Some(tip)),
            None => self.repository().tip(&self.branch),
        }
    }

    /// Returns the snapshot of a commit.
    ///
    /// # Errors
    /// As for [`Snapshot::at`].
    pub fn snapshot(&self, commit: ObjectId) -> Result<Snapshot> {
        Snapshot::at(&self.repository(), &self.branch, commit)
    }

    /// Returns the error for a missing mirror.
    pub fn no_mirror(&self) -> StoreError {
        self.repository().no_mirror(&self.branch)
    }

    /// Opens the repository again, to pick up the current packs and packed refs. gix notices most changes by itself,
    /// but not an object that moves while it is being looked up. If the repository cannot be opened, the old handle
    /// stays in use.
    pub fn refresh(&self) {
        let git = self.repository().git;
        if let Ok(anew) = gix::ThreadSafeRepository::open_opts(git.git_dir(), git.open_options().clone()) {
            *self.repository.write().unwrap_or_else(PoisonError::into_inner) = anew;
        }
    }

    fn repository(&self) -> Repository {
        Repository { git: self.repository.read().unwrap_or_else(PoisonError::into_inner).to_thread_local() }
    }

    /// Returns the id in the loose ref, or `None` if the ref is packed, symbolic or invalid.
    fn loose_tip(&self) -> Option<ObjectId> {
        let mut content = [0; 64];
        let length = File::open(&self.loose).ok()?.read(&mut content).ok()?;
        ObjectId::from_hex(content[..length].strip_suffix(b"\n")?).ok()
    }
}
