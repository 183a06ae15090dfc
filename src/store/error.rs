//! Errors of the repository and its mirror branch.

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
        /// Where the search began.
        directory: PathBuf,
    },
    /// The folder belongs to a repository that does not exist here, as a worktree or a submodule does.
    #[error("{} refers to {}, which does not exist here", file.display(), target.display())]
    NoGitDir {
        /// The `.git` file.
        file: PathBuf,
        /// The folder, as the file names it.
        target: PathBuf,
    },
    /// A folder cannot be created: neither beside the repository nor in the folder for temporary files.
    #[error(
        "cannot create a folder in {0}; make the repository writable, or {0} (in a container: docker run --tmpfs {0}), or set TMPDIR to a writable folder", folder.display()
    )]
    NoTemporary {
        /// The folder for temporary files.
        folder: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The repository belongs to another user, and `safe.directory` does not list it.
    #[error("detected dubious ownership in repository at '{}'", directory.display())]
    DubiousOwnership {
        /// The root of the worktree, or the bare repository.
        directory: PathBuf,
    },
    /// A bare repository was discovered but not named, and `safe.bareRepository` forbids using it.
    #[error("cannot use bare repository '{}' (safe.bareRepository is 'explicit')", directory.display())]
    UnnamedBare {
        /// The bare repository.
        directory: PathBuf,
    },
    /// The repository uses something that this program does not support.
    #[error("this repository uses {feature}, which git-hexmirror does not support")]
    Unsupported {
        /// The feature, as a noun phrase.
        feature: String,
    },
    /// The branch's name is not a valid ref name, or is reserved.
    #[error("{branch:?} is not a valid name for a mirror branch: {problem}")]
    BranchName {
        /// The name as configured.
        branch: String,
        /// What is wrong with the name.
        problem: &'static str,
    },
    /// Another ref's name prevents the branch from being created.
    #[error(
        "cannot create the mirror branch {branch}: it conflicts with the branch {other}, and git can have only one of the two"
    )]
    InTheWay {
        /// The branch, without `refs/heads/`.
        branch: String,
        /// The other ref, without `refs/heads/`.
        other: String,
    },
    /// There is no mirror branch yet.
    #[error("this repository has no mirror branch {branch} yet")]
    NoMirror {
        /// The branch, without `refs/heads/`.
        branch: String,
        /// A remote that may have the mirror.
        remote: Option<Remote>,
    },
    /// The branch exists but is not a mirror.
    #[error("the branch {branch} exists but is not a mirror: its tree has no mirror.toml")]
    NotAMirror {
        /// The branch, without `refs/heads/`.
        branch: String,
    },
    /// The clone is partial and lacks objects of the mirror.
    #[error("this is a partial clone (git clone --filter) that lacks objects of the mirror branch {branch}")]
    Partial {
        /// The branch, without `refs/heads/`.
        branch: String,
    },
    /// The mirror was written by another version of this program.
    #[error(
        "the mirror branch {branch} has format {found}, but this version of git-hexmirror reads format {supported}"
    )]
    Format {
        /// The branch, without `refs/heads/`.
        branch: String,
        /// The format number found.
        found: u32,
        /// The format number that can be read.
        supported: u32,
    },
    /// The mirror branch is checked out, so updating it would make that worktree look modified.
    #[error("the mirror branch {branch} is checked out in {}", worktree.display())]
    CheckedOut {
        /// The branch, without `refs/heads/`.
        branch: String,
        /// Where it is checked out.
        worktree: PathBuf,
    },
    /// An object of the mirror is missing or damaged.
    #[error("the mirror is damaged: cannot read {path}")]
    Damaged {
        /// The path in the branch's tree, or a description of the object.
        path: String,
        /// What is wrong with the object.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A commit has too many folders to search.
    #[error("commit {commit} has more than {limit} folders")]
    TooManyFolders {
        /// The commit.
        commit: gix::ObjectId,
        /// The maximum number of folders.
        limit: usize,
    },
    /// A loose ref of the mirror does not contain a commit id, which can happen when the machine crashes.
    #[error("the ref {reference} is broken: {problem}")]
    BrokenRef {
        /// The ref's full name.
        reference: String,
        /// What is wrong with the ref.
        problem: String,
    },
    /// `packed-refs` is malformed. The file belongs to git, which cannot run without it.
    #[error("{} is damaged, so neither git nor git-hexmirror can read refs", path.display())]
    BrokenPackedRefs {
        /// The file.
        path: PathBuf,
        /// What is wrong with the file.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The ref of the mirror is broken, and there is no commit to recover it to.
    #[error(
        "the ref {reference} is broken ({problem}) and cannot be recovered: its reflog, packed-refs and the remotes have no commit for it"
    )]
    NotRecovered {
        /// The ref's full name.
        reference: String,
        /// What is wrong with the ref.
        problem: String,
        /// The file of the ref.
        path: PathBuf,
    },
    /// The branch moved while a change was being prepared.
    #[error("another process changed the branch {branch} in the meantime")]
    Moved {
        /// The branch, without `refs/heads/`.
        branch: String,
    },
    /// Reading or writing a file of the repository failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// An object of the mirror could not be read because of a problem of this machine. The object itself is not
    /// damaged.
    #[error("cannot read {path} in the mirror")]
    Unreadable {
        /// The path in the branch's tree, or a description of the object.
        path: String,
        /// The system's error.
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
        /// The error from gix.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// git's object database or refs could not be used.
    #[error("cannot {action}")]
    Git {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// The error from gix.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// Creates the error for a folder that the system did not create among its temporary files.
    pub(crate) fn no_temporary(source: io::Error) -> Self {
        Self::NoTemporary { folder: tempfile::env::temp_dir(), source }
    }

    /// Returns whether a file could not be written for lack of permission or space.
    pub fn is_unwritable(&self) -> bool {
        use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let kinds = [PermissionDenied, ReadOnlyFilesystem, StorageFull, QuotaExceeded];
        matches!(self, Self::Io { source, .. } if kinds.contains(&source.kind()))
    }

    /// Wraps an error from gix, for `map_err`.
    pub(crate) fn git<E: Into<Box<dyn Error + Send + Sync>>>(action: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Git { action, source: source.into() }
    }

    /// Wraps an error from gix about reading or writing a file, for `map_err`.
    pub(crate) fn git_file<E: Into<Box<dyn Error + Send + Sync>>>(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::GitFile { action, path: path.into(), source: source.into() }
    }

    /// Wraps an I/O error on a file, for `map_err`.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.into(), source }
    }

    /// Wraps an error about an object of the mirror, for `map_err`. If the cause is a problem of this machine, the
    /// object does not count as damaged.
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
