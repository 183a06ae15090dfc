//! Folders of clients that are led to a server by variables.

use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest, Sha256};

use crate::model::hex_digits;
use crate::ops::{Project, Result};
use crate::store::{StoreError, Temporary};

/// How the names of folders among the system's temporary files begin.
const PREFIX: &str = "git-hexmirror-";

/// A folder that a client uses while a command runs.
#[derive(Debug)]
pub(in crate::ops) enum ClientFolder {
    /// Beside the repository, kept for the next time.
    Kept(PathBuf),
    /// Removed when the value is dropped.
    Temporary(Temporary),
}

impl ClientFolder {
    /// Prepares a folder beside the repository, or a temporary one if that cannot be written.
    ///
    /// # Errors
    /// Fails if neither can be prepared.
    pub fn prepare(project: &Project, name: &Path, prepare: impl Fn(&Path) -> Result<()>) -> Result<Self> {
        if let Some(folder) = beside(project, name, &prepare) {
            return Ok(Self::Kept(folder));
        }
        let folder = Temporary::make(&project.repository)?;
        prepare(folder.path())?;
        Ok(Self::Temporary(folder))
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Kept(folder) => folder,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

/// Prepares a folder beside the repository, or among the system's temporary files if that cannot be written. The same name is
/// always the same folder. It is kept, so the system removes the latter.
///
/// # Errors
/// Fails if neither can be prepared.
pub(in crate::ops) fn kept_folder(
    project: &Project,
    name: &Path,
    prepare: impl Fn(&Path) -> Result<()>,
) -> Result<PathBuf> {
    if let Some(folder) = beside(project, name, &prepare) {
        return Ok(folder);
    }
    let shared = private_folder(&temporary_name(project, name));
    if let Ok(folder) = shared
        && prepare(&folder).is_ok()
    {
        return Ok(folder);
    }
    let made = tempfile::Builder::new().prefix(PREFIX).tempdir();
    let made = made.map_err(StoreError::no_temporary)?;
    prepare(made.path())?;
    Ok(made.keep())
}

/// Prepares a folder beside the repository. `None` if it cannot be written.
fn beside(project: &Project, name: &Path, prepare: &impl Fn(&Path) -> Result<()>) -> Option<PathBuf> {
    let folder = project.repository.make_own_dir().ok()?.join(name);
    prepare(&folder).ok().map(|()| folder)
}

/// Returns the name of a repository's folder among the system's temporary files.
fn temporary_name(project: &Project, name: &Path) -> String {
    let mut digest = Sha256::new();
    for path in [project.repository.common_dir(), name] {
        digest.update(path.as_os_str().as_encoded_bytes());
        digest.update(b"\0");
    }
    hex_digits(&digest.finalize()[..8])
}

/// Creates a folder among the system's temporary files, or finds the one of an earlier call.
///
/// # Errors
/// Fails if it cannot be created, or if it belongs to someone else or others may read it: anyone can create a folder there.
#[cfg(unix)]
fn private_folder(name: &str) -> io::Result<PathBuf> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};

    let user = rustix::process::geteuid().as_raw();
    let folder = tempfile::env::temp_dir().join(format!("{PREFIX}{user}-{name}"));
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // This does not follow a link.
    let found = fs::symlink_metadata(&folder)?;
    let is_private = found.is_dir() && found.uid() == user && found.mode() & 0o077 == 0;
    if is_private { Ok(folder) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

#[cfg(not(unix))]
fn private_folder(_: &str) -> io::Result<PathBuf> {
    Err(io::ErrorKind::Unsupported.into())
}
