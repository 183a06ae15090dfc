//! Fills a package cache for gleam. gleam asks hex.pm at addresses that nothing overrides, but it uses a tarball in its
//! cache without a request (`ensure_package_downloaded` in gleam's `compiler-core/src/hex.rs`).
//!
//! gleam does not hash a cached tarball, so each one is verified before every use: the folder contains what the manifest
//! pins, or this fails.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::kept_folder::{ClientFolder, kept_folder};
use super::redirected::redirecting_locks;
use crate::fetch::hash;
use crate::lock::LockKind;
use crate::model::{OuterChecksum, ReleaseId};
use crate::ops::parallel::{cores, in_parallel_with};
use crate::ops::{MirrorSource, OpError, Project, Result, mirror_source, read_locks};
use crate::store::Snapshot;

/// The folder beside the repository that serves as `XDG_CACHE_HOME`.
const FOLDER: &str = "cache-home";
/// gleam's folder of tarballs below `XDG_CACHE_HOME` (`compiler-core/src/paths.rs`).
const PACKAGES: &str = "gleam/hex/hexpm/packages";

/// Fills the cache beside the repository, or a temporary one if that cannot be written. `None` if no lock in force is
/// gleam's.
///
/// # Errors
/// Fails if a lock cannot be read, a release is damaged, or no cache can be written.
pub(in crate::ops) fn cache_home_for_run(project: &Project) -> Result<Option<ClientFolder>> {
    let Some(pinned) = pinned(project)? else { return Ok(None) };
    ClientFolder::prepare(project, Path::new(FOLDER), |folder| fill(project, folder, &pinned)).map(Some)
}

/// Fills a cache that is kept, beside the repository if possible, and returns the folder for `XDG_CACHE_HOME`. `None` if no
/// lock in force is gleam's.
///
/// # Errors
/// Fails if a lock cannot be read, a release is damaged, or no cache can be written.
pub fn cache_home(project: &Project) -> Result<Option<PathBuf>> {
    let Some(pinned) = pinned(project)? else { return Ok(None) };
    kept_folder(project, Path::new(FOLDER), |folder| fill(project, folder, &pinned)).map(Some)
}

/// Returns what gleam's locks in force pin. `None` if there is no such lock.
fn pinned(project: &Project) -> Result<Option<Vec<(ReleaseId, OuterChecksum)>>> {
    let mut locks = redirecting_locks(project)?.unwrap_or_default();
    locks.retain(|lock| LockKind::of(&lock.file) == LockKind::Gleam);
    if locks.is_empty() {
        return Ok(None);
    }
    let pins = read_locks(&project.repository, &locks)?.releases.into_values();
    Ok(Some(pins.filter_map(|pin| Some((pin.id, pin.outer?))).collect()))
}

/// Writes each release that the mirror has, unless the folder has it already.
fn fill(project: &Project, cache_home: &Path, pinned: &[(ReleaseId, OuterChecksum)]) -> Result<()> {
    let folder = cache_home.join(PACKAGES);
    fs::create_dir_all(&folder).map_err(OpError::machine("create", &folder))?;
    let missing: Vec<_> = pinned.iter().filter(|(_, outer)| !is_valid(&path(&folder, outer), outer)).collect();
    let source = if missing.is_empty() { None } else { mirror_source(project)? };
    let Some(MirrorSource { remote, commit }) = source else { return Ok(()) };
    let snapshot = project.snapshot_of(remote.as_ref(), commit)?;
    let written = in_parallel_with(
        cores(),
        &missing,
        || snapshot.clone(),
        |snapshot, (id, outer)| write(snapshot, id, outer, &folder),
    );
    written.into_iter().collect()
}

fn write(snapshot: &Snapshot, id: &ReleaseId, outer: &OuterChecksum, folder: &Path) -> Result<()> {
    let path = path(folder, outer);
    let bytes = snapshot.tarball(id)?;
    // The lock decides, not the manifest of the mirror branch.
    let bytes = bytes.filter(|bytes| hash::of_bytes(bytes) == *outer);
    let write = || -> io::Result<()> {
        let Some(bytes) = bytes else {
            // What is there instead is not what the lock pins.
            return fs::remove_file(&path).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            });
        };
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(&bytes)?;
        file.persist(&path).map(drop).map_err(|error| error.error)
    };
    write().map_err(OpError::machine("write", &path))
}

/// Returns gleam's path of a tarball.
fn path(folder: &Path, outer: &OuterChecksum) -> PathBuf {
    folder.join(format!("{}.tar", outer.to_string().to_uppercase()))
}

/// Returns whether a file exists and has a checksum.
fn is_valid(path: &Path, outer: &OuterChecksum) -> bool {
    hash::of_file(path).is_ok_and(|found| found.is_some_and(|(found, _)| found == *outer))
}
