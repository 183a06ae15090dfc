//! How old the registry entries of a mirror are.

use super::status::Status;
use super::today::today;
use super::{Project, Result};
use crate::model::Day;
use crate::plan::EntryAge;
use crate::store::ObjectId;

/// Returns the age of the registry entries of the mirror that was compared. `None` if the locks need none of them.
///
/// # Errors
/// Fails if the mirror's newest commit cannot be read.
pub fn entry_age(project: &Project, status: &Status) -> Result<Option<EntryAge>> {
    let Some(commit) = status.commit.filter(|_| status.summary.present > 0) else { return Ok(None) };
    age_at(project, status.summary.refreshed, commit).map(Some)
}

/// Returns the age of the registry entries at a commit of the mirror, which records the day of their last refresh.
///
/// # Errors
/// Fails if that day is not known and the commit cannot be read.
pub(super) fn age_at(project: &Project, refreshed: Option<Day>, commit: ObjectId) -> Result<EntryAge> {
    let committed = || Ok(Day::of_seconds(project.repository.commit_seconds(commit)?));
    EntryAge::new(refreshed, committed, today())
}
