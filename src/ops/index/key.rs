//! The private key that signs the pinned index. It is never stored on the branch.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::hex::registry::{KeyError, PrivateKey};
use crate::model::{Fingerprint, RepositoryName};
use crate::ops::project::regular_file::read_regular;
use crate::ops::project::worktree::MAX_KEY;
use crate::ops::{OpError, Project, Result};
use crate::progress::{Event, Progress};

/// The variable with the private key itself.
const VARIABLE: &str = "HEXMIRROR_PRIVATE_KEY";
/// The variable with the path of the private key's file.
const FILE_VARIABLE: &str = "HEXMIRROR_PRIVATE_KEY_FILE";

/// Where a private key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyOrigin {
    /// The variable `HEXMIRROR_PRIVATE_KEY`.
    Variable,
    /// A file that the user named.
    File(PathBuf),
    /// The file that this program wrote beside the repository.
    Stored(PathBuf),
}

impl fmt::Display for KeyOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable => f.write_str(VARIABLE),
            Self::File(path) | Self::Stored(path) => path.display().fmt(f),
        }
    }
}

/// The key that signs the pinned index of each repository.
pub(super) type IndexSigners = BTreeMap<RepositoryName, Fingerprint>;

/// A private key and where it comes from.
#[derive(Debug)]
pub(in crate::ops) struct IndexKey {
    pub private: PrivateKey,
    pub origin: KeyOrigin,
}

impl IndexKey {
    fn parse(text: &[u8], origin: KeyOrigin) -> Result<Self> {
        let text = std::str::from_utf8(text).map_err(|_| KeyError::NotPem);
        match text.and_then(PrivateKey::from_pem) {
            Ok(private) => Ok(Self { private, origin }),
            Err(source) => Err(OpError::PrivateKey { origin: origin.to_string(), source }),
        }
    }

    /// Checks that the mirror's own indexes, which have these signers, are signed with this key.
    ///
    /// # Errors
    /// Fails if one of them is signed with another key.
    pub fn check(&self, signers: &IndexSigners) -> Result<()> {
        let found = self.private.public_key().fingerprint();
        match signers.iter().find(|(_, signer)| **signer != found) {
            None => Ok(()),
            Some((repository, expected)) => Err(OpError::OtherIndexKey {
                repository: RepositoryName::clone(repository),
                expected: *expected,
                origin: self.origin.to_string(),
                found,
            }),
        }
    }
}

/// Returns the file in which this program keeps a private key. It is outside of every worktree and branch.
pub(in crate::ops) fn file(project: &Project) -> PathBuf {
    project.repository.own_dir().join("index-key.pem")
}

/// Returns the file with a key that becomes the kept one when the index is signed with it.
fn next_file(project: &Project) -> PathBuf {
    project.repository.own_dir().join("index-key.pem.new")
}

/// Returns whether a private key seems to be here. It may turn out to be unusable.
pub(in crate::ops) fn is_present(project: &Project) -> bool {
    let is_given = project.environment.first(&[VARIABLE, FILE_VARIABLE]).is_some();
    is_given || file(project).exists() || next_file(project).exists()
}

/// Finds the private key: the one that the user gives, or else the stored one. The caller holds the lock of the mirror.
pub(super) fn find(project: &Project, signers: &IndexSigners) -> Result<Option<IndexKey>> {
    given(project, None)?.map_or_else(|| stored(project, signers), |key| Ok(Some(key)))
}

/// Warns if other users of this machine can read the kept key.
pub(in crate::ops) fn warn_if_exposed(project: &Project, progress: &dyn Progress) {
    if let Some((problem, remedy)) = exposed(project) {
        progress.report(Event::Warning { message: format!("{problem}; {remedy}") });
    }
}

/// Describes a kept key that other users of this machine can read, and says what to do.
pub(in crate::ops) fn exposed(project: &Project) -> Option<(String, String)> {
    let path = file(project);
    if !is_open_to_others(&path) {
        return None;
    }
    let path = path.display();
    Some((
        format!("other users of this machine can read the private key in {path}"),
        format!("run `chmod 600 {path}`, and if somebody may have copied the key, `git hexmirror index --rotate-key`"),
    ))
}

#[cfg(unix)]
fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_path: &Path) -> bool {
    false
}

/// Reads the private key that the user gives, by a file or by the environment.
///
/// # Errors
/// Fails if the key cannot be read or used.
pub(super) fn given(project: &Project, path: Option<&Path>) -> Result<Option<IndexKey>> {
    let of_variable = || project.environment.get(VARIABLE);
    let path = match path {
        Some(path) => path.to_owned(),
        None => match (of_variable(), project.environment.get(FILE_VARIABLE)) {
            (Some(text), _) => return IndexKey::parse(text.as_bytes(), KeyOrigin::Variable).map(Some),
            (None, Some(path)) => project.directory().join(path),
            (None, None) => return Ok(None),
        },
    };
    read(&path, KeyOrigin::File(path.clone())).map(Some)
}

/// Reads the private key that this program keeps, if there is one. The caller holds the lock of the mirror. If an
/// earlier command was interrupted after it signed the index with a new key, that key becomes the kept one.
///
/// # Errors
/// Fails if the key cannot be read or used.
pub(super) fn stored(project: &Project, signers: &IndexSigners) -> Result<Option<IndexKey>> {
    let (path, next) = (file(project), next_file(project));
    if !signers.is_empty() && next.exists() && read(&next, KeyOrigin::Stored(next.clone()))?.check(signers).is_ok() {
        keep_next(project)?;
    }
    if !path.exists() {
        return Ok(None);
    }
    read(&path, KeyOrigin::Stored(path.clone())).map(Some)
}

/// Writes a key beside the kept one, in a file that only its owner can read: the given key, or the one of a command that
/// failed before it signed the index, or a new one. The kept key stays, because the index may not get signed with this one.
///
/// # Errors
/// Fails if the file cannot be written.
pub(super) fn prepare_next(project: &Project, given: Option<IndexKey>) -> Result<IndexKey> {
    let path = next_file(project);
    let origin = KeyOrigin::Stored(file(project));
    if given.is_none() && path.exists() {
        return read(&path, origin);
    }
    let private = match given {
        Some(key) => key.private,
        None => PrivateKey::generate().map_err(|source| OpError::PrivateKey { origin: "a new key".into(), source })?,
    };
    let folder = project.repository.make_own_dir()?;
    let write = || {
        // Temporary files have the mode 0600.
        let mut file = NamedTempFile::new_in(&folder)?;
        file.write_all(private.to_pem().as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)
    };
    write().map_err(OpError::machine("write", &path))?;
    Ok(IndexKey { private, origin })
}

/// Replaces the kept key by the one that was written beside it, after the index was signed with that. Returns the file.
///
/// # Errors
/// Fails if the file cannot be renamed.
pub(super) fn keep_next(project: &Project) -> Result<PathBuf> {
    let path = file(project);
    std::fs::rename(next_file(project), &path).map_err(OpError::machine("write", &path))?;
    Ok(path)
}

fn read(path: &Path, origin: KeyOrigin) -> Result<IndexKey> {
    let unreadable = |source| OpError::Read { path: path.to_owned(), source };
    // The user may name the file by a link.
    let file = std::fs::canonicalize(path).map_err(unreadable)?;
    let bytes = read_regular(&file, MAX_KEY).map_err(unreadable)?;
    let bytes = bytes.map_err(|reason| OpError::Refused { file: path.display().to_string(), reason })?;
    IndexKey::parse(&bytes, origin)
}
