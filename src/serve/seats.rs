//! Tracks the open connections. If all seats are taken, a new connection replaces the one that has been idle longest.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The fraction of all seats to free at a time.
const FREED_FRACTION: usize = 16;

/// All seats of a server.
pub(super) struct Seats {
    free: Arc<Semaphore>,
    /// The maximum number of connections per peer that are served at a time. Does not apply to this machine.
    per_peer: usize,
    taken: Mutex<Taken>,
    /// Whether a new connection waits for a seat and must be notified when a connection becomes idle.
    is_awaited: AtomicBool,
    became_idle: Notify,
    begun: Instant,
}

#[derive(Default)]
struct Taken {
    seats: HashMap<u64, Arc<Seat>>,
    next: u64,
    peers: HashMap<IpAddr, Arc<Peer>>,
}

/// A connecting address, or a network of addresses.
struct Peer {
    shares: Arc<Semaphore>,
    /// The number of the peer's connections that wait for its other connections.
    waiting: AtomicUsize,
}

/// The seat of one connection.
pub(super) struct Seat {
    seats: Arc<Seats>,
    number: u64,
    address: IpAddr,
    peer: Option<Arc<Peer>>,
    /// The number of activities that keep it busy: a request in progress, a write that waits for the client.
    busy: AtomicUsize,
    /// The time since which it is idle, in milliseconds since the server started.
    idle_since: AtomicU64,
    was_served: AtomicBool,
    has_share: AtomicBool,
    is_asked_to_leave: AtomicBool,
    asked_to_leave: Notify,
}

/// A taken seat. Dropping it frees the seat.
pub(super) struct Place {
    pub(super) seat: Arc<Seat>,
    _permit: OwnedSemaphorePermit,
}

/// Keeps a seat busy until dropped.
pub(super) struct Busy(Arc<Seat>);

impl Seats {
    pub(super) fn new(seats: usize, per_peer: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(seats.max(1))),
            per_peer: per_peer.max(1),
            taken: Mutex::default(),
            is_awaited: AtomicBool::new(false),
            became_idle: Notify::new(),
            begun: Instant::now(),
        })
    }

    /// Takes a seat, if necessary that of an idle connection. Waits while all connections are busy. Supports one caller
    /// at a time.
    pub(super) async fn take(self: &Arc<Self>, address: IpAddr) -> Place {
        let permit = loop {
            if let Ok(permit) = self.free.clone().try_acquire_owned() {
                break permit;
            }
            // Set the flag before the search, so that a connection that becomes idle later notifies this task.
            self.is_awaited.store(true, SeqCst);
            self.ask_some_to_leave(|_| true);
            tokio::select! {
                permit = self.free.clone().acquire_owned() => break permit.expect("the semaphore is never closed"),
                () = self.became_idle.notified() => {}
            }
        };
        self.is_awaited.store(false, SeqCst);
        let address = network(address);
        let mut taken = self.lock();
        let peer = (!address.is_loopback()).then(|| taken.peers.entry(address).or_insert_with(|| self.peer()).clone());
        taken.next += 1;
        let seat = Arc::new(Seat {
            seats: self.clone(),
            number: taken.next,
            address,
            peer,
            busy: AtomicUsize::new(0),
            idle_since: AtomicU64::new(self.now()),
            was_served: AtomicBool::new(false),
            has_share: AtomicBool::new(false),
            is_asked_to_leave: AtomicBool::new(false),
            asked_to_leave: Notify::new(),
        });
        taken.seats.insert(seat.number, seat.clone());
        Place { seat, _permit: permit }
    }

    /// Asks the connections that have been idle longest, among those that `may` permits, to close, unless some are
    /// closing already. Several are asked at a time, so that most new connections of a burst find a free seat.
    pub(super) fn ask_some_to_leave(&self, may: impl Fn(&Seat) -> bool) {
        let taken = self.lock();
        let mut idle: Vec<_> = taken.seats.values().filter(|seat| seat.is_idle() && may(seat)).collect();
        if idle.iter().any(|seat| seat.is_asked_to_leave.load(SeqCst)) {
            return;
        }
        idle.sort_by_cached_key(|seat| (seat.idle_since.load(SeqCst), seat.number));
        idle.iter().take((taken.seats.len() / FREED_FRACTION).max(1)).for_each(|seat| seat.ask_to_leave());
    }

    /// Asks all connections to close. Busy ones finish their current response first.
    pub(super) fn ask_all_to_leave(&self) {
        self.lock().seats.values().for_each(|seat| seat.ask_to_leave());
    }

    fn peer(&self) -> Arc<Peer> {
        Arc::new(Peer { shares: Arc::new(Semaphore::new(self.per_peer)), waiting: AtomicUsize::new(0) })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // No panic in this module leaves the state inconsistent.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Waits until the connection may be served besides the peer's other connections. If one of those is idle, it makes
    /// room.
    pub(super) async fn share(&self) -> Option<OwnedSemaphorePermit> {
        let peer = self.peer.as_ref()?;
        let share = match peer.shares.clone().try_acquire_owned() {
            Ok(share) => share,
            Err(_) => {
                let _waiting = Waiting::begin(&peer.waiting);
                let of_peer = |seat: &Seat| seat.address == self.address && seat.has_share.load(SeqCst);
                self.seats.ask_some_to_leave(of_peer);
                peer.shares.clone().acquire_owned().await.expect("the semaphore is never closed")
            }
        };
        self.has_share.store(true, SeqCst);
        Some(share)
    }

    /// Marks the seat as busy while a request is in progress or a write waits for the client.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.was_served.store(true, SeqCst);
        self.busy.fetch_add(1, SeqCst);
        Busy(self.clone())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.busy.load(SeqCst) == 0
    }

    /// Returns whether the connection has served a request.
    pub(super) fn was_served(&self) -> bool {
        self.was_served.load(SeqCst)
    }

    /// Completes when the connection must close after its current response.
    pub(super) async fn is_to_leave(&self) {
        self.asked_to_leave.notified().await;
    }

    /// Declares that this connection cannot close yet, so that another one is asked.
    pub(super) fn stays(&self) {
        self.seats.became_idle.notify_one();
    }

    fn ask_to_leave(&self) {
        self.is_asked_to_leave.store(true, SeqCst);
        self.asked_to_leave.notify_one();
    }

    fn became_idle(&self) {
        self.idle_since.store(self.seats.now(), SeqCst);
        if self.busy.fetch_sub(1, SeqCst) > 1 {
            return;
        }
        if self.peer.as_ref().is_some_and(|peer| peer.waiting.load(SeqCst) > 0) {
            self.ask_to_leave();
        }
        if self.seats.is_awaited.load(SeqCst) {
            self.seats.became_idle.notify_one();
        }
    }
}

/// Counts a waiting task until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.became_idle();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.seat.seats.lock();
        taken.seats.remove(&self.seat.number);
        let address = self.seat.address;
        if self.seat.peer.is_some() && !taken.seats.values().any(|seat| seat.address == address) {
            taken.peers.remove(&address);
        }
    }
}

/// Returns the peer that an address belongs to: an IPv4 address itself, or the /64 network of an IPv6 address, because one
/// machine usually has a whole such network.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn there(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    fn is_to_leave(place: &Place) -> bool {
        at_once(place.seat.is_to_leave()).is_some()
    }

    #[test]
    fn the_longest_idle_connection_makes_room() {
        let seats = Seats::new(3, 3);
        let mut places: Vec<Place> = (0..3).map(|_| at_once(seats.take(HERE)).unwrap()).collect();
        let busy = places[0].seat.busy();
        assert!(at_once(seats.take(HERE)).is_none(), "nobody has left yet");
        assert_eq!(places.iter().map(is_to_leave).collect::<Vec<_>>(), [false, true, false]);
        assert!(at_once(seats.take(HERE)).is_none());
        assert!(!places.iter().any(is_to_leave), "one is leaving already");
        places.remove(1);
        places.push(at_once(seats.take(HERE)).unwrap());
        drop(busy);
        assert!(at_once(seats.take(HERE)).is_none());
        let asked: Vec<bool> = places.iter().map(is_to_leave).collect();
        assert_eq!(asked.iter().filter(|asked| **asked).count(), 1);
    }

    #[test]
    fn a_waiting_connection_is_notified_of_the_first_idle_one() {
        let seats = Seats::new(1, 1);
        let place = at_once(seats.take(HERE)).unwrap();
        let (busy, stalled) = (place.seat.busy(), place.seat.busy());
        let mut next = pin!(seats.take(HERE));
        let mut context = Context::from_waker(Waker::noop());
        assert!(next.as_mut().poll(&mut context).is_pending());
        drop(busy);
        assert!(next.as_mut().poll(&mut context).is_pending() && !is_to_leave(&place));
        drop(stalled);
        assert!(next.as_mut().poll(&mut context).is_pending() && is_to_leave(&place));
        drop(place);
        assert!(next.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn a_peer_is_limited_to_its_share() {
        let seats = Seats::new(10, 2);
        let places: Vec<Place> = (0..3).map(|_| at_once(seats.take(there(1))).unwrap()).collect();
        let shares: Vec<_> = places[..2].iter().map(|place| at_once(place.seat.share()).unwrap().unwrap()).collect();
        let busy = [places[0].seat.busy(), places[1].seat.busy()];
        let mut third = pin!(places[2].seat.share());
        let mut context = Context::from_waker(Waker::noop());
        assert!(third.as_mut().poll(&mut context).is_pending());
        assert!(!places.iter().any(is_to_leave), "all that are served are busy");
        let other = at_once(seats.take(there(2))).unwrap();
        assert!(at_once(other.seat.share()).is_some());
        let here: Vec<Place> = (0..5).map(|_| at_once(seats.take(HERE)).unwrap()).collect();
        assert!(here.iter().all(|place| at_once(place.seat.share()).unwrap().is_none()), "this machine is not bounded");
        drop(busy);
        assert!(is_to_leave(&places[0]) || is_to_leave(&places[1]));
        drop(shares);
        assert!(third.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn departed_peers_are_forgotten() {
        let seats = Seats::new(10, 2);
        for last in 0..100 {
            drop(at_once(seats.take(there(last))));
        }
        let taken = seats.lock();
        assert_eq!((taken.seats.len(), taken.peers.len(), seats.free.available_permits()), (0, 0, 10));
    }

    #[test]
    fn one_network_is_one_peer() {
        let of = |address: &str| network(address.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:127.0.0.1"), "127.0.0.1");
        assert_eq!(of("::1"), "::1");
    }
}
