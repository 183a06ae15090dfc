//! Reads regular files, which never block, up to a maximum size.

use std::fs::{self, File, FileType, Metadata};
use std::io::Read;
use std::path::Path;

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
    use std::io::ErrorKind;
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
        let said = [64 << 10, 1 << 20, 64 << 20].map(|limit| FileRefusal::TooLarge { limit }.to_string());
        assert_eq!(said, ["is larger than 64 KiB", "is larger than 1 MiB", "is larger than 64 MiB"]);
    }
}
