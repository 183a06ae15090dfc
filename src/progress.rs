//! What an operation reports while it runs. The library only emits events; the binary draws them.

use std::time::Duration;

/// Something that happened during an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Downloads were planned: this many more items will be fetched.
    Planned {
        /// How many items.
        items: u64,
    },
    /// Bytes of an item's body arrived.
    Received {
        /// How many.
        bytes: u64,
    },
    /// One planned item is done: fetched, or found to need no download.
    Finished {
        /// The item, as a person would call it.
        item: String,
    },
    /// An attempt failed and will be made again.
    Retrying {
        /// The item, as a person would call it.
        item: String,
        /// What went wrong.
        reason: String,
        /// How long until the next attempt.
        after: Duration,
    },
    /// Another process works on the mirror, and this one waits for it.
    Waiting {
        /// What is waited for.
        reason: String,
    },
    /// Something the user should know, though the operation goes on.
    Warning {
        /// What and why, in one sentence.
        message: String,
    },
}

/// Takes the events of an operation. Called from several threads.
pub trait Progress: Send + Sync {
    /// Takes one event. Must not block.
    fn report(&self, event: Event);
}

/// Discards every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _event: Event) {}
}
