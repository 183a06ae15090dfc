//! Follows the mirror of a remote, so that any number of servers can have the same contents.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::model::Remote;
use crate::ops::sync::{PullOutcome, RemoteAccess, pull};
use crate::ops::{OpError, Project, Result};
use crate::progress::Silent;
use crate::serve::Following;

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
    ///
    /// # Errors
    /// Fails if the remote is neither a remote of the project nor an address.
    pub fn new(project: &Project, remote: Remote, every: Duration) -> Result<Self> {
        check_remote(project, &remote)?;
        let state = State { remote: remote.to_string(), every, ..State::default() };
        Ok(Self { project: project.clone(), remote, every, state: FollowState(Arc::new(Mutex::new(state))) })
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

    /// Describes the state at this moment.
    pub(super) fn describe(&self) -> Following {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ago = state.fetched.map(|fetched| fetched.elapsed());
        Following {
            remote: state.remote.clone(),
            ago,
            is_stale: is_stale(state.every, ago),
            problem: state.problem.clone(),
        }
    }
}

/// Returns whether the last successful fetch is too long ago.
fn is_stale(every: Duration, ago: Option<Duration>) -> bool {
    ago.is_none_or(|ago| ago > every * MISSED)
}

/// Refuses a text that git would try as an address, although it looks like the name of a remote.
fn check_remote(project: &Project, remote: &Remote) -> Result<()> {
    let (repository, text) = (&project.repository, remote.secret_text());
    let known = repository.remote_names();
    // git reads these, too (git-fetch(1), "REMOTES").
    let is_file = |folder: &str| repository.common_dir().join(folder).join(text).is_file();
    let is_path = || repository.worktree().unwrap_or(repository.common_dir()).join(text).exists();
    if text.contains(['/', ':']) || known.contains(remote) || is_file("remotes") || is_file("branches") || is_path() {
        return Ok(());
    }
    Err(OpError::UnknownRemote { remote: remote.clone(), known })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_missed_fetch_is_not_stale_and_three_are() {
        let said = |ago: Option<u64>, problem: Option<&str>| {
            let ago = ago.map(Duration::from_secs);
            let is_stale = is_stale(Duration::from_secs(60), ago);
            Following { remote: "origin".into(), ago, is_stale, problem: problem.map(str::to_owned) }.to_string()
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
