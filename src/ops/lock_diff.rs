//! Compares the dependencies of two states of the project.

use super::project::revisions::ComparedStates;
use super::{Project, Result};
use crate::plan::{LockChange, lock_changes};

/// The changed dependencies between two states.
#[derive(Debug, Clone)]
pub struct LockDiff {
    /// The two states.
    pub between: ComparedStates,
    /// The locks of both states, as paths relative to the worktree's root.
    pub locks: [Vec<String>; 2],
    /// The changes, sorted by name.
    pub changes: Vec<LockChange>,
}

/// Compares the locks of two states of the project. Does not read the mirror.
///
/// # Errors
/// Fails if neither state has a lock, or if a lock is invalid.
pub fn lock_diff(project: &Project, between: ComparedStates) -> Result<LockDiff> {
    let [before, after] = between.locks(project)?;
    let changes = lock_changes(&before.wanted, &after.wanted);
    Ok(LockDiff { between, locks: [before.files, after.files], changes })
}
