//! What of the dependencies changed between two states of the project.

use super::revisions::Between;
use super::{Project, Result};
use crate::plan::{LockChange, lock_changes};

/// What changed, and between what.
#[derive(Debug, Clone)]
pub struct LockDiff {
    /// The two states.
    pub between: Between,
    /// The locks of both, as paths from the root of the worktree.
    pub locks: [Vec<String>; 2],
    /// What changed, sorted by name.
    pub changes: Vec<LockChange>,
}

/// Compares the locks of two states of the project. The mirror is not looked at.
///
/// # Errors
/// Fails where neither state has a lock, or one cannot be used.
pub fn lock_diff(project: &Project, between: Between) -> Result<LockDiff> {
    let [before, after] = between.locks(project)?;
    let changes = lock_changes(&before.wanted, &after.wanted);
    Ok(LockDiff { between, locks: [before.files, after.files], changes })
}
