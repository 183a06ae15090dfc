//! What a page is made from.

use std::sync::Arc;

use super::facts::Facts;
use crate::ops::Project;
use crate::serve::Visit;
use crate::store::Snapshot;

/// What a page is made from. A branch that moves meanwhile does not change it.
pub(super) struct Context<'s> {
    /// The project, as it is when the page is made.
    pub project: Project,
    /// The mirror.
    pub snapshot: &'s Snapshot,
    /// What is known about the mirror.
    pub facts: Arc<Facts>,
    /// How the browser reached the server.
    pub visit: &'s Visit,
}

/// The project and its mirror, without what takes long to read about them.
pub(super) struct Mirrored<'s> {
    /// The project.
    pub project: &'s Project,
    /// The mirror.
    pub snapshot: &'s Snapshot,
}
