//! What a mirror lacks for a lock: pure data, printable before anything is done.
//!
//! - [`Wanted`]: what some locks pin, validated.
//! - [`RepositoryWant`]: what the pins of one git repository want of it together.
//! - [`Comparison`]: what is wanted against what a snapshot holds; whether it is fresh.
//! - [`GitPlan`]: what to fetch of git repositories, and what the manifest says of them then.
//! - [`Led`]: which git repositories clients are led to, and what of each they see.
//! - [`Pruning`]: what a snapshot holds beyond what is needed.
//! - [`LockChange`]: what changed from some locks to others.
//! - [`KnownSigners`]: who may sign a repository's registry entries.
//! - [`knows_more`], [`lost`]: which of two registry entries is the later.

mod comparison;
mod entry_facts;
mod git_plan;
mod git_want;
mod led;
mod lock_change;
mod pruning;
mod signer;
mod wanted;

pub use comparison::{Change, Comparison, GitChange};
pub use entry_facts::{Lost, knows_more, lost};
pub use git_plan::{GitPlan, Learned};
pub use git_want::{RepositoryWant, RevisionWant, is_deep_enough};
pub use led::{Leading, Led, LedRepository};
pub use lock_change::{ChangeKind, LockChange, Locked, lock_changes, locked};
pub use pruning::{Needed, Pruning};
pub use signer::{KnownSigners, Signer, SignerConflict, SignerSource};
pub use wanted::{GitPin, Ignored, NotMirrored, Pin, Unmirrored, Wanted};
