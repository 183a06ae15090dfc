//! Follows the mirror of a remote, so that any number of servers can have the same contents.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::model::{Remote, shortened};
use crate::ops::sync::{PullOutcome, RemoteAccess, pull};
use crate::ops::{OpError, Project, Result};
use crate::progress::Silent;

/// How many intervals may pass without a fetch before a server counts as stale. One may be missed by chance.
const MISSED: u32 = 3;

/// A server's project that follows a remote.
pub struct Follower {
    project: Project,
    remote: Remote,
    every: Duration,
    state: FollowState,
}

/// How following goes, for health checks.
#[derive(Clone, Default)]
pub struct FollowState(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    remote: String,
    every: Duration,
    fetched: Option<Instant>,
    problem: Option<String>,
}

impl Follower {
    /// Prepares to pull from a remote. Does not contact it.
    pub fn new(project: &Project, remote: Remote, every: Duration) -> Self {
        let state = State { remote: remote.to_string(), every, ..State::default() };
        Self { project: project.clone(), remote, every, state: FollowState(Arc::new(Mutex::new(state))) }
    }

    /// Returns how following goes, also in the future.
    pub fn state(&self) -> FollowState {
        self.state.clone()
    }

    /// Pulls once. What is pulled is checked as by `pull`.
    ///
    /// # Errors
    /// Fails as [`pull`] does. What the project has stays as it is.
    pub fn pull(&self) -> Result<PullOutcome> {
        let access = RemoteAccess { remote: Some(&self.remote), may_ask: false };
        let pulled = self.project.reopened().and_then(|project| pull(&project, access, &Silent));
        self.state.record(&pulled);
        pulled
    }

    /// Pulls at intervals on a thread of its own until this process ends. Each outcome goes to `report`.
    ///
    /// # Errors
    /// Fails if the thread cannot be started.
    pub fn start(self, report: impl Fn(&Result<PullOutcome>) + Send + 'static) -> Result<()> {
        let name = self.remote.to_string();
        let forever = move || {
            loop {
                // Servers that were started together should not ask together.
                thread::sleep(self.every.mul_f64(0.9 + 0.2 * fastrand::f64()));
                report(&self.pull());
            }
        };
        let started = thread::Builder::new().name("follow".into()).spawn(forever);
        started.map(drop).map_err(OpError::machine("start a thread that follows", name))
    }
}

impl FollowState {
    fn record(&self, pulled: &Result<PullOutcome>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match pulled {
            Ok(_) => (state.fetched, state.problem) = (Some(Instant::now()), None),
            Err(error) => state.problem = Some(error.to_string()),
        }
    }

    /// Describes the state in one line.
    pub(super) fn describe(&self) -> String {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ago = state.fetched.map(|fetched| fetched.elapsed());
        describe(&state.remote, state.every, ago, state.problem.as_deref())
    }
}

/// Describes how following goes. `ago` is the time since the last successful fetch.
fn describe(remote: &str, every: Duration, ago: Option<Duration>, problem: Option<&str>) -> String {
    let is_stale = ago.is_none_or(|ago| ago > every * MISSED);
    let fetched = match ago {
        Some(ago) => format!("last fetched {} s ago", ago.as_secs()),
        None => "never fetched".to_owned(),
    };
    let problem = problem.map(|problem| problem.split(char::is_control).next().unwrap_or_default());
    let problem = problem.map(|problem| format!(": {}", shortened(problem))).unwrap_or_default();
    format!("{}following {remote}, {fetched}{problem}", if is_stale { "stale: " } else { "" })
}

#[cfg(test)]
mod tests {
    use super::describe;
    use std::time::Duration;

    #[test]
    fn one_missed_fetch_is_not_stale_and_three_are() {
        let said = |ago: Option<u64>, problem| {
            describe("origin", Duration::from_secs(60), ago.map(Duration::from_secs), problem)
        };
        assert_eq!(said(Some(59), None), "following origin, last fetched 59 s ago");
        assert_eq!(said(Some(90), Some("no answer")), "following origin, last fetched 90 s ago: no answer");
        assert_eq!(
            said(Some(181), Some("cannot fetch\nsecond line")),
            "stale: following origin, last fetched 181 s ago: cannot fetch"
        );
        assert_eq!(said(None, Some("no answer")), "stale: following origin, never fetched: no answer");
    }
}
