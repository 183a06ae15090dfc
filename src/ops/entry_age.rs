//! How old the registry entries of a mirror are.

use std::time::{SystemTime, UNIX_EPOCH};

use super::status::Status;
use super::{Project, Result};
use crate::model::Day;
use crate::plan::EntryAge;

/// Returns today's date.
pub(super) fn today() -> Day {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    Day::of_seconds(i64::try_from(now).unwrap_or(i64::MAX))
}

/// Returns the age of the registry entries of the mirror that was compared. `None` if the locks need none of them.
///
/// # Errors
/// Fails if the mirror's newest commit cannot be read.
pub fn entry_age(project: &Project, status: &Status) -> Result<Option<EntryAge>> {
    let Some(commit) = status.commit.filter(|_| status.summary.present > 0) else { return Ok(None) };
    let committed = || Ok(Day::of_seconds(project.repository.commit_seconds(commit)?));
    EntryAge::new(status.summary.refreshed, committed, today()).map(Some)
}
