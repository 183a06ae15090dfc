//! The day when upstream was last asked for all registry entries of a mirror.

use std::time::{SystemTime, UNIX_EPOCH};

use super::layout::{self, MirrorFile};
use super::{Repository, Result, Snapshot, StoreError};
use crate::model::Day;

/// The length of a day, in seconds.
const DAY: i64 = 86_400;
/// How many days back a lost `mirror.toml` is searched for: ten years.
const LOST_DAYS: i64 = 3653;

impl Snapshot {
    /// Returns the recorded day when upstream was last asked for all registry entries. It may be in the future if
    /// the clock that recorded it was wrong. Mirrors written by older versions of this program do not record it.
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

    /// Finds the day in a `mirror.toml` whose blob is lost, by the blob's id: the file has nothing else that varies. Tries
    /// the days before the commit, or before now if its date is earlier: users can set any date.
    pub(super) fn lost_day(&self) -> Option<Day> {
        let (lost, _) = self.lookup(layout::MIRROR).ok()??;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        let latest = self.repository.commit_seconds(self.commit).ok()?.max(i64::try_from(now).ok()?) / DAY + 1;
        let mut days = (0..LOST_DAYS).map(|earlier| Day::of_seconds((latest - earlier).saturating_mul(DAY)));
        days.find(|day| Repository::blob_id(MirrorFile::text(Some(*day)).as_bytes()).is_ok_and(|found| found == lost))
    }
}
