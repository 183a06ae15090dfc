//! Locks between processes, as lock files. The system releases a lock when all copies of its file are closed, which it does
//! even if the process crashes.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// Opens a lock file without locking it, and creates it if it does not exist.
///
/// # Errors
/// Fails if the file cannot be opened for writing.
pub fn open(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).read(true).write(true).open(path)
}

/// Locks an open file. Returns `false` if another process holds the lock.
///
/// # Errors
/// Fails if the file system does not support locks.
pub fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Locks an open file. If another process holds the lock, calls `waiting` once and waits.
///
/// # Errors
/// As for [`try_lock`].
pub fn lock(file: &File, waiting: impl FnOnce()) -> io::Result<()> {
    if try_lock(file)? {
        return Ok(());
    }
    waiting();
    file.lock()
}

/// Opens and locks an existing lock file. Returns `None` if the process that created it, or one that it started, is still
/// running.
///
/// # Errors
/// Fails if the file does not exist or cannot be opened for writing, or as for [`try_lock`].
pub fn take_over(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().read(true).write(true).open(path)?;
    Ok(try_lock(&file)?.then_some(file))
}

/// Releases a lock at once, as the end of all its processes does. Closing the file is not enough in a test: a process that another
/// test starts at this moment has a copy of the file until it runs its program.
///
/// # Panics
/// If the system refuses.
#[cfg(test)]
pub fn release(file: File) {
    file.unlock().expect("a locked file");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_until_its_file_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert_eq!(take_over(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        let (held, other) = (open(&path).unwrap(), open(&path).unwrap());
        lock(&held, || panic!("nobody holds the lock")).unwrap();
        assert!(!try_lock(&other).unwrap());
        assert!(take_over(&path).unwrap().is_none());
        let (mut held, mut waited) = (Some(held), false);
        lock(&other, || (waited, held) = (true, None)).unwrap();
        assert!(waited && held.is_none());
        assert!(take_over(&path).unwrap().is_none());
        release(other);
        assert!(take_over(&path).unwrap().is_some());
    }
}
