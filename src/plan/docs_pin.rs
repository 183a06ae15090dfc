//! The documentation of pinned releases.

use super::FilePin;
use super::valid::valid;
use crate::lock::{DocsFile, DocsSource, LockError};
use crate::model::{Day, FileChecksum, FileId, FilePath, FileTrust, ReleaseId};

/// Where documentation is published. A repository at another address serves it at the same path.
const HEXPM: &str = "https://repo.hex.pm";

/// What a lock says about the documentation of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocsPin {
    /// The file.
    File(FilePin),
    /// None was published on this day.
    Absent(Day),
}

impl DocsPin {
    /// Returns the pin of documentation that was fetched first on a day. `None` if the release's repository has none.
    pub fn first_used(release: &ReleaseId, checksum: FileChecksum, bytes: u64, day: Day) -> Option<Self> {
        let id = FileId { path: FilePath::of_docs(release)?, checksum };
        Some(Self::File(file_pin(id, bytes, FileTrust::FirstUse(day))))
    }

    /// Reads an entry of a lock, with the release.
    ///
    /// # Errors
    /// Returns an error if a part of it is invalid.
    pub(super) fn of(source: &DocsSource) -> Result<(ReleaseId, Self), LockError> {
        let release = ReleaseId {
            repository: valid(&source.repository, "this is not a repository name")?,
            package: valid(&source.package, "this is not a package name")?,
            version: valid(&source.version, "this is not a version")?,
        };
        let path = FilePath::of_docs(&release).ok_or_else(|| LockError {
            message: format!("documentation of the repository {} cannot be mirrored", release.repository),
            label: "neither hexpm nor an organisation of hexpm".to_owned(),
            span: source.repository.span,
        })?;
        let pin = match &source.file {
            DocsFile::Pinned { checksum, bytes, first_use } => {
                let checksum = valid(checksum, "this is not a SHA-256 checksum")?;
                let bytes = valid(bytes, "this is not a size in bytes")?;
                let day = first_use.as_ref().map(|day| valid(day, "this is not a day")).transpose()?;
                let trust = day.map_or(FileTrust::Lock, FileTrust::FirstUse);
                Self::File(file_pin(FileId { path, checksum }, bytes, trust))
            }
            DocsFile::Absent(day) => Self::Absent(valid(day, "this is not a day")?),
        };
        Ok((release, pin))
    }

    /// Returns the file, if there is one.
    pub fn file(&self) -> Option<&FilePin> {
        match self {
            Self::File(pin) => Some(pin),
            Self::Absent(_) => None,
        }
    }

    /// Returns the entry of a hexmirror.lock that pins this documentation.
    pub fn line(&self, release: &ReleaseId) -> String {
        let ReleaseId { repository, package, version } = release;
        let what = match self {
            Self::Absent(day) => format!("none {day}"),
            Self::File(FilePin { id, bytes, trust, .. }) => {
                let first_use = match trust {
                    FileTrust::FirstUse(day) => format!(" first-use {day}"),
                    FileTrust::Lock | FileTrust::Package | FileTrust::Signed | FileTrust::Npm => String::new(),
                };
                format!("{} {}{first_use}", id.checksum, bytes.unwrap_or_default())
            }
        };
        format!("docs {repository} {package} {version} {what}")
    }
}

fn file_pin(id: FileId, bytes: u64, trust: FileTrust) -> FilePin {
    let address = format!("{HEXPM}/{}", id.path).parse().expect("a path of documentation needs no encoding");
    FilePin { id, bytes: Some(bytes), trust, address }
}
