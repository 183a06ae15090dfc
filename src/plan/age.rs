//! The age of a mirror's registry entries: the day when upstream was last asked for all of them.
//!
//! The mirror records this day, because an age that only one clone knows would mislead everyone else. It is one day for
//! the whole mirror: a day for each entry would change every part of the manifest with each refresh. A refresh records
//! its day even if no entry changed, at most one commit a day; two clones that refresh on the same day write the same.
//!
//! [`merged_day`] is a maximum, so mirrors that are merged in any order end up with the same day. An entry that only the
//! other side has may be older than that day, by as long as the mirrors were apart.

use crate::model::Day;

/// How old the registry entries of a mirror are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryAge {
    /// The age in days.
    pub days: u64,
    /// Whether the entries may be older, because the mirror does not record the day of their last refresh.
    pub at_least: bool,
}

impl EntryAge {
    /// Returns the age of entries that were all refreshed on a recorded day. If that is not known, they are at least as
    /// old as the mirror's newest commit.
    ///
    /// # Errors
    /// Fails if the day of that commit cannot be read.
    pub fn new<E>(refreshed: Option<Day>, committed: impl FnOnce() -> Result<Day, E>, today: Day) -> Result<Self, E> {
        Ok(match known_day(refreshed, today) {
            Some(day) => Self { days: today.days_since(day), at_least: false },
            None => Self { days: today.days_since(committed()?), at_least: true },
        })
    }

    /// Describes the age as a day in the past: `as of 3 days ago`.
    pub fn as_of(self) -> String {
        match self {
            Self { at_least: true, days: 0 } => "of unknown age".to_owned(),
            Self { at_least: true, days } => format!("of unknown age, at least {}", in_words(days)),
            Self { days: 0, .. } => "as of today".to_owned(),
            Self { days, .. } => format!("as of {} ago", in_words(days)),
        }
    }

    /// Returns whether the entries are older than a limit in days. Without a limit, entries never are.
    pub fn exceeds(self, limit: Option<u64>) -> bool {
        limit.is_some_and(|limit| self.days > limit)
    }
}

fn in_words(days: u64) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

/// Returns the day of the last refresh after a merge of two mirrors.
pub fn merged_day(one: Option<Day>, other: Option<Day>, today: Day) -> Option<Day> {
    known_day(one, today).max(known_day(other, today))
}

/// Returns a recorded day, or `None` if it is in the future because the clock that recorded it was wrong. One day of
/// tolerance is for clocks that are slightly ahead around midnight.
pub fn known_day(recorded: Option<Day>, today: Day) -> Option<Day> {
    recorded.filter(|day| day.days_since(today) <= 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn the_age_is_counted_from_the_refresh_or_at_least_from_the_newest_commit() {
        let (committed, today) = (day("2026-11-20"), day("2026-11-28"));
        let age = |refreshed: Option<&str>| {
            let age = EntryAge::new::<()>(refreshed.map(day), || Ok(committed), today).unwrap();
            (age.days, age.at_least)
        };
        assert_eq!(age(Some("2026-10-01")), (58, false));
        assert_eq!(age(Some("2026-11-28")), (0, false));
        assert_eq!(age(Some("2026-11-29")), (0, false));
        assert_eq!(age(Some("9999-12-31")), (8, true), "a day in the future is not believed");
        assert_eq!(age(None), (8, true));
    }

    #[test]
    fn an_age_without_a_recorded_day_is_unknown() {
        let as_of = |days, at_least| EntryAge { days, at_least }.as_of();
        assert_eq!(
            [as_of(0, false), as_of(1, false), as_of(9, false)],
            ["as of today", "as of 1 day ago", "as of 9 days ago"]
        );
        assert_eq!([as_of(0, true), as_of(9, true)], ["of unknown age", "of unknown age, at least 9 days"]);
    }

    #[test]
    fn entries_of_exactly_the_limit_are_not_too_old() {
        let exceeds = |days, limit| EntryAge { days, at_least: false }.exceeds(limit);
        assert!(!exceeds(30, Some(30)) && exceeds(31, Some(30)) && !exceeds(u64::MAX, None));
    }

    proptest! {
        /// Whatever the order, all clones that merge each other's mirrors end with the same day.
        #[test]
        fn merging_is_a_maximum(days in prop::array::uniform3(prop::option::of(0..20_000_i64))) {
            let today = Day::of_seconds(15_000 * 86_400);
            let [a, b, c] = days.map(|day| day.map(|day| Day::of_seconds(day * 86_400)));
            let merge = |one, other| merged_day(one, other, today);
            prop_assert_eq!(merge(a, b), merge(b, a));
            prop_assert_eq!(merge(merge(a, b), c), merge(a, merge(b, c)));
            prop_assert_eq!(merge(merge(a, b), b), merge(a, b));
            prop_assert!(merge(a, b).is_none_or(|day| Some(day) == a || Some(day) == b));
        }
    }
}
