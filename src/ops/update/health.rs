//! Decides which repositories to keep requesting.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::fetch::FetchError;
use crate::model::RepositoryName;

/// The number of consecutive failures, each after all retries, after which a repository is given up. If 60 % of all
/// requests fail, the chance of giving up by accident is one in 300,000.
const MAX_CONSECUTIVE_FAILURES: u32 = 5;

/// The state of the repositories so far. A repository that is down is given up without affecting the others.
#[derive(Debug, Default)]
pub(in crate::ops) struct Health {
    /// The number of consecutive failures per repository.
    failed: Mutex<BTreeMap<RepositoryName, u32>>,
    /// Whether a local problem, such as a full disk, stops all fetching.
    stopped: AtomicBool,
}

impl Health {
    /// Returns whether a repository receives no further requests.
    pub fn is_given_up(&self, repository: &RepositoryName) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        self.stopped.load(Ordering::Relaxed)
            || failed.get(repository).is_some_and(|failed| *failed >= MAX_CONSECUTIVE_FAILURES)
    }

    /// Records a successful response.
    pub fn answered(&self, repository: &RepositoryName) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        // A repository stays given up: one late response does not mean that it works again.
        if let Some(failed) = failed.get_mut(repository).filter(|failed| **failed < MAX_CONSECUTIVE_FAILURES) {
            *failed = 0;
        }
    }

    /// Records an error. Returns whether to report it: after a repository is given up, its errors only repeat.
    pub fn failed(&self, repository: &RepositoryName, error: &FetchError) -> bool {
        if error.is_local() {
            return !self.stopped.swap(true, Ordering::Relaxed);
        }
        if error.is_not_found() || !error.is_network() {
            self.answered(repository);
            return true;
        }
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = failed.entry(repository.clone()).or_default();
        let before = *failed;
        *failed = if error.is_total() { MAX_CONSECUTIVE_FAILURES } else { before.saturating_add(1) };
        before < MAX_CONSECUTIVE_FAILURES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> FetchError {
        FetchError::Status { url: "http://h/a".parse().unwrap(), status, retry_after: None }
    }

    fn unreachable() -> FetchError {
        FetchError::Unreachable { url: "http://h/a".parse().unwrap(), proxy: None, source: "refused".into() }
    }

    #[test]
    fn a_repository_is_given_up_after_some_failures_in_a_row() {
        let (health, one, other) = (Health::default(), RepositoryName::hexpm(), "acme".parse().unwrap());
        for _ in 0..2 {
            for _ in 1..MAX_CONSECUTIVE_FAILURES {
                assert!(health.failed(&one, &status(503)));
            }
            assert!(!health.is_given_up(&one));
            health.answered(&one);
        }
        for _ in 0..MAX_CONSECUTIVE_FAILURES {
            assert!(health.failed(&one, &status(503)));
        }
        assert!(health.is_given_up(&one) && !health.is_given_up(&other));
        assert!(!health.failed(&one, &status(503)), "told often enough");
        health.answered(&one);
        assert!(health.is_given_up(&one));
    }

    #[test]
    fn an_answer_that_is_an_error_is_an_answer() {
        let (health, one) = (Health::default(), RepositoryName::hexpm());
        let not_found = FetchError::NotFound { url: "http://h/a".parse().unwrap(), status: 404 };
        for _ in 0..2 * MAX_CONSECUTIVE_FAILURES {
            assert!(health.failed(&one, &status(500)));
            assert!(health.failed(&one, &not_found));
        }
        assert!(!health.is_given_up(&one));
    }

    #[test]
    fn a_common_failure_is_reported_once() {
        let (health, one, other) = (Health::default(), RepositoryName::hexpm(), "acme".parse().unwrap());
        assert!(health.failed(&one, &unreachable()));
        assert!(!health.failed(&one, &unreachable()));
        assert!(health.is_given_up(&one) && !health.is_given_up(&other));
        let full = || FetchError::Machine {
            url: "http://h/a".parse().unwrap(),
            source: std::io::Error::from(std::io::ErrorKind::StorageFull),
        };
        assert!(health.failed(&one, &full()) && !health.failed(&other, &full()));
        assert!(health.is_given_up(&other));
    }
}
