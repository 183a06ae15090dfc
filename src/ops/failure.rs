//! The class of each error, which decides the exit code.
//!
//! Every `match` here lists all variants, so that a new one does not compile until someone decides its class.

use super::{ExportError, FileError, ImportError, OpError, PublishError};
use crate::bucket::BucketError;
use crate::fetch::FetchError;
use crate::git::GitError;
use crate::hook::install::InstallError;
use crate::model::local_cause;
use crate::serve::{ServeError, TlsError};
use crate::store::StoreError;

/// The class of a failure. Each class has its own exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// The mirror is not fresh.
    NotFresh,
    /// The command line, a setting or a lock cannot be used.
    Usage,
    /// Upstream or the network failed.
    Network,
    /// A checksum or a signature is wrong.
    Integrity,
    /// The repository or its mirror branch is not usable.
    Repository,
}

impl OpError {
    /// Returns the class of the failure. For several errors, this is the most serious class: a wrong checksum outranks
    /// a lost connection.
    pub fn failure(&self) -> Failure {
        if let Self::Several { errors } = self {
            let gravest = errors.iter().map(Self::failure).max_by_key(|failure| *failure == Failure::Integrity);
            return gravest.unwrap_or(Failure::Repository);
        }
        // A full disk or a similar local problem determines the class, regardless of the operation.
        if local_cause(self).is_some() { Failure::Repository } else { class(self) }
    }
}

/// Returns the class of an error that is not caused by this machine's limits.
fn class(error: &OpError) -> Failure {
    match error {
        OpError::Store(error) => of_store(error),
        OpError::Fetch(error) | OpError::Probe { source: error, .. } => of_fetch(error),
        OpError::Git(error) | OpError::Remote(error) => of_git(error),
        OpError::Hook(error) => of_hook(error),
        OpError::Serve(error) => of_server(error),
        OpError::Tls(error) => of_tls(error),
        OpError::Export(error) => of_export(error),
        OpError::Import(error) => of_import(error),
        OpError::Publish(error) => of_publish(error),
        OpError::Bucket(error) => of_bucket(error),
        OpError::File(error) => of_file(error),
        OpError::StillLacking { .. } | OpError::LockWouldChange { .. } => Failure::NotFresh,
        OpError::Config(_)
        | OpError::ServerUrl { .. }
        | OpError::Lock { .. }
        | OpError::NoFolder { .. }
        | OpError::NoLock { .. }
        | OpError::NoLockAt { .. }
        | OpError::TooManyLocks { .. }
        | OpError::NoRevision { .. }
        | OpError::NoMergeBase { .. }
        | OpError::TooManyRevisions
        | OpError::RevisionAndPackage { .. }
        | OpError::NoPackage { .. }
        | OpError::Refused { .. }
        | OpError::Read { .. }
        | OpError::NoPublicKey { .. }
        | OpError::PublicKey { .. }
        | OpError::NoPrivateKey { .. }
        | OpError::PrivateKey { .. }
        | OpError::OtherIndexKey { .. }
        | OpError::SameIndexKey { .. }
        | OpError::NoRemote
        | OpError::UnknownRemote { .. }
        | OpError::SharedHooks { .. }
        | OpError::Run { .. }
        | OpError::Shell { .. }
        | OpError::NestedShell => Failure::Usage,
        OpError::NotListed { .. }
        | OpError::TooManyPlugins { .. }
        | OpError::NoBranch { .. }
        | OpError::RemoteLacks { .. }
        | OpError::RemoteKeptMoving { .. } => Failure::Network,
        OpError::LocksDisagree { .. }
        | OpError::PrivateKeyInMirror { .. }
        | OpError::Entry { .. }
        | OpError::Policy { .. }
        | OpError::Signer { .. }
        | OpError::SignerUnknown { .. }
        | OpError::Unverifiable { .. }
        | OpError::UnverifiedPush { .. }
        | OpError::OlderEntry { .. }
        | OpError::InvalidRelease { .. }
        | OpError::RegistryDisagrees { .. }
        | OpError::TwoTarballs { .. }
        | OpError::InnerChecksum { .. }
        | OpError::Tarball { .. } => Failure::Integrity,
        OpError::Several { .. }
        | OpError::KeptMoving { .. }
        | OpError::Compacted { .. }
        | OpError::RemoteHasMore { .. }
        | OpError::Sample { .. }
        | OpError::Machine { .. } => Failure::Repository,
    }
}

fn of_file(error: &FileError) -> Failure {
    match error {
        FileError::NoTool { .. } | FileError::UnpinnedTool { .. } => Failure::NotFresh,
        FileError::NoTools { .. } | FileError::AssetAddress { .. } | FileError::NoMixHome => Failure::Usage,
        FileError::NoInstaller { .. } | FileError::NoArtefact { .. } => Failure::Network,
        FileError::UnsignedList { .. }
        | FileError::WrongInstaller { .. }
        | FileError::MixArchive { .. }
        | FileError::NotOfNpm { .. }
        | FileError::WrongIntegrity { .. }
        | FileError::AssetArchive { .. }
        | FileError::ChecksumList { .. }
        | FileError::TooManyArtefacts { .. }
        | FileError::Docs { .. } => Failure::Integrity,
    }
}

fn of_store(error: &StoreError) -> Failure {
    match error {
        StoreError::BranchName { .. } | StoreError::TooManyFolders { .. } => Failure::Usage,
        StoreError::NotARepository { .. }
        | StoreError::DubiousOwnership { .. }
        | StoreError::UnnamedBare { .. }
        | StoreError::NoGitDir { .. }
        | StoreError::NoTemporary { .. }
        | StoreError::Unsupported { .. }
        | StoreError::InTheWay { .. }
        | StoreError::NoMirror { .. }
        | StoreError::NotAMirror { .. }
        | StoreError::Partial { .. }
        | StoreError::Format { .. }
        | StoreError::CheckedOut { .. }
        | StoreError::Damaged { .. }
        | StoreError::BrokenRef { .. }
        | StoreError::BrokenPackedRefs { .. }
        | StoreError::NotRecovered { .. }
        | StoreError::Moved { .. }
        | StoreError::Io { .. }
        | StoreError::Unreadable { .. }
        | StoreError::GitFile { .. }
        | StoreError::Git { .. } => Failure::Repository,
    }
}

fn of_fetch(error: &FetchError) -> Failure {
    match error {
        FetchError::NoEndpoint { .. }
        | FetchError::InvalidKey { .. }
        | FetchError::Address { .. }
        | FetchError::Inside { .. }
        | FetchError::Proxy { .. }
        | FetchError::CaCertificates { .. }
        | FetchError::HexConfig { .. } => Failure::Usage,
        FetchError::Client { .. }
        | FetchError::Unreachable { .. }
        | FetchError::TimedOut { .. }
        | FetchError::Tls { .. }
        | FetchError::Interrupted { .. }
        | FetchError::PlainText { .. }
        | FetchError::Truncated { .. }
        | FetchError::NotFound { .. }
        | FetchError::Unauthorized { .. }
        | FetchError::Status { .. }
        | FetchError::WebPage { .. }
        | FetchError::Protocol { .. }
        | FetchError::Redirect { .. }
        | FetchError::NoFile { .. }
        | FetchError::BadFile { .. }
        | FetchError::TooLarge { .. } => Failure::Network,
        FetchError::ChecksumMismatch { .. } => Failure::Integrity,
        FetchError::Machine { .. } | FetchError::Io { .. } => Failure::Repository,
    }
}

fn of_git(error: &GitError) -> Failure {
    match error {
        GitError::NotRun { .. }
        | GitError::TooOld { .. }
        | GitError::RemoteName { .. }
        | GitError::Submodule { .. }
        | GitError::TooManySubmodules { .. } => Failure::Usage,
        GitError::Unreachable { .. }
        | GitError::AccessRefused { .. }
        | GitError::NoRepository { .. }
        | GitError::Stalled { .. }
        | GitError::NoRevision { .. }
        | GitError::PushRejected { .. } => Failure::Network,
        GitError::Refused { .. } | GitError::Incomplete { .. } => Failure::Integrity,
        GitError::Failed { .. } | GitError::Local { .. } | GitError::Process { .. } | GitError::Io { .. } => {
            Failure::Repository
        }
    }
}

fn of_hook(error: &InstallError) -> Failure {
    match error {
        InstallError::Io { .. } | InstallError::Both { .. } => Failure::Repository,
    }
}

fn of_server(error: &ServeError) -> Failure {
    match error {
        ServeError::Address { .. }
        | ServeError::InUse { .. }
        | ServeError::Permission { .. }
        | ServeError::Listen { .. } => Failure::Usage,
        ServeError::Threads { .. } => Failure::Repository,
    }
}

fn of_export(error: &ExportError) -> Failure {
    match error {
        ExportError::Foreign { .. }
        | ExportError::Nested { .. }
        | ExportError::Link { .. }
        | ExportError::OtherMirror { .. }
        | ExportError::NotAFolder { .. }
        | ExportError::Root { .. }
        | ExportError::GitDir { .. }
        | ExportError::NoIndex { .. } => Failure::Usage,
        ExportError::NoEntries { .. } => Failure::NotFresh,
        ExportError::List { .. } => Failure::Repository,
    }
}

fn of_import(error: &ImportError) -> Failure {
    match error {
        ImportError::Nothing { .. }
        | ImportError::TooManyFiles { .. }
        | ImportError::NothingPinned { .. }
        | ImportError::CutOff { .. }
        | ImportError::TwoRegistries { .. } => Failure::Usage,
        ImportError::Tarball { .. }
        | ImportError::Metadata { .. }
        | ImportError::Name { .. }
        | ImportError::Changed { .. }
        | ImportError::Refused(_)
        | ImportError::Signature { .. }
        | ImportError::Registry { .. }
        | ImportError::Git { .. }
        | ImportError::PrivateKey { .. } => Failure::Integrity,
    }
}

fn of_publish(error: &PublishError) -> Failure {
    match error {
        PublishError::Busy { .. } | PublishError::Overtaken { .. } | PublishError::Lapsed { .. } => Failure::Network,
        PublishError::State { .. } => Failure::Repository,
    }
}

fn of_bucket(error: &BucketError) -> Failure {
    match error {
        BucketError::Settings { .. } | BucketError::Key { .. } => Failure::Usage,
        BucketError::NoBucket { .. }
        | BucketError::Denied { .. }
        | BucketError::Unreachable { .. }
        | BucketError::TimedOut { .. }
        | BucketError::Service { .. }
        | BucketError::TooLarge { .. }
        | BucketError::TooManyObjects { .. } => Failure::Network,
        BucketError::Machine { .. } => Failure::Repository,
    }
}

fn of_tls(error: &TlsError) -> Failure {
    match error {
        TlsError::Unusable { .. } | TlsError::Unreadable { .. } => Failure::Usage,
        TlsError::Io { .. } | TlsError::Damaged { .. } | TlsError::ReadOnly { .. } | TlsError::Certificate { .. } => {
            Failure::Repository
        }
    }
}
