//! Integrates a remote's mirror into the local branch.

use super::apply::{CommitKind, MergeCommit};
use super::checks::check_merge;
use super::fast_forward::{FastForward, adopt, fast_forward};
use super::history::MirrorHistory;
use super::merge::{Merge, merge};
use super::outcome::{Integration, PullOutcome};
use super::remote_mirror::RemoteTip;
use crate::ops::today::today;
use crate::ops::update_lock::lock;
use crate::ops::{OpError, Project, Result};
use crate::plan::{self, Divergence, MergeStatistics, Side, SyncPlan, merged_day};
use crate::progress::Progress;
use crate::store::{ObjectId, Snapshot, StoreError};

/// The number of attempts to merge if other processes keep moving the local branch.
const ATTEMPTS: usize = 5;

/// A merge that was made for a push, which another push then overtook.
pub(super) type SupersededMerge = plan::SupersededMerge<ObjectId>;

/// Why a remote's mirror is integrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The user pulls.
    Pull,
    /// The result is pushed. A push must not bring a compacted history back, so it fails if the local one was compacted
    /// and the remote's was not.
    Push {
        /// The merge of the previous attempt.
        superseded: Option<SupersededMerge>,
    },
}

/// Integrates a remote's commit into the local branch: by fast-forward if the local branch has no commits of its own,
/// otherwise by a merge, which is returned too.
pub(super) fn integrate(
    project: &Project,
    source: RemoteTip<'_>,
    purpose: Purpose,
    progress: &dyn Progress,
) -> Result<(PullOutcome, Option<SupersededMerge>)> {
    let _lock = lock(project, progress)?;
    for _ in 0..ATTEMPTS {
        match integrate_once(project, source, purpose, progress) {
            Err(OpError::Store(StoreError::Moved { .. })) => {}
            done => return done,
        }
    }
    Err(OpError::KeptMoving { branch: project.branch.to_string() })
}

fn integrate_once(
    project: &Project,
    source: RemoteTip<'_>,
    purpose: Purpose,
    progress: &dyn Progress,
) -> Result<(PullOutcome, Option<SupersededMerge>)> {
    let local = project.snapshot()?;
    let plan = plan_of(project, source, local.as_ref(), purpose)?;
    let Some(local) = local else { return Ok((adopt(project, source, progress)?, None)) };
    let branches = Branches { project, source, own: plan.own, local: &local, progress };
    match plan.divergence {
        Divergence::NoLocalBranch => Err(project.repository.no_mirror(&project.branch).into()),
        Divergence::Equal => Ok((branches.up_to_date(false), None)),
        Divergence::Ahead => Ok((branches.up_to_date(true), None)),
        Divergence::Behind => Ok((branches.move_onto(&[local.commit()], false)?, None)),
        Divergence::CompactedThere { bases } => Ok((branches.move_onto(&bases, true)?, None)),
        Divergence::CompactedHere { .. } if purpose != Purpose::Pull => {
            Err(OpError::Compacted { remote: source.remote.clone(), branch: project.branch.to_string() })
        }
        Divergence::CompactedHere { replaces_all: true, .. } => Ok((branches.up_to_date(true), None)),
        Divergence::CompactedHere { bases, .. } => branches.merge(&bases, CommitKind::Replacement),
        Divergence::Diverged { bases } if branches.is_refreshed_there()? => {
            Ok((branches.move_onto(&bases, false)?, None))
        }
        Divergence::Diverged { bases } => branches.merge(&bases, CommitKind::Merge),
    }
}

fn plan_of(
    project: &Project,
    source: RemoteTip<'_>,
    local: Option<&Snapshot>,
    purpose: Purpose,
) -> Result<SyncPlan<ObjectId>> {
    let superseded = match purpose {
        Purpose::Pull => None,
        Purpose::Push { superseded } => superseded,
    };
    let history = MirrorHistory { project, remote: Some(source.remote) };
    Ok(SyncPlan::new(&history, local.map(Snapshot::commit), source.tip, superseded)?)
}

/// The local branch and a remote's.
struct Branches<'a> {
    project: &'a Project,
    source: RemoteTip<'a>,
    /// The local snapshot.
    local: &'a Snapshot,
    /// The local commit to integrate with, if it is not the local tip.
    own: Option<ObjectId>,
    progress: &'a dyn Progress,
}

impl Branches<'_> {
    fn up_to_date(&self, ahead: bool) -> PullOutcome {
        let (remote, commit) = (self.source.remote.clone(), self.local.commit());
        let statistics = MergeStatistics::default();
        PullOutcome { remote, integration: Integration::UpToDate, statistics, commit, ahead }
    }

    /// Returns whether the remote's mirror has the same contents and was refreshed on the same day or later. Clones that
    /// refresh their mirrors at the same time then need no merge, of which each would push its own.
    fn is_refreshed_there(&self) -> Result<bool> {
        let (ours, theirs) = (self.ours()?, self.theirs()?);
        let day = merged_day(ours.refreshed(), theirs.refreshed(), today());
        Ok(self.own.is_none() && day == theirs.refreshed() && ours.has_same_contents(&theirs)?)
    }

    fn move_onto(&self, bases: &[ObjectId], compacted: bool) -> Result<PullOutcome> {
        let (ours, theirs, bases) = (&self.ours()?, &self.theirs()?, &self.snapshots(bases)?);
        let forward = FastForward { ours, theirs, bases, before: self.local.commit(), compacted };
        fast_forward(self.project, self.source, &forward, self.progress)
    }

    fn merge(&self, bases: &[ObjectId], kind: CommitKind) -> Result<(PullOutcome, Option<SupersededMerge>)> {
        let (ours, theirs, bases) = (&self.ours()?, &self.theirs()?, &self.snapshots(bases)?);
        let remote = self.source.remote;
        check_merge(self.project, ours, theirs, remote)?;
        let replaced = self.own.map(|_| self.local.commit());
        let commit = MergeCommit { kind, replaced, title: format!("Merge the mirror of {remote}") };
        let union = Merge { ours, theirs, local: Side::Ours, bases, commit };
        let commit = merge(self.project, &union, self.progress)?;
        let after = self.project.snapshot_of(None, commit)?;
        let (after, before) = after.differing(ours)?;
        let statistics = MergeStatistics::between(&before, &after);
        let merged = SupersededMerge { own: ours.commit(), theirs: self.source.tip, merged: commit };
        let integration = Integration::Merged;
        Ok((PullOutcome { remote: remote.clone(), integration, statistics, commit, ahead: true }, Some(merged)))
    }

    /// Returns the local snapshot to integrate with.
    fn ours(&self) -> Result<Snapshot> {
        self.own.map_or_else(|| Ok(self.local.clone()), |own| self.project.snapshot_of(None, own))
    }

    fn theirs(&self) -> Result<Snapshot> {
        self.project.snapshot_of(Some(self.source.remote), self.source.tip)
    }

    fn snapshots(&self, commits: &[ObjectId]) -> Result<Vec<Snapshot>> {
        commits.iter().map(|commit| self.project.snapshot_of(None, *commit)).collect()
    }
}
