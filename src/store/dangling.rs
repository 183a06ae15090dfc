//! Finds what a repository refers to outside of its own folder and that does not exist here, for example in a container
//! into which only a part of it was mounted, and what this user may not read.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Repository, StoreError};

/// The maximum size of a file with paths, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// Returns the error for a `.git` file (gitrepository-layout(5)) in a folder or the nearest one above, if it refers to a
/// folder that does not exist.
pub(super) fn git_file(directory: &Path) -> Option<StoreError> {
    let file = directory.ancestors().map(|folder| folder.join(".git")).find(|file| file.symlink_metadata().is_ok())?;
    let text = text(&file)?;
    let target = PathBuf::from(text.strip_prefix("gitdir:")?.trim());
    let is_absent = !file.parent()?.join(&target).exists();
    is_absent.then_some(StoreError::NoGitDir { file, target })
}

/// Returns the error for a `.git` in a folder or the nearest one above, if this user may not read it.
pub(super) fn unreadable(directory: &Path) -> Option<StoreError> {
    let denied = |path: &Path, error: io::Error| {
        let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
        is_denied.then(|| StoreError::io("read", path)(error))
    };
    for folder in directory.ancestors() {
        let git = folder.join(".git");
        match git.metadata() {
            Ok(found) if found.is_dir() => {
                let (listed, head) = (fs::read_dir(&git).err(), File::open(git.join("HEAD")).err());
                return listed.or(head).and_then(|error| denied(&git, error));
            }
            Ok(_) => return File::open(&git).err().and_then(|error| denied(&git, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return denied(folder, error),
        }
    }
    None
}

impl Repository {
    /// Returns the file that names folders to borrow objects from (`git clone --shared`), and the first such folder that
    /// does not exist. `None` if all exist.
    pub fn absent_alternate(&self) -> Option<(PathBuf, PathBuf)> {
        let objects = self.common_dir().join("objects");
        let file = objects.join("info/alternates");
        let text = text(&file)?;
        let mut named = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(Path::new);
        let absent = named.find(|folder| !objects.join(folder).exists())?.to_owned();
        Some((file, absent))
    }
}

/// Reads a regular file, if it is one.
fn text(path: &Path) -> Option<String> {
    if !path.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_git_file_is_named_only_if_its_folder_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        let file = folder.path().join("a/.git");
        let found = |text: &str| {
            fs::write(&file, text).unwrap();
            git_file(&inner).map(|error| error.to_string())
        };
        let text = found("gitdir: ../absent\n").unwrap();
        assert!(text.starts_with(file.to_str().unwrap()) && text.contains("../absent"), "{text}");
        assert!(found("gitdir: /absent/.git/worktrees/x").is_some());
        for text in ["gitdir: b\n", "gitdir: ../a", "", "nonsense", "\u{0}"] {
            assert_eq!(found(text), None, "{text:?}");
        }
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(git_file(&inner).is_none());
    }

    #[test]
    fn the_first_absent_alternate_is_named() {
        let folder = tempfile::tempdir().unwrap();
        Repository::init(folder.path()).unwrap();
        let repository = Repository::open(folder.path()).unwrap();
        assert_eq!(repository.absent_alternate(), None);
        let objects = repository.common_dir().join("objects");
        fs::create_dir_all(objects.join("info")).unwrap();
        let file = objects.join("info/alternates");
        fs::write(&file, "# x\n\ninfo\n").unwrap();
        assert_eq!(repository.absent_alternate(), None);
        fs::write(&file, "info\n../absent\n/absent/too\n").unwrap();
        assert_eq!(repository.absent_alternate(), Some((file, "../absent".into())));
    }
}
