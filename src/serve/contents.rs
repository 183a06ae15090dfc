//! What the server asks of whoever holds the contents.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;

use crate::model::{GitAddress, PackageName, ReleaseId, RepositoryName};

/// The source of everything that is served: the mirror branch, in the real program.
///
/// All calls block. [`Contents::tip`] runs at every request on the threads that also move bytes, so it has to be cheap
/// (one small file read); the others run on threads of their own.
pub trait Contents: Send + Sync + 'static {
    /// Returns what the branch stands at now.
    ///
    /// # Errors
    /// [`ContentsError::Unavailable`] where there is no mirror branch or the repository cannot be read.
    fn tip(&self) -> Result<Tip, ContentsError>;

    /// Forgets what is held of the repository's files: open packs, packed refs. Called before what failed is tried again, since
    /// `git gc` and its like replace them at any time.
    fn refresh(&self) {}

    /// Finds what the snapshot `tip` has for `resource`, or `None`.
    ///
    /// Called once per tip and resource; found answers are remembered until the tip changes.
    ///
    /// # Errors
    /// [`ContentsError::Damaged`] where the snapshot is there but this part of it cannot be read.
    fn find(&self, tip: &Tip, resource: &Resource) -> Result<Option<Found>, ContentsError>;

    /// Tells whether the snapshot `tip` knows that the package of this registry entry does not exist: something that it has
    /// names it as a dependency, and its repository had no entry for it.
    ///
    /// A client that asks for all dependencies, optional ones included, is then told that there is nothing new instead of
    /// being given an error, which it would show to its user.
    ///
    /// # Errors
    /// As for [`Contents::find`].
    fn is_absent(&self, tip: &Tip, resource: &Resource) -> Result<bool, ContentsError> {
        let _ = (tip, resource);
        Ok(false)
    }

    /// Loads the bytes of what [`Contents::find`] found: rebuilds and verifies them. Slow (10 ms).
    ///
    /// A tarball is returned as published, a registry file as its `Signed` message, *not* gzipped.
    /// One call serves everyone who waits for the same key, and its result is kept as long as the cache has room.
    ///
    /// # Errors
    /// [`ContentsError::Damaged`] where the bytes are not what they should be; then nothing is served.
    fn load(&self, tip: &Tip, resource: &Resource, found: &Found) -> Result<Bytes, ContentsError>;

    /// Returns the folder of a git repository as clients may see it at the snapshot `tip`, or `None` if they may not, or it is
    /// not there. Slow the first time (it may have to be written), then quick; called at every request that git makes.
    ///
    /// # Errors
    /// As for [`Contents::find`].
    fn git_repository(&self, tip: &Tip, address: &GitAddress) -> Result<Option<GitRepository>, ContentsError> {
        let _ = (tip, address);
        Ok(None)
    }

    /// Returns whether a git repository that clients are not led to has an address that begins with that of one which they
    /// are led to. git is led here for it too, since `insteadOf` knows only prefixes.
    ///
    /// # Errors
    /// As for [`Contents::find`].
    fn is_beside(&self, tip: &Tip, address: &GitAddress) -> Result<bool, ContentsError> {
        let _ = (tip, address);
        Ok(false)
    }

    /// Returns whether clients are led to a git repository of a host. Called at every request under another name than this
    /// machine's.
    ///
    /// # Errors
    /// As for [`Contents::find`].
    fn has_host(&self, tip: &Tip, host: &str) -> Result<bool, ContentsError> {
        let _ = (tip, host);
        Ok(false)
    }
}

/// A bare git repository on disk, from which clients are answered. Nobody but its owner changes it.
pub struct GitRepository {
    /// The folder with `HEAD`, `packed-refs` and the rest, which git can read as a repository.
    pub path: PathBuf,
    /// The folder that has `objects` with all packs: the same, or the one that it borrows them from.
    pub objects: PathBuf,
    /// Identifies its content: two with one key are the same. Visible ASCII without `"`, at most 100 bytes.
    pub key: String,
    /// Kept as long as anybody reads from the folder.
    pub held: Box<dyn Send + Sync>,
}

/// A state of the branch: its commit id, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tip(pub String);

impl Tip {
    /// Returns the first twelve digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for Tip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something that a snapshot has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Identifies the bytes, whatever the tip: two results with one key have the same bytes (an outer checksum, a blob
    /// id). It becomes the `ETag` and the cache's key. Visible ASCII without `"`, at most 200 bytes.
    pub key: String,
}

/// Something that a client may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Resource {
    /// `/public_key`: the PEM of the key that the repository's registry files are signed with.
    PublicKey(RepositoryName),
    /// `/names`: the signed index of names.
    Names(RepositoryName),
    /// `/versions`: the signed index of versions.
    Versions(RepositoryName),
    /// `/packages/NAME`: the signed registry entry of a package.
    RegistryEntry(RepositoryName, PackageName),
    /// `/tarballs/NAME-VERSION.tar`: a release as it was published.
    Tarball(ReleaseId),
}

impl Resource {
    /// Tells whether clients expect it gzipped: the body itself, with no `Content-Encoding`
    /// (`get_protobuf/3` in hex_core's `hex_repo.erl`; registry-v2 specification, "Format").
    pub fn is_gzipped(&self) -> bool {
        matches!(self, Self::Names(_) | Self::Versions(_) | Self::RegistryEntry(..))
    }

    /// Returns the value of `Content-Type`.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::PublicKey(_) => "application/x-pem-file",
            Self::Names(_) | Self::Versions(_) | Self::RegistryEntry(..) => "application/octet-stream",
            Self::Tarball(_) => "application/x-tar",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PublicKey(repository) => write!(f, "the public key of {repository}"),
            Self::Names(repository) => write!(f, "the index of names of {repository}"),
            Self::Versions(repository) => write!(f, "the index of versions of {repository}"),
            Self::RegistryEntry(repository, package) if *repository == RepositoryName::hexpm() => {
                write!(f, "the registry entry of {package}")
            }
            Self::RegistryEntry(repository, package) => write!(f, "the registry entry of {repository}/{package}"),
            Self::Tarball(release) => release.fmt(f),
        }
    }
}

/// Why contents could not be had. The client gets the text, and the log the causes too.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// There is no mirror branch, or the repository cannot be read at all. Answered with 503.
    #[error("the mirror branch cannot be read")]
    Unavailable {
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The locks, which decide what git clients may see, cannot be read. Answered with 503.
    #[error("the locks that pin git repositories cannot be read")]
    Locks {
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// One item could not be made ready: there is no room, say. Answered with 503.
    #[error("{item} could not be made ready to be served")]
    NotPrepared {
        /// The item, as a person would call it.
        item: String,
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// One item is there, but not as it should be. Answered with 500; everything else is served on.
    #[error("{item} is damaged in the mirror")]
    Damaged {
        /// The item, as a person would call it.
        item: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}
