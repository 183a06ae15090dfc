//! The lock that all changes of the mirror branch hold.

use super::{Project, Result};
use crate::progress::{Event, Progress};
use crate::store::Lock;

/// Waits until no other process changes the mirror.
///
/// # Errors
/// Fails if the repository cannot be locked.
pub(super) fn lock(project: &Project, progress: &dyn Progress) -> Result<Lock> {
    let waits = || progress.report(Event::Waiting { reason: "another update of this repository".into() });
    Ok(Lock::acquire(&project.repository, waits)?)
}
