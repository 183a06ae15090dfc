//! Reads all files that come with a branch: locks, settings, public keys.
//!
//! Their names and contents are controlled by whoever wrote the branch. The reader therefore stays inside the worktree
//! and outside git's own folders. It follows links within the worktree, because some projects link their locks. It
//! reads only regular files, up to a maximum size, and never opens a file that could block, such as a FIFO.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::regular_file::{FileRefusal, read_regular};
use crate::ops::{OpError, Result};
use crate::store::{ObjectId, Repository};

/// The maximum size of a lock, in bytes.
pub(in crate::ops) const MAX_LOCK: u64 = 64 << 20;
/// The maximum size of the tracked settings, in bytes.
pub(in crate::ops) const MAX_SETTINGS: u64 = 1 << 20;
/// The maximum size of a public key file, in bytes. A key of 16,384 bits takes less than 3 KiB.
pub(in crate::ops) const MAX_KEY: u64 = 64 << 10;

/// Reads a file of the project: of the worktree, or of `HEAD` in a bare repository. `None` if it does not exist.
///
/// # Errors
/// Fails if the file is refused or cannot be read.
pub(in crate::ops) fn read_tracked(repository: &Repository, file: &str, limit: u64) -> Result<Option<Vec<u8>>> {
    if let Some(root) = repository.worktree() {
        return read_below(repository, root, file, limit);
    }
    let blob = repository.head()?.map_or(Ok(None), |head| repository.blob_at(head, file))?;
    blob.map(|blob| read_committed(repository, blob, file, limit)).transpose()
}

/// Reads a file of a commit from its blob.
///
/// # Errors
/// Fails if the file is too large or cannot be read.
pub(in crate::ops) fn read_committed(
    repository: &Repository,
    blob: ObjectId,
    file: &str,
    limit: u64,
) -> Result<Vec<u8>> {
    // A blob of many gigabytes can be compressed to a pack of a few kilobytes.
    if repository.blob_bytes(blob, file)? > limit {
        return Err(refused(file)(FileRefusal::TooLarge { limit }));
    }
    Ok(repository.read_blob(blob, file)?)
}

/// Reads a file of one of the repository's worktrees. `file` is its path relative to the worktree's root. `None` if it
/// does not exist.
///
/// # Errors
/// Fails if the file is refused or cannot be read.
pub(in crate::ops) fn read_below(
    repository: &Repository,
    root: &Path,
    file: &str,
    limit: u64,
) -> Result<Option<Vec<u8>>> {
    let path = root.join(file);
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| OpError::Read { path, source }
    };
    let is_absent = |error: &std::io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    // Most files that are looked for do not exist, and resolving a path looks at each folder above it.
    if path.symlink_metadata().is_err_and(|error| is_absent(&error)) {
        return Ok(None);
    }
    let target = match fs::canonicalize(&path) {
        Ok(target) => target,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(source) => return Err(OpError::Read { path, source }),
    };
    let root = fs::canonicalize(root).map_err(unreadable(root))?;
    // A worktree may be located inside git's own folder.
    let is_gits_own =
        |own: &Path| fs::canonicalize(own).is_ok_and(|own| own.starts_with(&root) && target.starts_with(own));
    let names_gits_own = |below: &Path| below.iter().any(|name| name == ".git");
    let is_inside = target.strip_prefix(&root).is_ok_and(|below| !names_gits_own(below));
    if !is_inside || is_gits_own(repository.git_dir()) || is_gits_own(repository.common_dir()) {
        return Err(refused(file)(FileRefusal::Outside));
    }
    let read = read_regular(&target, limit).map_err(unreadable(&path))?;
    read.map(Some).map_err(refused(file))
}

fn refused(file: &str) -> impl FnOnce(FileRefusal) -> OpError {
    move |reason| OpError::Refused { file: file.to_owned(), reason }
}
