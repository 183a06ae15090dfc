//! A folder for objects that a git process writes, kept apart from the repository until they are complete.
//!
//! If git is killed, its unfinished files are in a folder that is known to be this program's. Git's own quarantine
//! works the same way (git-receive-pack(1)). The folder's name does not begin with `tmp_`, because `git prune` removes
//! such folders.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::files::{Component, Files, with_prefix};
use super::own_packs::PackList;
use super::pack::InstalledPacks;
use super::{Repository, Result, StoreError, ref_marker};
use crate::file_lock;

const PREFIX: &str = "hexmirror-incoming-";
/// The file in the folder that stays locked while any process writes there.
const ALIVE: &str = "alive";
/// The longest time between the creation of the folder and of that file.
const BEGUN: Duration = Duration::from_secs(2);
/// The git folder in the folder. It shares everything with the project's git folder except `HEAD` and `FETCH_HEAD`.
const GIT_DIR: &str = "git";
/// The file in a git folder with the settings of one worktree (git-worktree(1), `extensions.worktreeConfig`).
const WORKTREE_CONFIG: &str = "config.worktree";

/// The folder. Dropping this value removes it.
#[derive(Debug)]
pub struct Incoming {
    folder: TempDir,
    git_dir: PathBuf,
    alive: File,
    objects: PathBuf,
    files: Files,
    own: PackList,
}

impl Repository {
    /// Creates an empty folder for objects that a git process writes.
    ///
    /// # Errors
    /// Fails if the repository is not writable.
    pub fn begin_incoming(&self) -> Result<Incoming> {
        let (objects, files) = (self.objects_dir(), self.files()?);
        let mut builder = tempfile::Builder::new();
        // Another user of a shared repository may have to remove the folder.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let folder = builder.prefix(PREFIX).tempdir_in(&objects);
        let folder = folder.map_err(StoreError::io("create a folder in", &objects))?;
        let write = || StoreError::io("write to", folder.path());
        let whole = |path: &Path| fs::canonicalize(path).map_err(StoreError::io("read", path));
        let alive = File::create_new(folder.path().join(ALIVE)).and_then(|file| file.lock().map(|()| file));
        let alive = alive.map_err(write())?;
        for below in ["pack", "info", GIT_DIR] {
            fs::create_dir(folder.path().join(below)).map_err(write())?;
        }
        let alternates = [whole(&objects)?.as_os_str().as_encoded_bytes(), b"\n"].concat();
        fs::write(folder.path().join("info/alternates"), alternates).map_err(write())?;
        fs::write(folder.path().join(GIT_DIR).join("HEAD"), "ref: refs/heads/none\n").map_err(write())?;
        let (git_dir, config) = (folder.path().join(GIT_DIR), self.git_dir().join(WORKTREE_CONFIG));
        if config.is_file() {
            fs::copy(config, git_dir.join(WORKTREE_CONFIG)).map_err(write())?;
        }
        Ok(Incoming { folder, git_dir, alive, objects, files, own: PackList::of(self)? })
    }
}

impl Incoming {
    /// Returns the object folder for git to write to (`GIT_OBJECT_DIRECTORY`).
    pub fn objects(&self) -> &Path {
        self.folder.path()
    }

    /// Returns a git folder (`GIT_DIR`) whose common folder (`GIT_COMMON_DIR`) is the repository's.
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// Returns a locked file to use as the standard input of the git process that writes here. While any copy of it is
    /// open, no other process removes the folder.
    pub fn alive(&self) -> &File {
        &self.alive
    }

    /// Moves the objects into the repository.
    ///
    /// # Errors
    /// Fails if the objects cannot be moved.
    pub fn keep(self) -> Result<()> {
        let objects = &self.objects;
        let below = |name: &OsStr| name.len() == 2 && name.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit);
        let entries = fs::read_dir(self.folder.path()).map_err(StoreError::io("read", self.folder.path()))?;
        for entry in entries {
            let name = entry.map_err(StoreError::io("read", self.folder.path()))?.file_name();
            if below(&name) {
                self.move_loose(&self.folder.path().join(&name), &objects.join(&name))?;
            }
        }
        let mut installed = InstalledPacks::default();
        installed.move_all(self.files, objects, &self.folder.path().join("pack"))?;
        self.own.add(installed.names());
        Ok(())
    }

    /// Moves the loose objects of a folder.
    fn move_loose(&self, from: &Path, to: &Path) -> Result<()> {
        let entries = fs::read_dir(from).map_err(StoreError::io("read", from))?;
        // A skipped entry would be missing from the mirror.
        let names = entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>();
        let mut names = names.map_err(StoreError::io("read", from))?;
        names.retain(|name| !name.as_encoded_bytes().starts_with(b"tmp_"));
        if names.is_empty() {
            return Ok(());
        }
        self.files.create_dir_all(to)?;
        for name in &names {
            let target = to.join(name);
            match fs::rename(from.join(name), &target) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(StoreError::io("write", &target)(error));
                }
                _ => self.files.share(&target)?,
            }
        }
        self.files.sync_folder(Component::LooseObject, to)
    }
}

/// Returns the existing folders of this kind.
pub(super) fn left(repository: &Repository) -> Vec<PathBuf> {
    with_prefix(&repository.objects_dir(), PREFIX)
}

/// Removes the folders that no process writes to any more.
pub(super) fn sweep(repository: &Repository) {
    for folder in left(repository) {
        let in_use = match file_lock::take_over(&folder.join(ALIVE)) {
            Ok(alive) => alive.is_none(),
            // The folder may have been created only just now.
            Err(_) => ref_marker::age(&folder).is_none_or(|age| age < BEGUN),
        };
        if in_use {
            continue;
        }
        // A fetch into a shallow clone takes this lock.
        if let Ok(since) = fs::metadata(folder.join(ALIVE)).and_then(|alive| alive.modified()) {
            ref_marker::remove_abandoned(&repository.common_dir().join("shallow.lock"), since);
        }
        let _ = fs::remove_dir_all(folder);
    }
}
