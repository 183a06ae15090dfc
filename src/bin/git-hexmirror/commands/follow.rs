//! `serve --follow`

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use git_hexmirror::model::Remote;
use git_hexmirror::ops::{self, FollowState, Follower, Integration, OpError, PullOutcome};

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

impl FromStr for Follow {
    type Err = std::convert::Infallible;

    /// An address may have a `=` of its own, so what follows it counts only if it is a number of seconds.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds = |text: &str| text.parse().ok().filter(|seconds| (1..=LONGEST).contains(seconds));
        let split = text.rsplit_once('=').and_then(|(remote, rest)| Some((remote, seconds(rest)?)));
        let (remote, seconds) = split.unwrap_or((text, EVERY));
        Ok(Self { remote: remote.into(), every: Duration::from_secs(seconds) })
    }
}

/// Pulls once, and then at intervals. The first pull may fail if there is a mirror already.
pub fn start(session: &Session, log: ServeLog, follow: &Follow) -> Result<FollowState, CommandError> {
    let project = session.project()?;
    let follower = Follower::new(&project, follow.remote.clone(), follow.every);
    let (first, branch) = (follower.pull(), project.branch.to_string());
    match &first {
        Ok(pulled) => log.notice(Level::Info, pull::integrated(&branch, pulled)),
        Err(error) if ops::served_mirror(&project).is_ok() => log.notice(Level::Warning, failure(error)),
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
            log.notice(Level::Info, pull::integrated(branch, pulled));
        }
        Err(error) if !was_down => log.notice(Level::Warning, failure(error)),
        _ => {}
    }
}

fn failure(error: &OpError) -> String {
    format!("{error}; serving what was fetched before")
}

#[cfg(test)]
mod tests {
    use super::Follow;

    #[test]
    fn only_seconds_are_split_off() {
        for (text, expected) in [
            ("origin", "origin every 60s"),
            ("origin=5", "origin every 5s"),
            ("origin=0", "origin=0 every 60s"),
            ("origin=", "origin= every 60s"),
            ("https://forge.test/x?a=b", "https://forge.test/x?*** every 60s"),
            ("../x=1=86400", "../x=1 every 86400s"),
        ] {
            assert_eq!(format!("{:?}", text.parse::<Follow>().unwrap()), expected);
        }
    }
}
