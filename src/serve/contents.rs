//! The interface between the server and the contents that it serves.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use super::insteadof::InsteadOfRules;
use crate::model::{FilePath, GitAddress, IndexFile, PackageName, PolicyId, ReleaseId, RepositoryName, shortened};
use crate::page::{Address, Page};

/// How the line of `/health` about a followed remote begins if it was not fetched from for too long.
pub const STALE: &str = "stale: ";

/// The source of everything that is served. In the real program, this is the mirror branch.
///
/// All methods block. [`Contents::tip`] runs for every request on the threads that also transfer data, so it must be
/// cheap (one small file read). The other methods run on separate threads.
pub trait Contents: Send + Sync + 'static {
    /// Returns the current tip of the branch.
    ///
    /// # Errors
    /// Returns [`ContentsError::Unavailable`] if there is no mirror branch or the repository cannot be read.
    fn tip(&self) -> Result<Tip, ContentsError>;

    /// Drops cached handles to the repository's files, such as open packs and packed refs. The server calls this before
    /// it retries a failed request, because `git gc` and similar commands may replace these files at any time.
    fn refresh(&self) {}

    /// Returns how following a remote goes, for monitoring. `None` if no remote is followed.
    fn following(&self) -> Option<Following> {
        None
    }

    /// Finds `resource` in the snapshot at `tip`. `None` if the snapshot does not have it.
    ///
    /// Called once per tip and resource. The server caches positive results until the tip changes.
    ///
    /// # Errors
    /// Returns [`ContentsError::Damaged`] if the snapshot exists but this part of it cannot be read.
    fn find(&self, tip: &Tip, resource: &Resource) -> Result<Option<Found>, ContentsError>;

    /// Returns whether the snapshot at `tip` records that the package of this registry entry does not exist: a release
    /// in the snapshot names it as a dependency, but upstream had no entry for it.
    ///
    /// A client that requests all dependencies, including optional ones, then receives "not modified" instead of an
    /// error, which it would show to its user.
    ///
    /// # Errors
    /// Fails as [`Contents::find`] does.
    fn is_absent(&self, tip: &Tip, resource: &Resource) -> Result<bool, ContentsError> {
        let _ = (tip, resource);
        Ok(false)
    }

    /// Returns whether the snapshot at `tip` has a pinned index.
    ///
    /// # Errors
    /// Fails as [`Contents::find`] does.
    fn has_index(&self, tip: &Tip) -> Result<bool, ContentsError> {
        let _ = tip;
        Ok(false)
    }

    /// Loads the bytes of an item that [`Contents::find`] found, by rebuilding and verifying them. This is slow (10
    /// ms).
    ///
    /// Returns a tarball as published, and a registry file as its `Signed` message, *not* gzipped. One call serves all
    /// requests that wait for the same key, and its result stays in the cache while there is room.
    ///
    /// # Errors
    /// Returns [`ContentsError::Damaged`] if the bytes fail verification. Nothing is then served.
    fn load(&self, tip: &Tip, resource: &Resource, found: &Found) -> Result<Bytes, ContentsError>;

    /// Returns the folder of a git repository as visible to clients at the snapshot `tip`. `None` if the repository
    /// does not exist or clients may not see it. The first call is slow if the repository must be written to disk;
    /// later calls are fast. Called for every git request.
    ///
    /// # Errors
    /// Fails as [`Contents::find`] does.
    fn git_repository(&self, tip: &Tip, address: &GitAddress) -> Result<Option<GitRepository>, ContentsError> {
        let _ = (tip, address);
        Ok(None)
    }

    /// Returns whether a git repository is redirected here only because its address begins with the address of a
    /// redirected repository: `insteadOf` matches prefixes.
    ///
    /// # Errors
    /// Fails as [`Contents::find`] does.
    fn is_beside(&self, tip: &Tip, address: &GitAddress) -> Result<bool, ContentsError> {
        let _ = (tip, address);
        Ok(false)
    }

    /// Returns the rules that redirect git here, for clients on any machine. They contain neither passwords nor settings
    /// of this machine.
    ///
    /// # Errors
    /// Fails as [`Contents::find`] does.
    fn instead_of(&self, tip: &Tip) -> Result<InsteadOfRules, ContentsError> {
        let _ = tip;
        Ok(InsteadOfRules::default())
    }

    /// Describes the versions of Elixir whose Hex and rebar3 clients can install.
    fn tools(&self) -> String {
        "no version of Elixir".to_owned()
    }

    /// Returns whether clients may accept registry entries that name another repository than the one that they come from.
    fn accepts_any_origin(&self) -> bool {
        false
    }

    /// Makes the web page at an address, from the snapshot at `tip` and nothing else of the branch. Called for every request
    /// for a page, at most [`Limits::pages`](super::Limits::pages) times at once.
    ///
    /// # Errors
    /// Fails as [`Contents::find`] does.
    fn page(&self, tip: &Tip, address: &Address, visit: &Visit) -> Result<Page, ContentsError> {
        let _ = (tip, address, visit);
        Ok(Page::Missing("this server has no pages".to_owned()))
    }

    /// Returns the content of the file that [`Page::Download`] stands for. `None` if there is no such file.
    ///
    /// # Errors
    /// Fails as [`Contents::find`] does.
    fn download(&self, tip: &Tip, address: &Address) -> Result<Option<Vec<u8>>, ContentsError> {
        let _ = (tip, address);
        Ok(None)
    }

    /// Returns whether any git repository of a host is redirected here. Called for every request whose `Host` is not a
    /// name of this machine.
    ///
    /// # Errors
    /// Fails as [`Contents::find`] does.
    fn has_host(&self, tip: &Tip, host: &str) -> Result<bool, ContentsError> {
        let _ = (tip, host);
        Ok(false)
    }
}

/// A bare git repository on disk that is served to clients. Only its owner changes it.
pub struct GitRepository {
    /// The folder with `HEAD`, `packed-refs` and so on, which git can open as a repository.
    pub path: PathBuf,
    /// The folder that contains `objects` with all packs: the same folder, or the one that it borrows objects from.
    pub objects: PathBuf,
    /// Identifies the repository's contents: equal keys mean equal contents. Visible ASCII without `"`, at most 100
    /// bytes.
    pub key: String,
    /// Kept alive while a request reads from the folder.
    pub held: Box<dyn Send + Sync>,
}

/// How a server follows the mirror of a remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Following {
    /// The remote, without its password.
    pub remote: String,
    /// The time since the last successful fetch. `None` if there was none.
    pub ago: Option<Duration>,
    /// Whether that is too long.
    pub is_stale: bool,
    /// Why the last fetch failed, if it did.
    pub problem: Option<String>,
}

impl fmt::Display for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}following {}, ", if self.is_stale { STALE } else { "" }, self.remote)?;
        match self.ago {
            Some(ago) => write!(f, "last fetched {} s ago", ago.as_secs())?,
            None => write!(f, "never fetched")?,
        }
        let problem = self.problem.as_deref().and_then(|problem| problem.split(char::is_control).next());
        problem.map_or(Ok(()), |problem| write!(f, ": {}", shortened(problem)))
    }
}

/// How a browser reached the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// The address by which it asked for the server, without a trailing slash.
    pub base_url: String,
    /// The address of the registry that upstream signed.
    pub hex_url: String,
}

/// A tip of the branch: its commit id in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tip(pub String);

impl Tip {
    /// Returns the first twelve digits, for display.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for Tip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An item of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Identifies the bytes across tips: equal keys mean equal bytes (an outer checksum or a blob id). Used as the
    /// `ETag` and as the cache key. Visible ASCII without `"`, at most 200 bytes.
    pub key: String,
}

/// Which registry of a Hex repository is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Registry {
    /// Registry entries as upstream signed them.
    #[default]
    Signed,
    /// The pinned index, which lists only what the mirror has, signed with the mirror's own key.
    Pinned,
}

/// A resource that a client can request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Resource {
    /// `/public_key`: the PEM public key that verifies the repository's registry files.
    PublicKey(RepositoryName),
    /// `/names`: the signed index of package names.
    Names(RepositoryName),
    /// `/versions`: the signed index of package versions.
    Versions(RepositoryName),
    /// `/packages/NAME`: the signed registry entry of a package.
    RegistryEntry(RepositoryName, PackageName),
    /// `/policies/NAME`: a signed policy.
    Policy(PolicyId),
    /// `/downloads/HOST/PATH` and `/installs/…`: a file.
    File(FilePath),
    /// A file of the repository's pinned index, at the same paths as the files above.
    Pinned(RepositoryName, IndexFile),
    /// `/tarballs/NAME-VERSION.tar`: a release as published.
    Tarball(ReleaseId),
}

impl Resource {
    /// Returns whether clients expect a gzipped body without `Content-Encoding` (`get_protobuf/3` in hex_core's
    /// `hex_repo.erl`; registry-v2 specification, "Format").
    pub fn is_gzipped(&self) -> bool {
        match self {
            Self::Names(_) | Self::Versions(_) | Self::RegistryEntry(..) | Self::Policy(_) => true,
            Self::Pinned(_, file) => *file != IndexFile::PublicKey,
            Self::PublicKey(_) | Self::Tarball(_) | Self::File(_) => false,
        }
    }

    /// Returns the value of `Content-Type`.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::PublicKey(_) | Self::Pinned(_, IndexFile::PublicKey) => "application/x-pem-file",
            Self::Names(_) | Self::Versions(_) | Self::RegistryEntry(..) | Self::Policy(_) | Self::Pinned(..) => {
                "application/octet-stream"
            }
            Self::Tarball(_) => "application/x-tar",
            Self::File(_) => "application/octet-stream",
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
            Self::Policy(policy) => write!(f, "the policy {policy}"),
            Self::File(path) => path.fmt(f),
            Self::Pinned(repository, file) => write!(f, "{file} of the pinned index of {repository}"),
            Self::Tarball(release) => release.fmt(f),
        }
    }
}

/// The reason why contents are unavailable. The client receives the message, and the log also records the causes.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// There is no mirror branch, or the repository cannot be read. Answered with 503.
    #[error("cannot read the mirror branch")]
    Unavailable {
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The locks that determine which git repositories clients may see cannot be read. Answered with 503.
    #[error("cannot read the locks that pin git repositories")]
    Locks {
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// An item could not be prepared, for example because the disk is full. Answered with 503.
    #[error("cannot prepare {item}")]
    NotPrepared {
        /// The item's description for display.
        item: String,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// An item is damaged. Answered with 500. Everything else is still served.
    #[error("{item} is damaged in the mirror")]
    Damaged {
        /// The item's description for display.
        item: String,
        /// The problem.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}
