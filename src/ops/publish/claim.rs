//! The right to change a bucket, which at most one publication has at a time (`plan::lease`).

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::error::PublishError;
use crate::bucket::{Bucket, Headers, ObjectVersion};
use crate::ops::{OpError, Result};
use crate::plan::lease::{BEAT, LEASE, Phase, PublicationState, Turn, Watch, may_write};
use crate::progress::{Event, Progress};

/// The object that a publication renews.
const STATE: &str = ".git-hexmirror/publication";
/// The largest such object that is read, in bytes.
const MAX_STATE: u64 = 4096;
/// How often to look whether another publication has ended.
const POLL: Duration = Duration::from_secs(1);
/// The longest to wait for another publication.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// How this program's own objects are served.
pub(super) const OWN_HEADERS: Headers = Headers { media_type: "text/plain; charset=utf-8", cache_control: "no-cache" };

/// The right to change a bucket.
pub(super) struct Claim<'a> {
    bucket: &'a Bucket,
    publisher: u64,
    /// Where this publication's clock begins.
    clock: Instant,
    held: Mutex<Held>,
    changed: Condvar,
}

struct Held {
    version: ObjectVersion,
    beat: u64,
    /// When the last successful renewal began.
    renewed: Duration,
    is_lost: bool,
    is_done: bool,
}

/// Returns what the bucket says about the last publication.
///
/// # Errors
/// Fails if that cannot be read.
pub(super) fn last_phase(bucket: &Bucket) -> Result<Option<Phase>> {
    Ok(state(bucket)?.map(|(state, _)| state.phase))
}

/// Calls `work` with the right to change the bucket, which it renews meanwhile. Waits for another publication first.
///
/// # Errors
/// Fails if another publication does not end, if this one is overtaken, and as `work` does.
pub(super) fn claimed<R>(
    bucket: &Bucket,
    progress: &dyn Progress,
    work: impl FnOnce(&Claim<'_>) -> Result<R>,
) -> Result<R> {
    let claim = Claim::take(bucket, progress)?;
    let result = thread::scope(|scope| {
        let renewing = thread::Builder::new().spawn_scoped(scope, || claim.keep_renewing());
        let result = match renewing {
            Ok(_) => work(&claim),
            Err(error) => Err(OpError::machine("start a thread for", bucket.address().to_string())(error)),
        };
        claim.held().is_done = true;
        claim.changed.notify_all();
        result
    });
    match result {
        Ok(result) => claim.renew(Phase::Published).map(|()| result),
        Err(error) => {
            // Then the next publication need not wait. The error is more important than whether this works.
            let _ = claim.renew(Phase::Interrupted);
            Err(error)
        }
    }
}

impl<'a> Claim<'a> {
    fn take(bucket: &'a Bucket, progress: &dyn Progress) -> Result<Self> {
        let (clock, publisher, mut watch) = (Instant::now(), fastrand::u64(..), Watch::default());
        let first = PublicationState { phase: Phase::Publishing, publisher, beat: 0 };
        let mut is_told = false;
        while clock.elapsed() < PATIENCE {
            let found = state(bucket)?;
            let now = clock.elapsed();
            match watch.turn(found.as_ref().map(|(state, _)| state), now) {
                Turn::Claim => {
                    let version = found.as_ref().map(|(_, version)| version);
                    let written = bucket.replace(STATE, first.to_string().into_bytes(), OWN_HEADERS, version)?;
                    if let Some(version) = written {
                        let held = Held { version, beat: 0, renewed: now, is_lost: false, is_done: false };
                        return Ok(Self { bucket, publisher, clock, held: Mutex::new(held), changed: Condvar::new() });
                    }
                }
                Turn::Wait => {
                    if !std::mem::replace(&mut is_told, true) {
                        let reason = format!("another publication to {}", bucket.address());
                        progress.report(Event::Waiting { reason });
                    }
                    thread::sleep(POLL);
                }
            }
        }
        Err(PublishError::Busy { address: bucket.address().clone() }.into())
    }

    /// Waits until a change that takes at most [`WRITE`](crate::plan::lease::WRITE) is permitted.
    ///
    /// # Errors
    /// Fails if another publication took over or may have done so.
    pub(super) fn permit(&self) -> Result<()> {
        let (mut held, began) = (self.held(), self.clock.elapsed());
        loop {
            let now = self.clock.elapsed();
            if held.is_lost {
                return Err(self.overtaken());
            } else if may_write(held.renewed, now) {
                return Ok(());
            } else if now > began + LEASE {
                return Err(PublishError::Lapsed { address: self.bucket.address().clone() }.into());
            }
            let waited = self.changed.wait_timeout(held, BEAT);
            held = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn keep_renewing(&self) {
        loop {
            let waited = self.changed.wait_timeout_while(self.held(), BEAT, |held| !held.is_done && !held.is_lost);
            let (held, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if held.is_done || held.is_lost {
                return;
            }
            drop(held);
            // A failure passes, or `permit` reports it.
            let _ = self.renew(Phase::Publishing);
        }
    }

    fn renew(&self, phase: Phase) -> Result<()> {
        let (version, beat) = {
            let held = self.held();
            if held.is_lost {
                return Err(self.overtaken());
            }
            (held.version.clone(), held.beat + 1)
        };
        let began = self.clock.elapsed();
        let text = PublicationState { phase, publisher: self.publisher, beat }.to_string();
        let written = self.bucket.replace(STATE, text.into_bytes(), OWN_HEADERS, Some(&version))?;
        let mut held = self.held();
        match written {
            Some(version) => (held.version, held.beat, held.renewed) = (version, beat, began),
            None => held.is_lost = true,
        }
        let is_lost = held.is_lost;
        drop(held);
        self.changed.notify_all();
        if is_lost { Err(self.overtaken()) } else { Ok(()) }
    }

    fn overtaken(&self) -> OpError {
        PublishError::Overtaken { address: self.bucket.address().clone() }.into()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn state(bucket: &Bucket) -> Result<Option<(PublicationState, ObjectVersion)>> {
    let Some((bytes, version)) = bucket.read(STATE, MAX_STATE)? else { return Ok(None) };
    let state = String::from_utf8_lossy(&bytes).parse();
    let object = || format!("{}/{STATE}", bucket.address());
    let state = state.map_err(|source| PublishError::State { object: object(), source })?;
    Ok(Some((state, version)))
}
