//! The hooks that run after another commit was checked out: `post-checkout`, `post-merge` and `post-rewrite`. They
//! compare the checked-out locks with the mirror, and pull or update it if the user's settings say so.

use std::sync::Arc;

use super::lock_coverage::{locks_differ, object, remote_with_all};
use super::project::LockFile;
use super::reading;
use super::status::{self, Status};
use super::sync::{PullOutcome, RemoteAccess, pull, pull_known};
use super::update::{Update, UpdateOptions, update};
use super::{OpError, Project, Result};
use crate::config::PostCheckout;
use crate::hook::head_move::HeadMove;
use crate::model::{Remote, RepositoryName};
use crate::plan::Comparison;
use crate::progress::Progress;

/// The outcome of a hook that runs after a checkout.
#[derive(Debug)]
pub struct PostCheckoutOutcome {
    /// The outcome of the pull, if the hook pulled.
    pub pulled: Option<PullOutcome>,
    /// The state of the mirror afterwards, or why the hook failed after the pull.
    pub mirror: Result<CheckedOutMirror>,
}

/// How the mirror relates to the checked-out locks.
#[derive(Debug)]
pub enum CheckedOutMirror {
    /// The locks did not change, or the mirror covers them.
    Fresh,
    /// The local mirror does not cover the locks, but this remote's does, as last fetched. Commands read that one.
    AtRemote(Remote),
    /// The hook updated the mirror.
    Updated(Box<Update>),
    /// No mirror covers the locks.
    Stale {
        /// The status of the locks.
        status: Box<Status>,
        /// The repositories that have what the mirror lacks, but that only the tracked settings describe, without the
        /// user's permission. A hook does not act for them, because whoever wrote the branch chose their address and
        /// their key.
        unallowed: Vec<RepositoryName>,
    },
}

/// Compares the checked-out locks with the mirror if they changed. Pulls or updates the mirror if the user's settings
/// say so.
///
/// # Errors
/// Fails if a lock is invalid, the mirror cannot be read, or the pull fails.
pub fn post_checkout(
    project: &Project,
    head_move: &HeadMove,
    progress: &Arc<dyn Progress>,
) -> Result<PostCheckoutOutcome> {
    let outcome = |pulled, mirror| Ok(PostCheckoutOutcome { pulled, mirror });
    let mode = project.config.post_checkout;
    if mode == PostCheckout::Off || !locks_changed(project, head_move)? {
        return outcome(None, Ok(CheckedOutMirror::Fresh));
    }
    if mode == PostCheckout::Notify {
        return outcome(None, as_read(project));
    }
    let Some(status) = stale_status(project)? else { return outcome(None, Ok(CheckedOutMirror::Fresh)) };
    if !unallowed_repositories(project, &status).is_empty() {
        return outcome(None, as_read(project));
    }
    let pulled = pull_changes(project, mode, progress.as_ref())?;
    outcome(pulled, after_pull(project, mode, progress))
}

/// Updates the mirror if the pull was not enough and the settings say so.
fn after_pull(project: &Project, mode: PostCheckout, progress: &Arc<dyn Progress>) -> Result<CheckedOutMirror> {
    if mode == PostCheckout::Update && stale_status(project)?.is_some() {
        return Ok(CheckedOutMirror::Updated(Box::new(update(project, UpdateOptions::default(), progress)?)));
    }
    as_read(project)
}

/// Returns whether the locks changed. Returns `true` if either commit is unknown.
fn locks_changed(project: &Project, head_move: &HeadMove) -> Result<bool> {
    let repository = &project.repository;
    let (before, after) = match head_move {
        HeadMove::Between(before, after) => (object(Some(before)), object(Some(after))),
        HeadMove::FromOrigHead => (repository.ref_id("ORIG_HEAD")?, repository.head()?),
        HeadMove::Unknown => (None, None),
    };
    match (before, after) {
        (Some(before), Some(after)) if project.is_known_commit(before) || repository.has(before) => {
            locks_differ(project, before, after)
        }
        _ => Ok(true),
    }
}

/// Returns the status of the checked-out locks if the local mirror does not cover them. It counts alone, because these hooks
/// bring it up to date. Without one, the mirror that is read counts.
fn stale_status(project: &Project) -> Result<Option<Status>> {
    let status = present_status(project, |locks| match project.repository.tip(&project.branch)? {
        None => reading::compare(project, locks, false),
        local => status::compare_at(project, local, locks, false),
    })?;
    Ok(status.filter(|status| !status.summary.fresh))
}

/// Returns the result of a comparison with the checked-out locks. `None` if there are none: the checked-out commit may be older
/// than the settings that name its locks.
fn present_status(project: &Project, compare: impl FnOnce(&[LockFile]) -> Result<Status>) -> Result<Option<Status>> {
    match project.present_locks().and_then(|locks| compare(&locks)) {
        Err(OpError::NoLock { .. }) => Ok(None),
        status => status.map(Some),
    }
}

/// Compares the checked-out locks with the mirror that commands read for them.
fn as_read(project: &Project) -> Result<CheckedOutMirror> {
    let Some(status) = present_status(project, |locks| reading::compare(project, locks, false))? else {
        return Ok(CheckedOutMirror::Fresh);
    };
    if !status.summary.fresh {
        let unallowed = unallowed_repositories(project, &status);
        return Ok(CheckedOutMirror::Stale { status: Box::new(status), unallowed });
    }
    let has_local = project.repository.tip(&project.branch)?.is_some();
    Ok(status.remote.filter(|_| has_local).map_or(CheckedOutMirror::Fresh, CheckedOutMirror::AtRemote))
}

fn unallowed_repositories(project: &Project, status: &Status) -> Vec<RepositoryName> {
    let lacking = status.comparison.iter().flat_map(Comparison::repositories_to_fetch);
    lacking.filter(|repository| project.tracked.is_alone_with(repository)).cloned().collect()
}

/// Pulls from a remote whose mirror, as last fetched, has everything; else from the default remote, if the user's
/// settings say so.
fn pull_changes(project: &Project, mode: PostCheckout, progress: &dyn Progress) -> Result<Option<PullOutcome>> {
    match remote_with_all(project, &project.present_locks()?) {
        Some(remote) => pull_known(project, &remote, progress),
        None if mode == PostCheckout::Pull => {
            pull(project, RemoteAccess { remote: None, may_ask: false }, progress).map(Some)
        }
        None => Ok(None),
    }
}
