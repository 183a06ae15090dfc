//! A Hex repository in a folder on this machine, as `mix hex.registry build` and `export` write it.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::downloads::{Download, Origin};
use super::endpoint::docs_name;
use super::error::FetchError;
use super::gzip::{self, GzipError};
use super::hash;
use super::settings::Limits;
use crate::model::{OuterChecksum, ReleaseId, RepositoryName};

/// The folder of a Hex repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryFolder(PathBuf);

impl RepositoryFolder {
    /// Names the folder of a repository.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns whether the folder exists.
    pub fn exists(&self) -> bool {
        self.0.is_dir()
    }

    /// Returns the folder of an organisation, which is below that of its repository.
    #[must_use]
    pub fn of(&self, repository: &RepositoryName) -> Self {
        let organization = repository.organization();
        organization.map_or_else(|| self.clone(), |name| Self(self.0.join("repos").join(name)))
    }

    /// Reads a registry entry (of the kind `packages`) or a policy (`policies`): the Signed message, decompressed but not
    /// verified.
    pub(super) fn signed_message(&self, kind: &str, name: &str, limits: &Limits) -> Result<Vec<u8>, FetchError> {
        let path = self.0.join(kind).join(name);
        let bytes = self.read(&path, limits.registry_entry)?;
        gzip::unpack(bytes, limits.registry_entry).map_err(|error| match error {
            GzipError::TooLarge => too_large(&path, limits.registry_entry),
            GzipError::Damaged(error) => {
                FetchError::BadFile { path: path.clone(), reason: format!("damaged gzip ({error})") }
            }
        })
    }

    /// Finds a release's tarball, and verifies its checksum if one is expected.
    pub(super) fn tarball(
        &self,
        release: &ReleaseId,
        expected: Option<&OuterChecksum>,
        limits: &Limits,
    ) -> Result<Download, FetchError> {
        let file = release.tarball_name();
        self.file("tarballs", file, expected, limits.tarball)
    }

    /// Finds the documentation of a release, and verifies its checksum if one is expected.
    pub(super) fn docs(
        &self,
        release: &ReleaseId,
        expected: Option<&OuterChecksum>,
        limits: &Limits,
    ) -> Result<Download, FetchError> {
        self.file("docs", docs_name(release), expected, limits.tarball)
    }

    fn file(
        &self,
        folder: &str,
        file: String,
        expected: Option<&OuterChecksum>,
        limit: u64,
    ) -> Result<Download, FetchError> {
        let path = self.0.join(folder).join(&file);
        self.check(&path, limit)?;
        let found = hash::of_file(&path).map_err(FetchError::io("read", &path))?;
        let (got, bytes) = found.ok_or_else(|| FetchError::NoFile { path: path.clone() })?;
        match expected.filter(|expected| **expected != got) {
            Some(expected) => {
                Err(FetchError::ChecksumMismatch { file, expected: *expected, got, from: path.display().to_string() })
            }
            None => Ok(Download { path, outer_checksum: got, bytes, downloaded_bytes: 0, origin: Origin::Folder }),
        }
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, FetchError> {
        self.check(path, limit)?;
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
        read.map_err(FetchError::io("read", path))?;
        if bytes.len() as u64 > limit { Err(too_large(path, limit)) } else { Ok(bytes) }
    }

    /// Checks that a path is a regular file up to a size. A missing folder is not a missing file: it may be on a disk that is
    /// not there.
    fn check(&self, path: &Path, limit: u64) -> Result<(), FetchError> {
        match fs::metadata(path) {
            Ok(found) if !found.is_file() => {
                Err(FetchError::BadFile { path: path.to_owned(), reason: "it is not a file".into() })
            }
            Ok(found) if found.len() > limit => Err(too_large(path, limit)),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound && self.0.is_dir() => {
                Err(FetchError::NoFile { path: path.to_owned() })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let reason = "the folder of this repository does not exist".into();
                Err(FetchError::BadFile { path: self.0.clone(), reason })
            }
            Err(error) => Err(FetchError::io("read", path)(error)),
        }
    }
}

fn too_large(path: &Path, limit: u64) -> FetchError {
    FetchError::BadFile { path: path.to_owned(), reason: format!("it is larger than {limit} bytes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_bounded_and_must_exist() {
        let root = tempfile::tempdir().unwrap();
        let folder = RepositoryFolder::new(root.path());
        let limits = Limits { registry_entry: 10, tarball: 10, file: 10 };
        let release = ReleaseId {
            repository: RepositoryName::hexpm(),
            package: "a".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
        };
        let entry = || folder.signed_message("packages", "a", &limits);
        let tarball = |expected| folder.tarball(&release, expected, &limits);
        assert!(entry().unwrap_err().is_not_found() && tarball(None).unwrap_err().is_not_found());
        fs::create_dir(root.path().join("packages")).unwrap();
        fs::create_dir(root.path().join("tarballs")).unwrap();
        fs::write(root.path().join("packages/a"), "entry").unwrap();
        fs::write(root.path().join("tarballs/a-1.0.0.tar"), "tarball").unwrap();
        assert_eq!(entry().unwrap(), b"entry");
        let (sum, other) = (hash::of_bytes(b"tarball"), hash::of_bytes(b"x"));
        assert_eq!(tarball(Some(&sum)).unwrap().read().unwrap(), b"tarball");
        assert!(tarball(Some(&other)).unwrap_err().is_integrity());
        fs::write(root.path().join("packages/a"), "more than ten").unwrap();
        fs::write(root.path().join("tarballs/a-1.0.0.tar"), "more than ten").unwrap();
        for error in [entry().unwrap_err(), tarball(None).unwrap_err()] {
            assert!(error.to_string().contains("larger than 10 bytes"), "{error}");
        }
        let gone =
            RepositoryFolder::new(root.path().join("gone")).signed_message("packages", "a", &limits).unwrap_err();
        assert!(!gone.is_not_found() && gone.to_string().contains("does not exist"), "{gone}");
    }
}
