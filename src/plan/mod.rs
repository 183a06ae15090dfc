//! What a mirror lacks for a lock: pure data, printable before anything is done.
//!
//! - [`Wanted`]: what some locks pin, validated.
//! - [`Comparison`]: that against what a snapshot holds.
//! - [`Pruning`]: what a snapshot holds beyond what is needed.
//! - [`LockChange`]: what changed from some locks to others.

mod comparison;
mod lock_change;
mod pruning;
mod wanted;

pub use comparison::{Change, Comparison, GitChange, is_deep_enough};
pub use lock_change::{ChangeKind, LockChange, Locked, lock_changes, locked};
pub use pruning::{Needed, Pruning};
pub use wanted::{GitPin, Ignored, NotMirrored, Pin, Unmirrored, Wanted};
