//! Lock files: where their contents come from, and what they pin.

use std::borrow::Cow;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::config_file::ConfigFile;
use super::file_content::{Content, bytes_of};
use super::regular_file::read_regular;
use super::worktree::MAX_LOCK;
use crate::lock::LockKind;
use crate::lock::{Lock, LockError};
use crate::model::PolicyId;
use crate::ops::plugins::config::BuildConfig;
use crate::ops::{OpError, Result};
use crate::plan::{LockRule, LockVerdict, Wanted, default_locks, default_locks_listed};
use crate::store::{ObjectId, Repository};

/// The name and content of a lock from any source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockText {
    /// Its path for display.
    pub file: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// A lock file, identified by its blob id. Its content is read only on demand, unless computing the id required reading
/// it.
#[derive(Debug, Clone)]
pub struct LockFile {
    /// Its path relative to the worktree's root.
    pub file: String,
    /// The id of its content as a git blob, even if git does not have that blob.
    pub blob: ObjectId,
    /// The policy that the mix.exs beside it names.
    pub policy: Option<PolicyId>,
    /// What the rebar.config beside it says, if it is a lock of rebar3.
    pub(in crate::ops) build: Option<BuildConfig>,
    /// The configuration beside it that mentions asset tools, if it is a lock of mix.
    pub(in crate::ops) configs: Vec<ConfigFile>,
    content: Content,
}

impl PartialEq for LockFile {
    fn eq(&self, other: &Self) -> bool {
        (&self.file, self.blob, &self.policy, &self.build, &self.configs)
            == (&other.file, other.blob, &other.policy, &other.build, &other.configs)
    }
}

impl Eq for LockFile {}

impl LockFile {
    /// Creates a lock whose content is stored in git.
    pub fn stored(file: String, blob: ObjectId) -> Self {
        Self::of(file, blob, Content::Stored)
    }

    /// Creates a lock whose content is in the worktree and has this id.
    pub(super) fn in_worktree(file: String, blob: ObjectId) -> Self {
        Self::of(file, blob, Content::Worktree)
    }

    /// Creates a lock from content that was read from a file.
    ///
    /// # Errors
    /// Fails if the content is a SHA-1 collision attack.
    pub fn read(file: String, bytes: Vec<u8>) -> Result<Self> {
        Ok(Self::of(file, Repository::blob_id(&bytes)?, Content::Read(bytes)))
    }

    fn of(file: String, blob: ObjectId, content: Content) -> Self {
        Self { file, blob, policy: None, build: None, configs: Vec::new(), content }
    }

    /// Sets the policy that the mix.exs beside it names.
    #[must_use]
    pub(super) fn with_policy(self, policy: Option<PolicyId>) -> Self {
        Self { policy, ..self }
    }

    /// Sets what the rebar.config beside it says.
    #[must_use]
    pub(super) fn with_build(self, build: BuildConfig) -> Self {
        Self { build: Some(build), ..self }
    }

    /// Sets the configuration beside it that mentions asset tools.
    #[must_use]
    pub(super) fn with_configs(self, configs: Vec<ConfigFile>) -> Self {
        Self { configs, ..self }
    }

    /// Returns its content.
    ///
    /// # Errors
    /// Fails if the lock is larger than any lock, cannot be read, or is being changed.
    pub fn bytes(&self, repository: &Repository) -> Result<Cow<'_, [u8]>> {
        bytes_of(repository, &self.content, self.blob, &self.file, MAX_LOCK)
    }
}

/// Reads locks and collects what they pin.
///
/// # Errors
/// Fails if a lock is invalid, or if two locks pin different checksums of one release.
pub fn read_locks(repository: &Repository, locks: &[LockFile]) -> Result<Wanted> {
    let mut wanted = Wanted::default();
    for (index, lock) in locks.iter().enumerate() {
        let (file, bytes) = (&lock.file, lock.bytes(repository)?);
        let parsed = Lock::parse(file, &bytes).map_err(|source| lock_error(file, &bytes, source))?;
        wanted.policies.extend(lock.policy.clone());
        if let Err(source) = wanted.add(&parsed) {
            let other = disagreeing(repository, &locks[..index], &parsed)?;
            return Err(match other {
                Some(other) => OpError::LocksDisagree { file: file.clone(), other, text: bytes.into_owned(), source },
                None => lock_error(file, &bytes, source),
            });
        }
    }
    Ok(wanted)
}

/// Returns the first of some valid locks that contradicts another one. `None` if that one is invalid by itself.
fn disagreeing(repository: &Repository, locks: &[LockFile], other: &Lock) -> Result<Option<String>> {
    if Wanted::default().add(other).is_err() {
        return Ok(None);
    }
    for lock in locks {
        let mut both = read_locks(repository, std::slice::from_ref(lock))?;
        if both.add(other).is_err() {
            return Ok(Some(lock.file.clone()));
        }
    }
    Ok(None)
}

/// Adds a lock's text to its parse error.
fn lock_error(file: &str, bytes: &[u8], source: LockError) -> OpError {
    OpError::Lock { file: file.to_owned(), text: bytes.to_owned(), source }
}

/// Returns the locks in a folder, which need not be in a repository: the named ones, otherwise those with a default
/// name.
///
/// # Errors
/// Fails if there is no lock, or one cannot be read.
pub fn locks_in(directory: &Path, named: Option<&[String]>) -> Result<Vec<LockText>> {
    let read = |file: &str| Ok(LockText { bytes: read_file(&directory.join(file))?, file: file.to_owned() });
    let locks: Vec<LockText> = match named {
        Some(named) => named.iter().map(|file| read(file)).collect::<Result<_>>()?,
        None => {
            let has = |name: &str| directory.join(name).is_file();
            let names = default_locks().filter(|name| LockRule::default().judge(name, &has) == LockVerdict::InForce);
            names.filter_map(|file| default_lock(directory, file).transpose()).collect::<Result<_>>()?
        }
    };
    if locks.is_empty() {
        let (wanted, directory) = (default_locks_listed(), directory.to_owned());
        return Err(OpError::NoLock { wanted, directory, left_out: Vec::new() });
    }
    Ok(locks)
}

/// Reads a lock with a default name in a folder. `None` if it does not exist.
fn default_lock(directory: &Path, file: &str) -> Result<Option<LockText>> {
    let path = directory.join(file);
    let read = fs::canonicalize(&path).and_then(|target| read_regular(&target, MAX_LOCK));
    match read {
        Ok(Ok(bytes)) => Ok(Some(LockText { file: file.to_owned(), bytes })),
        Ok(Err(reason)) => Err(OpError::Refused { file: path.display().to_string(), reason }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OpError::Read { path, source }),
    }
}

/// Returns whether locks can name machines, tools or files: only a `hexmirror.lock` does. To find out, they need not be read.
pub fn can_name_files(locks: &[LockFile]) -> bool {
    locks.iter().any(|lock| LockKind::of(&lock.file) == LockKind::Hexmirror)
}

/// Reads a lock that the user named. Any readable file is accepted, including a FIFO from shell process substitution.
///
/// # Errors
/// Fails if the file cannot be read or is larger than the maximum size of a lock.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let read = || {
        let file = fs::File::open(path)?;
        let length = file.metadata()?.len().min(MAX_LOCK) + 1;
        read_into(file, usize::try_from(length).unwrap_or_default())
    };
    read().map_err(|source| OpError::Read { path: path.to_owned(), source })
}

/// Reads a lock from any source.
///
/// # Errors
/// Fails if the source cannot be read or is larger than the maximum size of a lock.
pub fn read_bounded(from: impl Read) -> std::io::Result<Vec<u8>> {
    read_into(from, 0)
}

/// Reads a lock into a buffer with an initial capacity of `length` bytes.
fn read_into(from: impl Read, length: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    from.take(MAX_LOCK + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_LOCK { Err(ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}
