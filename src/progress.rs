//! The progress of an operation. The library only emits events; the binary displays them.

use std::time::Duration;

/// Something that happened during an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// More items will be fetched.
    Planned {
        /// The number of additional items.
        items: u64,
    },
    /// A download began.
    Started {
        /// The item, as shown to the user.
        item: String,
    },
    /// A download ended, successfully or not.
    Stopped {
        /// The item, as shown to the user.
        item: String,
    },
    /// A file that will take a while and much space is about to be downloaded.
    Large {
        /// The address.
        item: String,
        /// The size in bytes.
        bytes: u64,
    },
    /// Bytes of an item's body arrived.
    Received {
        /// The number of bytes.
        bytes: u64,
    },
    /// One planned item was fetched, or needs no download.
    Finished {
        /// The item, as shown to the user.
        item: String,
    },
    /// An attempt failed and will be repeated.
    Retrying {
        /// The item, as shown to the user.
        item: String,
        /// The reason for the failure.
        reason: String,
        /// The time until the next attempt.
        after: Duration,
    },
    /// This process waits for another one that changes the mirror.
    Waiting {
        /// What this process waits for, as a noun phrase.
        reason: String,
    },
    /// A problem that does not stop the operation.
    Warning {
        /// The problem and its reason, in one sentence.
        message: String,
    },
}

/// Receives the events of an operation, from several threads.
pub trait Progress: Send + Sync {
    /// Receives one event. Must not block.
    fn report(&self, event: Event);
}

/// A download that is under way. It ends when this is dropped.
pub struct Download<'p> {
    progress: &'p dyn Progress,
    item: String,
}

impl<'p> Download<'p> {
    /// Reports that a download begins.
    pub fn begin(progress: &'p dyn Progress, item: String) -> Self {
        progress.report(Event::Started { item: item.clone() });
        Self { progress, item }
    }
}

impl Drop for Download<'_> {
    fn drop(&mut self) {
        self.progress.report(Event::Stopped { item: std::mem::take(&mut self.item) });
    }
}

/// Discards every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _event: Event) {}
}
