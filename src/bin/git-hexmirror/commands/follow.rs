//! `serve --follow`

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use git_hexmirror::model::Remote;
use git_hexmirror::ops::{self, FollowState, Follower, Integration, OpError, Project, PullOutcome};

use super::pull;
use super::serve_log::{Level, ServeLog};
use crate::outcome::CommandError;
use crate::session::Session;

/// How often a remote is asked if nothing else is given.
const EVERY: u64 = 60;
/// The longest interval: a day.
const LONGEST: u64 = 24 * 60 * 60;

/// A remote and how often to fetch from it, as `REMOTE[=SECONDS]`. The text may have a password, so it is not shown.
#[derive(Clone)]
pub struct Follow {
    remote: Remote,
    every: Duration,
}

impl std::fmt::Debug for Follow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} every {:?}", self.remote, self.every)
    }
}

/// An error for a text that is not `REMOTE[=SECONDS]`. It does not show the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// There is no remote.
    #[error("--follow needs the name or the URL of a remote")]
    Remote,
    /// What follows the last `=` is empty or a number, but not of seconds up to a day.
    #[error("--follow takes 1 to {LONGEST} seconds after the `=`")]
    Seconds,
}

impl FromStr for Follow {
    type Err = FollowError;

    /// An address may have a `=` of its own, so what follows it counts only if it is a number.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let (remote, seconds) = match text.rsplit_once('=').filter(|(_, rest)| is_number(rest)) {
            Some((remote, rest)) => (remote, rest.parse().map_err(|_| FollowError::Seconds)?),
            None => (text, EVERY),
        };
        if remote.trim().is_empty() {
            Err(FollowError::Remote)
        } else if (1..=LONGEST).contains(&seconds) {
            Ok(Self { remote: remote.into(), every: Duration::from_secs(seconds) })
        } else {
            Err(FollowError::Seconds)
        }
    }
}

impl Follow {
    /// Prepares to follow the remote with a project.
    ///
    /// # Errors
    /// Fails if the remote is neither a remote of the project nor an address.
    pub fn follower(&self, project: &Project) -> Result<Follower, OpError> {
        Follower::new(project, self.remote.clone(), self.every)
    }

    /// Returns how often the remote is asked.
    pub fn every(&self) -> Duration {
        self.every
    }
}

/// Pulls once, and then at intervals. The first pull may fail if there is a mirror already.
pub fn start(session: &Session, log: ServeLog, follow: &Follow) -> Result<FollowState, CommandError> {
    let project = session.project()?;
    let follower = follow.follower(&project)?;
    let (first, branch) = (follower.pull(), project.branch.to_string());
    match &first {
        Ok(pulled) => log.event(Level::Info, pull::integrated(&branch, pulled)),
        Err(error) if ops::served_mirror(&project).is_ok() => log.event(Level::Warning, failure(error)),
        Err(_) => {}
    }
    let was_down = first.is_err();
    if was_down && ops::served_mirror(&project).is_err() {
        first?;
    }
    let (state, was_down) = (follower.state(), AtomicBool::new(was_down));
    follower.start(move |pulled| say(log, &branch, pulled, was_down.swap(pulled.is_err(), Ordering::Relaxed)))?;
    Ok(state)
}

/// Prints what changed: the mirror, or whether the remote can be fetched from.
fn say(log: ServeLog, branch: &str, pulled: &ops::Result<PullOutcome>, was_down: bool) {
    match pulled {
        Ok(pulled) if was_down || pulled.integration != Integration::UpToDate => {
            log.event(Level::Info, pull::integrated(branch, pulled));
        }
        Err(error) if !was_down => log.event(Level::Warning, failure(error)),
        _ => {}
    }
}

fn failure(error: &OpError) -> String {
    format!("{error}; serving what was fetched before")
}

#[cfg(test)]
mod tests {
    use super::{Follow, FollowError};

    #[test]
    fn only_numbers_are_split_off() {
        for (text, expected) in [
            ("origin", "origin every 60s"),
            ("origin=5", "origin every 5s"),
            ("https://forge.test/x?a=b", "https://forge.test/x?*** every 60s"),
            ("../x=1=86400", "../x=1 every 86400s"),
        ] {
            assert_eq!(format!("{:?}", text.parse::<Follow>().unwrap()), expected);
        }
    }

    #[test]
    fn typos_are_refused() {
        use FollowError::{Remote, Seconds};
        for (text, error) in [
            ("", Remote),
            (" ", Remote),
            ("=5", Remote),
            ("origin=", Seconds),
            ("origin=0", Seconds),
            ("origin=86401", Seconds),
            ("origin=99999999999999999999", Seconds),
        ] {
            assert_eq!(text.parse::<Follow>().unwrap_err(), error, "{text}");
        }
    }
}
