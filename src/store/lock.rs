//! One update at a time for one repository.

use std::fs::{self, File, TryLockError};

use super::{Repository, Result, StoreError};

/// Held while a process changes the mirror. The system releases it when the process ends, however that happens.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, waiting for another process that has it. `waiting` is called once before it waits.
    ///
    /// # Errors
    /// Fails where the lock's file cannot be made, as in a read-only repository.
    pub fn acquire(repository: &Repository, waiting: impl FnOnce()) -> Result<Self> {
        let directory = repository.own_dir();
        fs::create_dir_all(&directory).map_err(StoreError::io("create", &directory))?;
        let path = directory.join("update.lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(StoreError::io("write to", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock().map_err(StoreError::io("lock", &path))?;
            }
            Err(TryLockError::Error(source)) => return Err(StoreError::Io { action: "lock", path, source }),
        }
        super::mark::clear(repository);
        super::pack::sweep(&repository.objects_dir());
        Ok(Self { _file: file })
    }
}
