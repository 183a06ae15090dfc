//! What can go wrong in an operation, sorted by what the user can do about it.

use std::io;
use std::path::PathBuf;

use super::worktree::FileRefusal;
use crate::config::ConfigError;
use crate::fetch::FetchError;
use crate::git::GitError;
use crate::hex::registry::RegistryError;
use crate::hex::tarball::TarballError;
use crate::hook::install::InstallError;
use crate::lock::LockError;
use crate::model::{
    EntryId, Fingerprint, InnerChecksum, OuterChecksum, ReleaseId, Remote, RepositoryName, local_cause,
};
use crate::plan::Lost;
use crate::serve::{ServeError, TlsError};
use crate::store::{EncodeError, StoreError};

/// The sort of a failure; each has an exit code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// The mirror is not fresh.
    NotFresh,
    /// The command line, a setting or a lock cannot be used.
    Usage,
    /// Upstream or the network.
    Network,
    /// A checksum or a signature is wrong.
    Integrity,
    /// The repository or its mirror branch is not usable.
    Repository,
}

/// An error of an operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The repository or its mirror branch is not usable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A lock cannot be used.
    #[error("{file}: {source}")]
    Lock {
        /// The lock, from the root of the worktree.
        file: String,
        /// Its content.
        text: Vec<u8>,
        /// What is wrong, and where.
        source: LockError,
    },
    /// The folder to start from is not there.
    #[error("there is no folder {}", directory.display())]
    NoFolder {
        /// The folder.
        directory: PathBuf,
    },
    /// No lock was found.
    #[error("there is no {wanted} in {}", directory.display())]
    NoLock {
        /// What was looked for.
        wanted: String,
        /// Where.
        directory: PathBuf,
    },
    /// Neither of two states has a lock.
    #[error("there is no {wanted} in {states}")]
    NoLockAt {
        /// What was looked for.
        wanted: String,
        /// The states, as they were named.
        states: String,
    },
    /// A revision names no commit.
    #[error("{revision:?} is not a commit of this repository")]
    NoRevision {
        /// The revision as given.
        revision: String,
    },
    /// Two commits have no ancestor in common.
    #[error("the two sides of {range} have no commit in common")]
    NoMergeBase {
        /// The range as given.
        range: String,
    },
    /// More revisions are named than can be compared.
    #[error("only two commits can be compared")]
    TooManyRevisions,
    /// A name is that of a revision and that of a dependency.
    #[error("{name:?} is both a revision and a package")]
    RevisionAndPackage {
        /// The name.
        name: String,
    },
    /// A name is neither of a dependency nor of a revision.
    #[error("{name:?} is not named by the locks, and is no revision")]
    NoPackage {
        /// The name as given.
        name: String,
        /// Names of dependencies that are nearly the same.
        near: Vec<String>,
    },
    /// A lock or another file that a branch brings along is none that may be read.
    #[error("{file} {reason}, so it is not read")]
    Refused {
        /// The file, from the root of the worktree.
        file: String,
        /// Why.
        reason: FileRefusal,
    },
    /// A file of the project cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Something could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Git failed, or what it was asked for.
    #[error(transparent)]
    Git(#[from] GitError),
    /// Git failed at bringing the mirror from a remote or taking it there.
    #[error(transparent)]
    Remote(GitError),
    /// A repository has no key to check its registry with.
    #[error("the public key of the repository {repository} is not known")]
    NoPublicKey {
        /// The repository.
        repository: RepositoryName,
    },
    /// A repository's public key cannot be used.
    #[error("the public key of the repository {repository} cannot be used: {problem}")]
    PublicKey {
        /// The repository.
        repository: RepositoryName,
        /// What is wrong with it.
        problem: String,
    },
    /// A registry entry is not what it has to be.
    #[error("the registry entry of {entry} is refused")]
    Entry {
        /// Whose entry.
        entry: EntryId,
        /// Why.
        #[source]
        source: RegistryError,
    },
    /// Another key signs a repository's registry entries than the one that counts.
    #[error("another signer for the repository {repository}: {found} ({found_in}), not {expected} ({expected_in})")]
    Signer {
        /// The repository.
        repository: RepositoryName,
        /// The signer that counts.
        expected: Fingerprint,
        /// Where that is named.
        expected_in: String,
        /// The other one.
        found: Fingerprint,
        /// Where that is named.
        found_in: String,
    },
    /// Upstream has an older registry entry than the mirror.
    #[error("the registry entry of {entry} is older than the mirror's: it lacks {}", listed(lost))]
    OlderEntry {
        /// Whose entry.
        entry: EntryId,
        /// What would be lost.
        lost: Vec<Lost>,
    },
    /// The registry does not list a release that a lock pins.
    #[error("the registry entry of {} does not list version {}", release.package, release.version)]
    NotListed {
        /// The release.
        release: ReleaseId,
    },
    /// The lock and the registry disagree on a release.
    #[error("{release}: the lock demands the outer checksum {expected}, the registry has {got}")]
    RegistryDisagrees {
        /// The release.
        release: ReleaseId,
        /// What the lock demands.
        expected: OuterChecksum,
        /// What the registry has.
        got: OuterChecksum,
    },
    /// Two mirrors have different tarballs of one release, and no registry entry says which was published.
    #[error("{release}: the two mirrors have different tarballs, {one} and {other}, and the registry lists neither")]
    TwoTarballs {
        /// The release.
        release: ReleaseId,
        /// What this mirror has.
        one: OuterChecksum,
        /// What the other one has.
        other: OuterChecksum,
    },
    /// A tarball has another inner checksum than it must have.
    #[error("{file}: the inner checksum must be {expected} and is {got}", file = release.tarball_name())]
    InnerChecksum {
        /// The release.
        release: ReleaseId,
        /// What the lock or the registry demands.
        expected: InnerChecksum,
        /// What the tarball has.
        got: InnerChecksum,
    },
    /// A tarball is malformed or hostile.
    #[error("{file} is refused", file = release.tarball_name())]
    Tarball {
        /// The release.
        release: ReleaseId,
        /// Why.
        #[source]
        source: TarballError,
    },
    /// Several things went wrong.
    #[error("{} things went wrong", errors.len())]
    Several {
        /// What; at least two.
        errors: Vec<OpError>,
    },
    /// The branch moved again and again while an update was prepared.
    #[error("the branch {branch} kept moving while the update was prepared")]
    KeptMoving {
        /// The branch.
        branch: String,
    },
    /// Everything was fetched, and the mirror would still lack something that the locks pin.
    #[error("everything was fetched, but the mirror would still lack {}", lacking.join(", "))]
    StillLacking {
        /// What it would lack.
        lacking: Vec<String>,
    },
    /// No remote was named, and git knows of none that is meant.
    #[error("no remote was named, and there is no single one, no origin and no remote.pushDefault")]
    NoRemote,
    /// The remote does not have the mirror branch.
    #[error("{remote} has no branch {branch}")]
    RemoteLacks {
        /// The remote.
        remote: Remote,
        /// The branch.
        branch: String,
    },
    /// The remote's branch moved again and again while it was merged.
    #[error("the branch {branch} of {remote} kept moving while it was merged; {attempts} attempts were made")]
    RemoteKeptMoving {
        /// The remote.
        remote: Remote,
        /// The branch.
        branch: String,
        /// How often a push was attempted.
        attempts: u32,
    },
    /// The local mirror's history was compacted, and the remote still has the one before.
    #[error("the history of {branch} was compacted here, and {remote} still has the one before")]
    Compacted {
        /// The remote.
        remote: Remote,
        /// The branch.
        branch: String,
    },
    /// The remote's mirror may not be replaced, since it has what the local one lacks.
    #[error("{branch} of {remote} has what the local one lacks")]
    RemoteHasMore {
        /// The remote.
        remote: Remote,
        /// The branch.
        branch: String,
    },
    /// A hook cannot be installed or taken away.
    #[error(transparent)]
    Hook(#[from] InstallError),
    /// git takes hooks from a folder outside the repository.
    #[error("git is told to take hooks from {}, which is not this repository's own (core.hooksPath)", folder.display())]
    SharedHooks {
        /// The folder.
        folder: PathBuf,
    },
    /// The server failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// There is no certificate for the server.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A command could not be started.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The sample project of `demo` cannot be made.
    #[error("cannot make the sample project: {problem}")]
    Sample {
        /// What is wrong with it.
        problem: String,
    },
    /// This machine refuses something that any should do.
    #[error("cannot {action} {}", path.display())]
    Machine {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// The file, or the folder that it was for.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// How many things that an older entry lacks are named.
const NAMED: usize = 5;

fn listed(lost: &[Lost]) -> String {
    let more = if lost.len() > NAMED { format!(" and {} more", lost.len() - NAMED) } else { String::new() };
    lost.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ") + &more
}

impl OpError {
    /// Returns the sort of the failure. Of several, the gravest: a wrong checksum counts more than a lost connection.
    pub fn failure(&self) -> Failure {
        match self {
            // Whatever was attempted.
            error if !matches!(error, Self::Several { .. }) && local_cause(error).is_some() => Failure::Repository,
            Self::Config(_) | Self::Lock { .. } | Self::NoLock { .. } | Self::Read { .. } => Failure::Usage,
            Self::NoLockAt { .. } | Self::NoRevision { .. } | Self::NoMergeBase { .. } => Failure::Usage,
            Self::TooManyRevisions | Self::RevisionAndPackage { .. } | Self::NoPackage { .. } => Failure::Usage,
            Self::Refused { .. } => Failure::Usage,
            Self::NoFolder { .. } | Self::Store(StoreError::BranchName { .. }) => Failure::Usage,
            Self::NoPublicKey { .. } | Self::PublicKey { .. } | Self::Run { .. } => Failure::Usage,
            Self::Fetch(error) if error.is_usage() => Failure::Usage,
            Self::Fetch(error) if error.is_integrity() => Failure::Integrity,
            Self::Fetch(error) if error.is_network() => Failure::Network,
            Self::Fetch(_) | Self::Store(_) | Self::Hook(_) | Self::KeptMoving { .. } => Failure::Repository,
            Self::Machine { .. } | Self::Sample { .. } => Failure::Repository,
            Self::Git(error) | Self::Remote(error) if error.is_usage() => Failure::Usage,
            Self::Git(error) | Self::Remote(error) if error.is_integrity() => Failure::Integrity,
            Self::Git(error) | Self::Remote(error) if error.is_network() => Failure::Network,
            Self::Git(_) | Self::Remote(_) => Failure::Repository,
            Self::Compacted { .. } | Self::RemoteHasMore { .. } => Failure::Repository,
            Self::NoRemote => Failure::Usage,
            Self::StillLacking { .. } => Failure::NotFresh,
            Self::RemoteLacks { .. } | Self::RemoteKeptMoving { .. } => Failure::Network,
            Self::NotListed { .. } => Failure::Network,
            Self::Signer { .. } | Self::OlderEntry { .. } => Failure::Integrity,
            Self::Entry { .. } | Self::RegistryDisagrees { .. } | Self::TwoTarballs { .. } => Failure::Integrity,
            Self::InnerChecksum { .. } | Self::Tarball { .. } => Failure::Integrity,
            Self::Several { errors } => {
                let gravest = errors.iter().map(Self::failure).max_by_key(|failure| *failure == Failure::Integrity);
                gravest.unwrap_or(Failure::Repository)
            }
            Self::Serve(ServeError::Threads { .. }) => Failure::Repository,
            Self::Serve(_)
            | Self::SharedHooks { .. }
            | Self::Tls(TlsError::Name { .. } | TlsError::Unusable { .. }) => Failure::Usage,
            Self::Tls(_) => Failure::Repository,
        }
    }

    /// Makes one error of several.
    pub(super) fn several(mut errors: Vec<Self>) -> Option<Self> {
        match errors.len() {
            0 | 1 => errors.pop(),
            _ => Some(Self::Several { errors }),
        }
    }

    /// Wraps what the system says of something that it refuses, for `map_err`.
    pub(super) fn machine(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Machine { action, path: path.into(), source }
    }

    pub(super) fn encode(release: &ReleaseId) -> impl FnOnce(EncodeError) -> Self {
        let release = release.clone();
        move |error| match error {
            EncodeError::Refused(source) => Self::Tarball { release, source },
            EncodeError::Store(error) => Self::Store(error),
        }
    }
}
