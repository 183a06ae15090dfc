//! The folder that holds downloads until they are stored on the mirror branch.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::error::FetchError;
use super::hash;
use crate::file_lock;
use crate::model::OuterChecksum;

/// The total size of old files, in bytes, above which [`Downloads::open`] removes some.
const KEPT_BYTES: u64 = 1 << 30;

/// Files younger than this are never removed, because another process may be about to use them.
const KEPT_AGE: Duration = Duration::from_secs(60 * 60);

/// A folder of downloaded tarballs.
///
/// Finished tarballs are named by their outer checksum, appear by an atomic rename, and are verified whenever they are
/// read. Partial tarballs are stored beside them together with their ETag, so that the next attempt, in this process or
/// a later one, resumes the download. If two processes use the folder at the same time, the first one owns the partial
/// tarballs, and the other one downloads without keeping any. Verified registry entries are kept in a subfolder.
#[derive(Debug)]
pub struct Downloads {
    folder: PathBuf,
    /// The lock file, if this process owns the partial tarballs. The lock is held as long as the file is open.
    owner: Option<File>,
    /// The keys of the partial tarballs that are in use in this process.
    claimed: Mutex<HashSet<String>>,
}

impl Downloads {
    /// Opens the folder, creates it if it does not exist, and removes the oldest files if the total exceeds 1 GiB.
    ///
    /// # Errors
    /// [`FetchError::Io`] if the folder cannot be created or written to.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, FetchError> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(FetchError::io("create the folder", &folder))?;
        let path = folder.join("lock");
        let lock = file_lock::open(&path).map_err(FetchError::io("write", &path))?;
        // If the file system does not support locks, no process owns the partial tarballs.
        let owner = file_lock::try_lock(&lock).is_ok_and(|locked| locked).then_some(lock);
        if owner.is_some() {
            shrink(&folder, KEPT_BYTES, KEPT_AGE).map_err(FetchError::io("tidy", &folder))?;
        }
        Ok(Self { folder, owner, claimed: Mutex::default() })
    }

    /// Returns the finished tarball with this outer checksum. A damaged one is removed.
    ///
    /// # Errors
    /// [`FetchError::Io`] if the file exists but cannot be read.
    pub fn finished(&self, checksum: &OuterChecksum) -> Result<Option<Download>, FetchError> {
        let path = self.finished_path(checksum);
        match hash::of_file(&path).map_err(FetchError::io("read", &path))? {
            Some((got, bytes)) if got == *checksum => {
                Ok(Some(Download { path, outer_checksum: got, bytes, downloaded_bytes: 0, origin: Origin::Downloads }))
            }
            Some(_) => self.remove(checksum).map(|()| None),
            None => Ok(None),
        }
    }

    /// Removes a finished tarball, if it exists, after it was stored on the mirror branch.
    ///
    /// # Errors
    /// [`FetchError::Io`] if the file cannot be removed.
    pub fn remove(&self, checksum: &OuterChecksum) -> Result<(), FetchError> {
        let path = self.finished_path(checksum);
        remove(&path).map_err(FetchError::io("remove", path))
    }

    /// Returns the folder of the kept registry entries.
    pub(super) fn entries(&self) -> PathBuf {
        self.folder.join("entries")
    }

    pub(super) fn finished_path(&self, checksum: &OuterChecksum) -> PathBuf {
        self.folder.join(format!("{checksum}.tar"))
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Claims the partial tarball named `key`, so that only one task writes to it. Returns `None` if it is already
    /// claimed.
    pub(super) fn claim(&self, key: &str) -> Option<Claim<'_>> {
        let free = self.owner.is_some() && self.claimed().insert(key.to_owned());
        free.then(|| Claim { downloads: self, key: key.to_owned() })
    }

    fn claimed(&self) -> MutexGuard<'_, HashSet<String>> {
        // A panic cannot leave the set inconsistent, because every operation on it is a single call.
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The exclusive right to a partial tarball, released when dropped.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    downloads: &'a Downloads,
    key: String,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.downloads.claimed().remove(&self.key);
    }
}

/// A tarball on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// The path of the file. A file in the Hex client's cache must not be modified.
    pub path: PathBuf,
    /// The tarball's outer checksum.
    pub outer_checksum: OuterChecksum,
    /// The tarball's size in bytes.
    pub bytes: u64,
    /// The number of bytes transferred over the network for it, including failed attempts.
    pub downloaded_bytes: u64,
    /// Where the tarball came from.
    pub origin: Origin,
}

/// Where a tarball came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From upstream.
    Network,
    /// From an earlier download.
    Downloads,
    /// From the local Hex client's cache.
    HexCache,
    /// From a folder that is configured as a repository.
    Folder,
}

impl Download {
    /// Reads the tarball into memory and verifies it again, because the file may have changed.
    ///
    /// # Errors
    /// [`FetchError::Io`], or [`FetchError::ChecksumMismatch`] if the file has changed.
    pub fn read(&self) -> Result<Vec<u8>, FetchError> {
        let mut bytes = Vec::with_capacity(usize::try_from(self.bytes).unwrap_or_default());
        let file = File::open(&self.path).map_err(FetchError::io("read", &self.path))?;
        // One extra byte is enough to detect that the file has grown.
        file.take(self.bytes + 1).read_to_end(&mut bytes).map_err(FetchError::io("read", &self.path))?;
        let got = hash::of_bytes(&bytes);
        if got == self.outer_checksum {
            return Ok(bytes);
        }
        let file = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Err(FetchError::ChecksumMismatch {
            file,
            expected: self.outer_checksum,
            got,
            from: self.path.display().to_string(),
        })
    }
}

/// Removes a file if it exists.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes files older than `age`, the oldest first, until the total size is at most `limit` bytes.
fn shrink(folder: &Path, limit: u64, age: Duration) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Another process may have removed the file since it was listed.
        if let Ok(metadata) = entry.metadata()
            && metadata.is_file()
        {
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
    }
    files.sort_by(|a, b| b.cmp(a));
    let now = SystemTime::now();
    let mut total = 0;
    for (modified, bytes, path) in files {
        total += bytes;
        if total > limit && now.duration_since(modified).is_ok_and(|since| since > age) {
            remove(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_files_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        for (name, hours) in [("new", 0), ("middle", 2), ("old", 3)] {
            let path = folder.path().join(name);
            fs::write(&path, [0; 100]).unwrap();
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(now - Duration::from_secs(hours * 3600)).unwrap();
        }
        let left = || {
            let mut names: Vec<_> =
                fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        shrink(folder.path(), 300, KEPT_AGE).unwrap();
        assert_eq!(left(), ["middle", "new", "old"]);
        shrink(folder.path(), 200, KEPT_AGE).unwrap();
        assert_eq!(left(), ["middle", "new"]);
        shrink(folder.path(), 0, KEPT_AGE).unwrap();
        assert_eq!(left(), ["new"]);
    }

    #[test]
    fn damaged_files_are_not_returned() {
        let folder = tempfile::tempdir().unwrap();
        let downloads = Downloads::open(folder.path()).unwrap();
        let checksum = hash::of_bytes(b"tarball");
        assert_eq!(downloads.finished(&checksum).unwrap(), None);
        fs::write(downloads.finished_path(&checksum), b"tarball").unwrap();
        let found = downloads.finished(&checksum).unwrap().unwrap();
        assert_eq!(
            (found.bytes, found.origin, found.read().unwrap().as_slice()),
            (7, Origin::Downloads, &b"tarball"[..])
        );
        for damaged in [&b"tarbalL"[..], b"tarball and more", b""] {
            fs::write(&found.path, damaged).unwrap();
            assert!(found.read().unwrap_err().is_integrity());
        }
        assert_eq!(downloads.finished(&checksum).unwrap(), None);
        assert!(!found.path.exists());
    }

    #[test]
    fn only_one_task_can_claim_a_partial_tarball() {
        let folder = tempfile::tempdir().unwrap();
        let first = Downloads::open(folder.path()).unwrap();
        let second = Downloads::open(folder.path()).unwrap();
        let claim = first.claim("a");
        assert!(claim.is_some() && first.claim("a").is_none() && second.claim("a").is_none());
        drop(claim);
        assert!(first.claim("a").is_some());
        file_lock::release(first.owner.unwrap());
        assert!(Downloads::open(folder.path()).unwrap().claim("a").is_some());
    }
}
