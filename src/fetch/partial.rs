//! A partially downloaded tarball.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::downloads::{Claim, Download, Downloads, Origin, remove};
use super::error::FetchError;
use super::hash;
use crate::model::OuterChecksum;

/// How much of a file is read to recognise a web page, in bytes.
const MAX_BEGIN: u64 = 1024;
/// How web pages begin, in small letters.
const PAGES: [&[u8]; 2] = [b"<!doctype html", b"<html"];
/// The maximum length of an ETag that is stored, in bytes.
const MAX_ETAG: usize = 256;

/// A partially downloaded tarball, which is hashed as it is written and can resume an earlier download.
///
/// Writes go directly to the file and not through another thread. They are small, the page cache absorbs them, and
/// written data survives if the process is killed.
pub(super) struct Partial<'a> {
    downloads: &'a Downloads,
    target: PartialFile<'a>,
    file: File,
    hasher: Sha256,
    length: u64,
    etag: Option<String>,
    resumed: bool,
}

/// Where the data is stored.
enum PartialFile<'a> {
    /// In a file that outlives the process.
    Resumable { part: PathBuf, etag: PathBuf, _claim: Claim<'a> },
    /// In a temporary file, because another task or process has claimed the partial tarball.
    Private(NamedTempFile),
}

impl<'a> Partial<'a> {
    /// Opens the partial tarball for `key`, a name of hexadecimal digits, and reads its existing data.
    pub(super) fn open(downloads: &'a Downloads, key: &str) -> Result<Self, FetchError> {
        let folder = downloads.folder();
        let Some(_claim) = downloads.claim(key) else {
            let mut builder = tempfile::Builder::new();
            // This file becomes the finished tarball, which other users of a shared repository read too.
            #[cfg(unix)]
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
            let private = builder.suffix(".private").tempfile_in(folder).map_err(FetchError::io("write in", folder))?;
            let file = private.reopen().map_err(FetchError::io("write", private.path()))?;
            return Ok(Self::empty(downloads, PartialFile::Private(private), file));
        };
        let (part, etag) = (folder.join(format!("{key}.part")), folder.join(format!("{key}.etag")));
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&part);
        let file = file.map_err(FetchError::io("write", &part))?;
        let mut partial = Self::empty(downloads, PartialFile::Resumable { part, etag, _claim }, file);
        partial.load().map_err(|source| partial.error("read", source))?;
        Ok(partial)
    }

    fn empty(downloads: &'a Downloads, target: PartialFile<'a>, file: File) -> Self {
        Self { downloads, target, file, hasher: Sha256::new(), length: 0, etag: None, resumed: false }
    }

    /// Loads the data that an earlier download left.
    fn load(&mut self) -> io::Result<()> {
        let PartialFile::Resumable { etag, .. } = &self.target else { return Ok(()) };
        self.etag = std::fs::read_to_string(etag).ok().filter(|etag| is_strong(etag));
        if self.etag.is_some() {
            self.length = hash::feed(&mut self.hasher, &mut self.file)?;
            self.resumed = self.length > 0;
        }
        Ok(())
    }

    /// Returns the offset at which to resume and the ETag of the existing data, if resuming is possible.
    pub(super) fn resume(&mut self) -> Option<(u64, &str)> {
        let etag = self.etag.as_deref().filter(|_| self.length > 0)?;
        self.resumed = true;
        Some((self.length, etag))
    }

    /// Returns whether the data comes from more than one response.
    pub(super) fn was_resumed(&self) -> bool {
        self.resumed
    }

    /// Returns the number of bytes so far.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Returns the checksum of the data so far.
    pub(super) fn checksum(&self) -> OuterChecksum {
        hash::finish(self.hasher.clone())
    }

    /// Discards the data. `etag` belongs to the data that follows. A weak ETag is not stored, because it does not
    /// guarantee identical bytes.
    pub(super) fn restart(&mut self, etag: Option<&str>) -> Result<(), FetchError> {
        self.hasher = Sha256::new();
        self.length = 0;
        self.resumed = false;
        self.etag = etag.filter(|etag| is_strong(etag)).map(str::to_owned);
        self.truncate().map_err(|source| self.error("write", source))
    }

    fn truncate(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        // The ETag is written last, so that an interruption never leaves old data with a new ETag.
        match (&self.target, &self.etag) {
            (PartialFile::Resumable { etag: path, .. }, Some(etag)) => std::fs::write(path, etag),
            (PartialFile::Resumable { etag: path, .. }, None) => remove(path),
            (PartialFile::Private(_), _) => Ok(()),
        }
    }

    /// Returns whether the data is a web page, whatever type the server declared: it begins as one, after white space and a byte
    /// order mark.
    pub(super) fn is_web_page(&mut self) -> Result<bool, FetchError> {
        let mut read = || -> io::Result<bool> {
            let mut begin = Vec::new();
            self.file.rewind()?;
            Read::by_ref(&mut self.file).take(MAX_BEGIN).read_to_end(&mut begin)?;
            self.file.seek(SeekFrom::End(0))?;
            Ok(begins_web_page(&begin))
        };
        read().map_err(|source| self.error("read", source))
    }

    /// Appends data.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.file.write_all(bytes).map_err(|source| self.error("write", source))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Turns this into the finished tarball with its checksum.
    pub(super) fn finish(mut self, downloaded_bytes: u64) -> Result<Download, FetchError> {
        let outer_checksum = self.checksum();
        let path = self.downloads.finished_path(&outer_checksum);
        self.publish(&path).map_err(FetchError::io("write", &path))?;
        Ok(Download { path, outer_checksum, bytes: self.length, downloaded_bytes, origin: Origin::Network })
    }

    fn publish(&mut self, path: &Path) -> io::Result<()> {
        match &mut self.target {
            PartialFile::Resumable { part, etag, .. } => {
                std::fs::rename(part, path)?;
                remove(etag)
            }
            PartialFile::Private(private) => std::fs::rename(private.path(), path),
        }
    }

    fn error(&self, action: &'static str, source: io::Error) -> FetchError {
        let path = match &self.target {
            PartialFile::Resumable { part, .. } => part.clone(),
            PartialFile::Private(private) => private.path().to_owned(),
        };
        FetchError::Io { action, path, source }
    }
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        let PartialFile::Resumable { part, etag, .. } = &self.target else { return };
        if self.length == 0 {
            // This download cannot be resumed. A file that cannot be removed does no harm.
            let _ = (remove(part), remove(etag));
        }
    }
}

/// Returns whether a content begins as a web page does.
fn begins_web_page(content: &[u8]) -> bool {
    let text = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content).trim_ascii_start();
    let begins = |begin: &&[u8]| text.get(..begin.len()).is_some_and(|text| text.eq_ignore_ascii_case(begin));
    PAGES.iter().any(begins)
}

/// Returns whether an ETag guarantees identical bytes (RFC 9110, section 8.8.1) and can be stored in a header and a
/// file.
fn is_strong(etag: &str) -> bool {
    let inner = etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"'));
    etag.len() <= MAX_ETAG
        && inner.is_some_and(|inner| inner.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"'))
}
