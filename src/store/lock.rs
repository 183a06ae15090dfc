//! The lock that allows one update at a time in a repository.

use std::fs::{File, TryLockError};

use super::files::SharedUmask;
use super::{Repository, Result, StoreError, sweep};

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
        let waits = |file: &File| {
            waiting();
            file.lock().map(|()| true)
        };
        let taken = Self::take(repository, waits)?;
        Ok(taken.expect("a blocking lock is always acquired"))
    }

    /// Acquires the lock if no other process holds it.
    ///
    /// # Errors
    /// As for [`Lock::acquire`].
    pub fn try_acquire(repository: &Repository) -> Result<Option<Self>> {
        Self::take(repository, |_| Ok(false))
    }

    /// Removes the leftovers of killed processes. Does nothing if another process holds the lock or the repository is
    /// not writable.
    pub fn sweep(repository: &Repository) {
        if repository.has_leftovers() {
            drop(Self::try_acquire(repository));
        }
    }

    /// Acquires the lock. If another process holds it, calls `busy`, which returns whether the lock was acquired after
    /// all.
    fn take(repository: &Repository, busy: impl FnOnce(&File) -> std::io::Result<bool>) -> Result<Option<Self>> {
        let (path, files) = (repository.make_own_dir()?.join("update.lock"), repository.files()?);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(StoreError::io("write to", &path))?;
        files.share(&path)?;
        let taken = match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => busy(&file),
            Err(TryLockError::Error(source)) => Err(source),
        };
        if !taken.map_err(StoreError::io("lock", &path))? {
            return Ok(None);
        }
        let lock = Self { _umask: files.shared_umask(), _file: file };
        sweep::sweep(repository);
        Ok(Some(lock))
    }
}
