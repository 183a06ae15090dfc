//! Retries a request at the current tip if the tip that it was using disappears meanwhile.

use std::sync::Arc;

use tokio::task;

use super::contents::{Contents, Tip};
use super::refusal::Refusal;

/// The maximum number of attempts per request.
const MAX_ATTEMPTS: usize = 5;

/// The attempts of one request.
pub(super) struct Retries<'a> {
    contents: &'a Arc<dyn Contents>,
    /// The tip of each failed attempt.
    failed: Vec<Option<Tip>>,
}

impl<'a> Retries<'a> {
    pub(super) fn new(contents: &'a Arc<dyn Contents>) -> Self {
        Self { contents, failed: Vec::new() }
    }

    /// Returns whether to retry a request that failed at a tip. It is retried once at the same tip, because packs may
    /// have been replaced, and again whenever the branch has moved. Refreshes the contents first.
    pub(super) async fn prepare(&mut self, refusal: &Refusal, tip: Option<&Tip>) -> bool {
        let is_new = self.failed.is_empty() || self.failed.last().is_some_and(|last| last.as_ref() != tip);
        if !refusal.is_of_contents || !is_new || self.failed.len() + 1 >= MAX_ATTEMPTS {
            return false;
        }
        self.failed.push(tip.cloned());
        let contents = self.contents.clone();
        // If the refresh panics, the next attempt reports the problem.
        let _ = task::spawn_blocking(move || contents.refresh()).await;
        true
    }
}
