//! The date.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::Day;

/// Returns today's date.
pub(super) fn today() -> Day {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    Day::of_seconds(i64::try_from(now).unwrap_or(i64::MAX))
}
