//! A cache of git's answers. A repository never changes under its key, so equal requests have equal answers: if all
//! machines of a CI clone the same dependency, git runs once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;

use super::spool::Spool;

/// The maximum memory use of all answers together, and of a single answer, in bytes.
const MAX_BYTES: usize = 32 << 20;
pub(super) const MAX_ANSWER: usize = 8 << 20;
/// The maximum size of a request whose answer is cached. This covers clones, but not fetches that list the client's
/// commits.
pub(super) const MAX_REQUEST: usize = 4096;

/// Everything that an answer depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct AnswerKey {
    pub(super) repository: String,
    pub(super) protocol: String,
    pub(super) body: Option<Bytes>,
}

/// The cached answers. Clones share them.
#[derive(Clone, Default)]
pub(super) struct AnswerCache(Arc<Mutex<AnswerCacheState>>);

#[derive(Default)]
struct AnswerCacheState {
    /// The answers that are still being generated or read.
    running: HashMap<AnswerKey, Weak<Spool>>,
    answers: HashMap<Arc<AnswerKey>, Bytes>,
    /// The cached keys, oldest first.
    order: VecDeque<Arc<AnswerKey>>,
    bytes: usize,
}

impl AnswerCache {
    /// Returns the cached answer to a key.
    pub(super) fn get(&self, key: &AnswerKey) -> Option<Bytes> {
        self.lock().answers.get(key).cloned()
    }

    /// Returns the answer to a key if it is currently being generated for another request.
    pub(super) fn running(&self, key: &AnswerKey) -> Option<Arc<Spool>> {
        self.lock().running.get(key).and_then(Weak::upgrade)
    }

    /// Shares an answer that is being generated with other requests.
    pub(super) fn share(&self, key: AnswerKey, spool: &Arc<Spool>) {
        let mut state = self.lock();
        state.running.retain(|_, spool| spool.strong_count() > 0);
        state.running.insert(key, Arc::downgrade(spool));
    }

    /// Caches an answer. Evicts the oldest answers if necessary.
    pub(super) fn keep(&self, key: AnswerKey, answer: Bytes) {
        let mut state = self.lock();
        if answer.len() > MAX_ANSWER || state.answers.contains_key(&key) {
            return;
        }
        state.bytes += cost(&key, &answer);
        let key = Arc::new(key);
        state.order.push_back(key.clone());
        state.answers.insert(key, answer);
        while state.bytes > MAX_BYTES {
            let Some(oldest) = state.order.pop_front() else { break };
            let answer = state.answers.remove(&oldest).unwrap_or_default();
            state.bytes -= cost(&oldest, &answer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, AnswerCacheState> {
        // No panic in this module leaves the state inconsistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the memory use of a cached answer, including its key.
fn cost(key: &AnswerKey, answer: &Bytes) -> usize {
    let request = key.repository.len() + key.protocol.len() + key.body.as_ref().map_or(0, Bytes::len);
    answer.len() + request + 256
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> AnswerKey {
        AnswerKey { repository: number.to_string(), protocol: "version=2".into(), body: None }
    }

    #[test]
    fn the_oldest_answers_make_room() {
        let answers = AnswerCache::default();
        for number in 0..10 {
            answers.keep(key(number), Bytes::from(vec![0; MAX_ANSWER - 1000]));
        }
        let there: Vec<usize> = (0..10).filter(|number| answers.get(&key(*number)).is_some()).collect();
        assert_eq!(there, [6, 7, 8, 9]);
        let state = answers.lock();
        assert_eq!((state.answers.len(), state.order.len()), (4, 4));
        assert_eq!(state.bytes, state.answers.iter().map(|(key, answer)| cost(key, answer)).sum::<usize>());
    }

    #[test]
    fn oversized_answers_are_not_cached_and_none_is_cached_twice() {
        let answers = AnswerCache::default();
        answers.keep(key(1), Bytes::from(vec![0; MAX_ANSWER + 1]));
        assert_eq!(answers.get(&key(1)), None);
        answers.keep(key(1), Bytes::from_static(b"first"));
        answers.keep(key(1), Bytes::from_static(b"second"));
        assert_eq!(answers.get(&key(1)).unwrap(), "first");
        assert_eq!(answers.get(&AnswerKey { body: Some(Bytes::new()), ..key(1) }), None);
    }
}
