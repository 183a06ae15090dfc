//! When to try again, and after how long: decides only, the caller sleeps.

use std::time::{Duration, SystemTime};

/// How a failed attempt bears on another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Another attempt would fail in the same way: not found, refused, wrong bytes.
    Lasting,
    /// Nobody answers at that address. Tried once more only, so that being offline is told soon.
    Unreachable,
    /// Likely to pass: a timeout, a reset, an overloaded server, a truncated body.
    Passing,
}

/// A schedule of attempts: exponential, with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How many attempts are made in all.
    pub attempts: u32,
    /// The pause after the first failure; each further one is twice as long.
    pub first_pause: Duration,
    /// The longest pause of the schedule.
    pub longest_pause: Duration,
    /// The longest pause a server may ask for with `Retry-After`; a longer wish is cut to it.
    pub longest_retry_after: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(10),
            longest_retry_after: Duration::from_secs(60),
        }
    }
}

impl Policy {
    /// Makes a policy that never tries again.
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// Tells how long to pause before the next attempt, or `None` to give up.
    ///
    /// `failures` counts the failed attempts, this one included. `retry_after` is what the server asked for: never less is
    /// waited. `random` (0 to 1) spreads the clients that failed together: half of a pause is certain, half is drawn.
    pub fn pause(&self, failures: u32, class: Class, retry_after: Option<Duration>, random: f64) -> Option<Duration> {
        let attempts = match class {
            Class::Lasting => 1,
            Class::Unreachable => self.attempts.min(2),
            Class::Passing => self.attempts,
        };
        if failures >= attempts {
            return None;
        }
        let doublings = failures.saturating_sub(1).min(31);
        let pause = self.first_pause.saturating_mul(1 << doublings).min(self.longest_pause);
        let pause = pause.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0));
        Some(pause.max(retry_after.unwrap_or_default().min(self.longest_retry_after)))
    }
}

/// Reads a `Retry-After` header: seconds, or a date (RFC 9110, section 10.2.3). A date in the past is zero.
pub(super) fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(header).ok().map(|date| date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        attempts: 5,
        first_pause: Duration::from_millis(100),
        longest_pause: Duration::from_millis(600),
        longest_retry_after: Duration::from_secs(9),
    };

    fn schedule(class: Class, random: f64) -> Vec<u128> {
        (1..).map_while(|failures| POLICY.pause(failures, class, None, random)).map(|pause| pause.as_millis()).collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_end() {
        assert_eq!(schedule(Class::Passing, 1.0), [100, 200, 400, 600]);
        assert_eq!(schedule(Class::Passing, 0.0), [50, 100, 200, 300]);
        assert_eq!(schedule(Class::Unreachable, 1.0), [100]);
        assert_eq!(schedule(Class::Lasting, 1.0), []);
        assert_eq!(Policy::never().pause(1, Class::Passing, None, 0.5), None);
    }

    #[test]
    fn the_server_may_ask_for_more_but_not_for_ever() {
        let pause = |seconds| POLICY.pause(1, Class::Passing, Some(Duration::from_secs(seconds)), 1.0).unwrap();
        assert_eq!(pause(0), Duration::from_millis(100));
        assert_eq!(pause(7), Duration::from_secs(7));
        assert_eq!(pause(u64::MAX), Duration::from_secs(9));
    }

    #[test]
    fn extreme_counts_do_not_overflow() {
        let policy = Policy { attempts: u32::MAX, first_pause: Duration::MAX, longest_pause: Duration::MAX, ..POLICY };
        assert!(policy.pause(u32::MAX - 1, Class::Passing, None, 0.5).is_some());
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now), Some(Duration::from_secs(60)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:40:37 GMT", now), Some(Duration::ZERO));
        for header in ["", "-1", "soon", "99999999999999999999"] {
            assert_eq!(retry_after(header, now), None, "{header}");
        }
    }
}
