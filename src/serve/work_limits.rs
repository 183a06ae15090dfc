//! Limits concurrent work that is slow or needs memory: git processes, pages, and downloads of browsers.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection_limits::network;

/// Limits the number of concurrent tasks of one kind, in total and per peer.
pub(super) struct WorkLimits {
    all: Arc<Semaphore>,
    per_peer: usize,
    /// The peers that have a permit or wait for one.
    peers: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

/// Permission to run a task. Dropping it lets the next task run.
pub(super) struct WorkPermit {
    _of_all: OwnedSemaphorePermit,
    _of_peer: Option<OwnedSemaphorePermit>,
}

impl WorkLimits {
    /// Creates a limit of this many concurrent tasks.
    pub(super) fn new(tasks: usize) -> Self {
        let all = Arc::new(Semaphore::new(tasks.max(1)));
        Self { all, per_peer: (tasks / 2).max(1), peers: Mutex::default() }
    }

    /// Waits for a permit. A peer other than this machine gets at most half of all tasks.
    pub(super) async fn acquire(&self, peer: IpAddr) -> WorkPermit {
        self.acquire_many(peer, 1).await
    }

    /// Waits for a permit that counts as this many tasks. Waits forever for more than a peer gets.
    pub(super) async fn acquire_many(&self, peer: IpAddr, tasks: u32) -> WorkPermit {
        let open = "the semaphore is never closed";
        let of_peer = match self.of_peer(peer) {
            Some(permits) => Some(permits.acquire_many_owned(tasks).await.expect(open)),
            None => None,
        };
        WorkPermit { _of_all: self.all.clone().acquire_many_owned(tasks).await.expect(open), _of_peer: of_peer }
    }

    fn of_peer(&self, peer: IpAddr) -> Option<Arc<Semaphore>> {
        let peer = network(peer);
        if peer.is_loopback() {
            return None;
        }
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(permits) = peers.get(&peer).and_then(Weak::upgrade) {
            return Some(permits);
        }
        peers.retain(|_, permits| permits.strong_count() > 0);
        let permits = Arc::new(Semaphore::new(self.per_peer));
        peers.insert(peer, Arc::downgrade(&permits));
        Some(permits)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn one_peer_leaves_others_their_turn() {
        let (work_limits, one) = (WorkLimits::new(4), IpAddr::from([192, 0, 2, 1]));
        let first = [at_once(work_limits.acquire(one)).unwrap(), at_once(work_limits.acquire(one)).unwrap()];
        assert!(at_once(work_limits.acquire(one)).is_none());
        let other = at_once(work_limits.acquire(IpAddr::from([192, 0, 2, 2]))).unwrap();
        let here = at_once(work_limits.acquire(IpAddr::from([127, 0, 0, 1]))).unwrap();
        assert!(at_once(work_limits.acquire(IpAddr::from([127, 0, 0, 1]))).is_none(), "all four are taken");
        drop((first, other, here));
        let here: Vec<_> =
            (0..4).map(|_| at_once(work_limits.acquire(IpAddr::from([127, 0, 0, 1]))).unwrap()).collect();
        assert_eq!(here.len(), 4);
        assert_eq!(work_limits.peers.lock().unwrap().values().filter(|permits| permits.strong_count() > 0).count(), 0);
    }
}
