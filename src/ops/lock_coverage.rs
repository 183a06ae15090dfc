//! Which commits have different locks, and which mirrors cover the locks of a commit. Does not use the network.

use super::project::LockFile;
use super::sync::history::covers;
use super::{Project, Result, status};
use crate::model::Remote;
use crate::store::ObjectId;

/// Returns whether a mirror covers these locks. An unreadable mirror does not.
pub(super) fn has_all(project: &Project, tip: ObjectId, locks: &[LockFile]) -> bool {
    status::compare_at(project, Some(tip), locks, false).is_ok_and(|status| status.summary.fresh)
}

/// Returns the remote whose mirror, as last fetched, covers everything that these locks pin. `None` also if the
/// remote-tracking branches cannot be read.
///
/// Ignores remote mirrors that the local mirror already contains: pulling them would not restore what was pruned since.
pub(super) fn remote_with_all(project: &Project, locks: &[LockFile]) -> Option<Remote> {
    let own = project.repository.tip(&project.branch).ok().flatten();
    let restores = |tip| !own.is_some_and(|own| covers(project, own, tip).unwrap_or(false));
    let tips = project.repository.remote_tips(&project.branch).ok()?;
    tips.into_iter().find(|(_, tip)| has_all(project, *tip, locks) && restores(*tip)).map(|(remote, _)| remote)
}

/// Returns whether two commits have different locks. Compares blob ids without reading files.
///
/// # Errors
/// Fails if a commit cannot be read.
pub(super) fn locks_differ(project: &Project, one: ObjectId, other: ObjectId) -> Result<bool> {
    Ok(one != other && project.locks_at(one)? != project.locks_at(other)?)
}

/// Parses an object id that git passed to a hook. The null id (all zeros) counts as `None`.
pub(super) fn object(id: Option<&str>) -> Option<ObjectId> {
    ObjectId::from_hex(id?.as_bytes()).ok().filter(|id| !id.is_null())
}
