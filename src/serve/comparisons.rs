//! Makes the pages that take long, the differences between two versions, so that nothing else waits for them: only few at a time,
//! only one for all who ask for the same, and none for those who would have to wait too long.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;
use tokio::time;

use super::blocking::blocking;
use super::contents::ContentsError;
use super::work_limits::WorkLimits;
use crate::page::Page;

/// How long a request waits for its page.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a page is kept for others. The pages notice a changed lock as late.
const KEPT: Duration = Duration::from_secs(1);
/// The maximum number of pages that are kept.
const MAX_KEPT: usize = 16;

/// A page, or why there is none.
pub(super) type Made = Arc<Result<Page, ContentsError>>;

/// A page that is being made or was just made, and when.
type Shared = Arc<OnceCell<(Instant, Made)>>;

/// The pages that take long.
pub(super) struct Comparisons {
    limits: WorkLimits,
    patience: Duration,
    shared: Mutex<HashMap<String, Shared>>,
}

impl Comparisons {
    /// Makes at most this many pages at a time.
    pub(super) fn new(pages: usize) -> Self {
        Self { limits: WorkLimits::new(pages), patience: PATIENCE, shared: Mutex::default() }
    }

    /// Returns the page that `key` names, made by `make` unless somebody else asks for it. `None` if it is not made in time.
    pub(super) async fn page(
        &self,
        peer: IpAddr,
        key: String,
        make: impl FnOnce() -> Result<Page, ContentsError> + Send + 'static,
    ) -> Option<Made> {
        let shared = self.shared(key);
        let made = shared.get_or_init(|| async {
            let permit = self.limits.acquire(peer).await;
            let make = move || {
                let made = make();
                drop(permit);
                made
            };
            let made = blocking(|| "this page".to_owned(), make).await;
            (Instant::now(), Arc::new(made))
        });
        time::timeout(self.patience, made).await.ok().map(|(_, made)| made.clone())
    }

    fn shared(&self, key: String) -> Shared {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|_, page| match page.get() {
            Some((made, _)) => made.elapsed() < KEPT,
            None => Arc::strong_count(page) > 1,
        });
        if shared.values().filter(|page| page.initialized()).count() >= MAX_KEPT {
            shared.retain(|_, page| !page.initialized());
        }
        shared.entry(key).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn counted(made: &Arc<AtomicUsize>) -> impl FnOnce() -> Result<Page, ContentsError> + Send + 'static {
        let made = made.clone();
        move || Ok(Page::Html(made.fetch_add(1, Ordering::SeqCst).to_string()))
    }

    #[tokio::test]
    async fn those_who_ask_for_the_same_share_a_page() {
        let (comparisons, made) = (Comparisons::new(1), Arc::new(AtomicUsize::new(0)));
        let permit = comparisons.limits.acquire(PEER).await;
        let same = || comparisons.page(PEER, "same".to_owned(), counted(&made));
        let (one, two, other, ()) =
            tokio::join!(same(), same(), comparisons.page(PEER, "other".to_owned(), counted(&made)), async {
                drop(permit)
            });
        assert_eq!(made.load(Ordering::SeqCst), 2);
        assert!(Arc::ptr_eq(&one.unwrap(), &two.unwrap()) && other.is_some());
        assert!(same().await.is_some());
        assert_eq!(made.load(Ordering::SeqCst), 2, "it is kept for a moment");
        assert!(comparisons.shared.lock().unwrap().len() <= MAX_KEPT);
    }

    #[tokio::test]
    async fn nobody_waits_forever() {
        let comparisons = Comparisons { patience: Duration::ZERO, ..Comparisons::new(1) };
        let _permit = comparisons.limits.acquire(PEER).await;
        let made = Arc::new(AtomicUsize::new(0));
        assert!(comparisons.page(PEER, "page".to_owned(), counted(&made)).await.is_none());
        assert_eq!(made.load(Ordering::SeqCst), 0);
    }
}
