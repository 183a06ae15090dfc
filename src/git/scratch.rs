//! The folder of one repository on its way from upstream to the mirror.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::process::Run;
use super::{Git, GitError, Result};
use crate::model::{GitAddress, Revision, StoredGit};

/// The settings of a scratch repository; those that matter are given to every process.
const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";

/// How many runs of git that killed updates left behind are put up with.
const MAX_LEFT: usize = 64;

/// A bare repository with what the mirror has of another one, and with what was fetched since.
///
/// It is kept when an update fails, so that the next one fetches nothing twice, and may be deleted at any time. Ancestries
/// that are full and those that are not never share one: git would not fetch what is behind a shallow commit.
#[derive(Debug)]
pub struct Scratch<'a> {
    pub(super) git: &'a Git,
    pub(super) address: GitAddress,
    pub(super) folder: PathBuf,
    root: PathBuf,
    lock: File,
}

impl<'a> Scratch<'a> {
    /// Opens the scratch repository of an address below `root`, and makes it where it is not there. `base` is what the
    /// mirror has of it, with the folder that it is in.
    ///
    /// # Errors
    /// Fails where the folder cannot be written.
    pub fn open(
        git: &'a Git,
        root: &Path,
        address: &GitAddress,
        shallow: bool,
        base: Option<(&StoredGit, &Path)>,
    ) -> Result<Self> {
        let digest = Sha256::digest(address.to_string().as_bytes());
        let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let name = if shallow { name + "-shallow" } else { name };
        let (folder, lock) = unused(root, &name)?;
        let scratch = Self { git, address: address.clone(), folder, root: root.to_owned(), lock };
        let marker = scratch.folder.join("base");
        let packs = base.iter().flat_map(|(stored, _)| stored.packs.keys()).map(|name| format!("{name}\n"));
        let packs: String = packs.collect();
        // Which commits are shallow depends on what it began with.
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

    /// Opens the scratch repository with full ancestries beside this one.
    pub(super) fn full(&self) -> Result<Self> {
        Self::open(self.git, &self.root, &self.address, false, None)
    }

    /// Removes everything where something failed that may be the fault of what is here: the next update then begins anew.
    pub(super) fn or_forget<T>(&self, result: Result<T>) -> Result<T> {
        if result.as_ref().is_err_and(|error| !error.is_network() && !error.is_local()) {
            let _ = fs::remove_dir_all(&self.folder);
        }
        result
    }

    /// Prepares a run of git here.
    pub(super) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run<'_> {
        self.run_with(arguments, &[])
    }

    /// Prepares a run of git here that has something to read.
    pub(super) fn run_with<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>, input: &[u8]) -> Run<'_> {
        self.run_in(&self.folder, arguments, input)
    }

    /// Prepares a run of git in a repository below this one. What it reads is the file that is locked, so that the lock is
    /// held as long as it runs, even where this process is killed meanwhile.
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

    /// Tells whether a ref is there, as a file: nothing packs them here.
    pub(super) fn has_ref(&self, name: &str) -> bool {
        self.folder.join(name).is_file()
    }

    /// Returns the size of all packs in bytes.
    pub(super) fn pack_bytes(&self) -> u64 {
        let entries = fs::read_dir(self.folder.join("objects/pack")).into_iter().flatten().flatten();
        let packs = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "pack"));
        packs.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
    }
}

/// Returns the first folder of this name, numbered where needed, in which no git works: one that an update left behind when
/// it was killed may take its time to end.
fn unused(root: &Path, name: &str) -> Result<(PathBuf, File)> {
    for number in 0.. {
        let folder = root.join(if number == 0 { name.to_owned() } else { format!("{name}-{number}") });
        let path = folder.with_extension("lock");
        let lock = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let lock = lock.map_err(GitError::io("write to", &path))?;
        match lock.try_lock() {
            Ok(()) => return Ok((folder, lock)),
            Err(TryLockError::WouldBlock) if number < MAX_LEFT => {}
            Err(error) => return Err(GitError::io("lock", &path)(error.into())),
        }
    }
    unreachable!("the numbers end before")
}

/// Makes an empty bare repository, or repairs one: a killed git leaves its locks.
pub(super) fn make_bare(folder: &Path) -> Result<()> {
    for below in ["refs/base", "refs/hexmirror", "objects/info", "objects/pack"] {
        let path = folder.join(below);
        fs::create_dir_all(&path).map_err(GitError::io("create", &path))?;
    }
    remove_leftovers(folder);
    let _ = fs::remove_dir_all(folder.join("refs/upstream"));
    write(&folder.join("config"), CONFIG)?;
    write(&folder.join("HEAD"), "ref: refs/heads/hexmirror\n")
}

/// Removes what a killed git leaves: its locks and what it had not finished. To be called while no git works there.
fn remove_leftovers(folder: &Path) {
    for entry in walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy();
        let left = name.ends_with(".lock") || name.ends_with(".keep");
        if entry.file_type().is_file() && (left || name.starts_with("tmp_") || name.starts_with("shallow_")) {
            // One that cannot be removed is reported by the git that it stops.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Puts packs of one repository into another one.
pub(super) fn link_packs<'r>(from: &Path, names: impl Iterator<Item = &'r Revision>, to: &Path) -> Result<()> {
    for name in names {
        for extension in ["pack", "idx"] {
            let file = format!("objects/pack/pack-{name}.{extension}");
            link(&from.join(&file), &to.join(&file))?;
        }
    }
    Ok(())
}

/// Links a file, or copies it where that cannot be done.
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
