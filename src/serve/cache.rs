//! A cache of loaded bytes: bounded by what they take in memory, and one load for everybody who waits for it.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};
use tokio::{runtime, task};

use super::contents::ContentsError;

/// What a load gave. The error is shared by all who waited.
pub(super) type Outcome = Result<Bytes, Arc<ContentsError>>;

/// What the bookkeeping of one item takes, about; so that a million empty items are not free.
const OVERHEAD: u64 = 256;

/// The cache. Clones share it.
#[derive(Clone)]
pub(super) struct Cache {
    state: Arc<Mutex<State>>,
    /// Bounds how many loads run at once, and with it their memory.
    loads: Arc<Semaphore>,
    /// Where they run.
    runtime: runtime::Handle,
}

struct State {
    limit: u64,
    size: u64,
    slots: HashMap<String, Slot>,
    /// The keys of all kept items, the next candidate for eviction first.
    order: VecDeque<String>,
}

enum Slot {
    Loading(watch::Receiver<Option<Outcome>>),
    /// `used` since it last stood at the front of the queue: it gets a second chance.
    Kept {
        bytes: Bytes,
        used: bool,
    },
}

impl Cache {
    pub(super) fn new(limit: u64, runtime: runtime::Handle) -> Self {
        let state = State { limit, size: 0, slots: HashMap::new(), order: VecDeque::new() };
        let cores = thread::available_parallelism().map_or(2, NonZero::get);
        Self { state: Arc::new(Mutex::new(state)), loads: Arc::new(Semaphore::new(cores.max(2))), runtime }
    }

    /// Returns what is kept under `key`.
    pub(super) fn kept(&self, key: &str) -> Option<Bytes> {
        match self.lock().slots.get_mut(key) {
            Some(Slot::Kept { bytes, used }) => {
                *used = true;
                Some(bytes.clone())
            }
            _ => None,
        }
    }

    /// Returns what is kept under `key`, or what `load` gives. At most one `load` of a key runs at a time, on a thread where
    /// it may block; it goes on even when nobody waits any longer. A failed one is not remembered.
    pub(super) async fn get(
        &self,
        key: &str,
        load: impl FnOnce() -> Result<Bytes, ContentsError> + Send + 'static,
    ) -> Outcome {
        let mut waiting = match self.join_or_begin(key) {
            Begin::Kept(bytes) => return Ok(bytes),
            Begin::Join(waiting) => waiting,
            Begin::Lead(sender, waiting) => {
                self.runtime.spawn(self.clone().lead(key.to_owned(), load, sender));
                waiting
            }
        };
        match waiting.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone()) {
            Some(outcome) => outcome,
            None => Err(Arc::new(failed("the server stopped while it was loaded".into()))),
        }
    }

    fn join_or_begin(&self, key: &str) -> Begin {
        let mut state = self.lock();
        match state.slots.get(key) {
            Some(Slot::Kept { bytes, .. }) => Begin::Kept(bytes.clone()),
            Some(Slot::Loading(waiting)) => Begin::Join(waiting.clone()),
            None => {
                let (sender, waiting) = watch::channel(None);
                state.slots.insert(key.to_owned(), Slot::Loading(waiting.clone()));
                Begin::Lead(sender, waiting)
            }
        }
    }

    async fn lead(
        self,
        key: String,
        load: impl FnOnce() -> Result<Bytes, ContentsError> + Send + 'static,
        sender: watch::Sender<Option<Outcome>>,
    ) {
        let permit = self.loads.acquire().await.expect("the semaphore is never closed");
        let outcome = match task::spawn_blocking(load).await {
            Ok(loaded) => loaded.map_err(Arc::new),
            Err(error) => Err(Arc::new(failed(error.into()))),
        };
        drop(permit);
        // Kept before it is told, so that whoever asks after the answer finds it.
        self.lock().settle(key, outcome.as_ref().ok());
        sender.send_replace(Some(outcome));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here leaves the state half changed when it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Begin {
    Kept(Bytes),
    Join(watch::Receiver<Option<Outcome>>),
    Lead(watch::Sender<Option<Outcome>>, watch::Receiver<Option<Outcome>>),
}

fn failed(source: Box<dyn Error + Send + Sync>) -> ContentsError {
    ContentsError::Damaged { item: "what was asked for".into(), source }
}

impl State {
    /// Ends the loading of `key`: keeps the bytes if there are any and they have room at all.
    fn settle(&mut self, key: String, loaded: Option<&Bytes>) {
        self.slots.remove(&key);
        let Some(bytes) = loaded.filter(|bytes| cost(&key, bytes) <= self.limit) else { return };
        self.size += cost(&key, bytes);
        while self.size > self.limit && self.evict_one() {}
        self.order.push_back(key.clone());
        self.slots.insert(key, Slot::Kept { bytes: bytes.clone(), used: false });
    }

    /// Drops the item that was kept longest among those not used since they were last looked at.
    fn evict_one(&mut self) -> bool {
        while let Some(key) = self.order.pop_front() {
            match self.slots.get_mut(&key) {
                Some(Slot::Kept { used, .. }) if *used => {
                    *used = false;
                    self.order.push_back(key);
                }
                Some(Slot::Kept { bytes, .. }) => {
                    self.size -= cost(&key, bytes);
                    self.slots.remove(&key);
                    return true;
                }
                _ => {}
            }
        }
        false
    }
}

fn cost(key: &str, bytes: &Bytes) -> u64 {
    bytes.len() as u64 + 2 * key.len() as u64 + OVERHEAD
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    fn cache() -> Cache {
        Cache::new(10_000, runtime::Handle::current())
    }

    fn bytes(length: usize) -> Bytes {
        Bytes::from(vec![7; length])
    }

    async fn put(cache: &Cache, key: &str, length: usize) {
        cache.get(key, move || Ok(bytes(length))).await.unwrap();
    }

    #[tokio::test]
    async fn size_is_bounded_and_what_is_used_stays() {
        let cache = cache();
        for key in ["a", "b", "c"] {
            put(&cache, key, 2_500).await;
        }
        assert!(cache.kept("a").is_some());
        for key in ["d", "e"] {
            put(&cache, key, 2_500).await;
        }
        assert!(cache.lock().size <= 10_000);
        let kept = ["a", "b", "c", "d", "e"].map(|key| cache.lock().slots.contains_key(key));
        assert_eq!(kept, [true, false, false, true, true]);
    }

    #[tokio::test]
    async fn many_empty_items_are_bounded_too() {
        let cache = cache();
        for number in 0..1_000 {
            put(&cache, &number.to_string(), 0).await;
        }
        let state = cache.lock();
        assert!(state.slots.len() < 40 && state.slots.len() == state.order.len(), "{}", state.slots.len());
        assert_eq!(state.size, state.slots.keys().map(|key| cost(key, &Bytes::new())).sum::<u64>());
    }

    #[tokio::test]
    async fn what_is_larger_than_the_cache_is_given_but_not_kept() {
        let cache = cache();
        put(&cache, "small", 1_000).await;
        assert_eq!(cache.get("large", || Ok(bytes(20_000))).await.unwrap().len(), 20_000);
        assert!(cache.kept("large").is_none() && cache.kept("small").is_some());
    }

    #[tokio::test]
    async fn one_load_serves_all_who_wait() {
        let cache = cache();
        let loads = Arc::new(AtomicUsize::new(0));
        let (release, gate) = mpsc::channel::<()>();
        let mut gate = Some(gate);
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (cache, loads, gate) = (cache.clone(), loads.clone(), gate.take());
                task::spawn(async move {
                    cache
                        .get("key", move || {
                            loads.fetch_add(1, Ordering::SeqCst);
                            gate.expect("only the first may load").recv().unwrap();
                            Ok(bytes(10))
                        })
                        .await
                })
            })
            .collect();
        // On this single-threaded runtime every task has asked once this one runs again.
        task::yield_now().await;
        release.send(()).unwrap();
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap(), bytes(10));
        }
        assert_eq!(loads.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_failure_is_shared_but_not_remembered() {
        let cache = cache();
        let damaged = || ContentsError::Damaged { item: "x".into(), source: "broken".into() };
        assert!(cache.get("key", move || Err(damaged())).await.is_err());
        assert_eq!(cache.get("key", || Ok(bytes(1))).await.unwrap(), bytes(1));
    }

    #[tokio::test]
    async fn a_load_that_panics_is_an_error_for_its_waiters_only() {
        let cache = cache();
        assert!(cache.get("key", || panic!("on purpose")).await.is_err());
        put(&cache, "key", 1).await;
    }

    #[tokio::test]
    async fn a_load_ends_even_when_its_waiter_left() {
        let cache = cache();
        let (release, gate) = mpsc::channel::<()>();
        let first = task::spawn({
            let cache = cache.clone();
            async move { cache.get("key", move || gate.recv().map(|()| bytes(3)).map_err(|_| unreachable!())).await }
        });
        task::yield_now().await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        release.send(()).unwrap();
        assert_eq!(cache.get("key", || panic!("it is being loaded")).await.unwrap(), bytes(3));
    }
}
