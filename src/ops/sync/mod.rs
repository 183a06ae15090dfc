//! Pushes the mirror branch to a remote and pulls it from there. Diverged mirrors are merged into their union.

pub(in crate::ops) mod integrate;
pub(in crate::ops) mod merge;
pub(in crate::ops) mod signers;

use std::thread;
use std::time::Duration;

use crate::git::{FetchOutcome, FetchTarget, Lease, ProjectGit, PushOutcome};
use crate::model::Remote;
use crate::ops::{OpError, Project, Result};
use crate::progress::{Event, Progress};
use crate::store::{Incoming, Lock, ObjectId, RefMarker, Repository};
use integrate::{Source, SupersededMerge, covers, integrate};
use merge::MergeStatistics;
use signers::check_outgoing;

/// The maximum number of attempts to push while others keep pushing first.
const MAX_PUSHES: u32 = 150;
/// The number of attempts after which the user is told why the push takes long.
const NOTICE_AFTER: u32 = 4;

/// How a remote's mirror was integrated into the local one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The local mirror already had everything.
    UpToDate,
    /// The local branch did not exist and was created at the remote's tip.
    Adopted,
    /// The local branch was fast-forwarded.
    FastForwarded,
    /// The two mirrors had diverged and were merged.
    Merged,
    /// The remote's history was compacted. The local branch was moved onto it, and the local mirror's own contents were
    /// added on top.
    Rebased,
}

/// The result of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// The remote.
    pub remote: Remote,
    /// How the remote's mirror was integrated.
    pub way: Way,
    /// What the local mirror received.
    pub statistics: MergeStatistics,
    /// The branch's tip after the pull.
    pub commit: ObjectId,
    /// Whether the local mirror has something that the remote lacks.
    pub ahead: bool,
}

/// The result of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The remote.
    pub remote: Remote,
    /// Whether anything was pushed. `false` if the remote already had everything.
    pub pushed: bool,
    /// How the remote's mirror was integrated into the local one before the push.
    pub way: Way,
    /// What the local mirror received.
    pub statistics: MergeStatistics,
    /// The tip of both branches after the push.
    pub commit: ObjectId,
    /// The number of attempts.
    pub attempts: u32,
}

/// How to access a remote.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reach<'a> {
    /// The remote's name or address. `None` for git's default remote.
    pub remote: Option<&'a Remote>,
    /// Whether git may ask for a password.
    pub may_ask: bool,
}

/// Fetches a remote's mirror and integrates it into the local one.
///
/// # Errors
/// Fails if the remote is unreachable or has no mirror, or if its mirror is rejected. The local branch is then
/// unchanged.
pub fn pull(project: &Project, reach: Reach<'_>, progress: &dyn Progress) -> Result<Pull> {
    let remote = remote_of(project, reach)?;
    let git = project.git(reach.may_ask)?;
    Lock::sweep(&project.repository);
    let tip = fetch_mirror(project, &git, &remote)?
        .ok_or_else(|| OpError::RemoteLacks { remote: remote.clone(), branch: project.branch.to_string() })?;
    Ok(integrate(project, Source { remote: &remote, tip }, None, progress)?.0)
}

/// Integrates a remote's mirror, as last fetched, without contacting the remote. Returns `None` if it was never
/// fetched.
///
/// # Errors
/// Fails as [`pull`] does.
pub fn pull_known(project: &Project, remote: &Remote, progress: &dyn Progress) -> Result<Option<Pull>> {
    let tip = project.repository.remote_tip(remote, &project.branch)?;
    tip.iter().try_for_each(|tip| complete(project, remote, *tip))?;
    tip.map(|tip| Ok(integrate(project, Source { remote, tip }, None, progress)?.0)).transpose()
}

/// Pushes the local mirror to a remote. First merges what the remote has and the local mirror lacks.
///
/// # Errors
/// Fails if there is no local mirror, if the remote is unreachable or rejects the push, or if the remote's mirror is
/// rejected.
pub fn push(project: &Project, reach: Reach<'_>, progress: &dyn Progress) -> Result<Push> {
    let remote = remote_of(project, reach)?;
    let git = project.git(reach.may_ask)?;
    Lock::sweep(&project.repository);
    let (mut statistics, mut settled) = (MergeStatistics::default(), MergeStatistics::default());
    let (mut attempts, mut way, mut superseded) = (0, Way::UpToDate, None::<SupersededMerge>);
    loop {
        attempts += 1;
        let missing = || project.repository.no_mirror(&project.branch);
        // Check that the branch is a mirror before contacting the remote.
        let own = project.snapshot()?.ok_or_else(missing)?;
        check_outgoing(project, &remote, &own)?;
        let commit = own.commit();
        match push_commit(project, &git, &remote, commit, None)? {
            PushOutcome::Moved => {}
            outcome => {
                project.repository.note_remote(&remote, &project.branch, Some(commit), "push")?;
                return Ok(Push { remote, pushed: outcome == PushOutcome::Pushed, way, statistics, commit, attempts });
            }
        }
        if attempts > 1 {
            if attempts == MAX_PUSHES {
                return Err(OpError::RemoteKeptMoving { remote, branch: project.branch.to_string(), attempts });
            }
            if attempts == NOTICE_AFTER {
                progress.report(Event::Waiting { reason: format!("other pushes to {remote}") });
            }
            thread::sleep(longest_pause(attempts).mul_f64(fastrand::f64()));
        }
        // If the remote's branch was deleted meanwhile, the next attempt creates it.
        if let Some(tip) = fetch_mirror(project, &git, &remote)? {
            if leaves_behind(project, commit, tip)? {
                return Err(OpError::Compacted { remote, branch: project.branch.to_string() });
            }
            let (pull, merged) = integrate(project, Source { remote: &remote, tip }, superseded, progress)?;
            // A merge that replaces a superseded merge includes what that one added.
            if merged.zip(superseded).is_none_or(|(merged, superseded)| merged.own != superseded.own) {
                settled = statistics;
            }
            statistics = settled + pull.statistics;
            if pull.way != Way::UpToDate {
                way = pull.way;
            }
            superseded = merged;
        }
    }
}

/// Replaces a remote's mirror with the local one, whose history was rewritten. This is a force-push with a lease: the
/// remote's branch must not have moved since the fetch, and must not have anything that the local mirror lacks.
///
/// # Errors
/// Fails if the remote has anything that the local mirror lacks, if its branch moved meanwhile, or if it rejects the
/// push.
pub fn push_rewritten(project: &Project, reach: Reach<'_>) -> Result<Push> {
    let remote = remote_of(project, reach)?;
    let git = project.git(reach.may_ask)?;
    let branch = project.branch.to_string();
    let own = project.snapshot()?.ok_or_else(|| project.repository.no_mirror(&project.branch))?;
    let commit = own.commit();
    let remote_tip = fetch_mirror(project, &git, &remote)?;
    check_outgoing(project, &remote, &own)?;
    if let Some(remote_tip) = remote_tip
        && !covers(project, commit, remote_tip)?
    {
        return Err(OpError::RemoteHasMore { remote, branch });
    }
    let expected = remote_tip.map(|remote_tip| remote_tip.to_string());
    let lease = Lease { expected: expected.as_deref() };
    match push_commit(project, &git, &remote, commit, Some(lease))? {
        PushOutcome::Moved => Err(OpError::RemoteKeptMoving { remote, branch, attempts: 1 }),
        outcome => {
            project.repository.note_remote(&remote, &project.branch, Some(commit), "push")?;
            let (pushed, way) = (outcome == PushOutcome::Pushed, Way::UpToDate);
            Ok(Push { remote, pushed, way, statistics: MergeStatistics::default(), commit, attempts: 1 })
        }
    }
}

/// Returns whether a push would have to replace the remote's history, because it was compacted here but not there.
fn leaves_behind(project: &Project, commit: ObjectId, remote_tip: ObjectId) -> Result<bool> {
    let repository = &project.repository;
    // Most mirrors were never compacted, and this check is the cheapest.
    Ok(!repository.replaced_by(commit)?.is_empty()
        && repository.replaced_by(remote_tip)?.is_empty()
        && repository.common(commit, remote_tip)?.is_empty())
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

fn remote_of(project: &Project, reach: Reach<'_>) -> Result<Remote> {
    reach.remote.cloned().or_else(|| project.repository.default_remote()).ok_or(OpError::NoRemote)
}

/// Pushes a commit to a remote's mirror branch. Git then updates the remote-tracking branch. A marker protects this
/// update, because git may be killed in the middle of it.
fn push_commit(
    project: &Project,
    git: &ProjectGit,
    remote: &Remote,
    commit: ObjectId,
    lease: Option<Lease<'_>>,
) -> Result<PushOutcome> {
    let Project { repository, branch, .. } = project;
    let marker = RefMarker::for_git(repository, &repository.tracking_ref(remote, branch), commit);
    let outcome = git.push(remote, &commit.to_string(), &branch.full_name(), lease, marker.file());
    marker.clear_after_git(repository);
    outcome.map_err(OpError::Remote)
}

/// Fetches a remote's mirror and returns its tip, or `None` if it has none.
pub(in crate::ops) fn fetch_mirror(project: &Project, git: &ProjectGit, remote: &Remote) -> Result<Option<ObjectId>> {
    let Project { repository, branch, .. } = project;
    repository.forget_broken_remote(remote, branch)?;
    let incoming = repository.begin_incoming()?;
    let target = target(repository, &incoming);
    let tip = match git.fetch(remote, &branch.full_name(), &target).map_err(OpError::Remote)? {
        FetchOutcome::Fetched { commit } => {
            if repository.is_partial() {
                git.complete(remote, &commit, &target).map_err(OpError::Remote)?;
            }
            incoming.keep()?;
            // Git writes nothing else to that file.
            Some(ObjectId::from_hex(commit.as_bytes()).map_err(|_| repository.no_mirror(branch))?)
        }
        FetchOutcome::Absent => None,
    };
    repository.note_remote(remote, branch, tip, "pull")?;
    Ok(tip)
}

/// Fetches objects of a remote's mirror that a partial clone lacks. Git fetches such objects on access, but other
/// readers do not.
pub(in crate::ops) fn complete(project: &Project, remote: &Remote, tip: ObjectId) -> Result<()> {
    let repository = &project.repository;
    if !repository.is_partial() {
        return Ok(());
    }
    let (git, incoming) = (project.git(false)?, repository.begin_incoming()?);
    git.complete(remote, &tip.to_string(), &target(repository, &incoming)).map_err(OpError::Remote)?;
    Ok(incoming.keep()?)
}

fn target<'a>(repository: &'a Repository, incoming: &'a Incoming) -> FetchTarget<'a> {
    let (objects, git_dir, alive) = (incoming.objects(), incoming.git_dir(), incoming.alive());
    FetchTarget { objects, git_dir, common_dir: repository.common_dir(), alive }
}
