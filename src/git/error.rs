//! Errors of running git.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::{GitAddress, GitAddressError, Remote, Revision};

/// An error of running git. No message contains a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// Git is not installed or cannot be executed.
    #[error("cannot run {}", program.display())]
    NotRun {
        /// The program.
        program: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// Git is too old.
    #[error("git {found} is too old; git-hexmirror needs {needed} or later")]
    TooOld {
        /// The installed version.
        found: String,
        /// The minimum version.
        needed: &'static str,
    },
    /// The server cannot be reached, or the connection was lost.
    #[error("cannot reach {url}: {message}")]
    Unreachable {
        /// The repository's address, without a password.
        url: String,
        /// Git's message.
        message: String,
    },
    /// The server denies access, or git has no credentials for it.
    #[error("{url} refused access: {message}")]
    AccessRefused {
        /// The repository's address, without a password.
        url: String,
        /// Git's message.
        message: String,
    },
    /// The server has no such repository, or hides it.
    #[error("there is no repository at {url}: {message}")]
    NoRepository {
        /// The repository's address, without a password.
        url: String,
        /// Git's message.
        message: String,
    },
    /// The server sent no data for too long.
    #[error("{url} sent nothing for {seconds} seconds")]
    Stalled {
        /// The repository's address, without a password.
        url: String,
        /// How long, in seconds.
        seconds: u64,
    },
    /// The repository does not have the commit.
    #[error("{url} does not have the commit {revision}; {refs}")]
    NoRevision {
        /// The repository's address, without a password.
        url: String,
        /// The commit.
        revision: Revision,
        /// The refs that the repository has.
        refs: Refs,
    },
    /// The server sent corrupt or hostile data.
    #[error("git refused the data that {url} sent: {message}")]
    Refused {
        /// The repository's address, without a password.
        url: String,
        /// Git's message.
        message: String,
    },
    /// A repository to be stored lacks objects or has corrupt ones.
    #[error("refused the repository {address}: {message}")]
    Incomplete {
        /// The repository.
        address: GitAddress,
        /// Git's message.
        message: String,
    },
    /// A submodule's address cannot be mirrored.
    #[error("cannot mirror the submodule {path:?} of {address} at {revision}: its URL is {url:?}")]
    Submodule {
        /// The repository that has the submodule.
        address: GitAddress,
        /// The commit of that repository.
        revision: Revision,
        /// The submodule's path in that commit.
        path: String,
        /// The submodule's address, without a password.
        url: String,
        /// What is wrong with the address.
        #[source]
        source: GitAddressError,
    },
    /// Submodules are nested too deeply, or too many.
    #[error("{address} has too many submodules, or they are nested too deeply")]
    TooManySubmodules {
        /// The repository where the limit was exceeded.
        address: GitAddress,
    },
    /// A remote's name could be mistaken for something else.
    #[error("{remote:?} is not the name or URL of a remote")]
    RemoteName {
        /// The name as given.
        remote: Remote,
    },
    /// A remote rejected the update of a ref.
    #[error("{url} rejected the push of {reference}: {message}")]
    PushRejected {
        /// The remote's name, or its address without a password.
        url: String,
        /// The ref.
        reference: String,
        /// The remote's message.
        message: String,
    },
    /// Git failed at an operation that involves no server.
    #[error("git cannot {action}{}: {message}", within(folder))]
    Failed {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// The repository in which git ran.
        folder: PathBuf,
        /// Git's message.
        message: String,
    },
    /// Git failed because of a problem of this machine: its disk, limits or permissions.
    #[error("git {command} failed{}: {message}", within(folder))]
    Local {
        /// The git command, such as `fetch`.
        command: String,
        /// The repository in which git ran.
        folder: PathBuf,
        /// Git's message, or a description of how it ended.
        message: String,
    },
    /// A git process could not be started, or communication with it failed.
    #[error("cannot run git {command}{}", within(folder))]
    Process {
        /// The git command, such as `fetch`.
        command: String,
        /// The folder in which git was to run.
        folder: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// Reading or writing a file failed.
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
}

/// Describes the repository in which git ran, or returns an empty text if there is none.
fn within(folder: &Path) -> String {
    if folder == Path::new(".") { String::new() } else { format!(" in {}", folder.display()) }
}

/// The refs of a repository, limited to a readable number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refs {
    /// The names, without `refs/`.
    pub names: Vec<String>,
    /// The number of refs that are not listed.
    pub more: usize,
}

impl std::fmt::Display for Refs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.names.is_empty() {
            return f.write_str("it has no refs");
        }
        write!(f, "it has {}", self.names.join(", "))?;
        if self.more > 0 { write!(f, " and {} more", self.more) } else { Ok(()) }
    }
}

impl GitError {
    /// Wraps an I/O error on a file, for `map_err`.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.into(), source }
    }

    /// Returns whether upstream or the network is to blame, so that a retry may succeed.
    pub fn is_network(&self) -> bool {
        use GitError::{AccessRefused, NoRepository, NoRevision, PushRejected, Stalled, Unreachable};
        let lasting =
            matches!(self, AccessRefused { .. } | NoRepository { .. } | NoRevision { .. } | PushRejected { .. });
        lasting || matches!(self, Unreachable { .. } | Stalled { .. })
    }

    /// Returns whether this machine is to blame. Data fetched so far is not affected.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local { .. } | Self::Process { .. } | Self::Io { .. })
    }
}
