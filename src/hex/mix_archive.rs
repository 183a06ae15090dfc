//! Archives of mix (`.ez`): zip files with one folder, which mix unpacks into its folder of archives
//! (`Mix.Tasks.Archive.Install`).

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::path;

/// The maximum size of the unpacked files, in bytes.
const MAX_BYTES: u64 = 64 << 20;
/// The maximum number of files.
const MAX_FILES: usize = 10_000;

/// The files of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MixArchive {
    /// The name of its folder, such as `hex-2.5.1`.
    pub name: String,
    /// The files by their paths, which begin with the name of the folder.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Why an archive cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum MixArchiveError {
    /// It is not a zip file, or damaged.
    #[error("it is not a zip archive")]
    Zip(#[from] zip::result::ZipError),
    /// A file cannot be unpacked.
    #[error("it is damaged")]
    Damaged(#[from] std::io::Error),
    /// It is too large.
    #[error("it has more than {} MB or {MAX_FILES} files", MAX_BYTES >> 20)]
    TooLarge,
    /// The names of its files are not those of an archive of mix.
    #[error("its files are not in one folder, or have names that are not allowed")]
    Names,
}

impl MixArchive {
    /// Unpacks an archive.
    ///
    /// # Errors
    /// Fails if it is damaged, too large, or has files outside of its one folder.
    pub fn read(bytes: &[u8]) -> Result<Self, MixArchiveError> {
        let mut archive = ZipArchive::new(Cursor::new(bytes))?;
        if archive.len() > MAX_FILES {
            return Err(MixArchiveError::TooLarge);
        }
        let (mut name, mut files, mut left) = (None, BTreeMap::new(), MAX_BYTES);
        for index in 0..archive.len() {
            let mut file = archive.by_index(index)?;
            let path = file.name()?.into_owned();
            let Some((folder, rest)) = path.split_once('/') else { return Err(MixArchiveError::Names) };
            let is_in_it = *name.get_or_insert_with(|| folder.to_owned()) == folder;
            if !is_in_it || !path::is_plain(path.trim_end_matches('/')) || path.contains('\\') || file.is_symlink() {
                return Err(MixArchiveError::Names);
            }
            if file.is_dir() || rest.is_empty() {
                continue;
            }
            let mut content = Vec::new();
            // The size in the header is not trusted.
            file.by_ref().take(left + 1).read_to_end(&mut content)?;
            left = left.checked_sub(content.len() as u64).ok_or(MixArchiveError::TooLarge)?;
            files.insert(path, content);
        }
        name.map(|name| Self { name, files }).ok_or(MixArchiveError::Names)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in files {
            writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn the_files_are_below_one_folder() {
        let read = MixArchive::read(&packed(&[("hex-2.0.0/ebin/a.beam", b"a"), ("hex-2.0.0/.elixir", b"")])).unwrap();
        assert_eq!(read.name, "hex-2.0.0");
        assert_eq!(read.files["hex-2.0.0/ebin/a.beam"], b"a");
        assert_eq!(read.files.len(), 2);
    }

    #[test]
    fn hostile_archives_are_refused() {
        for names in [&["../x/y"][..], &["/etc/x"], &["a/../../x"], &["a/x", "b/x"], &["x"], &["a/..\\x"], &[]] {
            let files: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, &b"x"[..])).collect();
            assert!(matches!(MixArchive::read(&packed(&files)), Err(MixArchiveError::Names)), "{names:?}");
        }
        assert!(matches!(MixArchive::read(b"no zip"), Err(MixArchiveError::Zip(_))));
        let zeros = vec![0; MAX_BYTES as usize / 2 + 1];
        let large = packed(&[("a/1", &zeros), ("a/2", &zeros)]);
        assert!(large.len() < 1 << 20);
        assert!(matches!(MixArchive::read(&large), Err(MixArchiveError::TooLarge)));
    }
}
