//! The commits of the local mirror and of a remote's, for plans.

use crate::model::Remote;
use crate::ops::{Project, Result};
use crate::plan::{self, CommitGraph};
use crate::store::{ObjectId, StoreError};

/// The histories of the mirrors in this clone. `remote` is the one whose reflog may be searched.
pub(super) struct MirrorHistory<'a> {
    pub project: &'a Project,
    pub remote: Option<&'a Remote>,
}

impl CommitGraph for MirrorHistory<'_> {
    type Id = ObjectId;
    type Error = StoreError;

    fn is_ancestor(&self, old: ObjectId, new: ObjectId) -> Result<bool, StoreError> {
        self.project.repository.is_ancestor(old, new)
    }

    fn merge_bases(&self, one: ObjectId, other: ObjectId) -> Result<Vec<ObjectId>, StoreError> {
        self.project.repository.common(one, other)
    }

    fn replaced_by(&self, tip: ObjectId) -> Result<Vec<ObjectId>, StoreError> {
        self.project.repository.replaced_by(tip)
    }

    fn has(&self, commit: ObjectId) -> bool {
        self.project.repository.has(commit)
    }

    fn fetched_tips(&self) -> Result<Vec<ObjectId>, StoreError> {
        let Some(remote) = self.remote else { return Ok(Vec::new()) };
        let Project { repository, branch, .. } = self.project;
        repository.reflog(&repository.tracking_ref(remote, branch))
    }
}

/// Returns whether a mirror contains all commits of another mirror's history, or replaced them on purpose.
///
/// # Errors
/// Fails if a commit cannot be read.
pub(in crate::ops) fn covers(project: &Project, own: ObjectId, other: ObjectId) -> Result<bool> {
    Ok(plan::covers(&MirrorHistory { project, remote: None }, own, other)?)
}
