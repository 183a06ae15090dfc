//! Takes the mirror branch to a remote and brings it from there. What diverged is merged by union.

use std::thread;
use std::time::Duration;

use super::integrate::{Earlier, Source, covers, integrate};
use super::merge::Gained;
use super::signers::check_outgoing;
use super::{OpError, Project, Result};
use crate::git::{Brought, Lease, Place, ProjectGit, Taken};
use crate::model::Remote;
use crate::progress::{Event, Progress};
use crate::store::{Incoming, Lock, Mark, ObjectId, Repository};

/// How often a push is tried that others overtake.
const PUSHES: u32 = 150;
/// The attempt after which a person is told why it takes long.
const TOLD: u32 = 4;

/// How a remote's mirror came into the local one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// There was nothing to bring.
    UpToDate,
    /// There was no local branch; it now stands where the remote's does.
    Adopted,
    /// The local branch moved forward to the remote's.
    Forwarded,
    /// Both had something of their own, and were merged.
    Merged,
    /// The remote's history was compacted; the local branch now stands on it, with what it had of its own.
    Rebased,
}

/// What a pull did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// The remote.
    pub remote: Remote,
    /// How the remote's mirror came in.
    pub way: Way,
    /// What came.
    pub gained: Gained,
    /// The branch's tip now.
    pub commit: ObjectId,
    /// Whether the local branch has what the remote lacks.
    pub ahead: bool,
}

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The remote.
    pub remote: Remote,
    /// Whether the remote got anything; else it had it all.
    pub pushed: bool,
    /// How the remote's mirror came into the local one first.
    pub way: Way,
    /// What came with it.
    pub gained: Gained,
    /// The branch's tip now, here and there.
    pub commit: ObjectId,
    /// How many attempts it took.
    pub attempts: u32,
}

/// How to reach a remote.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reach<'a> {
    /// The remote's name or address, if not git's default.
    pub remote: Option<&'a Remote>,
    /// Whether git may ask for a password.
    pub may_ask: bool,
}

/// Brings a remote's mirror into the local one.
///
/// # Errors
/// Fails where the remote cannot be reached or has no mirror, or what it has is refused; the branch is then as it was.
pub fn pull(project: &Project, reach: Reach<'_>, progress: &dyn Progress) -> Result<Pull> {
    let remote = remote_of(project, reach)?;
    let git = project.git(reach.may_ask)?;
    Lock::sweep(&project.repository);
    let tip = bring(project, &git, &remote)?
        .ok_or_else(|| OpError::RemoteLacks { remote: remote.clone(), branch: project.branch.to_string() })?;
    Ok(integrate(project, Source { remote: &remote, tip }, None, progress)?.0)
}

/// Brings what is known here of a remote's mirror into the local one, without asking the remote.
///
/// # Errors
/// Fails as [`pull`] does; nothing is known where the remote's mirror was never fetched.
pub fn pull_known(project: &Project, remote: &Remote, progress: &dyn Progress) -> Result<Option<Pull>> {
    let tip = project.repository.remote_tip(remote, &project.branch)?;
    tip.iter().try_for_each(|tip| complete(project, remote, *tip))?;
    tip.map(|tip| Ok(integrate(project, Source { remote, tip }, None, progress)?.0)).transpose()
}

/// Takes the local mirror to a remote; what the remote has and the local one lacks is merged first.
///
/// # Errors
/// Fails where there is no local mirror, the remote cannot be reached or does not take the branch, or what it has is refused.
pub fn push(project: &Project, reach: Reach<'_>, progress: &dyn Progress) -> Result<Push> {
    let remote = remote_of(project, reach)?;
    let git = project.git(reach.may_ask)?;
    Lock::sweep(&project.repository);
    let (mut gained, mut settled) = (Gained::default(), Gained::default());
    let (mut attempts, mut way, mut earlier) = (0, Way::UpToDate, None::<Earlier>);
    loop {
        attempts += 1;
        let missing = || project.repository.no_mirror(&project.branch);
        // Of a branch that is no mirror, a remote is spared.
        let own = project.snapshot()?.ok_or_else(missing)?;
        check_outgoing(project, &remote, &own, progress)?;
        let commit = own.commit();
        match take(project, &git, &remote, commit, None)? {
            Taken::Moved => {}
            taken => {
                project.repository.note_remote(&remote, &project.branch, Some(commit), "push")?;
                return Ok(Push { remote, pushed: taken == Taken::Done, way, gained, commit, attempts });
            }
        }
        if attempts > 1 {
            if attempts == PUSHES {
                return Err(OpError::RemoteKeptMoving { remote, branch: project.branch.to_string(), attempts });
            }
            if attempts == TOLD {
                progress.report(Event::Waiting { reason: format!("others who push to {remote}") });
            }
            thread::sleep(longest_pause(attempts).mul_f64(fastrand::f64()));
        }
        // Where the remote's branch is gone by now, the next attempt makes it.
        if let Some(tip) = bring(project, &git, &remote)? {
            if leaves_behind(project, commit, tip)? {
                return Err(OpError::Compacted { remote, branch: project.branch.to_string() });
            }
            let (pull, merged) = integrate(project, Source { remote: &remote, tip }, earlier, progress)?;
            // A merge that replaces an earlier one brings what that one brought.
            if merged.zip(earlier).is_none_or(|(merged, earlier)| merged.own != earlier.own) {
                settled = gained;
            }
            gained = settled + pull.gained;
            if pull.way != Way::UpToDate {
                way = pull.way;
            }
            earlier = merged;
        }
    }
}

/// Replaces a remote's mirror by the local one, whose history was rewritten: by force, but only as long as the remote's
/// stands where it was just seen, and has nothing that the local one lacks.
///
/// # Errors
/// Fails where the remote has anything that the local mirror lacks, has moved meanwhile, or does not take it.
pub fn push_rewritten(project: &Project, reach: Reach<'_>, progress: &dyn Progress) -> Result<Push> {
    let remote = remote_of(project, reach)?;
    let git = project.git(reach.may_ask)?;
    let branch = project.branch.to_string();
    let own = project.snapshot()?.ok_or_else(|| project.repository.no_mirror(&project.branch))?;
    let commit = own.commit();
    let there = bring(project, &git, &remote)?;
    check_outgoing(project, &remote, &own, progress)?;
    if let Some(there) = there
        && !covers(project, commit, there)?
    {
        return Err(OpError::RemoteHasMore { remote, branch });
    }
    let expected = there.map(|there| there.to_string());
    let lease = Lease { expected: expected.as_deref() };
    match take(project, &git, &remote, commit, Some(lease))? {
        Taken::Moved => Err(OpError::RemoteKeptMoving { remote, branch, attempts: 1 }),
        taken => {
            project.repository.note_remote(&remote, &project.branch, Some(commit), "push")?;
            let (pushed, way) = (taken == Taken::Done, Way::UpToDate);
            Ok(Push { remote, pushed, way, gained: Gained::default(), commit, attempts: 1 })
        }
    }
}

/// Tells whether pushing would have to leave a remote's history behind: it was compacted here and not there.
fn leaves_behind(project: &Project, commit: ObjectId, there: ObjectId) -> Result<bool> {
    let repository = &project.repository;
    // Most mirrors were never compacted, which is told soonest.
    Ok(!repository.replaced_by(commit)?.is_empty()
        && repository.replaced_by(there)?.is_empty()
        && repository.common(commit, there)?.is_empty())
}

/// Returns how long a push that was overtaken so often pauses at most, so that those who compete meet less and less. Whoever
/// has lost very often pauses less than the others, and so comes to their turn.
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

/// Pushes a commit to a remote's mirror. Git notes where that stands then, which is marked: it may be killed meanwhile.
fn take(
    project: &Project,
    git: &ProjectGit,
    remote: &Remote,
    commit: ObjectId,
    lease: Option<Lease<'_>>,
) -> Result<Taken> {
    let Project { repository, branch, .. } = project;
    let mark = Mark::of_git(repository, &repository.tracking_ref(remote, branch), commit);
    let taken = git.take(remote, &commit.to_string(), &branch.full_name(), lease, mark.file());
    mark.clear_after_git(repository);
    taken.map_err(OpError::Remote)
}

/// Fetches a remote's mirror, and returns its tip, or `None` where it has none.
pub(super) fn bring(project: &Project, git: &ProjectGit, remote: &Remote) -> Result<Option<ObjectId>> {
    let Project { repository, branch, .. } = project;
    repository.forget_broken_remote(remote, branch)?;
    let incoming = repository.begin_incoming()?;
    let place = place(repository, &incoming);
    let tip = match git.bring(remote, &branch.full_name(), &place).map_err(OpError::Remote)? {
        Brought::Here { commit } => {
            if repository.is_partial() {
                git.complete(remote, &commit, &place).map_err(OpError::Remote)?;
            }
            incoming.keep()?;
            // Git has written nothing else into that file.
            Some(ObjectId::from_hex(commit.as_bytes()).map_err(|_| repository.no_mirror(branch))?)
        }
        Brought::Absent => None,
    };
    repository.note_remote(remote, branch, tip, "pull")?;
    Ok(tip)
}

/// Fetches what a remote's mirror lacks here because this is a partial clone: git itself fetches that when it is looked at,
/// but nobody else does.
pub(super) fn complete(project: &Project, remote: &Remote, tip: ObjectId) -> Result<()> {
    let repository = &project.repository;
    if !repository.is_partial() {
        return Ok(());
    }
    let (git, incoming) = (project.git(false)?, repository.begin_incoming()?);
    git.complete(remote, &tip.to_string(), &place(repository, &incoming)).map_err(OpError::Remote)?;
    Ok(incoming.keep()?)
}

fn place<'a>(repository: &'a Repository, incoming: &'a Incoming) -> Place<'a> {
    let (objects, git_dir, alive) = (incoming.objects(), incoming.git_dir(), incoming.alive());
    Place { objects, git_dir, common_dir: repository.common_dir(), alive }
}
