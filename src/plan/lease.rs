//! Which publisher may change a bucket.
//!
//! A bucket has no locks, but it can replace an object only if it has not changed since (a conditional put). So the bucket
//! has one small object that a publisher changes before anything else, every few seconds while it works, and last of all.
//! Another publisher that sees it unchanged for longer than the first one may rely on it takes over. No publisher compares the
//! clocks of two machines: each only measures how long something takes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How long a publisher may rely on its last renewal.
pub const LEASE: Duration = Duration::from_secs(20);
/// How often a publisher renews.
pub const BEAT: Duration = Duration::from_secs(4);
/// The longest that a request that changes what clients see may take. None is begun that could outlast the lease.
pub const WRITE: Duration = Duration::from_secs(10);
/// How long another publisher's object must be unchanged before it is taken over. Longer than [`LEASE`], since clocks of
/// two machines do not run equally fast.
pub const TAKEOVER: Duration = Duration::from_secs(25);

const TITLE: &str = "git-hexmirror publication 1";

/// What the object says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicationState {
    /// What its publisher does.
    pub phase: Phase,
    /// A random number that tells two publishers apart.
    pub publisher: u64,
    /// Differs with each renewal, so that the object does.
    pub beat: u64,
}

/// What a publisher does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It works, unless it was killed.
    Publishing,
    /// It gave up because of an error.
    Interrupted,
    /// It is done.
    Published,
}

/// An error for an object that does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not the state of a publication that this version understands")]
pub struct PublicationStateError;

/// What to do about the state of another publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Replace it with an own lease, unless another publisher does so first.
    Claim,
    /// Look again later.
    Wait,
}

/// Watches the state that another publisher renews.
#[derive(Debug, Default)]
pub struct Watch {
    seen: Option<(PublicationState, Duration)>,
}

impl Watch {
    /// Decides whose turn it is. `now` is the time on any clock that only runs forward.
    pub fn turn(&mut self, state: Option<&PublicationState>, now: Duration) -> Turn {
        let Some(state) = state.filter(|state| state.phase == Phase::Publishing) else { return Turn::Claim };
        match &self.seen {
            Some((seen, since)) if seen == state => {
                if now.saturating_sub(*since) >= TAKEOVER {
                    return Turn::Claim;
                }
            }
            _ => self.seen = Some((state.clone(), now)),
        }
        Turn::Wait
    }
}

/// Returns whether a change may begin at `now` if the last successful renewal began at `renewed`.
pub fn may_write(renewed: Duration, now: Duration) -> bool {
    now.saturating_sub(renewed) + WRITE <= LEASE
}

impl Phase {
    const ALL: [Self; 3] = [Self::Publishing, Self::Interrupted, Self::Published];

    fn word(self) -> &'static str {
        match self {
            Self::Publishing => "publishing",
            Self::Interrupted => "interrupted",
            Self::Published => "published",
        }
    }
}

impl fmt::Display for PublicationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, publisher, beat } = self;
        writeln!(f, "{TITLE}\nphase {}\npublisher {publisher:016x}\nbeat {beat}", phase.word())
    }
}

impl FromStr for PublicationState {
    type Err = PublicationStateError;

    fn from_str(text: &str) -> Result<Self, PublicationStateError> {
        let parse = || {
            let mut lines = text.strip_suffix('\n')?.split('\n');
            (lines.next()? == TITLE).then_some(())?;
            let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
            let word = field("phase")?;
            let phase = Phase::ALL.into_iter().find(|phase| phase.word() == word)?;
            let publisher = u64::from_str_radix(field("publisher")?, 16).ok()?;
            let beat = field("beat")?.parse().ok()?;
            lines.next().is_none().then_some(Self { phase, publisher, beat })
        };
        parse().ok_or(PublicationStateError)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state(phase: Phase, beat: u64) -> PublicationState {
        PublicationState { phase, publisher: 7, beat }
    }

    #[test]
    fn what_nobody_works_on_is_free() {
        for state in [None, Some(state(Phase::Interrupted, 1)), Some(state(Phase::Published, 1))] {
            assert_eq!(Watch::default().turn(state.as_ref(), Duration::ZERO), Turn::Claim);
        }
    }

    #[test]
    fn a_publisher_is_taken_over_only_if_it_is_silent() {
        let mut watch = Watch::default();
        let mut turn = |beat, seconds| watch.turn(Some(&state(Phase::Publishing, beat)), Duration::from_secs(seconds));
        assert_eq!(turn(1, 100), Turn::Wait);
        assert_eq!(turn(1, 124), Turn::Wait);
        assert_eq!(turn(2, 125), Turn::Wait);
        assert_eq!(turn(2, 149), Turn::Wait);
        assert_eq!(turn(2, 150), Turn::Claim);
    }

    proptest! {
        /// A change that a silent publisher began has ended before another one takes over, whenever each of them looks.
        #[test]
        fn no_change_outlasts_the_lease(
            renewed in 0..100_u64,
            began in 0..200_u64,
            looks in prop::collection::vec(0..20_u64, 1..30),
        ) {
            let (renewed, began) = (Duration::from_secs(renewed), Duration::from_secs(began));
            let mut watch = Watch::default();
            // Nobody sees a renewal before it began.
            let mut now = renewed;
            for look in looks {
                now += Duration::from_secs(look);
                if watch.turn(Some(&state(Phase::Publishing, 1)), now) == Turn::Claim {
                    prop_assert!(began < renewed || !may_write(renewed, began) || began + WRITE <= now);
                }
            }
        }

        #[test]
        fn states_are_read_back(publisher: u64, beat: u64, phase in 0..3_usize) {
            let state = PublicationState { phase: Phase::ALL[phase], publisher, beat };
            prop_assert_eq!(state.to_string().parse(), Ok(state));
        }

        #[test]
        fn hostile_states_do_not_panic(text in ".{0,80}") {
            let _ = text.parse::<PublicationState>();
            prop_assert_eq!(format!("{TITLE}\n{text}").parse::<PublicationState>(), Err(PublicationStateError));
        }
    }
}
