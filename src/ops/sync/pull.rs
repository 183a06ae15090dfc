//! Pulls a remote's mirror.

use super::integrate::{Purpose, integrate};
use super::outcome::{Integration, PullOutcome};
use super::remote_mirror::{RemoteAccess, RemoteMirror, RemoteTip, complete};
use crate::model::Remote;
use crate::ops::maintenance::maintain;
use crate::ops::{OpError, Project, Result};
use crate::progress::Progress;
use crate::store::Lock;

/// Fetches a remote's mirror and integrates it into the local one.
///
/// # Errors
/// Fails if the remote is unreachable or has no mirror, or if its mirror is rejected. The local branch is then
/// unchanged.
pub fn pull(project: &Project, access: RemoteAccess<'_>, progress: &dyn Progress) -> Result<PullOutcome> {
    let mirror = RemoteMirror::of(project, access)?;
    Lock::sweep(&project.repository);
    let remote = &mirror.remote;
    let lacks = || OpError::RemoteLacks { remote: remote.clone(), branch: project.branch.to_string() };
    let tip = mirror.fetch()?.ok_or_else(lacks)?;
    pulled(project, RemoteTip { remote, tip }, progress)
}

/// Integrates a remote's mirror, as last fetched, without contacting the remote. Returns `None` if it was never
/// fetched.
///
/// # Errors
/// Fails as [`pull`] does.
pub fn pull_known(project: &Project, remote: &Remote, progress: &dyn Progress) -> Result<Option<PullOutcome>> {
    let Some(tip) = project.repository.remote_tip(remote, &project.branch)? else { return Ok(None) };
    complete(project, remote, tip)?;
    Ok(Some(pulled(project, RemoteTip { remote, tip }, progress)?))
}

fn pulled(project: &Project, source: RemoteTip<'_>, progress: &dyn Progress) -> Result<PullOutcome> {
    let (pull, _) = integrate(project, source, Purpose::Pull, progress)?;
    if pull.integration != Integration::UpToDate {
        maintain(project);
    }
    Ok(pull)
}
