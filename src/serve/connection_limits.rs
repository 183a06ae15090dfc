//! Tracks the open connections. If their number is at its limit, a new connection replaces the one that has been idle longest.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The fraction of all connections to close at a time.
const FREED_FRACTION: usize = 16;

/// Limits the connections of a server, in total and per peer, and tracks them.
pub(super) struct ConnectionLimits {
    free: Arc<Semaphore>,
    /// The maximum number of connections per peer that are served at a time. Does not apply to this machine.
    per_peer: usize,
    admitted: Mutex<Admitted>,
    /// Whether a new connection waits for a slot and must be notified when a connection becomes idle.
    is_awaited: AtomicBool,
    became_idle: Notify,
    begun: Instant,
}

#[derive(Default)]
struct Admitted {
    slots: HashMap<u64, Arc<Slot>>,
    next: u64,
    peers: HashMap<IpAddr, Arc<Peer>>,
}

/// A connecting address, or a network of addresses.
struct Peer {
    permits: Arc<Semaphore>,
    /// The number of the peer's connections that wait for its other connections.
    waiting: AtomicUsize,
}

/// The slot of one open connection.
pub(super) struct Slot {
    limits: Arc<ConnectionLimits>,
    number: u64,
    address: IpAddr,
    peer: Option<Arc<Peer>>,
    /// The number of activities that keep it busy: a request in progress, a write that waits for the client.
    busy: AtomicUsize,
    /// The time since which it is idle, in milliseconds since the server started.
    idle_since: AtomicU64,
    was_served: AtomicBool,
    has_peer_permit: AtomicBool,
    close_is_requested: AtomicBool,
    close_requested: Notify,
}

/// An admitted connection. Dropping it frees its slot.
pub(super) struct Admission {
    pub(super) slot: Arc<Slot>,
    _permit: OwnedSemaphorePermit,
}

/// Keeps a slot busy until dropped.
pub(super) struct Busy(Arc<Slot>);

impl ConnectionLimits {
    pub(super) fn new(connections: usize, per_peer: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(connections.max(1))),
            per_peer: per_peer.max(1),
            admitted: Mutex::default(),
            is_awaited: AtomicBool::new(false),
            became_idle: Notify::new(),
            begun: Instant::now(),
        })
    }

    /// Takes a slot, if necessary that of an idle connection. Waits while all connections are busy. Supports one caller
    /// at a time.
    pub(super) async fn admit(self: &Arc<Self>, address: IpAddr) -> Admission {
        let permit = loop {
            if let Ok(permit) = self.free.clone().try_acquire_owned() {
                break permit;
            }
            // Set the flag before the search, so that a connection that becomes idle later notifies this task.
            self.is_awaited.store(true, SeqCst);
            self.close_some_idle(|_| true);
            tokio::select! {
                permit = self.free.clone().acquire_owned() => break permit.expect("the semaphore is never closed"),
                () = self.became_idle.notified() => {}
            }
        };
        self.is_awaited.store(false, SeqCst);
        let address = network(address);
        let mut admitted = self.lock();
        let peer =
            (!address.is_loopback()).then(|| admitted.peers.entry(address).or_insert_with(|| self.peer()).clone());
        admitted.next += 1;
        let slot = Arc::new(Slot {
            limits: self.clone(),
            number: admitted.next,
            address,
            peer,
            busy: AtomicUsize::new(0),
            idle_since: AtomicU64::new(self.now()),
            was_served: AtomicBool::new(false),
            has_peer_permit: AtomicBool::new(false),
            close_is_requested: AtomicBool::new(false),
            close_requested: Notify::new(),
        });
        admitted.slots.insert(slot.number, slot.clone());
        Admission { slot, _permit: permit }
    }

    /// Asks the connections that have been idle longest, among those that `may` permits, to close, unless some are
    /// closing already. Several are asked at a time, so that most new connections of a burst find a free slot.
    pub(super) fn close_some_idle(&self, may: impl Fn(&Slot) -> bool) {
        let admitted = self.lock();
        let mut idle: Vec<_> = admitted.slots.values().filter(|slot| slot.is_idle() && may(slot)).collect();
        if idle.iter().any(|slot| slot.close_is_requested.load(SeqCst)) {
            return;
        }
        idle.sort_by_cached_key(|slot| (slot.idle_since.load(SeqCst), slot.number));
        idle.iter().take((admitted.slots.len() / FREED_FRACTION).max(1)).for_each(|slot| slot.request_close());
    }

    /// Asks all connections to close. Busy ones finish their current response first.
    pub(super) fn close_all(&self) {
        self.lock().slots.values().for_each(|slot| slot.request_close());
    }

    fn peer(&self) -> Arc<Peer> {
        Arc::new(Peer { permits: Arc::new(Semaphore::new(self.per_peer)), waiting: AtomicUsize::new(0) })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Admitted> {
        // No panic in this module leaves the state inconsistent.
        self.admitted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Waits until the connection may be served besides the peer's other connections. If one of those is idle, it makes
    /// room.
    pub(super) async fn peer_permit(&self) -> Option<OwnedSemaphorePermit> {
        let peer = self.peer.as_ref()?;
        let permit = match peer.permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _waiting = Waiting::begin(&peer.waiting);
                let of_peer = |slot: &Slot| slot.address == self.address && slot.has_peer_permit.load(SeqCst);
                self.limits.close_some_idle(of_peer);
                peer.permits.clone().acquire_owned().await.expect("the semaphore is never closed")
            }
        };
        self.has_peer_permit.store(true, SeqCst);
        Some(permit)
    }

    /// Marks the slot as busy while a request is in progress or a write waits for the client.
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
    pub(super) async fn must_close(&self) {
        self.close_requested.notified().await;
    }

    /// Declares that this connection cannot close yet, so that another one is asked.
    pub(super) fn stays_open(&self) {
        self.limits.became_idle.notify_one();
    }

    fn request_close(&self) {
        self.close_is_requested.store(true, SeqCst);
        self.close_requested.notify_one();
    }

    fn became_idle(&self) {
        self.idle_since.store(self.limits.now(), SeqCst);
        if self.busy.fetch_sub(1, SeqCst) > 1 {
            return;
        }
        if self.peer.as_ref().is_some_and(|peer| peer.waiting.load(SeqCst) > 0) {
            self.request_close();
        }
        if self.limits.is_awaited.load(SeqCst) {
            self.limits.became_idle.notify_one();
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

impl Drop for Admission {
    fn drop(&mut self) {
        let mut admitted = self.slot.limits.lock();
        admitted.slots.remove(&self.slot.number);
        let address = self.slot.address;
        if self.slot.peer.is_some() && !admitted.slots.values().any(|slot| slot.address == address) {
            admitted.peers.remove(&address);
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

    fn must_close(admission: &Admission) -> bool {
        at_once(admission.slot.must_close()).is_some()
    }

    #[test]
    fn the_longest_idle_connection_makes_room() {
        let limits = ConnectionLimits::new(3, 3);
        let mut admissions: Vec<Admission> = (0..3).map(|_| at_once(limits.admit(HERE)).unwrap()).collect();
        let busy = admissions[0].slot.busy();
        assert!(at_once(limits.admit(HERE)).is_none(), "nobody has left yet");
        assert_eq!(admissions.iter().map(must_close).collect::<Vec<_>>(), [false, true, false]);
        assert!(at_once(limits.admit(HERE)).is_none());
        assert!(!admissions.iter().any(must_close), "one is leaving already");
        admissions.remove(1);
        admissions.push(at_once(limits.admit(HERE)).unwrap());
        drop(busy);
        assert!(at_once(limits.admit(HERE)).is_none());
        let asked: Vec<bool> = admissions.iter().map(must_close).collect();
        assert_eq!(asked.iter().filter(|asked| **asked).count(), 1);
    }

    #[test]
    fn a_waiting_connection_is_notified_of_the_first_idle_one() {
        let limits = ConnectionLimits::new(1, 1);
        let admission = at_once(limits.admit(HERE)).unwrap();
        let (busy, stalled) = (admission.slot.busy(), admission.slot.busy());
        let mut next = pin!(limits.admit(HERE));
        let mut context = Context::from_waker(Waker::noop());
        assert!(next.as_mut().poll(&mut context).is_pending());
        drop(busy);
        assert!(next.as_mut().poll(&mut context).is_pending() && !must_close(&admission));
        drop(stalled);
        assert!(next.as_mut().poll(&mut context).is_pending() && must_close(&admission));
        drop(admission);
        assert!(next.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn a_peer_is_limited_to_its_share() {
        let limits = ConnectionLimits::new(10, 2);
        let admissions: Vec<Admission> = (0..3).map(|_| at_once(limits.admit(there(1))).unwrap()).collect();
        let permits: Vec<_> =
            admissions[..2].iter().map(|admission| at_once(admission.slot.peer_permit()).unwrap().unwrap()).collect();
        let busy = [admissions[0].slot.busy(), admissions[1].slot.busy()];
        let mut third = pin!(admissions[2].slot.peer_permit());
        let mut context = Context::from_waker(Waker::noop());
        assert!(third.as_mut().poll(&mut context).is_pending());
        assert!(!admissions.iter().any(must_close), "all that are served are busy");
        let other = at_once(limits.admit(there(2))).unwrap();
        assert!(at_once(other.slot.peer_permit()).is_some());
        let here: Vec<Admission> = (0..5).map(|_| at_once(limits.admit(HERE)).unwrap()).collect();
        assert!(
            here.iter().all(|admission| at_once(admission.slot.peer_permit()).unwrap().is_none()),
            "this machine is not bounded"
        );
        drop(busy);
        assert!(must_close(&admissions[0]) || must_close(&admissions[1]));
        drop(permits);
        assert!(third.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn departed_peers_are_forgotten() {
        let limits = ConnectionLimits::new(10, 2);
        for last in 0..100 {
            drop(at_once(limits.admit(there(last))));
        }
        let admitted = limits.lock();
        assert_eq!((admitted.slots.len(), admitted.peers.len(), limits.free.available_permits()), (0, 0, 10));
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
