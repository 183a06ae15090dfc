//! What `tools install` writes: files and archives of mix, each all or nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

use crate::hex::mix_archive::MixArchive;

/// What is to be written at each place.
pub(super) type Items = BTreeMap<PathBuf, Item>;

/// What is written at a place.
pub(super) enum Item {
    File { content: Vec<u8>, is_executable: bool },
    Archive(MixArchive),
}

impl Item {
    /// Writes the item all or nothing. Returns whether it was not there already.
    pub fn write(&self, place: &Path) -> io::Result<bool> {
        let folder = place.parent().unwrap_or(place);
        match self {
            Self::File { content, is_executable } => {
                let is_there = fs::read(place).is_ok_and(|found| found == *content)
                    && mode_of(place) == Some(mode(*is_executable));
                if is_there {
                    return Ok(false);
                }
                fs::create_dir_all(folder)?;
                let mut file = NamedTempFile::new_in(folder)?;
                file.write_all(content)?;
                set_mode(file.path(), mode(*is_executable))?;
                file.persist(place).map_err(|error| error.error)?;
            }
            Self::Archive(archive) => {
                let at = |path: &str| place.join(path);
                if archive.files.iter().all(|(path, content)| fs::read(at(path)).is_ok_and(|found| found == *content)) {
                    return Ok(false);
                }
                fs::create_dir_all(folder)?;
                let unpacked = TempDir::with_prefix_in(".git-hexmirror-", folder)?;
                for (path, content) in &archive.files {
                    let path = unpacked.path().join(path);
                    fs::create_dir_all(path.parent().unwrap_or(&path))?;
                    fs::write(&path, content)?;
                }
                set_mode(unpacked.path(), mode(true))?;
                remove_archives(folder, &archive.name)?;
                fs::rename(unpacked.path(), place)?;
            }
        }
        Ok(true)
    }
}

/// Removes the other versions of an archive, as mix does: it would load all of them.
fn remove_archives(folder: &Path, name: &str) -> io::Result<()> {
    let app = name.split('-').next().unwrap_or(name);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_version =
            |name: &str| name.strip_prefix(app).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        if entry.file_name().to_str().is_some_and(is_version) {
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
    }
    Ok(())
}

fn mode(is_executable: bool) -> u32 {
    if is_executable { 0o755 } else { 0o644 }
}

#[cfg(unix)]
fn mode_of(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;

    Some(path.metadata().ok()?.permissions().mode() & 0o777)
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn mode_of(path: &Path) -> Option<u32> {
    let _ = path;
    Some(0o644)
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}
