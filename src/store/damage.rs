//! Damage to the mirror, as `verify` reports it.

/// A defect in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// The path in the branch's tree, or the name of a release or registry entry.
    pub path: String,
    /// What is wrong.
    pub problem: String,
}
