//! Takes the mirror branch to a remote and brings it from there. What diverged is merged by union.

use std::thread;
use std::time::Duration;

use super::merge::{self, Gained};
use super::{OpError, Project, Result};
use crate::git::{Brought, ProjectGit, Taken};
use crate::model::redacted;
use crate::progress::{Event, Progress};
use crate::store::{Lock, ObjectId, Snapshot, StoreError};

/// How often a push is tried that others overtake.
const PUSHES: u32 = 150;
/// The attempt after which a person is told why it takes long.
const TOLD: u32 = 4;
/// How often a merge begins anew because something else moved the local branch.
const ATTEMPTS: usize = 5;

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
}

/// What a pull did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// The remote.
    pub remote: String,
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
    pub remote: String,
    /// Whether the remote got anything; else it had it all.
    pub pushed: bool,
    /// What was merged from the remote first.
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
    pub remote: Option<&'a str>,
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
    let tip = bring(project, &git, &remote)?
        .ok_or_else(|| OpError::RemoteLacks { remote: remote.clone(), branch: project.branch.to_string() })?;
    Ok(integrate(project, &remote, tip, None, progress)?.0)
}

/// Brings what is known here of a remote's mirror into the local one, without asking the remote.
///
/// # Errors
/// Fails as [`pull`] does; nothing is known where the remote's mirror was never fetched.
pub fn pull_known(project: &Project, remote: &str, progress: &dyn Progress) -> Result<Option<Pull>> {
    let tip = project.repository.remote_tip(remote, &project.branch)?;
    tip.map(|tip| Ok(integrate(project, remote, tip, None, progress)?.0)).transpose()
}

/// Takes the local mirror to a remote; what the remote has and the local one lacks is merged first.
///
/// # Errors
/// Fails where there is no local mirror, the remote cannot be reached or does not take the branch, or what it has is refused.
pub fn push(project: &Project, reach: Reach<'_>, progress: &dyn Progress) -> Result<Push> {
    let remote = remote_of(project, reach)?;
    let git = project.git(reach.may_ask)?;
    let reference = project.branch.full_name();
    let (mut gained, mut settled) = (Gained::default(), Gained::default());
    let (mut attempts, mut earlier) = (0, None::<Earlier>);
    loop {
        attempts += 1;
        let missing = || StoreError::NoMirror { branch: project.branch.to_string() };
        // Of a branch that is no mirror, a remote is spared.
        let commit = project.snapshot()?.ok_or_else(missing)?.commit();
        match git.take(&remote, &commit.to_string(), &reference)? {
            Taken::Moved => {}
            taken => {
                project.repository.note_remote(&remote, &project.branch, Some(commit))?;
                return Ok(Push { remote, pushed: taken == Taken::Done, gained, commit, attempts });
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
            let (pull, merged) = integrate(project, &remote, tip, earlier, progress)?;
            // A merge that replaces an earlier one brings what that one brought.
            if merged.zip(earlier).is_none_or(|(merged, earlier)| merged.own != earlier.own) {
                settled = gained;
            }
            gained = settled + pull.gained;
            earlier = merged;
        }
    }
}

/// A merge that was made to be pushed, and was overtaken. Where the branch still stands on it, the next one replaces it, so
/// that the history has one merge and not one for each attempt.
#[derive(Debug, Clone, Copy)]
struct Earlier {
    own: ObjectId,
    theirs: ObjectId,
    merged: ObjectId,
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

fn remote_of(project: &Project, reach: Reach<'_>) -> Result<String> {
    reach.remote.map(str::to_owned).or_else(|| project.repository.default_remote()).ok_or(OpError::NoRemote)
}

/// Fetches a remote's mirror, and returns its tip, or `None` where it has none.
fn bring(project: &Project, git: &ProjectGit, remote: &str) -> Result<Option<ObjectId>> {
    let into = project.repository.tracking_ref(remote, &project.branch);
    match git.bring(remote, &project.branch.full_name(), &into)? {
        Brought::Here => Ok(project.repository.commit_of(&into)?),
        Brought::Absent => {
            project.repository.note_remote(remote, &project.branch, None)?;
            Ok(None)
        }
    }
}

/// Brings another commit into the local branch: forward where that has nothing of its own, else by a merge, which is returned
/// too.
fn integrate(
    project: &Project,
    remote: &str,
    theirs: ObjectId,
    earlier: Option<Earlier>,
    progress: &dyn Progress,
) -> Result<(Pull, Option<Earlier>)> {
    let repository = &project.repository;
    let waits = || progress.report(Event::Waiting { reason: "another update of this repository".into() });
    let _lock = Lock::acquire(repository, waits)?;
    for _ in 0..ATTEMPTS {
        match integrate_once(project, remote, theirs, earlier, progress) {
            Err(OpError::Store(StoreError::Moved { .. })) => {}
            done => return done,
        }
    }
    Err(OpError::KeptMoving { branch: project.branch.to_string() })
}

fn integrate_once(
    project: &Project,
    remote: &str,
    theirs: ObjectId,
    earlier: Option<Earlier>,
    progress: &dyn Progress,
) -> Result<(Pull, Option<Earlier>)> {
    let (repository, branch) = (&project.repository, &project.branch);
    let done = |way, gained, commit, ahead| Pull { remote: remote.to_owned(), way, gained, commit, ahead };
    let their_branch = repository.branch(&repository.tracking_ref(remote, branch))?;
    let Some(ours) = project.snapshot()? else {
        let theirs = Snapshot::at(repository, &their_branch, theirs)?;
        let gained = merge::check(project, None, &theirs, progress)?;
        repository.create(branch, theirs.commit(), &format!("adopted from {remote}"))?;
        return Ok((done(Way::Adopted, gained, theirs.commit(), false), None));
    };
    if repository.is_ancestor(theirs, ours.commit())? {
        return Ok((done(Way::UpToDate, Gained::default(), ours.commit(), theirs != ours.commit()), None));
    }
    let theirs = Snapshot::at(repository, &their_branch, theirs)?;
    if repository.is_ancestor(ours.commit(), theirs.commit())? {
        let gained = merge::check(project, Some(&ours), &theirs, progress)?;
        repository.forward(branch, ours.commit(), theirs.commit(), &format!("pulled from {remote}"))?;
        return Ok((done(Way::Forwarded, gained, theirs.commit(), false), None));
    }
    let (ours, replaced) = match earlier {
        // What the remote had at the earlier merge, it still has.
        Some(Earlier { own, theirs: known, merged })
            if merged == ours.commit() && repository.is_ancestor(known, theirs.commit())? =>
        {
            (Snapshot::at(repository, branch, own)?, Some(merged))
        }
        _ => (ours, None),
    };
    let (commit, gained) = merge::merge(project, &ours, &theirs, replaced, &redacted(remote), progress)?;
    let merged = Earlier { own: ours.commit(), theirs: theirs.commit(), merged: commit };
    Ok((done(Way::Merged, gained, commit, true), Some(merged)))
}
