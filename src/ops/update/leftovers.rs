//! The files that unfinished updates keep for the next attempt.

use std::fs;
use std::path::PathBuf;

use crate::ops::{OpError, Result};
use crate::store::{Lock, Repository};

/// Returns the folder where unfinished updates keep fetched tarballs and registry entries.
pub(in crate::ops) fn downloads_dir(repository: &Repository) -> PathBuf {
    repository.own_dir().join("downloads")
}

/// Returns the folder where unfinished updates keep fetched git repositories.
pub(in crate::ops) fn scratch_dir(repository: &Repository) -> PathBuf {
    repository.own_dir().join("git-fetch")
}

/// Returns the folder where an import collects git repositories.
pub(in crate::ops) fn import_dir(repository: &Repository) -> PathBuf {
    repository.own_dir().join("import")
}

/// Creates the folder for git repositories if it does not exist, and returns it.
pub(in crate::ops) fn make_scratch_dir(repository: &Repository) -> Result<PathBuf> {
    let folder = scratch_dir(repository);
    fs::create_dir_all(&folder).map_err(OpError::machine("create", &folder))?;
    Ok(folder)
}

/// Removes files that earlier updates left behind, after the mirror has become fresh. Keeps them if the repository is
/// not writable or while another process uses them.
pub(super) fn tidy(repository: &Repository) {
    let fetched = [downloads_dir(repository), scratch_dir(repository), import_dir(repository)];
    if (repository.has_leftovers() || fetched.iter().any(|folder| folder.exists()))
        && let Ok(Some(_lock)) = Lock::try_acquire(repository)
    {
        remove_fetched(repository);
    }
}

/// Removes files that were kept for the next attempt. Files that cannot be removed do no harm.
pub(super) fn remove_fetched(repository: &Repository) {
    for folder in [downloads_dir(repository), scratch_dir(repository), import_dir(repository)] {
        let _ = fs::remove_dir_all(folder);
    }
}
