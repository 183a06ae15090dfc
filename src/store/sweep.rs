//! Removes the leftovers of killed processes of this program, and nothing else. Each kind is recognised by its name or
//! by a lock that its owner holds.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::files::with_prefix;
use super::{Repository, Result, StoreError, git_cache, incoming, pack, ref_marker};
use crate::file_lock;

/// The name prefix of temporary folders for viewing objects.
const LOOKED_AT: &str = "tmp-";
/// The folder that a repair fetches into (see `ops::repair`).
const REPAIR: &str = "repair.git";
/// The name prefix of files that are about to be renamed (see `ops::status` and the tempfile crate).
const UNNAMED: &str = ".tmp";

/// A folder beside the repository. It is removed when this value is dropped or, if the process is killed, by the next
/// sweep.
#[derive(Debug)]
pub struct Temporary {
    folder: TempDir,
    /// A file that every process with such a folder locks. `None` if the repository is read-only and the folder is
    /// among the system's temporary files.
    _alive: Option<File>,
}

impl Temporary {
    /// Creates a folder in the repository, or among the system's temporary files if the repository is not writable.
    ///
    /// # Errors
    /// Fails if neither can be created.
    pub fn make(repository: &Repository) -> Result<Self> {
        let made = Self::beside(repository).or_else(|_| {
            let folder = tempfile::Builder::new().prefix("git-hexmirror-").tempdir()?;
            Ok::<_, io::Error>(Self { folder, _alive: None })
        });
        made.map_err(StoreError::no_temporary)
    }

    fn beside(repository: &Repository) -> io::Result<Self> {
        let own = repository.make_own_dir().map_err(io::Error::other)?;
        let path = alive_path(&own);
        let alive = file_lock::open(&path)?;
        repository.share(&path).map_err(io::Error::other)?;
        alive.lock_shared()?;
        let folder = tempfile::Builder::new().prefix(LOOKED_AT).tempdir_in(&own)?;
        Ok(Self { folder, _alive: Some(alive) })
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Repository {
    /// Returns whether a killed process may have left anything.
    pub fn has_leftovers(&self) -> bool {
        let own = self.own_dir();
        [ref_marker::PREFIX, LOOKED_AT, UNNAMED].iter().any(|prefix| !with_prefix(&own, prefix).is_empty())
            || own.join(REPAIR).exists()
            || git_cache::has_leftovers(&own.join("git"))
            || !incoming::left(self).is_empty()
            || !pack::left(&self.objects_dir()).is_empty()
    }
}

/// Removes leftovers. Call this only while holding the repository's lock. What cannot be removed is left for the next
/// sweep.
pub(super) fn sweep(repository: &Repository) {
    let own = repository.own_dir();
    ref_marker::clear(repository);
    incoming::sweep(repository);
    pack::sweep(&repository.objects_dir());
    with_prefix(&own, UNNAMED).into_iter().for_each(|path| drop(fs::remove_file(path)));
    // A repair does not resume an earlier one.
    let _ = fs::remove_dir_all(own.join(REPAIR));
    let folders = with_prefix(&own, LOOKED_AT);
    let alone = || match file_lock::take_over(&alive_path(&own)) {
        Ok(alive) => alive.is_some(),
        // The lock file is created before the folder.
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if !folders.is_empty() && alone() {
        folders.into_iter().for_each(|path| drop(fs::remove_dir_all(path)));
    }
    git_cache::sweep(&own.join("git"));
}

fn alive_path(own: &Path) -> PathBuf {
    own.join("temporary.lock")
}
