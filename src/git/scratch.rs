//! The scratch repository in which upstream's objects are collected before they are stored in the mirror.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::run::Run;
use super::{Git, GitError, Result};
use crate::file_lock;
use crate::model::{GitAddress, Revision, StoredGit, hex_digits};

/// The configuration of a scratch repository. The settings that matter are passed to every process instead.
const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";

/// The maximum number of scratch folders that may still be in use by git processes of killed updates.
const MAX_LEFT: usize = 64;

/// A bare repository with the mirror's objects of a git repository and the objects fetched since.
///
/// It is kept if an update fails, so that the next update does not fetch anything twice. It may be deleted at any time.
/// Full and shallow histories never share a scratch repository, because git would not fetch the ancestors of a shallow
/// commit.
#[derive(Debug)]
pub struct Scratch<'a> {
    pub(super) git: &'a Git,
    pub(super) address: GitAddress,
    pub(super) folder: PathBuf,
    /// The repository on this machine that is fetched from instead of upstream.
    pub(super) source: Option<PathBuf>,
    root: PathBuf,
    lock: File,
}

impl<'a> Scratch<'a> {
    /// Opens the scratch repository of an address below `root`, and creates it if it does not exist. `base` is the
    /// mirror's record of the repository and the folder that contains it.
    ///
    /// # Errors
    /// Fails if the folder is not writable.
    pub fn open(
        git: &'a Git,
        root: &Path,
        address: &GitAddress,
        shallow: bool,
        base: Option<(&StoredGit, &Path)>,
    ) -> Result<Self> {
        let name = hex_digits(&Sha256::digest(address.to_string().as_bytes())[..16]);
        let name = if shallow { name + "-shallow" } else { name };
        let (folder, lock) = unused(root, &name)?;
        let scratch = Self { git, address: address.clone(), folder, source: None, root: root.to_owned(), lock };
        let marker = scratch.folder.join("base");
        let packs = base.iter().flat_map(|(stored, _)| stored.packs.keys()).map(|name| format!("{name}\n"));
        let packs: String = packs.collect();
        // The shallow commits depend on the packs that the repository was created with.
        if shallow && fs::read_to_string(&marker).is_ok_and(|known| known != packs) {
            fs::remove_dir_all(&scratch.folder).map_err(GitError::io("remove", &scratch.folder))?;
        }
        let new = !marker.exists();
        make_bare(&scratch.folder)?;
        if let Some((stored, checkout)) = base {
            link_packs(checkout, stored.packs.keys(), &scratch.folder)?;
            for revision in stored.revisions.keys() {
                write(&scratch.folder.join("refs/base").join(revision.to_string()), &format!("{revision}\n"))?;
            }
            if shallow && new {
                write(&scratch.folder.join("shallow"), &lines(stored.shallow.iter()))?;
            }
        }
        write(&marker, &packs)?;
        Ok(scratch)
    }

    /// Fetches from a repository on this machine instead of upstream, if one is given.
    #[must_use]
    pub fn fetching_from(self, source: Option<&Path>) -> Self {
        Self { source: source.map(Path::to_owned), ..self }
    }

    /// Opens the scratch repository for full histories of the same address.
    pub(super) fn full(&self) -> Result<Self> {
        let full = Self::open(self.git, &self.root, &self.address, false, None)?;
        Ok(full.fetching_from(self.source.as_deref()))
    }

    /// Deletes the scratch repository if `result` is an error that its content may have caused, so that the next update
    /// starts from scratch.
    pub(super) fn or_forget<T>(&self, result: Result<T>) -> Result<T> {
        if result.as_ref().is_err_and(|error| !error.is_network() && !error.is_local()) {
            let _ = fs::remove_dir_all(&self.folder);
        }
        result
    }

    /// Prepares a git process in this repository.
    pub(super) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run<'_> {
        self.run_with(arguments, &[])
    }

    /// Prepares a git process with standard input in this repository.
    pub(super) fn run_with<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>, input: &[u8]) -> Run<'_> {
        self.run_in(&self.folder, arguments, input)
    }

    /// Prepares a git process in a repository below this one. Its standard input is the locked file, so that the lock
    /// is held as long as git runs, even if this process is killed.
    pub(super) fn run_in<A: AsRef<OsStr>>(
        &self,
        folder: &Path,
        arguments: impl IntoIterator<Item = A>,
        input: &[u8],
    ) -> Run<'_> {
        let mut file = &self.lock;
        let mut give = || {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(input)?;
            file.rewind()?;
            self.lock.try_clone()
        };
        self.git.run_in(folder, arguments).input_file(give().map_err(GitError::io("write to a lock in", &self.root)))
    }

    /// Returns whether a ref exists, as a loose ref because refs are never packed here.
    pub(super) fn has_ref(&self, name: &str) -> bool {
        self.folder.join(name).is_file()
    }

    /// Returns the total size of all packs in bytes.
    pub(super) fn pack_bytes(&self) -> u64 {
        let entries = fs::read_dir(self.folder.join("objects/pack")).into_iter().flatten().flatten();
        let packs = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "pack"));
        packs.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
    }
}

/// Returns the first folder with this name, numbered if necessary, in which no git process is running. A git process
/// that a killed update left behind may take some time to end.
fn unused(root: &Path, name: &str) -> Result<(PathBuf, File)> {
    for number in 0.. {
        let folder = root.join(if number == 0 { name.to_owned() } else { format!("{name}-{number}") });
        let path = folder.with_extension("lock");
        let lock = file_lock::open(&path).map_err(GitError::io("write to", &path))?;
        match file_lock::try_lock(&lock) {
            Ok(true) => return Ok((folder, lock)),
            Ok(false) if number < MAX_LEFT => {}
            Ok(false) => return Err(GitError::io("lock", &path)(ErrorKind::WouldBlock.into())),
            Err(error) => return Err(GitError::io("lock", &path)(error)),
        }
    }
    unreachable!("the numbers end before")
}

/// Creates an empty bare repository, or repairs one in which a killed git process left its locks.
pub(super) fn make_bare(folder: &Path) -> Result<()> {
    for below in ["refs/base", "refs/heads/fetched", "refs/hexmirror", "objects/info", "objects/pack"] {
        let path = folder.join(below);
        fs::create_dir_all(&path).map_err(GitError::io("create", &path))?;
    }
    remove_leftovers(folder);
    let _ = fs::remove_dir_all(folder.join("refs/upstream"));
    write(&folder.join("config"), CONFIG)?;
    write(&folder.join("HEAD"), "ref: refs/heads/hexmirror\n")
}

/// Removes the lock files and unfinished files of a killed git process. Call this only while no git process runs in the
/// folder.
fn remove_leftovers(folder: &Path) {
    for entry in walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy();
        let left = name.ends_with(".lock") || name.ends_with(".keep");
        if entry.file_type().is_file() && (left || name.starts_with("tmp_") || name.starts_with("shallow_")) {
            // If this fails, the git process that finds the file in its way reports it.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Links packs of one repository into another.
pub(super) fn link_packs<'r>(from: &Path, names: impl Iterator<Item = &'r Revision>, to: &Path) -> Result<()> {
    for name in names {
        for extension in ["pack", "idx"] {
            let file = format!("objects/pack/pack-{name}.{extension}");
            link(&from.join(&file), &to.join(&file))?;
        }
    }
    Ok(())
}

/// Creates a hard link to a file, or a copy if that is not possible.
pub(super) fn link(from: &Path, to: &Path) -> Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(_) => fs::copy(from, to).map(drop).map_err(GitError::io("copy a pack to", to)),
    }
}

pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(GitError::io("write", path))
}

pub(super) fn lines<'r>(revisions: impl Iterator<Item = &'r Revision>) -> String {
    revisions.map(|revision| format!("{revision}\n")).collect()
}
