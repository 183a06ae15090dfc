//! Pushes the local mirror to a remote.

use std::thread;
use std::time::Duration;

use super::checks::check_outgoing;
use super::history::covers;
use super::integrate::{Purpose, SupersededMerge, integrate};
use super::outcome::{Integration, PullOutcome, PushOutcome};
use super::remote_mirror::{RemoteAccess, RemoteMirror, RemoteTip};
use crate::git::{Lease, PushStatus};
use crate::model::Remote;
use crate::ops::{OpError, Project, Result};
use crate::plan::MergeStatistics;
use crate::progress::{Event, Progress};
use crate::store::{Lock, ObjectId};

/// The maximum number of attempts to push while others keep pushing first.
const MAX_PUSHES: u32 = 150;
/// The number of attempts after which the user is told why the push takes long.
const NOTICE_AFTER: u32 = 4;

/// Pushes the local mirror to a remote. First merges what the remote has and the local mirror lacks.
///
/// # Errors
/// Fails if there is no local mirror, if the remote is unreachable or rejects the push, or if the remote's mirror is
/// rejected.
pub fn push(project: &Project, access: RemoteAccess<'_>, progress: &dyn Progress) -> Result<PushOutcome> {
    let mirror = RemoteMirror::of(project, access)?;
    Lock::sweep(&project.repository);
    let remote = &mirror.remote;
    let mut received = Received::default();
    for attempts in 1..=MAX_PUSHES {
        let commit = outgoing(project, remote)?;
        let status = mirror.push(commit, None)?;
        if status != PushStatus::Moved {
            return Ok(received.pushed(remote, status, commit, attempts));
        }
        if attempts < MAX_PUSHES {
            wait_after(attempts, remote, progress);
            // If the remote's branch was deleted meanwhile, the next attempt creates it.
            if let Some(tip) = mirror.fetch()? {
                let purpose = Purpose::Push { superseded: received.merge };
                let (pull, merge) = integrate(project, RemoteTip { remote, tip }, purpose, progress)?;
                received.add(&pull, merge);
            }
        }
    }
    let (remote, branch) = (mirror.remote, project.branch.to_string());
    Err(OpError::RemoteKeptMoving { remote, branch, attempts: MAX_PUSHES })
}

/// Replaces a remote's mirror with the local one, whose history was rewritten. This is a force-push with a lease: the
/// remote's branch must not have moved since the fetch, and must not have anything that the local mirror lacks.
///
/// # Errors
/// Fails if the remote has anything that the local mirror lacks, if its branch moved meanwhile, or if it rejects the
/// push.
pub fn push_rewritten(project: &Project, access: RemoteAccess<'_>) -> Result<PushOutcome> {
    let mirror = RemoteMirror::of(project, access)?;
    let (remote, branch) = (mirror.remote.clone(), project.branch.to_string());
    // Check that the branch is a mirror before contacting the remote.
    project.snapshot()?.ok_or_else(|| project.repository.no_mirror(&project.branch))?;
    let remote_tip = mirror.fetch()?;
    let commit = outgoing(project, &remote)?;
    if let Some(remote_tip) = remote_tip
        && !covers(project, commit, remote_tip)?
    {
        return Err(OpError::RemoteHasMore { remote, branch });
    }
    let expected = remote_tip.map(|remote_tip| remote_tip.to_string());
    match mirror.push(commit, Some(Lease { expected: expected.as_deref() }))? {
        PushStatus::Moved => Err(OpError::RemoteKeptMoving { remote, branch, attempts: 1 }),
        status => Ok(Received::default().pushed(&remote, status, commit, 1)),
    }
}

/// Returns the local mirror's tip, after checking what a push of it sends to the remote.
fn outgoing(project: &Project, remote: &Remote) -> Result<ObjectId> {
    let own = project.snapshot()?.ok_or_else(|| project.repository.no_mirror(&project.branch))?;
    check_outgoing(project, remote, &own)?;
    Ok(own.commit())
}

/// What the local mirror received from the remote's during a push.
#[derive(Debug, Default)]
struct Received {
    integration: Integration,
    statistics: MergeStatistics,
    /// The statistics without those of `merge`.
    before_merge: MergeStatistics,
    /// The merge of the last attempt, which the next one replaces.
    merge: Option<SupersededMerge>,
}

impl Received {
    fn add(&mut self, pull: &PullOutcome, merge: Option<SupersededMerge>) {
        // A merge that replaces a superseded merge includes what that one added.
        if merge.zip(self.merge).is_none_or(|(merge, superseded)| merge.own != superseded.own) {
            self.before_merge = self.statistics;
        }
        self.statistics = self.before_merge + pull.statistics;
        if pull.integration != Integration::UpToDate {
            self.integration = pull.integration;
        }
        self.merge = merge;
    }

    fn pushed(&self, remote: &Remote, status: PushStatus, commit: ObjectId, attempts: u32) -> PushOutcome {
        let (remote, pushed) = (remote.clone(), status == PushStatus::Pushed);
        let Self { integration, statistics, .. } = *self;
        PushOutcome { remote, pushed, integration, statistics, commit, attempts }
    }
}

/// Waits for a random time before the next attempt. The first failure only means that the remote has something new.
fn wait_after(attempts: u32, remote: &Remote, progress: &dyn Progress) {
    if attempts == NOTICE_AFTER {
        progress.report(Event::Waiting { reason: format!("other pushes to {remote}") });
    }
    if attempts > 1 {
        thread::sleep(longest_pause(attempts).mul_f64(fastrand::f64()));
    }
}

/// Returns the maximum pause before the next attempt, after `losses` failed attempts. The pause grows so that competing
/// pushes collide less. After very many losses it shrinks, so that this push is favoured over the others.
fn longest_pause(losses: u32) -> Duration {
    Duration::from_millis(match losses {
        0..=6 => 25 << losses,
        7..=12 => 1600,
        _ => 400,
    })
}
