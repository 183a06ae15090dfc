//! Takes the mirror branch to a remote and brings it from there. What diverged is merged by union.

use std::thread;
use std::time::Duration;

use super::merge::{self, Gained};
use super::{OpError, Project, Result};
use crate::fetch::retry::{Class, Policy};
use crate::git::{Brought, ProjectGit, Taken};
use crate::progress::{Event, Progress};
use crate::store::{Lock, ObjectId, Snapshot, StoreError};

/// When a push that somebody else's overtook is tried again. The pauses grow until those who compete rarely meet.
const RACES: Policy = Policy {
    attempts: 30,
    first_pause: Duration::from_millis(20),
    longest_pause: Duration::from_millis(2500),
    longest_retry_after: Duration::ZERO,
};
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
    integrate(project, &remote, tip, progress)
}

/// Brings what is known here of a remote's mirror into the local one, without asking the remote.
///
/// # Errors
/// Fails as [`pull`] does; nothing is known where the remote's mirror was never fetched.
pub fn pull_known(project: &Project, remote: &str, progress: &dyn Progress) -> Result<Option<Pull>> {
    let tip = project.repository.remote_tip(remote, &project.branch)?;
    tip.map(|tip| integrate(project, remote, tip, progress)).transpose()
}

/// Takes the local mirror to a remote; what the remote has and the local one lacks is merged first.
///
/// # Errors
/// Fails where there is no local mirror, the remote cannot be reached or does not take the branch, or what it has is refused.
pub fn push(project: &Project, reach: Reach<'_>, progress: &dyn Progress) -> Result<Push> {
    let remote = remote_of(project, reach)?;
    let git = project.git(reach.may_ask)?;
    let reference = project.branch.full_name();
    let mut gained = Gained::default();
    let mut attempts = 0;
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
            let Some(pause) = RACES.pause(attempts, Class::Passing, None, fastrand::f64()) else {
                return Err(OpError::RemoteKeptMoving { remote, branch: project.branch.to_string(), attempts });
            };
            progress.report(Event::Waiting { reason: format!("others who push to {remote}") });
            thread::sleep(pause);
        }
        // Where the remote's branch is gone by now, the next attempt makes it.
        if let Some(tip) = bring(project, &git, &remote)? {
            let pull = integrate(project, &remote, tip, progress)?;
            gained.releases += pull.gained.releases;
            gained.entries += pull.gained.entries;
        }
    }
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

/// Brings another commit into the local branch: forward where that has nothing of its own, else by a merge.
fn integrate(project: &Project, remote: &str, theirs: ObjectId, progress: &dyn Progress) -> Result<Pull> {
    let repository = &project.repository;
    let waits = || progress.report(Event::Waiting { reason: "another update of this repository".into() });
    let _lock = Lock::acquire(repository, waits)?;
    for _ in 0..ATTEMPTS {
        match integrate_once(project, remote, theirs, progress) {
            Err(OpError::Store(StoreError::Moved { .. })) => {}
            done => return done,
        }
    }
    Err(OpError::KeptMoving { branch: project.branch.to_string() })
}

fn integrate_once(project: &Project, remote: &str, theirs: ObjectId, progress: &dyn Progress) -> Result<Pull> {
    let (repository, branch) = (&project.repository, &project.branch);
    let done = |way, gained, commit, ahead| Ok(Pull { remote: remote.to_owned(), way, gained, commit, ahead });
    let their_branch = repository.branch(&repository.tracking_ref(remote, branch))?;
    let Some(ours) = project.snapshot()? else {
        let theirs = Snapshot::at(repository, &their_branch, theirs)?;
        let gained = merge::check(project, None, &theirs, progress)?;
        repository.create(branch, theirs.commit(), &format!("adopted from {remote}"))?;
        return done(Way::Adopted, gained, theirs.commit(), false);
    };
    if repository.is_ancestor(theirs, ours.commit())? {
        return done(Way::UpToDate, Gained::default(), ours.commit(), theirs != ours.commit());
    }
    let theirs = Snapshot::at(repository, &their_branch, theirs)?;
    if repository.is_ancestor(ours.commit(), theirs.commit())? {
        let gained = merge::check(project, Some(&ours), &theirs, progress)?;
        repository.forward(branch, ours.commit(), theirs.commit(), &format!("pulled from {remote}"))?;
        return done(Way::Forwarded, gained, theirs.commit(), false);
    }
    let (commit, gained) = merge::merge(project, &ours, &theirs, &crate::model::redacted(remote), progress)?;
    done(Way::Merged, gained, commit, true)
}
