//! The errors of operations.

use std::io;
use std::path::PathBuf;

use super::export::error::ExportError;
use super::file_error::FileError;
use super::import::error::ImportError;
use super::project::regular_file::FileRefusal;
use super::publish::error::PublishError;
use crate::bucket::BucketError;
use crate::config::ConfigError;
use crate::fetch::FetchError;
use crate::git::GitError;
use crate::hex::registry::{KeyError, RegistryError};
use crate::hex::tarball::TarballError;
use crate::hook::install::InstallError;
use crate::lock::LockError;
use crate::model::{
    EntryId, Fingerprint, GitBranch, InnerChecksum, OuterChecksum, PolicyId, ReleaseId, Remote, RepositoryName, count,
    shortened,
};
use crate::plan::{LeftOutLock, LostFact};
use crate::serve::{ServeError, TlsError};
use crate::store::{EncodeError, ObjectId, StoreError};

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
    #[error("{file} cannot be used")]
    Lock {
        /// The lock, from the root of the worktree.
        file: String,
        /// The content of the lock.
        text: Vec<u8>,
        /// The problem and its position.
        source: LockError,
    },
    /// The start directory does not exist.
    #[error("the folder {} does not exist", directory.display())]
    NoFolder {
        /// The folder.
        directory: PathBuf,
    },
    /// No lock was found.
    #[error("found no {wanted} in {}", directory.display())]
    NoLock {
        /// The names that were searched for.
        wanted: String,
        /// The folder that was searched.
        directory: PathBuf,
        /// The files that look like locks but are not in force.
        left_out: Vec<LeftOutLock>,
    },
    /// There are too many locks.
    #[error("the project has more than {limit} locks")]
    TooManyLocks {
        /// The maximum number.
        limit: usize,
    },
    /// Two locks pin different checksums of one release.
    #[error("{file} and {other} disagree")]
    LocksDisagree {
        /// The lock in which the problem was found.
        file: String,
        /// The other lock.
        other: String,
        /// The content of `file`.
        text: Vec<u8>,
        /// The release, and its position in `file`.
        source: LockError,
    },
    /// Neither of two states has a lock.
    #[error("found no {wanted} in {states}")]
    NoLockAt {
        /// The names that were searched for.
        wanted: String,
        /// The states as the user named them.
        states: String,
    },
    /// A revision does not name a commit.
    #[error("{revision:?} is not a commit of this repository")]
    NoRevision {
        /// The revision as given.
        revision: String,
    },
    /// Two commits have no common ancestor.
    #[error("the two sides of {range} have no common ancestor")]
    NoMergeBase {
        /// The range as given.
        range: String,
    },
    /// More than two revisions were given.
    #[error("cannot compare more than two commits")]
    TooManyRevisions,
    /// A name matches both a revision and a dependency.
    #[error("{name:?} is ambiguous: both a revision and a package have that name")]
    RevisionAndPackage {
        /// The name.
        name: String,
    },
    /// A name matches neither a dependency nor a revision.
    #[error("{name:?} is neither a package in the locks nor a revision")]
    NoPackage {
        /// The name as given.
        name: String,
        /// Similar names of dependencies.
        near: Vec<String>,
    },
    /// A lock or another file from the worktree or a commit is refused.
    #[error("{} {reason}; refusing to read it", shortened(file))]
    Refused {
        /// The file, from the root of the worktree.
        file: String,
        /// The reason.
        reason: FileRefusal,
    },
    /// A file of the project cannot be read.
    #[error("cannot read {}", shortened(&path.to_string_lossy()))]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// A fetch from upstream failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A git command failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A fetch or push of the mirror branch failed.
    #[error(transparent)]
    Remote(GitError),
    /// No public key is known for a repository's registry.
    #[error("no public key is configured for the Hex repository {repository}")]
    NoPublicKey {
        /// The repository.
        repository: RepositoryName,
    },
    /// A repository's public key cannot be used.
    #[error("cannot use the public key of the Hex repository {repository}: {problem}")]
    PublicKey {
        /// The repository.
        repository: RepositoryName,
        /// The problem.
        problem: String,
    },
    /// There is no private key to sign the pinned index with.
    #[error("there is no private key for the pinned index: {} does not exist", path.display())]
    NoPrivateKey {
        /// The file where this program keeps the key.
        path: PathBuf,
        /// The key that signed the index, if there is an index.
        signer: Option<Fingerprint>,
    },
    /// The private key of the pinned index cannot be used.
    #[error("cannot use the private key of the pinned index ({origin})")]
    PrivateKey {
        /// Where the key comes from.
        origin: String,
        /// The problem.
        source: KeyError,
    },
    /// The private key is not the one that signed the pinned index.
    #[error("the pinned index of {repository} is signed with {expected}, but the private key in {origin} is {found}")]
    OtherIndexKey {
        /// The repository.
        repository: RepositoryName,
        /// The key that signed the index.
        expected: Fingerprint,
        /// Where the private key comes from.
        origin: String,
        /// The fingerprint of the private key.
        found: Fingerprint,
    },
    /// The key that should replace the index's is the same key.
    #[error("the private key in {origin} signs the pinned index already, so it cannot replace the key of the index")]
    SameIndexKey {
        /// Where the private key comes from.
        origin: String,
    },
    /// The mirror branch contains a private key.
    #[error("{path} on the mirror branch contains a private key{}", commit.map_or_else(String::new, |commit| format!(" (commit {})", commit.to_hex_with_len(10))))]
    PrivateKeyInMirror {
        /// The file in the branch's tree.
        path: String,
        /// The commit of the local branch that added it. `None` if it is in another mirror or at the branch's tip.
        commit: Option<ObjectId>,
    },
    /// A registry entry is invalid.
    #[error("refused the registry entry of {entry}")]
    Entry {
        /// The entry.
        entry: EntryId,
        /// The reason.
        #[source]
        source: RegistryError,
    },
    /// A git repository does not have the branch that the settings or a hexmirror.lock name.
    #[error("{} has no branch {}", branch.url(), branch.name_of_branch())]
    NoBranch {
        /// The branch.
        branch: GitBranch,
    },
    /// A file that is no package, or what vouches for it, cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A policy is invalid.
    #[error("refused the policy {policy}")]
    Policy {
        /// The policy.
        policy: PolicyId,
        /// The reason.
        #[source]
        source: RegistryError,
    },
    /// A repository's registry entries are signed by another key than the expected one.
    #[error(
        "the signer of the Hex repository {repository} changed: found {found} ({found_in}), expected {expected} ({expected_in})"
    )]
    Signer {
        /// The repository.
        repository: RepositoryName,
        /// The expected signer.
        expected: Fingerprint,
        /// Where the expected signer is set or recorded.
        expected_in: String,
        /// The signer that was found.
        found: Fingerprint,
        /// Where the other signer was found.
        found_in: String,
    },
    /// A repository's registry entries are signed by another key than hex.pm's, and this clone knows no other one.
    #[error(
        "the registry entries of the Hex repository {repository} are signed by {signer} ({found_in}), and no setting here names that key"
    )]
    SignerUnknown {
        /// The repository.
        repository: RepositoryName,
        /// The signer.
        signer: Fingerprint,
        /// Where the signer is set or recorded.
        found_in: String,
    },
    /// Another mirror has another registry entry than the local one, which cannot be verified here.
    #[error(
        "the registry entry of {entry} in {found_in} differs from the local one and cannot be verified, because no public key is configured for {}",
        entry.repository
    )]
    Unverifiable {
        /// The entry.
        entry: EntryId,
        /// The other mirror.
        found_in: String,
    },
    /// A push would take along registry entries that cannot be verified here.
    #[error(
        "{} of {repository}, such as {entry}, would be pushed unverified, because no public key is configured for {repository}",
        count(*number, "registry entry", "registry entries")
    )]
    UnverifiedPush {
        /// The repository.
        repository: RepositoryName,
        /// One of its entries.
        entry: EntryId,
        /// The number of its entries that the remote was not last seen with.
        number: usize,
    },
    /// Upstream returned an older registry entry than the mirror has.
    #[error("upstream's registry entry of {entry} is older than the mirror's: it lacks {}", listed(lost))]
    OlderEntry {
        /// The entry.
        entry: EntryId,
        /// What replacing the mirror's entry would lose.
        lost: Vec<LostFact>,
    },
    /// The registry entry does not list a release that a lock pins.
    #[error("the registry entry of {} does not list version {}", release.package, release.version)]
    NotListed {
        /// The release.
        release: ReleaseId,
    },
    /// The registry entry lists a release that a lock pins, but what it says about it is invalid.
    #[error("the registry entry of {} lists version {}, but not correctly: {reason}", release.package, release.version)]
    InvalidRelease {
        /// The release.
        release: ReleaseId,
        /// What is invalid.
        reason: String,
    },
    /// The lock and the registry disagree on a release's outer checksum.
    #[error("{release}: the lock requires the outer checksum {expected}, but the registry has {got}")]
    RegistryDisagrees {
        /// The release.
        release: ReleaseId,
        /// The checksum in the lock.
        expected: OuterChecksum,
        /// The checksum in the registry.
        got: OuterChecksum,
    },
    /// Two mirrors have different tarballs of one release, and no registry entry lists either of them.
    #[error("{release}: the two mirrors have different tarballs, {one} and {other}, and the registry lists neither")]
    TwoTarballs {
        /// The release.
        release: ReleaseId,
        /// The checksum in the local mirror.
        one: OuterChecksum,
        /// The checksum in the other mirror.
        other: OuterChecksum,
    },
    /// A tarball has an unexpected inner checksum.
    #[error("{file} has the wrong inner checksum: expected {expected}, got {got}", file = release.tarball_name())]
    InnerChecksum {
        /// The release.
        release: ReleaseId,
        /// The checksum that the lock or the registry requires.
        expected: InnerChecksum,
        /// The tarball's checksum.
        got: InnerChecksum,
    },
    /// A tarball is malformed or hostile and was refused.
    #[error("refused {file}", file = release.tarball_name())]
    Tarball {
        /// The release.
        release: ReleaseId,
        /// The reason.
        #[source]
        source: TarballError,
    },
    /// Several errors occurred.
    #[error("{} errors occurred", errors.len())]
    Several {
        /// The errors, at least two.
        errors: Vec<OpError>,
    },
    /// The mirror branch kept changing while an update was being prepared.
    #[error("other processes kept changing the branch {branch} during the update")]
    KeptMoving {
        /// The branch.
        branch: String,
    },
    /// Plugins have plugins, without end.
    #[error("plugins ask for further plugins, which was still not resolved after {rounds} rounds of fetches")]
    TooManyPlugins {
        /// The number of rounds.
        rounds: usize,
    },
    /// An update would have to write a hexmirror.lock, and may not.
    #[error("{} would change", shortened(file))]
    LockWouldChange {
        /// The lock.
        file: String,
        /// Whether there is no worktree to write it to.
        is_bare: bool,
    },
    /// Everything was fetched, but the mirror would still lack something that the locks pin.
    #[error("all downloads succeeded, but the mirror would still lack {}", lacking.join(", "))]
    StillLacking {
        /// What the mirror would lack.
        lacking: Vec<String>,
    },
    /// No remote was named, and git has no default remote.
    #[error("no remote given, and there is no default (remote.pushDefault, origin, or a single remote)")]
    NoRemote,
    /// There is no remote with this name.
    #[error("there is no remote {:?}", remote.to_string())]
    UnknownRemote {
        /// The name.
        remote: Remote,
        /// The project's remotes.
        known: Vec<Remote>,
    },
    /// The remote does not have the mirror branch.
    #[error("{remote} has no branch {branch}")]
    RemoteLacks {
        /// The remote.
        remote: Remote,
        /// The branch.
        branch: String,
    },
    /// The remote's branch kept changing while it was being merged.
    #[error("the branch {branch} of {remote} changed during each of {attempts} attempts to merge and push it")]
    RemoteKeptMoving {
        /// The remote.
        remote: Remote,
        /// The branch.
        branch: String,
        /// The number of attempted pushes.
        attempts: u32,
    },
    /// The local mirror's history was compacted, but the remote still has the previous history.
    #[error("the history of {branch} was compacted here, but {remote} still has the old history")]
    Compacted {
        /// The remote.
        remote: Remote,
        /// The branch.
        branch: String,
    },
    /// The remote's mirror must not be replaced, because it has contents that the local mirror lacks.
    #[error("the branch {branch} of {remote} has contents that the local branch lacks")]
    RemoteHasMore {
        /// The remote.
        remote: Remote,
        /// The branch.
        branch: String,
    },
    /// A hook cannot be installed or uninstalled.
    #[error(transparent)]
    Hook(#[from] InstallError),
    /// Git's hooks folder is outside the repository.
    #[error("core.hooksPath is {}, which is outside this repository", folder.display())]
    SharedHooks {
        /// The folder.
        folder: PathBuf,
    },
    /// The server failed to start or stop.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The address of a server is invalid.
    #[error("{url} is not the address of a server: {reason}")]
    ServerUrl {
        /// The address.
        url: String,
        /// The problem, as a sentence.
        reason: String,
    },
    /// A running server does not answer.
    #[error("cannot ask the server at {url}")]
    Probe {
        /// The server's address.
        url: String,
        /// The reason.
        #[source]
        source: FetchError,
    },
    /// The server's certificate cannot be created or read.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An export is not possible.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// An import is not possible.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Two publications met, or the last one left something that cannot be used.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A bucket cannot be read or written.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A command could not be started.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: String,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The user's shell cannot be started.
    #[error("cannot run your shell {program}")]
    Shell {
        /// The shell.
        program: String,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// `shell` runs inside of `shell`.
    #[error("this shell uses the mirror already")]
    NestedShell,
    /// The sample project of `demo` cannot be created, or one of its commands failed.
    #[error("the demonstration failed: {problem}")]
    Sample {
        /// The problem.
        problem: String,
    },
    /// An operation on the local system failed.
    #[error("cannot {action} {}", path.display())]
    Machine {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// The affected file or folder.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
}

/// The maximum number of items to list that an older entry lacks.
const MAX_NAMED: usize = 5;

pub(super) fn listed(lost: &[LostFact]) -> String {
    let more = if lost.len() > MAX_NAMED { format!(" and {} more", lost.len() - MAX_NAMED) } else { String::new() };
    lost.iter().take(MAX_NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ") + &more
}

impl OpError {
    /// Combines several errors into one.
    pub(super) fn several(mut errors: Vec<Self>) -> Option<Self> {
        match errors.len() {
            0 | 1 => errors.pop(),
            _ => Some(Self::Several { errors }),
        }
    }

    /// Returns the error and its causes in one line.
    pub fn with_causes(&self) -> String {
        let error: &dyn std::error::Error = self;
        let all = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
        all.collect::<Vec<_>>().join(": ")
    }

    /// Wraps an I/O error, for use in `map_err`.
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
