//! A day of the calendar, in UTC.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A day, as `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(Date);

/// An error for a text that is not a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a day as YYYY-MM-DD")]
pub struct DayError;

impl Day {
    /// Returns the day of a time in seconds since 1970. Years have at most four digits, so this is the last or first such
    /// day for a time that is beyond them.
    pub fn of_seconds(seconds: i64) -> Self {
        let beyond = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Self(TimeZone::UTC.to_datetime(Timestamp::from_second(seconds).unwrap_or(beyond)).date())
    }

    /// Returns how many days lie between an earlier day and this one, or 0 if that day is later.
    pub fn days_since(self, earlier: Self) -> u64 {
        let days = self.0.duration_since(earlier.0).as_hours() / 24;
        u64::try_from(days).unwrap_or_default()
    }
}

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Self, DayError> {
        let day = text.parse().map(Self).map_err(|_| DayError)?;
        // jiff also accepts a time and other spellings.
        if day.to_string() == text { Ok(day) } else { Err(DayError) }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn days_of_times() {
        let of = |seconds| Day::of_seconds(seconds).to_string();
        assert_eq!(of(0), "1970-01-01");
        assert_eq!(of(86_399), "1970-01-01");
        assert_eq!(of(-1), "1969-12-31");
        assert_eq!(of(1_709_164_800), "2024-02-29");
        assert_eq!(of(i64::MAX), "9999-12-30");
        assert!(of(i64::MIN).starts_with('-'));
    }

    #[test]
    fn only_one_spelling_is_accepted() {
        for text in ["", "2026-11-31", "2026-1-1", "20261128", "2026-11-28T00:00:00", " 2026-11-28", "+002026-11-28"] {
            assert_eq!(text.parse::<Day>(), Err(DayError), "{text:?}");
        }
        assert_eq!(day("2026-11-28").to_string(), "2026-11-28");
    }

    #[test]
    fn days_are_counted_over_months_and_years() {
        assert_eq!(day("2024-03-01").days_since(day("2024-02-28")), 2);
        assert_eq!(day("2027-01-01").days_since(day("2026-01-01")), 365);
        assert_eq!(day("2026-01-01").days_since(day("2027-01-01")), 0);
        assert_eq!(day("9999-12-31").days_since(day("-009999-01-01")), 7_304_483);
    }
}
