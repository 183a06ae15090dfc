//! The lock that allows one update at a time in a repository.

use std::fs::File;
use std::path::PathBuf;

use super::files::{Files, SharedUmask};
use super::{Repository, Result, StoreError, sweep};
use crate::file_lock;

/// Held while a process changes the mirror. The system releases the lock when the process ends, even if it crashes.
///
/// Acquiring the lock removes the leftovers of processes that were killed while they held it. While this value is
/// alive, everything that this process writes gets the permissions from `core.sharedRepository`.
#[derive(Debug)]
pub struct Lock {
    _umask: Option<SharedUmask>,
    _file: File,
}

impl Lock {
    /// Acquires the lock. If another process holds it, calls `waiting` once and waits.
    ///
    /// # Errors
    /// Fails if the lock file cannot be created, for example in a read-only repository.
    pub fn acquire(repository: &Repository, waiting: impl FnOnce()) -> Result<Self> {
        let file = LockFile::open(repository)?;
        file_lock::lock(&file.file, waiting).map_err(StoreError::io("lock", &file.path))?;
        Ok(file.locked(repository))
    }

    /// Acquires the lock if no other process holds it.
    ///
    /// # Errors
    /// As for [`Lock::acquire`].
    pub fn try_acquire(repository: &Repository) -> Result<Option<Self>> {
        let file = LockFile::open(repository)?;
        let is_locked = file_lock::try_lock(&file.file).map_err(StoreError::io("lock", &file.path))?;
        Ok(is_locked.then(|| file.locked(repository)))
    }

    /// Removes the leftovers of killed processes. Does nothing if another process holds the lock or the repository is
    /// not writable.
    pub fn sweep(repository: &Repository) {
        if repository.has_leftovers() {
            drop(Self::try_acquire(repository));
        }
    }
}

/// The lock file, before it is locked.
struct LockFile {
    file: File,
    path: PathBuf,
    files: Files,
}

impl LockFile {
    fn open(repository: &Repository) -> Result<Self> {
        let (path, files) = (repository.make_own_dir()?.join("update.lock"), repository.files()?);
        let file = file_lock::open(&path).map_err(StoreError::io("write to", &path))?;
        files.share(&path)?;
        Ok(Self { file, path, files })
    }

    /// Returns the lock, after the file was locked.
    fn locked(self, repository: &Repository) -> Lock {
        let lock = Lock { _umask: self.files.shared_umask(), _file: self.file };
        sweep::sweep(repository);
        lock
    }
}
