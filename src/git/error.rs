//! What can go wrong with git as a process.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::{GitAddress, GitAddressError, Remote, Revision};

/// What went wrong with git. No text of it holds a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// There is no git, or it may not be run.
    #[error("cannot run {}", program.display())]
    NotRun {
        /// The program.
        program: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Git is too old.
    #[error("git {found} is too old: {needed} is needed")]
    TooOld {
        /// Its version.
        found: String,
        /// The least version that does.
        needed: &'static str,
    },
    /// The server cannot be reached, or the connection broke.
    #[error("{url} cannot be reached: {message}")]
    Unreachable {
        /// The repository's address, without a password.
        url: String,
        /// What git says.
        message: String,
    },
    /// The server refuses the user, or git has no credentials for it.
    #[error("{url} refuses access: {message}")]
    AccessRefused {
        /// The repository's address, without a password.
        url: String,
        /// What git says.
        message: String,
    },
    /// The server has no such repository, or does not show it.
    #[error("there is no repository at {url}: {message}")]
    NoRepository {
        /// The repository's address, without a password.
        url: String,
        /// What git says.
        message: String,
    },
    /// Nothing came for a long time.
    #[error("{url} sent nothing for {seconds} seconds")]
    Stalled {
        /// The repository's address, without a password.
        url: String,
        /// How long.
        seconds: u64,
    },
    /// The repository does not have the commit.
    #[error("{url} does not have the commit {revision}; {refs}")]
    NoRevision {
        /// The repository's address, without a password.
        url: String,
        /// The commit.
        revision: Revision,
        /// What it has.
        refs: Refs,
    },
    /// What the server sent is damaged or hostile.
    #[error("{url} sent what git refuses: {message}")]
    Refused {
        /// The repository's address, without a password.
        url: String,
        /// What git says.
        message: String,
    },
    /// What is to be stored does not have everything that it needs, or not the content that it should.
    #[error("the repository {address} is refused: {message}")]
    Incomplete {
        /// The repository.
        address: GitAddress,
        /// What git says.
        message: String,
    },
    /// A submodule's address cannot be mirrored.
    #[error("the submodule {path:?} of {address} at {revision} cannot be mirrored: its address is {url:?}")]
    Submodule {
        /// The repository that has the submodule.
        address: GitAddress,
        /// The commit of that repository.
        revision: Revision,
        /// Where the submodule is in it.
        path: String,
        /// The submodule's address, without a password.
        url: String,
        /// What is wrong with it.
        #[source]
        source: GitAddressError,
    },
    /// Submodules are nested too deeply, or too many.
    #[error("the submodules of {address} are nested too deeply or too many")]
    TooManySubmodules {
        /// The repository at which this was found.
        address: GitAddress,
    },
    /// The name of a remote would be taken for something else.
    #[error("{remote:?} is not the name or the address of a remote")]
    RemoteName {
        /// The name as given.
        remote: Remote,
    },
    /// A remote does not take a ref.
    #[error("{url} does not take {reference}: {message}")]
    NotTaken {
        /// The remote's name, or its address without a password.
        url: String,
        /// The ref.
        reference: String,
        /// What it says.
        message: String,
    },
    /// Git failed at something that involves no server.
    #[error("git cannot {action}{}: {message}", within(folder))]
    Failed {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// The repository that it ran in.
        folder: PathBuf,
        /// What git says.
        message: String,
    },
    /// Git failed because of this machine: its disk, its limits, its permissions.
    #[error("git {command} failed{}: {message}", within(folder))]
    Local {
        /// Git's command, such as `fetch`.
        command: String,
        /// The repository that it ran in.
        folder: PathBuf,
        /// What git says, or how it ended.
        message: String,
    },
    /// A process of git could not be started or listened to.
    #[error("cannot run git {command}{}", within(folder))]
    Process {
        /// Git's command, such as `fetch`.
        command: String,
        /// The folder that it was to run in.
        folder: PathBuf,
        /// What the system says.
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
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Says in which repository git ran, if it was in one.
fn within(folder: &Path) -> String {
    if folder == Path::new(".") { String::new() } else { format!(" in {}", folder.display()) }
}

/// The refs of a repository, as many as a person reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refs {
    /// The names, without `refs/`.
    pub names: Vec<String>,
    /// How many more there are.
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
    /// Wraps what the system says of a file, for `map_err`.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.into(), source }
    }

    /// Tells whether upstream or the network is to blame, and another try may do.
    pub fn is_network(&self) -> bool {
        use GitError::{AccessRefused, NoRepository, NoRevision, NotTaken, Stalled, Unreachable};
        let lasting = matches!(self, AccessRefused { .. } | NoRepository { .. } | NoRevision { .. } | NotTaken { .. });
        lasting || matches!(self, Unreachable { .. } | Stalled { .. })
    }

    /// Returns whether this machine is to blame: what was fetched is then as good as before.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local { .. } | Self::Process { .. } | Self::Io { .. })
    }

    /// Tells whether what was sent is not what it should be.
    pub fn is_integrity(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Incomplete { .. })
    }

    /// Tells whether the project's own choice of dependencies, or this machine's setup, is to blame.
    pub fn is_usage(&self) -> bool {
        use GitError::{NotRun, RemoteName, Submodule, TooManySubmodules, TooOld};
        let submodule = matches!(self, Submodule { .. } | TooManySubmodules { .. });
        submodule || matches!(self, NotRun { .. } | TooOld { .. } | RemoteName { .. })
    }
}
