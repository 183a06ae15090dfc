//! Moves the local branch to the tip of a remote's mirror.

use super::apply::{CommitKind, MergeCommit};
use super::checks::check_fast_forward;
use super::merge::{Merge, merge};
use super::outcome::{Integration, PullOutcome};
use super::remote_mirror::RemoteTip;
use crate::model::Manifest;
use crate::ops::update::stored_entry::read_entry;
use crate::ops::{Project, Result};
use crate::plan::{MergeStatistics, Side, has_older_entries, has_unshared_contents};
use crate::progress::Progress;
use crate::store::{ObjectId, Snapshot};

/// Creates the local branch at the tip of a remote's mirror.
///
/// # Errors
/// Fails if the mirror is rejected by the checks, or if the local branch exists.
pub(in crate::ops) fn adopt(
    project: &Project,
    RemoteTip { remote, tip }: RemoteTip<'_>,
    progress: &dyn Progress,
) -> Result<PullOutcome> {
    let theirs = project.snapshot_of(Some(remote), tip)?;
    check_fast_forward(project, None, &theirs, remote, progress)?;
    let statistics = MergeStatistics::between(&Manifest::default(), theirs.manifest()?);
    project.repository.create(&project.branch, tip, &format!("adopted from {remote}"))?;
    let integration = Integration::Adopted;
    Ok(PullOutcome { remote: remote.clone(), integration, statistics, commit: tip, ahead: false })
}

/// The local branch that moves to the tip of a remote's mirror.
pub(super) struct FastForward<'a> {
    /// The local mirror.
    pub ours: &'a Snapshot,
    /// The remote's mirror.
    pub theirs: &'a Snapshot,
    /// The snapshots of the merge bases.
    pub bases: &'a [Snapshot],
    /// The local branch's tip, which is not `ours` after a superseded merge.
    pub before: ObjectId,
    /// Whether the remote's history was compacted, so that this is a rebase rather than a fast-forward.
    pub compacted: bool,
}

/// Moves the local branch to the remote's tip. Adds a commit on top if the local mirror has contents of its own, or if
/// locks here need something that was pruned there.
///
/// # Errors
/// Fails if the mirror is rejected by the checks, and with [`crate::store::StoreError::Moved`] if another process moved
/// the branch meanwhile.
pub(super) fn fast_forward(
    project: &Project,
    RemoteTip { remote, tip }: RemoteTip<'_>,
    forward: &FastForward<'_>,
    progress: &dyn Progress,
) -> Result<PullOutcome> {
    let FastForward { ours, theirs, before, compacted, .. } = *forward;
    check_fast_forward(project, Some(ours), theirs, remote, progress)?;
    let commit =
        if loses_something(forward)? { add_on_top(project, forward, format!("{remote}"), progress)? } else { tip };
    let after = if commit == tip {
        let compacted = if compacted { ", which was compacted" } else { "" };
        project.repository.move_tip(&project.branch, before, tip, &format!("pulled from {remote}{compacted}"))?;
        theirs
    } else {
        &project.snapshot_of(None, commit)?
    };
    let (after, ours) = after.differing(ours)?;
    let statistics = MergeStatistics::between(&ours, &after);
    let integration = if compacted { Integration::Rebased } else { Integration::FastForwarded };
    Ok(PullOutcome { remote: remote.clone(), integration, statistics, commit, ahead: commit != tip })
}

/// Returns whether the local mirror has anything that the remote's lacks. After a compaction, any difference counts.
fn loses_something(forward: &FastForward<'_>) -> Result<bool> {
    // A mirror never returns to an older format.
    if forward.theirs.is_of_older_format() && !forward.ours.is_of_older_format() {
        return Ok(true);
    }
    let (ours, theirs) = forward.ours.differing(forward.theirs)?;
    if has_unshared_contents(&ours, &theirs) || forward.compacted && ours != theirs {
        return Ok(true);
    }
    has_older_entries(&ours, &theirs, |side, id| match side {
        Side::Ours => read_entry(forward.ours, id),
        Side::Theirs => read_entry(forward.theirs, id),
    })
}

/// Makes a commit on top of the remote's tip with what only the local mirror has. Returns the remote's tip if nothing of
/// that is needed.
fn add_on_top(
    project: &Project,
    forward: &FastForward<'_>,
    remote: String,
    progress: &dyn Progress,
) -> Result<ObjectId> {
    let title = match forward.compacted {
        true => format!("Add to the mirror of {remote}, which was compacted"),
        false => format!("Keep what is needed here and was pruned on {remote}"),
    };
    let commit = MergeCommit { kind: CommitKind::Ordinary, replaced: Some(forward.before), title };
    let FastForward { ours, theirs, bases, .. } = *forward;
    // The result is based on the remote's mirror.
    let on_top = Merge { ours: theirs, theirs: ours, local: Side::Theirs, bases, commit };
    merge(project, &on_top, progress)
}
