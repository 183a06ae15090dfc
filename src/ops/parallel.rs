//! Runs work on as many threads as the system provides.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Returns the number of threads that can run in parallel.
pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Calls `action` for every item on at most `threads` threads and returns the results in the items' order.
///
/// The calling thread participates, so the work completes even if the system provides no other thread.
pub(super) fn in_parallel<T: Sync, R: Send>(threads: usize, items: &[T], action: impl Fn(&T) -> R + Sync) -> Vec<R> {
    in_parallel_with(threads, items, || (), |(), item| action(item))
}

/// As [`in_parallel`], with a separate state per thread, which the calling thread creates.
pub(super) fn in_parallel_with<S: Send, T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    state: impl Fn() -> S,
    action: impl Fn(&S, &T) -> R + Sync,
) -> Vec<R> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(items.len())));
    let work = |state: S| {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return };
            let result = action(&state, item);
            results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
        }
    };
    let work = &work;
    thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            let state = state();
            if thread::Builder::new().spawn_scoped(scope, move || work(state)).is_err() {
                break;
            }
        }
        work(state());
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..100).collect();
        let doubled: Vec<usize> = items.iter().map(|item| item * 2).collect();
        for threads in [0, 1, 2, 64] {
            assert_eq!(in_parallel(threads, &items, |item| item * 2), doubled, "{threads} threads");
        }
        assert!(in_parallel(4, &[0; 0], |item| *item).is_empty());
    }
}
