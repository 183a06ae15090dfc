//! The errors of `import`.

use std::path::PathBuf;

use crate::hex::metadata::MetadataError;
use crate::hex::tarball::TarballError;
use crate::model::{EntryId, GitAddress, RepositoryName};
use crate::plan::RefusedTarball;

/// An error about what is imported. Nothing is then stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// There is nothing to import in the folders.
    #[error("found neither tarballs nor git repositories in {folders}")]
    Nothing {
        /// The folders, as given.
        folders: String,
    },
    /// A folder has too many files.
    #[error("{} has more than {limit} files and folders", folder.display())]
    TooManyFiles {
        /// The folder.
        folder: PathBuf,
        /// The maximum number.
        limit: usize,
    },
    /// Nothing that was found is pinned by a lock.
    #[error("no lock pins any of the {found} tarballs and git repositories in {folders}")]
    NothingPinned {
        /// The number of tarballs and git repositories.
        found: usize,
        /// The folders, as given.
        folders: String,
    },
    /// A file is not a tarball of Hex, is damaged, or has a wrong checksum of its own.
    #[error("{} is not a usable tarball", file.display())]
    Tarball {
        /// The file.
        file: PathBuf,
        /// The reason.
        #[source]
        source: TarballError,
    },
    /// The metadata of a tarball cannot be read.
    #[error("{} is not a usable tarball", file.display())]
    Metadata {
        /// The file.
        file: PathBuf,
        /// The reason.
        #[source]
        source: MetadataError,
    },
    /// A file is named after another release than its metadata says.
    #[error("{} is a tarball of {found}", file.display())]
    Name {
        /// The file.
        file: PathBuf,
        /// The release in its metadata.
        found: String,
    },
    /// A file changed while it was imported.
    #[error("{} changed while it was read", file.display())]
    Changed {
        /// The file.
        file: PathBuf,
    },
    /// A tarball contradicts a lock, the registry, the mirror or another file.
    #[error(transparent)]
    Refused(RefusedTarball),
    /// A git repository is damaged, or lacks objects.
    #[error("the git repository in {folders} is damaged or incomplete: {problem}")]
    Git {
        /// The folders that may be meant.
        folders: String,
        /// What git says.
        problem: String,
    },
    /// What the locks pin was only found in git repositories without its history.
    #[error("{} has no complete history in {folders}", address)]
    CutOff {
        /// The first such repository.
        address: GitAddress,
        /// The folders, as given.
        folders: String,
    },
    /// A registry's files are signed neither with the repository's key nor with the key beside them.
    #[error("{}: the registry entry of {entry} is signed neither with the key of {} nor with {}", file.display(), entry.repository, key.display())]
    Signature {
        /// The file.
        file: PathBuf,
        /// The entry.
        entry: EntryId,
        /// The file with the key.
        key: PathBuf,
    },
    /// A registry's file is damaged.
    #[error("{} is damaged: {problem}", file.display())]
    Registry {
        /// The file.
        file: PathBuf,
        /// The problem.
        problem: String,
    },
    /// Instead of a public key, a folder publishes a private one.
    #[error("{} is a private key", file.display())]
    PrivateKey {
        /// The file.
        file: PathBuf,
    },
    /// Two registries of one repository are signed with different keys, and neither key is the repository's.
    #[error("{} and {} both have a registry of {repository}, signed with different keys", one.display(), other.display())]
    TwoRegistries {
        /// The repository.
        repository: RepositoryName,
        /// The first folder.
        one: PathBuf,
        /// The other folder.
        other: PathBuf,
    },
}
