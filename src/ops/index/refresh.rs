//! Keeps the pinned index up to date when something else changes the mirror.

use super::imported::own_signers;
use super::unsettled::Unsettled;
use super::{building, check, key};
use crate::model::ManifestPart;
use crate::model::count;
use crate::ops::{OpError, Project, Result};
use crate::progress::{Event, Progress};
use crate::store::{ObjectId, Published, Snapshot, StoreError, Transaction};

/// The commit that receives the refreshed index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum RefreshCommit {
    /// The tip itself, which this process has just made.
    Amended,
    /// A new commit on top of the tip.
    New,
}

/// Returns the number of packages whose entries in the pinned index do not match the stored releases. Zero if the mirror
/// has no index.
pub(in crate::ops) fn behind(project: &Project, snapshot: &Snapshot) -> Result<usize> {
    if snapshot.part(ManifestPart::Index)?.index_signers.is_empty() {
        return Ok(0);
    }
    Ok(Unsettled::of(project, snapshot)?.plan(None).packages())
}

/// Brings the pinned index at the branch's tip up to date, if the mirror has one and its key is here. Otherwise, or if
/// that fails, the index stays behind, which harms nothing else. Returns the new tip.
///
/// The caller holds the lock of the mirror.
pub(in crate::ops) fn refresh(
    project: &Project,
    tip: ObjectId,
    commit: RefreshCommit,
    progress: &dyn Progress,
) -> Option<Published> {
    let is_behind = |snapshot: &Snapshot| Ok(behind(project, snapshot)? > 0);
    harmless(refreshed(project, tip, commit, is_behind, progress), progress)
}

/// As [`refresh`], after a repair, which may have lost the index of a mirror that had one.
pub(in crate::ops) fn restore(
    project: &Project,
    tip: ObjectId,
    had_index: bool,
    progress: &dyn Progress,
) -> Option<Published> {
    let is_behind = |snapshot: &Snapshot| {
        let is_lost = had_index && snapshot.part(ManifestPart::Index)?.index_signers.is_empty();
        Ok(is_lost || behind(project, snapshot)? > 0)
    };
    harmless(refreshed(project, tip, RefreshCommit::Amended, is_behind, progress), progress)
}

fn harmless(refreshed: Result<Option<Published>>, progress: &dyn Progress) -> Option<Published> {
    match refreshed {
        Ok(published) => published,
        // Another process moved the branch, and takes care of the index.
        Err(OpError::Store(StoreError::Moved { .. })) => None,
        Err(error) => {
            let message = format!("the pinned index was not refreshed: {error}; run `git hexmirror index` for details");
            progress.report(Event::Warning { message });
            None
        }
    }
}

fn refreshed(
    project: &Project,
    tip: ObjectId,
    commit: RefreshCommit,
    is_behind: impl Fn(&Snapshot) -> Result<bool>,
    progress: &dyn Progress,
) -> Result<Option<Published>> {
    if !key::is_present(project) {
        return Ok(None);
    }
    let snapshot = Snapshot::at(&project.repository, &project.branch, tip)?;
    if !is_behind(&snapshot)? {
        return Ok(None);
    }
    let signers = own_signers(project, &snapshot)?;
    let Some(key) = key::find(project, &signers)? else { return Ok(None) };
    key.check(&signers)?;
    check::public_keys(&snapshot)?;
    let mut transaction = Transaction::begin(&project.repository, &project.branch, Some(&snapshot))?;
    let build = building::build(project, &snapshot, &key.private, &mut transaction, progress)?;
    for left_out in &build.left_out {
        progress.report(Event::Warning { message: format!("the pinned index does not list {left_out}") });
    }
    let published = match commit {
        RefreshCommit::Amended => transaction.publish_amended(&snapshot)?,
        RefreshCommit::New => {
            let changed = count(build.changed, "package", "packages");
            transaction.publish(&format!("Refresh the pinned index: {changed}\n"))?
        }
    };
    Ok(Some(published))
}
