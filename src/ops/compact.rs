//! Rewrites the history of the mirror branch.

use std::sync::Arc;

use super::init::own_mirror;
use super::sync::history::covers;
use super::update_lock::lock;
use super::{OpError, Project, Result};
use crate::progress::Progress;
use crate::store::Compacted;

/// Rewrites the branch's history to its `keep` newest commits (at least one) without changing the tip's tree. Returns
/// `None` if the history is already that short. Makes no network request: remote branches are compared as last fetched.
///
/// # Errors
/// Fails if there is no mirror, if its manifest is damaged, or if a remote has contents that the local mirror lacks,
/// because a later merge could not recover them.
pub fn compact(project: &Project, keep: usize, progress: &Arc<dyn Progress>) -> Result<Option<Compacted>> {
    let _lock = lock(project, progress.as_ref())?;
    let own = own_mirror(project, progress.as_ref())?;
    // The history may have what the tip lost.
    own.check_manifest()?;
    let own = own.commit();
    for (remote, tip) in project.repository.remote_tips(&project.branch)? {
        if project.repository.has(tip) && !covers(project, own, tip)? {
            return Err(OpError::RemoteHasMore { remote, branch: project.branch.to_string() });
        }
    }
    Ok(project.repository.compact(&project.branch, keep)?)
}
