//! The identity of a stored file, and the manifest's record of it.
//!
//! A file is anything that clients fetch by a path and that is neither a release nor a part of a registry: the lists and
//! installers of Hex and rebar3 (`installs/…`), the documentation of releases (`docs/NAME-VERSION.tar.gz`,
//! `repos/ORGANISATION/docs/…`), and what any address names (`downloads/HOST/…`).

use std::fmt;
use std::str::FromStr;

use super::{Day, FileChecksum, ReleaseId, RepositoryName, percent_decoded, shortened};

/// The maximum length of a path, in bytes.
const MAX_LENGTH: usize = 1000;
/// The folder of the installers of Hex and rebar3.
const INSTALLS: &str = "installs";
/// The folder of what addresses name.
const DOWNLOADS: &str = "downloads";
/// The folder of the documentation of releases.
const DOCS: &str = "docs";
/// The folder of organisations.
const REPOS: &str = "repos";
/// How the name of documentation ends.
const DOCS_END: &str = ".tar.gz";

/// The path at which clients find a file: `installs/…`, `docs/…`, `repos/ORGANISATION/docs/…`, or `downloads/HOST/…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(String);

/// An error for a text that is not the path of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{:?} is not a path below installs/, docs/ or downloads/HOST/", shortened(.text))]
pub struct FilePathError {
    /// The text.
    pub text: String,
}

/// An error for an address that cannot be mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DownloadError {
    /// Another scheme.
    #[error("only https:// and http:// addresses can be downloaded")]
    Scheme,
    /// A user name or a password. They would be in a file that is tracked.
    #[error("an address in a lock or a setting cannot have a user name or a password")]
    Login,
    /// A query or a fragment: the path that the file is served at has neither.
    #[error("an address with a query (?) or a fragment (#) cannot be mirrored")]
    Query,
    /// The host or the path is malformed.
    #[error("the address must have a host and a path without blanks, `..`, empty parts, and parts above 255 bytes")]
    Path,
}

impl FilePath {
    /// Returns the path of what an address names, `downloads/HOST/PATH`.
    ///
    /// # Errors
    /// Fails if the address is of another kind or cannot be a path.
    pub fn of_download(address: &str) -> Result<Self, DownloadError> {
        let rest = ["https://", "http://"].into_iter().find_map(|scheme| address.strip_prefix(scheme));
        let rest = rest.ok_or(DownloadError::Scheme)?;
        if rest.contains(['?', '#']) {
            return Err(DownloadError::Query);
        }
        let (host, path) = rest.split_once('/').ok_or(DownloadError::Path)?;
        if host.contains('@') {
            return Err(DownloadError::Login);
        }
        let path = percent_decoded(path).ok_or(DownloadError::Path)?;
        format!("{DOWNLOADS}/{}/{path}", host.to_ascii_lowercase()).parse().map_err(|_| DownloadError::Path)
    }

    /// Returns the path of the documentation of a release. `None` if its repository is neither hexpm nor an organisation of it:
    /// `mix hex.docs` asks no other.
    pub fn of_docs(release: &ReleaseId) -> Option<Self> {
        let ReleaseId { repository, package, version } = release;
        let folder = match repository.organization() {
            _ if *repository == RepositoryName::hexpm() => DOCS.to_owned(),
            Some(organization) if repository.source() == "hexpm" => format!("{REPOS}/{organization}/{DOCS}"),
            _ => return None,
        };
        format!("{folder}/{package}-{version}{DOCS_END}").parse().ok()
    }

    /// Returns the release whose documentation this is, if it is documentation.
    pub fn docs_release(&self) -> Option<ReleaseId> {
        let (repository, file) = match self.0.split('/').collect::<Vec<_>>()[..] {
            [DOCS, file] => (RepositoryName::hexpm(), file),
            [REPOS, organization, DOCS, file] => (format!("hexpm:{organization}").parse().ok()?, file),
            _ => return None,
        };
        // A name contains no `.`, and a version's first number no `-`.
        let stem = file.strip_suffix(DOCS_END)?;
        let dash = stem[..stem.find('.')?].rfind('-')?;
        let (package, version) = (stem[..dash].parse().ok()?, stem[dash + 1..].parse().ok()?);
        Some(ReleaseId { repository, package, version })
    }

    /// Returns whether this is the documentation of a release.
    pub fn is_of_docs(&self) -> bool {
        self.docs_release().is_some()
    }

    /// Returns the path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the last part of the path.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Returns whether this is an installer of Hex or rebar3, or a list of them.
    pub fn is_of_tools(&self) -> bool {
        self.0.starts_with("installs/")
    }
}

impl FromStr for FilePath {
    type Err = FilePathError;

    fn from_str(text: &str) -> Result<Self, FilePathError> {
        let parts: Vec<&str> = text.split('/').collect();
        let has_root = match parts[..] {
            [INSTALLS, _, ..] => true,
            [DOWNLOADS, host, _, ..] => is_host(host),
            [DOCS, _] | [REPOS, _, DOCS, _] => Self(text.to_owned()).is_of_docs(),
            _ => false,
        };
        match has_root && text.len() <= MAX_LENGTH && parts.iter().all(|part| is_part(part)) {
            true => Ok(Self(text.to_owned())),
            false => Err(FilePathError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns whether a text is a host, possibly with a port.
fn is_host(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]_".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[') && text.bytes().all(is_allowed)
}

/// The maximum length of a part of a path, in bytes: that of a file's name on most systems.
const MAX_PART: usize = 255;

/// Returns whether a text can be a part of a path in URLs, in folders and in the manifest.
fn is_part(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && !b"\\?#%\"<>|*".contains(&byte);
    let is_name = !text.is_empty() && text.len() <= MAX_PART && text != "." && text != "..";
    is_name && text.bytes().all(is_allowed)
}

/// The identity of a stored file. One path can be stored with several contents, because branches can pin different ones.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// The path.
    pub path: FilePath,
    /// The SHA-256 of the content.
    pub checksum: FileChecksum,
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

/// The manifest's record of a stored file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// The size in bytes.
    pub bytes: u64,
    /// Why the content is trusted.
    pub trust: FileTrust,
    /// The address that it was fetched from.
    pub address: FileAddress,
    /// Whether it is stored as ordinary blobs and trees, with the recipe that rebuilds it, as documentation is.
    pub is_unpacked: bool,
}

/// Why a file's content is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileTrust {
    /// Elixir's key signed the list, or the list that has the file's checksum.
    Signed,
    /// A person wrote the checksum into the lock.
    Lock,
    /// The package that uses the file lists its checksum, and a lock pins the package.
    Package,
    /// npm's key signed its checksum.
    Npm,
    /// Nothing vouches for it but the connection over which it was first fetched on this day.
    FirstUse(Day),
}

impl FileTrust {
    /// Returns the words for it, for people.
    pub fn describe(self) -> String {
        match self {
            Self::Signed => "signed by Elixir's key".to_owned(),
            Self::Lock => "checksum from the lock".to_owned(),
            Self::Package => "checksum from its package".to_owned(),
            Self::Npm => "signed by npm's key".to_owned(),
            Self::FirstUse(day) => format!("trusted on first use, {day}"),
        }
    }
}

impl fmt::Display for FileTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signed => f.write_str("signed"),
            Self::Lock => f.write_str("lock"),
            Self::Package => f.write_str("package"),
            Self::Npm => f.write_str("npm"),
            Self::FirstUse(day) => write!(f, "first-use:{day}"),
        }
    }
}

impl FromStr for FileTrust {
    type Err = super::DayError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "signed" => Ok(Self::Signed),
            "lock" => Ok(Self::Lock),
            "package" => Ok(Self::Package),
            "npm" => Ok(Self::Npm),
            text => text.strip_prefix("first-use:").unwrap_or_default().parse().map(Self::FirstUse),
        }
    }
}

/// An `https` or `http` address without a user name, a password or a query, that can be shown and stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileAddress(String);

impl FileAddress {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the path that a download of this address is served at.
    pub fn download_path(&self) -> FilePath {
        FilePath::of_download(&self.0).expect("only such an address was accepted")
    }
}

impl FromStr for FileAddress {
    type Err = DownloadError;

    fn from_str(text: &str) -> Result<Self, DownloadError> {
        if text.len() > MAX_LENGTH || text.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(DownloadError::Path);
        }
        FilePath::of_download(text).map(|_| Self(text.to_owned()))
    }
}

impl fmt::Display for FileAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_can_be_names_of_files() {
        let of = |length: usize| format!("https://h/{}/x", "a".repeat(length)).parse::<FileAddress>();
        assert!(of(255).is_ok());
        assert_eq!(of(256), Err(DownloadError::Path));
        assert!(format!("installs/{}", "a".repeat(256)).parse::<FilePath>().is_err());
    }

    #[test]
    fn addresses_become_paths() {
        for (address, path) in [
            ("https://H.example/a/b.tgz", "downloads/h.example/a/b.tgz"),
            ("http://localhost:4000/a%2Bb", "downloads/localhost:4000/a+b"),
            ("https://[::1]:4/x", "downloads/[::1]:4/x"),
        ] {
            assert_eq!(address.parse::<FileAddress>().unwrap().download_path().as_str(), path);
        }
        for (address, error) in [
            ("file:///etc/passwd", DownloadError::Scheme),
            ("ftp://h/x", DownloadError::Scheme),
            ("/etc/passwd", DownloadError::Scheme),
            ("https://u:p@h/x", DownloadError::Login),
            ("https://h/x?token=1", DownloadError::Query),
            ("https://h/x#1", DownloadError::Query),
            ("https://h", DownloadError::Path),
            ("https://h/", DownloadError::Path),
            ("https:///x", DownloadError::Path),
            ("https://h/a/../b", DownloadError::Path),
            ("https://h/a/%2e%2e/b", DownloadError::Path),
            ("https://h/a%20b", DownloadError::Path),
            ("https://h/a//b", DownloadError::Path),
            ("https://h/a%0ab", DownloadError::Path),
            ("https://h/\u{e9}", DownloadError::Path),
        ] {
            assert_eq!(address.parse::<FileAddress>(), Err(error), "{address}");
        }
    }

    #[test]
    fn paths_are_below_one_of_two_folders() {
        for path in ["installs/hex-1.x.csv.signed", "installs/1.14.0/hex-2.2.1.ez", "downloads/h:1/.git/x"] {
            assert_eq!(path.parse::<FilePath>().unwrap().to_string(), path);
        }
        for path in ["", "installs", "installs/", "downloads/h", "downloads//x", "packages/x", "installs/../x", "/x"] {
            assert!(path.parse::<FilePath>().is_err(), "{path}");
        }
    }

    #[test]
    fn documentation_is_at_the_path_of_its_release() {
        let release = |repository: &str, package: &str, version: &str| ReleaseId {
            repository: repository.parse().unwrap(),
            package: package.parse().unwrap(),
            version: version.parse().unwrap(),
        };
        for (id, path) in [
            (release("hexpm", "plug", "1.0.0"), "docs/plug-1.0.0.tar.gz"),
            (release("hexpm", "a-1", "2.0.0-rc-1.2+b"), "docs/a-1-2.0.0-rc-1.2+b.tar.gz"),
            (release("hexpm:acme", "x", "1.0.0"), "repos/acme/docs/x-1.0.0.tar.gz"),
        ] {
            let of_docs = FilePath::of_docs(&id).unwrap();
            assert_eq!((of_docs.as_str(), of_docs.docs_release().as_ref()), (path, Some(&id)));
            assert_eq!(path.parse(), Ok(of_docs));
        }
        for other in ["acme", "acme:team"] {
            assert_eq!(FilePath::of_docs(&release(other, "x", "1.0.0")), None);
        }
        for path in [
            "docs/plug.tar.gz",
            "docs/plug-1.0.tar.gz",
            "docs/plug-1.0.0.tar",
            "docs/a/plug-1.0.0.tar.gz",
            "docs/..-1.0.0.tar.gz",
            "repos/acme/docs",
            "repos/../docs/x-1.0.0.tar.gz",
            "repos/acme/tarballs/x-1.0.0.tar",
        ] {
            assert!(path.parse::<FilePath>().is_err(), "{path}");
        }
        assert!(!"downloads/h/docs/plug-1.0.0.tar.gz".parse::<FilePath>().unwrap().is_of_docs());
    }

    #[test]
    fn trust_is_read_back() {
        for text in ["signed", "lock", "package", "npm", "first-use:2026-11-28"] {
            assert_eq!(text.parse::<FileTrust>().unwrap().to_string(), text);
        }
        for text in ["", "first-use", "first-use:", "2026-11-28", "Signed"] {
            assert!(text.parse::<FileTrust>().is_err(), "{text}");
        }
    }
}
