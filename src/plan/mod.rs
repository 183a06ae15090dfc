//! What a mirror lacks for a lock: pure data, printable before anything is done.
//!
//! - [`Wanted`]: what some locks pin, validated.
//! - [`Comparison`]: that against what a snapshot holds.

mod comparison;
mod wanted;

pub use comparison::{Change, Comparison, GitChange, is_deep_enough};
pub use wanted::{GitPin, Ignored, NotMirrored, Pin, Unmirrored, Wanted};
