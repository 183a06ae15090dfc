//! A request is answered from one state of the branch. When that goes away meanwhile, it is answered from the next.

use std::sync::Arc;

use tokio::task;

use super::contents::{Contents, Tip};
use super::refusal::Refusal;

/// How often one request is tried at most, while the branch moves on under it.
const MOST: usize = 5;

/// The tries of one request.
pub(super) struct Tries<'a> {
    contents: &'a Arc<dyn Contents>,
    /// Where it failed, try by try.
    failed: Vec<Option<Tip>>,
}

impl<'a> Tries<'a> {
    pub(super) fn new(contents: &'a Arc<dyn Contents>) -> Self {
        Self { contents, failed: Vec::new() }
    }

    /// Returns whether what failed at a tip is to be tried again, at the tip of then: once at the same, since packs may have
    /// been replaced by others, and again when the branch has moved. The contents are refreshed before.
    pub(super) async fn again(&mut self, refusal: &Refusal, tip: Option<&Tip>) -> bool {
        let is_new = self.failed.is_empty() || self.failed.last().is_some_and(|last| last.as_ref() != tip);
        if !refusal.is_of_contents || !is_new || self.failed.len() + 1 >= MOST {
            return false;
        }
        self.failed.push(tip.cloned());
        let contents = self.contents.clone();
        // One that panics has refreshed nothing, and the next try says what is wrong.
        let _ = task::spawn_blocking(move || contents.refresh()).await;
        true
    }
}
