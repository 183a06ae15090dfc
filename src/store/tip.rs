//! Where the mirror branch stands, asked at every request.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

use gix::ObjectId;

use super::{Branch, Repository, Result, Snapshot, StoreError};

/// Reads where a mirror branch stands, here or else on a remote as last seen, from any thread, with one small file read as long as the ref is loose.
pub struct TipReader {
    repository: RwLock<gix::ThreadSafeRepository>,
    branch: Branch,
    /// The file of the ref while it is not packed (gitrepository-layout(5), `refs`).
    loose: PathBuf,
}

impl TipReader {
    /// Makes a reader for a branch.
    pub fn new(repository: &Repository, branch: &Branch) -> Self {
        let loose = repository.common_dir().join(branch.full_name());
        Self { repository: RwLock::new(repository.git.clone().into_sync()), branch: branch.clone(), loose }
    }

    /// Returns the commit that the branch stands on, or else a remote's; `None` where there is neither.
    ///
    /// # Errors
    /// Fails where the ref cannot be read or is not a commit's id.
    pub fn tip(&self) -> Result<Option<ObjectId>> {
        match self.loose_tip() {
            Some(tip) => Ok(Some(tip)),
            None => Ok(self.repository().mirror_tip(&self.branch)?.map(|(_, tip)| tip)),
        }
    }

    /// Returns what the branch holds at a commit.
    ///
    /// # Errors
    /// As for [`Snapshot::at`].
    pub fn snapshot(&self, commit: ObjectId) -> Result<Snapshot> {
        Snapshot::at(&self.repository(), &self.branch, commit)
    }

    /// Returns the error that there is no mirror.
    pub fn no_mirror(&self) -> StoreError {
        self.repository().no_mirror(&self.branch)
    }

    /// Opens the repository anew: its packs and packed refs are then those that are there now. What gix remembers of them is
    /// mostly right by itself, but not if an object moves from one place to another while it is looked for. If it cannot be
    /// opened now, all stays as it is.
    pub fn refresh(&self) {
        let git = self.repository().git;
        if let Ok(anew) = gix::ThreadSafeRepository::open_opts(git.git_dir(), git.open_options().clone()) {
            *self.repository.write().unwrap_or_else(PoisonError::into_inner) = anew;
        }
    }

    fn repository(&self) -> Repository {
        Repository { git: self.repository.read().unwrap_or_else(PoisonError::into_inner).to_thread_local() }
    }

    /// Returns the id that the loose ref's file holds; nothing where it is packed, symbolic or anything else.
    fn loose_tip(&self) -> Option<ObjectId> {
        let mut content = [0; 64];
        let length = File::open(&self.loose).ok()?.read(&mut content).ok()?;
        ObjectId::from_hex(content[..length].strip_suffix(b"\n")?).ok()
    }
}
