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
    /// The hook updated the mirror.
    Updated(Box<Update>),
    /// The mirror does not cover the locks.
    Stale {
        /// The status of the locks.
        status: Box<Status>,
        /// The remote whose mirror, as last fetched, covers the locks.
        pull_from: Option<Remote>,
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
    let Some(status) = stale_status(project)? else { return outcome(None, Ok(CheckedOutMirror::Fresh)) };
    let unallowed = unallowed_repositories(project, &status);
    if mode == PostCheckout::Notify || !unallowed.is_empty() {
        return outcome(None, stale(project, status, unallowed));
    }
    let pulled = pull_changes(project, mode, progress.as_ref())?;
    outcome(pulled, after_pull(project, mode, progress))
}

/// Updates the mirror if the pull was not enough and the settings say so.
fn after_pull(project: &Project, mode: PostCheckout, progress: &Arc<dyn Progress>) -> Result<CheckedOutMirror> {
    match stale_status(project)? {
        None => Ok(CheckedOutMirror::Fresh),
        Some(_) if mode == PostCheckout::Update => {
            Ok(CheckedOutMirror::Updated(Box::new(update(project, UpdateOptions::default(), progress)?)))
        }
        Some(status) => stale(project, status, Vec::new()),
    }
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

/// Returns the status of the checked-out locks if the mirror does not cover them. If there is a local mirror, it counts
/// alone: these hooks exist to bring it up to date.
fn stale_status(project: &Project) -> Result<Option<Status>> {
    let compare = |locks: &[LockFile]| match project.repository.tip(&project.branch)? {
        None => reading::compare(project, locks, false),
        local => status::compare_at(project, local, locks, false),
    };
    // The checked-out commit may be older than the settings that name its locks.
    match project.present_locks().and_then(|locks| compare(&locks)) {
        Err(OpError::NoLock { .. }) => Ok(None),
        status => Ok(Some(status?).filter(|status| !status.summary.fresh)),
    }
}

fn stale(project: &Project, status: Status, unallowed: Vec<RepositoryName>) -> Result<CheckedOutMirror> {
    let pull_from = remote_with_all(project, &project.present_locks()?);
    Ok(CheckedOutMirror::Stale { status: Box::new(status), pull_from, unallowed })
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
