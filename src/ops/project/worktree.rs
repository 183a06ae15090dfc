//! Reads all files that come with a branch: locks, settings, public keys.
//!
//! Their names and contents are controlled by whoever wrote the branch. The reader therefore stays inside the worktree
//! and outside git's own folders. It follows links within the worktree, because some projects link their locks. It
//! reads only regular files, up to a maximum size, and never opens a file that could block, such as a FIFO.

use std::fs::{self, File, FileType, Metadata};
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::ops::{OpError, Result};
use crate::store::{ObjectId, Repository};

/// The maximum size of a lock, in bytes.
pub(in crate::ops) const MAX_LOCK: u64 = 64 << 20;
/// The maximum size of the tracked settings, in bytes.
pub(in crate::ops) const MAX_SETTINGS: u64 = 1 << 20;
/// The maximum size of a public key file, in bytes. A key of 16,384 bits takes less than 3 KiB.
pub(in crate::ops) const MAX_KEY: u64 = 64 << 10;

/// The reason why a project's file is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileRefusal {
    /// The path or its link target is outside the worktree, or inside git's own folders.
    #[error("points outside the worktree")]
    Outside,
    /// The file is not a regular file.
    #[error("is {kind}, not a regular file")]
    Kind {
        /// Its kind, such as `a FIFO`.
        kind: &'static str,
    },
    /// The file exceeds the maximum size for its purpose.
    #[error("is larger than {}", human(*limit))]
    TooLarge {
        /// The maximum size, in bytes.
        limit: u64,
    },
}

/// Formats a limit, which is a multiple of a KiB or a MiB.
fn human(bytes: u64) -> String {
    if bytes < 1 << 20 { format!("{} KiB", bytes >> 10) } else { format!("{} MiB", bytes >> 20) }
}

/// Reads a file of the project: of the worktree, or of `HEAD` in a bare repository. `None` if it does not exist.
///
/// # Errors
/// Fails if the file is refused or cannot be read.
pub(in crate::ops) fn read_tracked(repository: &Repository, file: &str, limit: u64) -> Result<Option<Vec<u8>>> {
    if let Some(root) = repository.worktree() {
        return read_below(repository, root, file, limit);
    }
    let blob = repository.head().map_or(Ok(None), |head| repository.blob_at(head, file))?;
    blob.map(|blob| read_committed(repository, blob, file, limit)).transpose()
}

/// Reads a file of a commit from its blob.
///
/// # Errors
/// Fails if the file is too large or cannot be read.
pub(in crate::ops) fn read_committed(
    repository: &Repository,
    blob: ObjectId,
    file: &str,
    limit: u64,
) -> Result<Vec<u8>> {
    // A blob of many gigabytes can be compressed to a pack of a few kilobytes.
    if repository.blob_bytes(blob, file)? > limit {
        return Err(refused(file)(FileRefusal::TooLarge { limit }));
    }
    Ok(repository.read_blob(blob, file)?)
}

/// Reads a file of one of the repository's worktrees. `file` is its path relative to the worktree's root. `None` if it
/// does not exist.
///
/// # Errors
/// Fails if the file is refused or cannot be read.
pub(in crate::ops) fn read_below(
    repository: &Repository,
    root: &Path,
    file: &str,
    limit: u64,
) -> Result<Option<Vec<u8>>> {
    let path = root.join(file);
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| OpError::Read { path, source }
    };
    let target = match fs::canonicalize(&path) {
        Ok(target) => target,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(source) => return Err(OpError::Read { path, source }),
    };
    let root = fs::canonicalize(root).map_err(unreadable(root))?;
    // A worktree may be located inside git's own folder.
    let is_gits_own =
        |own: &Path| fs::canonicalize(own).is_ok_and(|own| own.starts_with(&root) && target.starts_with(own));
    let names_gits_own = |below: &Path| below.iter().any(|name| name == ".git");
    let is_inside = target.strip_prefix(&root).is_ok_and(|below| !names_gits_own(below));
    if !is_inside || is_gits_own(repository.git_dir()) || is_gits_own(repository.common_dir()) {
        return Err(refused(file)(FileRefusal::Outside));
    }
    let read = read_regular(&target, limit).map_err(unreadable(&path))?;
    read.map(Some).map_err(refused(file))
}

fn refused(file: &str) -> impl FnOnce(FileRefusal) -> OpError {
    move |reason| OpError::Refused { file: file.to_owned(), reason }
}

/// Reads a regular file in any folder, up to a maximum size, without following a link. The checks also hold if the file
/// is replaced or grows in the meantime.
pub(in crate::ops) fn read_regular(path: &Path, limit: u64) -> std::io::Result<Result<Vec<u8>, FileRefusal>> {
    // Opening a device or a socket may have side effects.
    if let Err(reason) = regular(&fs::symlink_metadata(path)?, limit) {
        return Ok(Err(reason));
    }
    let file = open(path)?;
    let metadata = file.metadata()?;
    if let Err(reason) = regular(&metadata, limit) {
        return Ok(Err(reason));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default() + 1);
    file.take(limit + 1).read_to_end(&mut bytes)?;
    let is_within = bytes.len() as u64 <= limit;
    Ok(if is_within { Ok(bytes) } else { Err(FileRefusal::TooLarge { limit }) })
}

fn regular(metadata: &Metadata, limit: u64) -> Result<(), FileRefusal> {
    if !metadata.is_file() {
        return Err(FileRefusal::Kind { kind: kind(metadata.file_type()) });
    }
    if metadata.len() > limit { Err(FileRefusal::TooLarge { limit }) } else { Ok(()) }
}

#[cfg(unix)]
fn kind(file_type: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;

    match file_type {
        _ if file_type.is_dir() => "a folder",
        _ if file_type.is_symlink() => "a link",
        _ if file_type.is_fifo() => "a FIFO",
        _ if file_type.is_socket() => "a socket",
        _ => "a device",
    }
}

#[cfg(not(unix))]
fn kind(file_type: FileType) -> &'static str {
    if file_type.is_dir() { "a folder" } else { "a link" }
}

/// Opens a file without following a link and without waiting for a FIFO's writer.
#[cfg(unix)]
fn open(path: &Path) -> std::io::Result<File> {
    use rustix::fs::{Mode, OFlags};

    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

#[cfg(not(unix))]
fn open(path: &Path) -> std::io::Result<File> {
    File::open(path)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_regular_files_are_read_up_to_a_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("fits"), "1234").unwrap();
        fs::write(path("large"), "12345").unwrap();
        fs::create_dir(path("folder")).unwrap();
        symlink("fits", path("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), rustix::fs::Mode::RWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        let read = |name: &str| read_regular(&path(name), 4).unwrap();
        assert_eq!(read("fits").unwrap(), b"1234");
        assert_eq!(read("large"), Err(FileRefusal::TooLarge { limit: 4 }));
        for (name, kind) in [
            ("folder", "a folder"),
            ("link", "a link"),
            ("fifo", "a FIFO"),
            ("socket", "a socket"),
            ("/dev/zero", "a device"),
        ] {
            assert_eq!(read(name), Err(FileRefusal::Kind { kind }), "{name}");
        }
        assert_eq!(read_regular(&path("nothing"), 4).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_file_replaced_after_its_check_cannot_block() {
        let folder = tempfile::tempdir().unwrap();
        let (fifo, link) = (folder.path().join("fifo"), folder.path().join("link"));
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        symlink("fifo", &link).unwrap();
        assert!(!open(&fifo).unwrap().metadata().unwrap().is_file());
        assert!(open(&link).is_err());
    }

    #[test]
    fn limits_are_formatted_for_people() {
        let said = [MAX_KEY, MAX_SETTINGS, MAX_LOCK].map(|limit| FileRefusal::TooLarge { limit }.to_string());
        assert_eq!(said, ["is larger than 64 KiB", "is larger than 1 MiB", "is larger than 64 MiB"]);
    }
}
