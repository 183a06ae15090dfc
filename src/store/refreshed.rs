//! The day when upstream was last asked for all registry entries of a mirror.

use super::layout::{self, MirrorFile};
use super::{Repository, Result, Snapshot, StoreError};
use crate::model::Day;

/// The length of a day, in seconds.
const DAY: i64 = 86_400;
/// How many days before its commit a lost `mirror.toml` may have recorded: ten years.
const LOST_DAYS: i64 = 3653;

impl Snapshot {
    /// Returns the recorded day when upstream was last asked for all registry entries. It may be in the future if
    /// somebody's clock is wrong. Mirrors written by older versions of this program do not record it.
    pub fn refreshed(&self) -> Option<Day> {
        self.refreshed
    }

    /// Returns whether two mirrors have the same contents, whenever each was refreshed.
    ///
    /// # Errors
    /// Fails if a tree cannot be read.
    pub fn has_same_contents(&self, other: &Self) -> Result<bool> {
        let contents = |snapshot: &Self| {
            let mut entries = self.repository.folder_entries("", snapshot.tree())?;
            entries.remove(layout::MIRROR);
            Ok::<_, StoreError>(entries)
        };
        Ok(contents(self)? == contents(other)?)
    }

    /// Finds the day in a `mirror.toml` whose blob is lost, by the blob's id: the file has nothing else that varies, and
    /// the day is not much older than the commit.
    pub(super) fn lost_day(&self) -> Option<Day> {
        let (lost, _) = self.lookup(layout::MIRROR).ok()??;
        let latest = self.repository.commit_seconds(self.commit).ok()? / DAY + 1;
        let mut days = (0..LOST_DAYS).map(|earlier| Day::of_seconds((latest - earlier) * DAY));
        days.find(|day| Repository::blob_id(MirrorFile::text(Some(*day)).as_bytes()).is_ok_and(|found| found == lost))
    }
}
