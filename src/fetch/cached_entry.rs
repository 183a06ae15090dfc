//! Registry entries that were fetched and verified, kept until they are stored on the mirror branch.
//!
//! Each entry is a file named after its address, which consists of header lines, an empty line, and the signed message.
//! Readers verify the message again, so the only effect of a damaged file is another request.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::hash;
use crate::model::EntryChecksum;

/// The first line of a file. Files with another first line are ignored.
const FORMAT: &str = "hexmirror registry entry 1";
/// The maximum length of the header, in bytes.
const MAX_HEADER: usize = 1024;

/// A repository's response to the request for a registry entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedEntry {
    /// The signed message, or `None` if the repository has no such entry.
    pub signed: Option<Vec<u8>>,
    /// The response's ETag, if it can be sent back.
    pub etag: Option<String>,
    /// The entry that the mirror had at that time. If the mirror has another one by now, that may be newer than this
    /// one.
    pub base: Option<EntryChecksum>,
}

/// Returns the path of the file for an address in the downloads folder.
fn path(folder: &Path, address: &str) -> PathBuf {
    folder.join(hash::of_bytes(address.as_bytes()).to_string())
}

impl CachedEntry {
    /// Writes the file for an address, with an atomic rename.
    pub(super) fn write(&self, folder: &Path, address: &str) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut builder = tempfile::Builder::new();
        // Other users of a shared repository read the file too.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder)?;
        writeln!(file, "{FORMAT}")?;
        if let Some(etag) = self.etag.as_ref().filter(|etag| etag.bytes().all(|byte| (b' '..=b'~').contains(&byte))) {
            writeln!(file, "etag {etag}")?;
        }
        if let Some(base) = &self.base {
            writeln!(file, "base {base}")?;
        }
        if self.signed.is_none() {
            writeln!(file, "absent")?;
        }
        writeln!(file)?;
        file.write_all(self.signed.as_deref().unwrap_or_default())?;
        file.persist(path(folder, address)).map(drop).map_err(|error| error.error)
    }

    /// Reads the file for an address and its age. Returns `None` if there is no valid file.
    pub(super) fn read(folder: &Path, address: &str) -> Option<(Self, Duration)> {
        let path = path(folder, address);
        let modified = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?;
        // A modification time in the future counts as old.
        let age = SystemTime::now().duration_since(modified).unwrap_or(Duration::MAX);
        Some((Self::parse(&fs::read(path).ok()?)?, age))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().take(MAX_HEADER).zip(bytes.get(1..)?).position(|pair| pair == (&b'\n', &b'\n'))?;
        let header = std::str::from_utf8(&bytes[..end]).ok()?;
        let lines = header.strip_prefix(FORMAT)?.lines().skip(1);
        let mut kept = Self { signed: Some(bytes[end + 2..].to_vec()), etag: None, base: None };
        for line in lines {
            match line.split_once(' ') {
                Some(("etag", etag)) => kept.etag = Some(etag.to_owned()),
                Some(("base", base)) => kept.base = Some(base.parse().ok()?),
                None if line == "absent" => kept.signed = None,
                _ => return None,
            }
        }
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let base = EntryChecksum::from_bytes([7; 32]);
        for kept in [
            CachedEntry { signed: Some(b"\n\nsigned\n\n".to_vec()), etag: Some("\"a b\"".into()), base: Some(base) },
            CachedEntry { signed: Some(Vec::new()), etag: None, base: None },
            CachedEntry { signed: None, etag: None, base: None },
        ] {
            kept.write(folder.path(), "http://h/packages/a").unwrap();
            let (read, age) = CachedEntry::read(folder.path(), "http://h/packages/a").unwrap();
            assert_eq!(read, kept);
            assert!(age < Duration::from_secs(3600));
            assert_eq!(CachedEntry::read(folder.path(), "http://h/packages/b"), None);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_ignored() {
        for bytes in ["", "\n", "\n\n", "hexmirror registry entry 2\n\nx", "hexmirror registry entry 1\nbase 12\n\nx"] {
            assert_eq!(CachedEntry::parse(bytes.as_bytes()), None, "{bytes:?}");
        }
        let wrong = CachedEntry { signed: None, etag: Some("a\nabsent".into()), base: None };
        let folder = tempfile::tempdir().unwrap();
        wrong.write(folder.path(), "x").unwrap();
        assert_eq!(CachedEntry::read(folder.path(), "x").unwrap().0.etag, None);
    }

    #[test]
    fn a_modification_time_in_the_future_counts_as_old() {
        let folder = tempfile::tempdir().unwrap();
        CachedEntry { signed: None, etag: None, base: None }.write(folder.path(), "x").unwrap();
        let file = fs::File::options().write(true).open(path(folder.path(), "x")).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(3600)).unwrap();
        assert_eq!(CachedEntry::read(folder.path(), "x").unwrap().1, Duration::MAX);
    }
}
