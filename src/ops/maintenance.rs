//! Keeps the repository small and fast after a change of the mirror: merges this program's packs, and leaves the rest to
//! git's own maintenance.

use super::sync::remote_mirror::target;
use super::{Project, Result};
use crate::git::{self, MaintenanceRun};
use crate::store::{Lock, Repository};

/// Maintains the repository after a change. Call this without holding the repository's lock. A failure is not reported,
/// because nothing is lost, and the next change tries again.
pub(in crate::ops) fn maintain(project: &Project) {
    let _ = merge_own_packs(project);
    if let Some(run) = wanted(&project.repository) {
        let repository = &project.repository;
        git::maintain(repository.worktree().unwrap_or(repository.common_dir()), repository.git_dir(), run);
    }
}

/// Merges small packs of this program if there are too many. Other packs stay as they are, and no object is removed, so
/// this does not depend on whether the user lets git collect garbage.
fn merge_own_packs(project: &Project) -> Result<()> {
    let repository = &project.repository;
    if git::merged_packs(&repository.own_packs()).is_empty() {
        return Ok(());
    }
    let Some(_lock) = Lock::try_acquire(repository)? else { return Ok(()) };
    // Another process may have merged them before the lock was acquired.
    let packs = git::merged_packs(&repository.own_packs());
    if packs.is_empty() {
        return Ok(());
    }
    let incoming = repository.begin_incoming()?;
    let merged = project.git(false)?.merge_packs(&packs, &target(repository, &incoming))?;
    incoming.keep()?;
    Ok(repository.remove_merged(&packs, merged)?)
}

/// Returns how git's automatic maintenance is to run, or `None` if the user does not want it (git-maintenance(1),
/// `maintenance.auto`; git-gc(1), `gc.auto` and `gc.autoDetach`).
fn wanted(repository: &Repository) -> Option<MaintenanceRun> {
    let is_off = repository.flag("maintenance.auto") == Some(false)
        || repository.number("gc.auto").is_some_and(|objects| objects <= 0);
    let detaches = repository.flag("maintenance.autoDetach").or_else(|| repository.flag("gc.autoDetach"));
    let run = if detaches == Some(false) { MaintenanceRun::Foreground } else { MaintenanceRun::Background };
    (!is_off).then_some(run)
}
