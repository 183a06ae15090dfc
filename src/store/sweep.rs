//! Removes what killed processes of this program left in the repository, and nothing else: every kind has a name of its own,
//! or a lock that its owner holds.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Repository, Result, StoreError, checkout, incoming, mark, pack};

/// How the names begin of folders for objects that are only looked at.
const LOOKED_AT: &str = "tmp-";
/// Where a repair fetches what a remote has (see `ops::repair`).
const REPAIR: &str = "repair.git";
/// How the names begin of files that are about to be renamed (see `ops::status`, and the tempfile crate).
const UNNAMED: &str = ".tmp";

/// A folder beside the repository that goes when it is dropped, or when the process was killed and another one sweeps.
#[derive(Debug)]
pub struct Temporary {
    folder: TempDir,
    /// Locked by everybody who has such a folder; `None` if the folder is the system's, in a repository that is read-only.
    _alive: Option<File>,
}

impl Temporary {
    /// Makes a folder in the repository, or among the system's temporary files if the repository cannot be written to.
    ///
    /// # Errors
    /// Fails if neither can be made.
    pub fn make(repository: &Repository) -> Result<Self> {
        let made = Self::beside(repository).or_else(|_| {
            let folder = tempfile::Builder::new().prefix("git-hexmirror-").tempdir()?;
            Ok::<_, io::Error>(Self { folder, _alive: None })
        });
        made.map_err(StoreError::io("create a folder in", repository.own_dir()))
    }

    fn beside(repository: &Repository) -> io::Result<Self> {
        let own = repository.make_own_dir().map_err(io::Error::other)?;
        let path = alive_path(&own);
        let alive = File::options().create(true).truncate(false).write(true).open(&path)?;
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
    /// Returns whether there is anything that a killed process may have left.
    pub fn has_leftovers(&self) -> bool {
        let own = self.own_dir();
        [mark::PREFIX, LOOKED_AT, UNNAMED].iter().any(|prefix| !named(&own, prefix).is_empty())
            || own.join(REPAIR).exists()
            || checkout::has_leftovers(&own.join("git"))
            || !incoming::left(self).is_empty()
            || !pack::left(&self.objects_dir()).is_empty()
    }
}

/// Removes what was left. To be called by whoever holds the repository's lock. What cannot be removed is left for the next
/// one.
pub(super) fn sweep(repository: &Repository) {
    let own = repository.own_dir();
    mark::clear(repository);
    incoming::sweep(repository);
    pack::sweep(&repository.objects_dir());
    named(&own, UNNAMED).into_iter().for_each(|path| drop(fs::remove_file(path)));
    // A repair fetches there, and does not go on where another one stopped.
    let _ = fs::remove_dir_all(own.join(REPAIR));
    let folders = named(&own, LOOKED_AT);
    let alone = || match File::options().write(true).open(alive_path(&own)) {
        Ok(alive) => alive.try_lock().is_ok(),
        // Whoever has such a folder has made the file first.
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if !folders.is_empty() && alone() {
        folders.into_iter().for_each(|path| drop(fs::remove_dir_all(path)));
    }
    checkout::sweep(&own.join("git"));
}

/// Returns the entries of a folder whose names begin so.
pub(super) fn named(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()));
    named.map(|entry| entry.path()).collect()
}

fn alive_path(own: &Path) -> PathBuf {
    own.join("temporary.lock")
}
