//! A cache of loaded bytes, bounded by memory use. Concurrent requests for the same key share one load.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};
use tokio::{runtime, task};

use super::contents::{ContentsError, Tip};

/// The result of a load. All waiting requests share the error.
pub(super) type LoadResult = Result<Bytes, Arc<ContentsError>>;

/// The approximate overhead per item in bytes, so that a million empty items are not free.
const OVERHEAD: u64 = 256;

/// The cache. Clones share it.
#[derive(Clone)]
pub(super) struct ByteCache {
    state: Arc<Mutex<State>>,
    /// Limits the number of concurrent loads and thereby their memory use.
    loads: Arc<Semaphore>,
    /// The runtime for loads.
    runtime: runtime::Handle,
}

struct State {
    limit: u64,
    size: u64,
    slots: HashMap<String, Slot>,
    /// The loads in progress, by the tip that they read from. An item may no longer be readable at another tip.
    loading: HashMap<(Tip, String), watch::Receiver<Option<LoadResult>>>,
    /// The keys of all cached items. The next candidate for eviction comes first.
    order: VecDeque<String>,
}

struct Slot {
    bytes: Bytes,
    /// Whether the item was used since it was last at the front of the queue. If so, it gets a second chance.
    used: bool,
}

impl ByteCache {
    pub(super) fn new(limit: u64, runtime: runtime::Handle) -> Self {
        let state = State { limit, size: 0, slots: HashMap::new(), loading: HashMap::new(), order: VecDeque::new() };
        let cores = thread::available_parallelism().map_or(2, NonZero::get);
        Self { state: Arc::new(Mutex::new(state)), loads: Arc::new(Semaphore::new(cores.max(2))), runtime }
    }

    /// Returns the cached bytes for `key`.
    pub(super) fn kept(&self, key: &str) -> Option<Bytes> {
        let mut state = self.lock();
        let slot = state.slots.get_mut(key)?;
        slot.used = true;
        Some(slot.bytes.clone())
    }

    /// Returns the cached bytes for `key`, or the result of `load`. At most one `load` runs per key and tip, on a
    /// thread that may block. It runs to completion even if no request waits for it any more. Errors are not cached.
    pub(super) async fn get(
        &self,
        key: &str,
        tip: &Tip,
        load: impl FnOnce() -> Result<Bytes, ContentsError> + Send + 'static,
    ) -> LoadResult {
        let mut waiting = match self.join_or_begin(tip, key) {
            Begin::Kept(bytes) => return Ok(bytes),
            Begin::Join(waiting) => waiting,
            Begin::Lead(sender, waiting) => {
                self.runtime.spawn(self.clone().lead((tip.clone(), key.to_owned()), load, sender));
                waiting
            }
        };
        match waiting.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone()) {
            Some(outcome) => outcome,
            None => Err(Arc::new(failed("the server stopped while it was loaded".into()))),
        }
    }

    fn join_or_begin(&self, tip: &Tip, key: &str) -> Begin {
        let mut state = self.lock();
        if let Some(slot) = state.slots.get(key) {
            return Begin::Kept(slot.bytes.clone());
        }
        match state.loading.entry((tip.clone(), key.to_owned())) {
            Entry::Occupied(waiting) => Begin::Join(waiting.get().clone()),
            Entry::Vacant(place) => {
                let (sender, waiting) = watch::channel(None);
                place.insert(waiting.clone());
                Begin::Lead(sender, waiting)
            }
        }
    }

    async fn lead(
        self,
        key: (Tip, String),
        load: impl FnOnce() -> Result<Bytes, ContentsError> + Send + 'static,
        sender: watch::Sender<Option<LoadResult>>,
    ) {
        let permit = self.loads.acquire().await.expect("the semaphore is never closed");
        let outcome = match task::spawn_blocking(load).await {
            Ok(loaded) => loaded.map_err(Arc::new),
            Err(error) => Err(Arc::new(failed(error.into()))),
        };
        drop(permit);
        // Cache the bytes before publishing the result, so that a request made after the response finds them.
        self.lock().settle(key, outcome.as_ref().ok());
        sender.send_replace(Some(outcome));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No panic in this module leaves the state inconsistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Begin {
    Kept(Bytes),
    Join(watch::Receiver<Option<LoadResult>>),
    Lead(watch::Sender<Option<LoadResult>>, watch::Receiver<Option<LoadResult>>),
}

fn failed(source: Box<dyn Error + Send + Sync>) -> ContentsError {
    ContentsError::Damaged { item: "what was asked for".into(), source }
}

impl State {
    /// Completes a load: caches the bytes, unless it failed or they exceed the cache's capacity.
    fn settle(&mut self, loaded: (Tip, String), bytes: Option<&Bytes>) {
        self.loading.remove(&loaded);
        let (_, key) = loaded;
        let Some(bytes) = bytes.filter(|bytes| cost(&key, bytes) <= self.limit) else { return };
        // A load at another tip may have cached the same key already.
        if self.slots.contains_key(&key) {
            return;
        }
        self.size += cost(&key, bytes);
        while self.size > self.limit && self.evict_one() {}
        self.order.push_back(key.clone());
        self.slots.insert(key, Slot { bytes: bytes.clone(), used: false });
    }

    /// Evicts the oldest item among those that were not used since they were last considered.
    fn evict_one(&mut self) -> bool {
        while let Some(key) = self.order.pop_front() {
            match self.slots.get_mut(&key) {
                Some(slot) if slot.used => {
                    slot.used = false;
                    self.order.push_back(key);
                }
                Some(slot) => {
                    self.size -= cost(&key, &slot.bytes);
                    self.slots.remove(&key);
                    return true;
                }
                None => {}
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

    fn cache() -> ByteCache {
        ByteCache::new(10_000, runtime::Handle::current())
    }

    fn at() -> Tip {
        Tip("t".into())
    }

    fn bytes(length: usize) -> Bytes {
        Bytes::from(vec![7; length])
    }

    async fn put(cache: &ByteCache, key: &str, length: usize) {
        cache.get(key, &at(), move || Ok(bytes(length))).await.unwrap();
    }

    #[tokio::test]
    async fn size_is_bounded_and_used_items_are_kept() {
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
    async fn an_item_larger_than_the_cache_is_returned_but_not_cached() {
        let cache = cache();
        put(&cache, "small", 1_000).await;
        assert_eq!(cache.get("large", &at(), || Ok(bytes(20_000))).await.unwrap().len(), 20_000);
        assert!(cache.kept("large").is_none() && cache.kept("small").is_some());
    }

    #[tokio::test]
    async fn one_load_serves_all_waiting_requests() {
        let cache = cache();
        let loads = Arc::new(AtomicUsize::new(0));
        let (release, gate) = mpsc::channel::<()>();
        let mut gate = Some(gate);
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (cache, loads, gate) = (cache.clone(), loads.clone(), gate.take());
                task::spawn(async move {
                    cache
                        .get("key", &at(), move || {
                            loads.fetch_add(1, Ordering::SeqCst);
                            gate.expect("only the first may load").recv().unwrap();
                            Ok(bytes(10))
                        })
                        .await
                })
            })
            .collect();
        // On this single-threaded runtime, every task has made its request before this one continues.
        task::yield_now().await;
        release.send(()).unwrap();
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap(), bytes(10));
        }
        assert_eq!(loads.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_error_is_shared_but_not_cached() {
        let cache = cache();
        let damaged = || ContentsError::Damaged { item: "x".into(), source: "broken".into() };
        assert!(cache.get("key", &at(), move || Err(damaged())).await.is_err());
        assert_eq!(cache.get("key", &at(), || Ok(bytes(1))).await.unwrap(), bytes(1));
    }

    #[tokio::test]
    async fn requests_do_not_wait_for_a_load_at_another_tip() {
        let cache = cache();
        let (release, gate) = mpsc::channel::<()>();
        let old = task::spawn({
            let cache = cache.clone();
            async move { cache.get("key", &at(), move || gate.recv().map(|()| bytes(3)).map_err(|_| gone())).await }
        });
        task::yield_now().await;
        assert_eq!(cache.get("key", &Tip("new".into()), || Ok(bytes(3))).await.unwrap(), bytes(3));
        drop(release);
        assert!(old.await.unwrap().is_err());
        assert_eq!(cache.kept("key"), Some(bytes(3)));
        assert!(cache.lock().loading.is_empty());
    }

    fn gone() -> ContentsError {
        ContentsError::Damaged { item: "x".into(), source: "gone".into() }
    }

    #[tokio::test]
    async fn a_panicking_load_fails_only_its_waiting_requests() {
        let cache = cache();
        assert!(cache.get("key", &at(), || panic!("on purpose")).await.is_err());
        put(&cache, "key", 1).await;
    }

    #[tokio::test]
    async fn a_load_completes_even_if_no_request_waits() {
        let cache = cache();
        let (release, gate) = mpsc::channel::<()>();
        let first = task::spawn({
            let cache = cache.clone();
            async move { cache.get("key", &at(), move || gate.recv().map(|()| bytes(3)).map_err(|_| unreachable!())).await }
        });
        task::yield_now().await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        release.send(()).unwrap();
        assert_eq!(cache.get("key", &at(), || panic!("it is being loaded")).await.unwrap(), bytes(3));
    }
}
