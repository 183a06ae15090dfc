//! A mark beside the repository while a ref is moved. If a process is killed in that moment, its mark tells that the ref's
//! lock is this program's own, and the next one removes it instead of asking a person to.
//!
//! The file is locked as long as its process lives, and as long as a git lives that was started with it as its standard
//! input. A mark that can be locked belongs to nobody any more.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use gix::ObjectId;
use tempfile::NamedTempFile;

use super::{Repository, Result, StoreError};

/// How the names of marks begin.
pub(super) const PREFIX: &str = "moving-";
/// The longest between a mark and the lock that this process itself makes next.
const SOON: Duration = Duration::from_secs(10);
/// For how long nobody holds the lock of a ref: git writes a line into it and renames it.
const HELD: Duration = Duration::from_secs(1);

/// Who moves the ref that a mark names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mover {
    /// This program, at once.
    Program,
    /// A git that it has started, whenever that comes to it.
    Git,
}

/// That a ref is about to be moved. Taken away when dropped.
#[derive(Debug)]
pub struct Mark {
    /// Nothing if no file can be made: the mark only helps the next process.
    file: Option<NamedTempFile>,
}

impl Mark {
    /// Writes down which ref this process is about to move where.
    pub(super) fn set(repository: &Repository, name: &str, commit: ObjectId) -> Self {
        Self { file: write(repository, Mover::Program, name, commit).ok() }
    }

    /// Writes down which ref a git that is started next may move where.
    pub fn of_git(repository: &Repository, name: &str, commit: ObjectId) -> Self {
        Self { file: write(repository, Mover::Git, name, commit).ok() }
    }

    /// Removes the lock that the git has left if it was killed. To be called when it has ended.
    pub fn clear_after_git(&self, repository: &Repository) {
        let Some(file) = &self.file else { return };
        if let Some(set) = modified(file.path()) {
            left_behind(repository, set, &fs::read_to_string(file.path()).unwrap_or_default());
        }
    }

    /// Returns the locked file, for the standard input of the git that moves the ref.
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

/// Removes the marks of processes that were killed, and the locks of refs that they left. To be called while nobody else of
/// this program moves the mirror branch.
pub(super) fn clear(repository: &Repository) {
    for path in super::sweep::named(&repository.own_dir(), PREFIX) {
        let Ok(file) = File::options().read(true).write(true).open(&path) else { continue };
        if file.try_lock().is_err() {
            continue;
        }
        if let Some(set) = modified(&path) {
            let text = fs::read_to_string(&path).unwrap_or_default();
            left_behind(repository, set, &text);
        }
        let _ = fs::remove_file(path);
    }
}

/// Removes the locks that belong to a mark. A lock that cannot be removed is reported when the ref is moved next.
fn left_behind(repository: &Repository, set: SystemTime, text: &str) -> Option<()> {
    let mut words = text.strip_suffix('\n')?.split(' ');
    let (mover, name, commit) = (words.next()?, words.next()?, words.next()?);
    let name = gix::refs::FullName::try_from(name).ok()?;
    let lock = |name: &str| repository.common_dir().join(format!("{name}.lock"));
    let own = lock(&name.as_bstr().to_string());
    if fs::read_to_string(&own).is_ok_and(|content| content.is_empty() || content.trim_end() == commit) {
        remove_lock(&own, set, mover);
    }
    // gix locks the packed refs too, to read them, and writes nothing there.
    let packed = lock("packed-refs");
    if mover == "program" && fs::metadata(&packed).is_ok_and(|packed| packed.len() == 0) {
        remove_lock(&packed, set, mover);
    }
    Some(())
}

/// Removes a lock if it was made when the mark says so. Any other is another git's.
fn remove_lock(lock: &Path, set: SystemTime, mover: &str) {
    let Some(after) = modified(lock).and_then(|made| made.duration_since(set).ok()) else { return };
    if mover == "program" && after < SOON {
        let _ = fs::remove_file(lock);
    } else if mover == "git" {
        remove_abandoned(lock, set);
    }
}

/// Removes a lock that is older than any that git holds, and was made after `since`. Waits for it to become so.
pub(super) fn remove_abandoned(lock: &Path, since: SystemTime) {
    let Some(made) = modified(lock).filter(|made| *made >= since) else { return };
    thread::sleep(HELD.saturating_sub(made.elapsed().unwrap_or_default()));
    if modified(lock) == Some(made) {
        let _ = fs::remove_file(lock);
    }
}

/// Returns how long ago a file or folder was changed.
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

    /// Leaves what a process leaves that is killed while it moves a ref.
    fn killed(repository: &Repository, mark: Mark, content: &str) -> PathBuf {
        let lock = repository.common_dir().join("refs/heads/hexmirror.lock");
        fs::write(&lock, content).unwrap();
        mark.file.unwrap().keep().unwrap();
        lock
    }

    #[test]
    fn locks_of_killed_processes_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        let name = "refs/heads/hexmirror";
        for content in ["", &format!("{}\n", commit())] {
            for mark in [Mark::set, Mark::of_git] {
                let lock = killed(&repository, mark(&repository, name, commit()), content);
                clear(&repository);
                assert!(!lock.exists(), "{content:?}");
            }
        }
        assert_eq!(fs::read_dir(repository.own_dir()).unwrap().count(), 0);
    }

    #[test]
    fn the_lock_of_a_git_that_was_killed_alone_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        let lock = repository.common_dir().join("refs/heads/hexmirror.lock");
        let mark = Mark::of_git(&repository, "refs/heads/hexmirror", commit());
        for (content, stays) in [(commit().to_string(), false), ("2".repeat(40), true)] {
            fs::write(&lock, content + "\n").unwrap();
            mark.clear_after_git(&repository);
            assert_eq!(lock.exists(), stays);
        }
    }

    #[test]
    fn locks_of_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        let mark = || Mark::set(&repository, "refs/heads/hexmirror", commit());
        let lock = killed(&repository, mark(), "2222222222222222222222222222222222222222\n");
        clear(&repository);
        assert!(lock.exists(), "another commit is written there");
        fs::write(&lock, "").unwrap();
        clear(&repository);
        assert!(lock.exists(), "there is no mark");
        let alive = mark();
        fs::write(&lock, "").unwrap();
        clear(&repository);
        assert!(lock.exists() && alive.file.as_ref().unwrap().path().exists(), "its process lives");
    }
}
