//! What a page is made from.

use std::sync::Arc;

use super::facts::Facts;
use crate::ops::Project;
use crate::serve::Visit;
use crate::store::Snapshot;

/// What a page is made from. A branch that moves meanwhile does not change it.
pub(super) struct Context<'s> {
    /// The project, as it is when the page is made.
    pub project: &'s Project,
    /// The mirror.
    pub snapshot: &'s Snapshot,
    /// What is known about the mirror.
    pub facts: Arc<Facts>,
    /// How the browser reached the server. `None` for the files of a site.
    pub visit: Option<&'s Visit>,
}

/// The project and its mirror, without what takes long to read about them.
pub(super) struct Mirrored<'s> {
    /// The project.
    pub project: &'s Project,
    /// The mirror.
    pub snapshot: &'s Snapshot,
    /// Whether the same mirror always gives the same page, even if that takes longer than a browser should wait.
    pub is_reproducible: bool,
}

impl<'s> Mirrored<'s> {
    /// Returns what a page for a browser is made from.
    pub fn of(project: &'s Project, snapshot: &'s Snapshot) -> Self {
        Self { project, snapshot, is_reproducible: false }
    }
}
