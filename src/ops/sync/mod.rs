//! Pushes the mirror branch to a remote and pulls it from there. Diverged mirrors are merged into their union.
//!
//! [`crate::plan::SyncPlan`] and [`crate::plan::MergePlan`] decide; the files here collect what the plans have to know
//! and carry them out.

mod apply;
pub(in crate::ops) mod checks;
pub(in crate::ops) mod fast_forward;
pub(in crate::ops) mod history;
mod integrate;
mod merge;
mod merge_facts;
mod outcome;
mod pull;
mod push;
pub(in crate::ops) mod remote_mirror;
pub(in crate::ops) mod signers;

pub use outcome::{Integration, PullOutcome, PushOutcome};
pub use pull::{pull, pull_known};
pub use push::{push, push_rewritten};
pub use remote_mirror::RemoteAccess;
