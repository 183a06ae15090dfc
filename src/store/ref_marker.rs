//! A marker file that exists while a ref is being updated. If the process is killed during the update, the marker
//! proves that the ref's lock file is this program's own. The next process then removes the lock file instead of asking
//! the user to.
//!
//! The marker file is locked by its process and by any git process that has it as its standard input. A marker that can
//! be locked was left by a killed process.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use gix::ObjectId;
use tempfile::NamedTempFile;

use super::files::with_prefix;
use super::{Repository, Result, StoreError};
use crate::file_lock;

/// The prefix of marker file names.
pub(super) const PREFIX: &str = "moving-";
/// The longest time between setting a marker and creating the ref's lock, if this process does both.
const SOON: Duration = Duration::from_secs(10);
/// The longest time that git holds the lock of a ref: it only writes a line and renames the file.
const HELD: Duration = Duration::from_secs(1);

/// The program that updates the ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mover {
    /// This program, immediately.
    Program,
    /// A git process that this program started, at any later time.
    Git,
}

/// Records that a ref is about to be updated. Dropping it removes the marker file.
#[derive(Debug)]
pub struct RefMarker {
    /// `None` if the file cannot be created. The marker only helps later processes, so this is not an error.
    file: Option<NamedTempFile>,
}

impl RefMarker {
    /// Records that this process is about to update the ref to a commit.
    pub(super) fn set(repository: &Repository, name: &str, commit: ObjectId) -> Self {
        Self { file: write(repository, Mover::Program, name, commit).ok() }
    }

    /// Records that a git process, started next, may update the ref to a commit.
    pub fn for_git(repository: &Repository, name: &str, commit: ObjectId) -> Self {
        Self { file: write(repository, Mover::Git, name, commit).ok() }
    }

    /// Removes the ref's lock file if git was killed and left one. Call this after git has ended.
    pub fn clear_after_git(&self, repository: &Repository) {
        let Some(file) = &self.file else { return };
        if let Some(set) = modified(file.path()) {
            left_behind(repository, set, &fs::read_to_string(file.path()).unwrap_or_default());
        }
    }

    /// Returns the locked file, to be used as the standard input of the git process that updates the ref.
    pub fn file(&self) -> Option<File> {
        self.file.as_ref()?.as_file().try_clone().ok()
    }
}

fn write(repository: &Repository, mover: Mover, name: &str, commit: ObjectId) -> Result<NamedTempFile> {
    let (folder, files) = (repository.make_own_dir()?, repository.files()?);
    let failed = || StoreError::io("write to", &folder);
    let mut file = tempfile::Builder::new().prefix(PREFIX).tempfile_in(&folder).map_err(failed())?;
    file.as_file().lock().map_err(failed())?;
    let mover = if mover == Mover::Program { "program" } else { "git" };
    file.write_all(format!("{mover} {name} {commit}\n").as_bytes()).map_err(failed())?;
    files.share(file.path())?;
    Ok(file)
}

/// Removes the markers of killed processes and the ref locks that these left. Call this only while holding the lock of
/// the mirror.
pub(super) fn clear(repository: &Repository) {
    for path in with_prefix(&repository.own_dir(), PREFIX) {
        let Ok(Some(_lock)) = file_lock::take_over(&path) else { continue };
        if let Some(set) = modified(&path) {
            let text = fs::read_to_string(&path).unwrap_or_default();
            left_behind(repository, set, &text);
        }
        let _ = fs::remove_file(path);
    }
}

/// Removes the ref locks that belong to a marker. If one cannot be removed, the next update of the ref reports it.
fn left_behind(repository: &Repository, set: SystemTime, text: &str) -> Option<()> {
    let mut words = text.strip_suffix('\n')?.split(' ');
    let (mover, name, commit) = (words.next()?, words.next()?, words.next()?);
    let name = gix::refs::FullName::try_from(name).ok()?;
    let lock = |name: &str| repository.common_dir().join(format!("{name}.lock"));
    let own = lock(&name.as_bstr().to_string());
    if fs::read_to_string(&own).is_ok_and(|content| content.is_empty() || content.trim_end() == commit) {
        remove_lock(&own, set, mover);
    }
    // gix also locks packed-refs, only to read them, and leaves the lock file empty.
    let packed = lock("packed-refs");
    if mover == "program" && fs::metadata(&packed).is_ok_and(|packed| packed.len() == 0) {
        remove_lock(&packed, set, mover);
    }
    Some(())
}

/// Removes a lock file if its age matches the marker. Otherwise the lock belongs to an unrelated git process.
fn remove_lock(lock: &Path, set: SystemTime, mover: &str) {
    let Some(after) = modified(lock).and_then(|made| made.duration_since(set).ok()) else { return };
    if mover == "program" && after < SOON {
        let _ = fs::remove_file(lock);
    } else if mover == "git" {
        remove_abandoned(lock, set);
    }
}

/// Removes a lock file that was created after `since`. Waits until the file is older than any lock that git still
/// holds.
pub(super) fn remove_abandoned(lock: &Path, since: SystemTime) {
    let Some(made) = modified(lock).filter(|made| *made >= since) else { return };
    thread::sleep(HELD.saturating_sub(made.elapsed().unwrap_or_default()));
    if modified(lock) == Some(made) {
        let _ = fs::remove_file(lock);
    }
}

/// Returns the time since the last modification of a file or folder.
pub(super) fn age(path: &Path) -> Option<Duration> {
    modified(path)?.elapsed().ok()
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn repository(folder: &Path) -> Repository {
        Repository::init(folder).unwrap();
        Repository::open(folder).unwrap()
    }

    fn commit() -> ObjectId {
        ObjectId::from_hex(&[b'1'; 40]).unwrap()
    }

    /// Leaves the files of a process that is killed during a ref update.
    fn killed(repository: &Repository, marker: RefMarker, content: &str) -> PathBuf {
        let lock = repository.common_dir().join("refs/heads/hexmirror.lock");
        fs::write(&lock, content).unwrap();
        file_lock::release(marker.file.unwrap().keep().unwrap().0);
        lock
    }

    #[test]
    fn locks_of_killed_processes_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        let name = "refs/heads/hexmirror";
        for content in ["", &format!("{}\n", commit())] {
            for marker in [RefMarker::set, RefMarker::for_git] {
                let lock = killed(&repository, marker(&repository, name, commit()), content);
                clear(&repository);
                assert!(!lock.exists(), "{content:?}");
            }
        }
        assert_eq!(fs::read_dir(repository.own_dir()).unwrap().count(), 0);
    }

    #[test]
    fn the_lock_of_a_killed_git_process_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        let lock = repository.common_dir().join("refs/heads/hexmirror.lock");
        let marker = RefMarker::for_git(&repository, "refs/heads/hexmirror", commit());
        for (content, stays) in [(commit().to_string(), false), ("2".repeat(40), true)] {
            fs::write(&lock, content + "\n").unwrap();
            marker.clear_after_git(&repository);
            assert_eq!(lock.exists(), stays);
        }
    }

    #[test]
    fn locks_of_other_programs_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        let marker = || RefMarker::set(&repository, "refs/heads/hexmirror", commit());
        let lock = killed(&repository, marker(), "2222222222222222222222222222222222222222\n");
        clear(&repository);
        assert!(lock.exists(), "another commit is written there");
        fs::write(&lock, "").unwrap();
        clear(&repository);
        assert!(lock.exists(), "there is no marker");
        let alive = marker();
        fs::write(&lock, "").unwrap();
        clear(&repository);
        assert!(lock.exists() && alive.file.as_ref().unwrap().path().exists(), "its process lives");
    }
}
