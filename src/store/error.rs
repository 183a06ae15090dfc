//! What can go wrong with the repository or its mirror branch.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::model::{Remote, local_cause};

/// An error of the project's git repository or of its mirror branch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no git repository here.
    #[error("{} is not inside a git repository", directory.display())]
    NotARepository {
        /// Where one was looked for.
        directory: PathBuf,
    },
    /// The repository belongs to another user, and git is not told that it is safe.
    #[error("detected dubious ownership in repository at '{}'", directory.display())]
    DubiousOwnership {
        /// The root of the worktree, or the bare repository.
        directory: PathBuf,
    },
    /// The repository is a bare one that was found and not named, and git is told not to use such.
    #[error("cannot use bare repository '{}' (safe.bareRepository is 'explicit')", directory.display())]
    UnnamedBare {
        /// The bare repository.
        directory: PathBuf,
    },
    /// The repository uses something that this program does not support.
    #[error("this repository uses {feature}, which git-hexmirror does not support")]
    Unsupported {
        /// What it uses, as a noun phrase.
        feature: String,
    },
    /// The branch's name is not a valid ref, or means something else.
    #[error("{branch:?} is not a valid name for the mirror branch: {problem}")]
    BranchName {
        /// The name as configured.
        branch: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Another ref has a name that keeps the branch from being made.
    #[error("the branch {other} stands in the way of the mirror branch {branch}: git can have only one of the two")]
    InTheWay {
        /// The branch, short where it is one of `refs/heads/`.
        branch: String,
        /// The other ref, as short.
        other: String,
    },
    /// There is no mirror branch yet.
    #[error("there is no mirror branch {branch} here yet")]
    NoMirror {
        /// The branch, short where it is one of `refs/heads/`.
        branch: String,
        /// The remote that may have it.
        remote: Option<Remote>,
    },
    /// The branch exists but is not a mirror.
    #[error("the branch {branch} exists but is not a mirror: its tree has no mirror.toml")]
    NotAMirror {
        /// The branch, short where it is one of `refs/heads/`.
        branch: String,
    },
    /// The clone was made without all objects, and those of the mirror are among those that it lacks.
    #[error("this clone is partial (git clone --filter), and lacks objects of the mirror on {branch}")]
    Partial {
        /// The branch, short where it is one of `refs/heads/`.
        branch: String,
    },
    /// The mirror was written by another version of this program.
    #[error("the mirror on {branch} has format {found}; this version reads format {supported}")]
    Format {
        /// The branch, short where it is one of `refs/heads/`.
        branch: String,
        /// The format number found.
        found: u32,
        /// The format number that can be read.
        supported: u32,
    },
    /// The mirror branch is checked out, and updating it would pull the rug from under that worktree.
    #[error("the mirror branch {branch} is checked out in {}", worktree.display())]
    CheckedOut {
        /// The branch, short where it is one of `refs/heads/`.
        branch: String,
        /// Where it is checked out.
        worktree: PathBuf,
    },
    /// An object of the mirror is missing or damaged.
    #[error("the mirror is damaged: {path} cannot be read")]
    Damaged {
        /// The path in the branch's tree, or what else the object is.
        path: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The file of a ref of the mirror holds no commit id, as after a crash of the machine.
    #[error("the ref {reference} is broken: {problem}")]
    BrokenRef {
        /// Its full name.
        reference: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file of all packed refs is malformed. It belongs to git, which cannot run without it.
    #[error("{} is damaged, so neither git nor this program can read the refs in it", path.display())]
    BrokenPackedRefs {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The ref of the mirror is broken, and nothing is known from which it could be recovered.
    #[error(
        "the ref {reference} is broken ({problem}), and neither its reflog, packed-refs nor a remote has a commit to recover it to"
    )]
    NotRecovered {
        /// Its full name.
        reference: String,
        /// What is wrong with it.
        problem: String,
        /// Its file.
        path: PathBuf,
    },
    /// The branch moved while a change was prepared.
    #[error("the branch {branch} moved while this change was prepared")]
    Moved {
        /// The branch, short where it is one of `refs/heads/`.
        branch: String,
    },
    /// Reading or writing a file of the repository failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// This machine failed at reading an object of the mirror, which is not damaged for that.
    #[error("cannot read {path} of the mirror")]
    Unreadable {
        /// The path in the branch's tree, or what else the object is.
        path: String,
        /// What the system says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A file of git's object database or refs could not be used.
    #[error("cannot {action} {}", path.display())]
    GitFile {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What gix says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// git's object database or refs could not be used.
    #[error("cannot {action}")]
    Git {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// What gix says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// Tells whether it only is that something may not be written here.
    pub fn is_unwritable(&self) -> bool {
        use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let kinds = [PermissionDenied, ReadOnlyFilesystem, StorageFull, QuotaExceeded];
        matches!(self, Self::Io { source, .. } if kinds.contains(&source.kind()))
    }

    /// Wraps what gix says of `action`, for `map_err`.
    pub(crate) fn git<E: Into<Box<dyn Error + Send + Sync>>>(action: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Git { action, source: source.into() }
    }

    /// Wraps what gix says of writing or reading a file, for `map_err`.
    pub(crate) fn git_file<E: Into<Box<dyn Error + Send + Sync>>>(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::GitFile { action, path: path.into(), source: source.into() }
    }

    /// Wraps what the system says of a file, for `map_err`.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.into(), source }
    }

    /// Wraps what is wrong with an object of the mirror, for `map_err`: an object that this machine cannot read now is not
    /// damaged.
    pub(crate) fn damaged<E: Into<Box<dyn Error + Send + Sync>>>(path: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |source| {
            let (path, source) = (path.into(), source.into());
            match local_cause(&*source) {
                Some(_) => Self::Unreadable { path, source },
                None => Self::Damaged { path, source },
            }
        }
    }
}
