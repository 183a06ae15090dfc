//! The folder of one repository on its way from upstream to the mirror.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Git, GitError, Result};
use crate::model::{GitAddress, Revision, StoredGit};

/// The settings of a scratch repository; those that matter are given to every process.
const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";

/// A bare repository with what the mirror has of another one, and with what was fetched since.
///
/// It is kept when an update fails, so that the next one fetches nothing twice, and may be deleted at any time. Ancestries
/// that are full and those that are not never share one: git would not fetch what is behind a shallow commit.
#[derive(Debug, Clone)]
pub struct Scratch<'a> {
    pub(super) git: &'a Git,
    pub(super) address: GitAddress,
    pub(super) folder: PathBuf,
    root: PathBuf,
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
        let folder = root.join(if shallow { name + "-shallow" } else { name });
        let scratch = Self { git, address: address.clone(), folder, root: root.to_owned() };
        let marker = scratch.folder.join("base");
        let packs = base.iter().flat_map(|(stored, _)| stored.packs.keys()).map(|name| format!("{name}\n"));
        let packs: String = packs.collect();
        // Which commits are shallow depends on what it began with.
        if shallow && fs::read_to_string(&marker).is_ok_and(|known| known != packs) {
            scratch.remove()?;
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

    /// Removes it.
    ///
    /// # Errors
    /// Fails where something of it cannot be removed.
    pub fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(GitError::io("remove", &self.folder)(error)),
            _ => Ok(()),
        }
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

/// Makes an empty bare repository, or repairs one: a killed git leaves its locks.
pub(super) fn make_bare(folder: &Path) -> Result<()> {
    for below in ["refs/base", "refs/hexmirror", "objects/info", "objects/pack"] {
        let path = folder.join(below);
        fs::create_dir_all(&path).map_err(GitError::io("create", &path))?;
    }
    for lock in ["shallow.lock", "packed-refs.lock", "HEAD.lock", "config.lock"] {
        let _ = fs::remove_file(folder.join(lock));
    }
    let _ = fs::remove_dir_all(folder.join("refs/upstream"));
    write(&folder.join("config"), CONFIG)?;
    write(&folder.join("HEAD"), "ref: refs/heads/hexmirror\n")
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
        Err(_) => fs::copy(from, to).map(drop).map_err(GitError::io("copy", from)),
    }
}

pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(GitError::io("write", path))
}

pub(super) fn lines<'r>(revisions: impl Iterator<Item = &'r Revision>) -> String {
    revisions.map(|revision| format!("{revision}\n")).collect()
}
