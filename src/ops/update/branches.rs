//! Pins the tips of the branches that the settings name.

use super::git_fetcher::resolve_ref;
use super::outcome::UpdateOptions;
use super::pinning::branches_of_project;
use crate::lock::{GitCheckout, OWN_LOCK};
use crate::ops::project::LockFile;
use crate::ops::today::today;
use crate::ops::{OpError, Project, Result};
use crate::plan::{GitPin, RefAnswer, Wanted};

/// Asks upstream for the tips of branches: of those that nothing pins yet and, if the update refreshes, of those that the
/// project's hexmirror.lock pins. Returns the tips that it does not have yet.
///
/// # Errors
/// Fails if upstream cannot be asked or does not have a branch, or if a lock would change that must not.
pub(super) fn new_tips(
    project: &Project,
    locks: &[LockFile],
    wanted: &Wanted,
    options: &UpdateOptions,
) -> Result<Vec<GitPin>> {
    if options.locked && !wanted.unpinned_git.is_empty() {
        return Err(OpError::LockWouldChange { file: OWN_LOCK.to_owned(), is_bare: false });
    }
    // A bare repository has no lock to write.
    if options.locked || project.repository.worktree().is_none() {
        return Ok(Vec::new());
    }
    let pinned = if options.refresh { branches_of_project(project, locks)? } else { Vec::new() };
    let refreshed = pinned.iter().filter_map(GitPin::branch);
    let mut tips = Vec::new();
    for branch in refreshed.chain(wanted.unpinned_git.iter().cloned()) {
        let reference = (branch.url().clone(), GitCheckout::Name(branch.branch().clone()));
        let RefAnswer::Commit(revision) = resolve_ref(project, &reference, options.may_ask)? else {
            return Err(OpError::NoBranch { branch });
        };
        // The day of a tip that has not moved stays, so that a refresh does not change the lock without a reason.
        if !pinned.iter().any(|pin| pin.branch().as_ref() == Some(&branch) && pin.revision == revision) {
            tips.push(GitPin::of_branch(&branch, revision, today()));
        }
    }
    Ok(tips)
}
