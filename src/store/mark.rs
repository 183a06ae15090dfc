//! A mark beside the repository while a ref is moved: what a process leaves behind that is killed in that moment is known
//! by it as this program's own, and the next update need not ask a person to delete it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use gix::ObjectId;

use super::{Branch, Repository, Result, StoreError};

/// The longest between the mark and the ref's lock that the same process makes next.
const SOON: Duration = Duration::from_secs(10);

/// That a ref is about to be moved. Taken away when dropped.
pub(super) struct Mark {
    path: PathBuf,
}

impl Mark {
    /// Writes down which ref is about to be moved where.
    pub fn set(repository: &Repository, branch: &Branch, commit: ObjectId) -> Result<Self> {
        let path = path(repository);
        let text = format!("{} {commit}\n", branch.full_name());
        let write = fs::create_dir_all(repository.own_dir()).and_then(|()| fs::write(&path, text));
        write.map_err(StoreError::io("write", &path))?;
        Ok(Self { path })
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // One that stays is looked at by the next update, and does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes the ref's lock that a killed process of this program left, and its mark. To be called while nobody else of this
/// program is at work.
pub(super) fn clear(repository: &Repository) {
    let path = path(repository);
    let Ok(text) = fs::read_to_string(&path) else { return };
    if let Some(lock) = left_behind(repository, &path, &text) {
        // Where it cannot be removed, moving the ref says so.
        let _ = fs::remove_file(lock);
    }
    let _ = fs::remove_file(path);
}

/// Returns the lock that belongs to a mark: it holds the mark's commit, or nothing yet, and was made right after it. Any
/// other is git's.
fn left_behind(repository: &Repository, mark: &PathBuf, text: &str) -> Option<PathBuf> {
    let (name, commit) = text.strip_suffix('\n')?.split_once(' ')?;
    let branch = repository.branch(name).ok()?;
    let lock = repository.common_dir().join(format!("{}.lock", branch.full_name()));
    let content = fs::read_to_string(&lock).ok()?;
    let modified = |path: &PathBuf| fs::metadata(path)?.modified();
    let after = modified(&lock).ok()?.duration_since(modified(mark).ok()?).ok()?;
    ((content.is_empty() || content.trim_end() == commit) && after < SOON).then_some(lock)
}

fn path(repository: &Repository) -> PathBuf {
    repository.own_dir().join("moving")
}
