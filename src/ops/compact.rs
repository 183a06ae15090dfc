//! Rewrites the history of the mirror branch.

use std::sync::Arc;

use super::init::own_mirror;
use super::integrate::covers;
use super::{OpError, Project, Result};
use crate::progress::{Event, Progress};
use crate::store::{Compacted, Lock};

/// Rewrites the branch's history to its `keep` newest commits, one at least; the tree stays. `None` where there is nothing to
/// gain. Asks no network: what remotes have is known as they were last seen.
///
/// # Errors
/// Fails where there is no mirror, and where a remote has what it lacks: that would not come back by a merge.
pub fn compact(project: &Project, keep: usize, progress: &Arc<dyn Progress>) -> Result<Option<Compacted>> {
    let waits = || progress.report(Event::Waiting { reason: "another update of this repository".into() });
    let _lock = Lock::acquire(&project.repository, waits)?;
    let own = own_mirror(project, progress.as_ref())?.commit();
    for (remote, tip) in project.repository.remote_tips(&project.branch)? {
        if project.repository.has(tip) && !covers(project, own, tip)? {
            return Err(OpError::RemoteHasMore { remote, branch: project.branch.to_string() });
        }
    }
    Ok(project.repository.compact(&project.branch, keep)?)
}
