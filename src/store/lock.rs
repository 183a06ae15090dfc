//! One update at a time for one repository.

use std::fs::{File, TryLockError};

use super::files::SharedUmask;
use super::{Repository, Result, StoreError, sweep};

/// Held while a process changes the mirror. The system releases it when the process ends, however that happens.
///
/// Whoever takes it removes what processes left that were killed while they held it. As long as it is held, everything that
/// this process writes has the permissions that `core.sharedRepository` asks for.
#[derive(Debug)]
pub struct Lock {
    _umask: Option<SharedUmask>,
    _file: File,
}

impl Lock {
    /// Takes the lock, waiting for another process that has it. `waiting` is called once before it waits.
    ///
    /// # Errors
    /// Fails where the lock's file cannot be made, as in a read-only repository.
    pub fn acquire(repository: &Repository, waiting: impl FnOnce()) -> Result<Self> {
        let waits = |file: &File| {
            waiting();
            file.lock().map(|()| true)
        };
        let taken = Self::take(repository, waits)?;
        Ok(taken.expect("whoever waits for the lock has it in the end"))
    }

    /// Takes the lock if nobody has it.
    ///
    /// # Errors
    /// Fails as [`Lock::acquire`] does.
    pub fn try_acquire(repository: &Repository) -> Result<Option<Self>> {
        Self::take(repository, |_| Ok(false))
    }

    /// Removes what killed processes left in the repository, unless another process is at work there or it cannot be written.
    pub fn sweep(repository: &Repository) {
        if repository.has_leftovers() {
            drop(Self::try_acquire(repository));
        }
    }

    /// Takes the lock; `busy` is what is done if another process has it, and returns whether this one has it then.
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
