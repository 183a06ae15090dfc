//! Decides whether and when to retry. The caller does the waiting.

use std::time::{Duration, SystemTime};

/// Whether a failed attempt is worth a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryClass {
    /// Retries would fail in the same way: not found, access denied, wrong content.
    Lasting,
    /// No server answers at the address. Retried only once, so that being offline is reported quickly.
    Unreachable,
    /// Probably temporary: a timeout, a connection reset, an overloaded server, a truncated body.
    Passing,
}

/// The retry policy: exponential backoff with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The maximum number of attempts.
    pub attempts: u32,
    /// The pause after the first failure. Each further pause is twice as long.
    pub first_pause: Duration,
    /// The maximum pause of the backoff.
    pub longest_pause: Duration,
    /// The maximum pause that a server can request with `Retry-After`. Longer requests are shortened to it.
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
    /// Returns a policy without retries.
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// Returns the pause before the next attempt, or `None` to give up.
    ///
    /// `failures` is the number of failed attempts so far. `retry_after` is the pause that the server requested, which
    /// is a lower bound. `random` (0 to 1) is the jitter, which spreads out clients that failed at the same time. It
    /// determines half of the pause; the other half is fixed.
    pub fn pause(
        &self,
        failures: u32,
        class: RetryClass,
        retry_after: Option<Duration>,
        random: f64,
    ) -> Option<Duration> {
        let attempts = match class {
            RetryClass::Lasting => 1,
            RetryClass::Unreachable => self.attempts.min(2),
            RetryClass::Passing => self.attempts,
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

/// Parses a `Retry-After` header: seconds, or a date (RFC 9110, section 10.2.3). A date in the past counts as zero.
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

    fn schedule(class: RetryClass, random: f64) -> Vec<u128> {
        (1..).map_while(|failures| POLICY.pause(failures, class, None, random)).map(|pause| pause.as_millis()).collect()
    }

    #[test]
    fn pauses_double_up_to_a_maximum_and_end() {
        assert_eq!(schedule(RetryClass::Passing, 1.0), [100, 200, 400, 600]);
        assert_eq!(schedule(RetryClass::Passing, 0.0), [50, 100, 200, 300]);
        assert_eq!(schedule(RetryClass::Unreachable, 1.0), [100]);
        assert_eq!(schedule(RetryClass::Lasting, 1.0), []);
        assert_eq!(Policy::never().pause(1, RetryClass::Passing, None, 0.5), None);
    }

    #[test]
    fn a_server_can_request_longer_pauses_up_to_a_limit() {
        let pause = |seconds| POLICY.pause(1, RetryClass::Passing, Some(Duration::from_secs(seconds)), 1.0).unwrap();
        assert_eq!(pause(0), Duration::from_millis(100));
        assert_eq!(pause(7), Duration::from_secs(7));
        assert_eq!(pause(u64::MAX), Duration::from_secs(9));
    }

    #[test]
    fn extreme_counts_do_not_overflow() {
        let policy = Policy { attempts: u32::MAX, first_pause: Duration::MAX, longest_pause: Duration::MAX, ..POLICY };
        assert!(policy.pause(u32::MAX - 1, RetryClass::Passing, None, 0.5).is_some());
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
