//! What all pages say about the mirror.

use super::words::short;
use crate::model::Day;
use crate::ops::{Project, Result};
use crate::page::Frame;
use crate::store::Snapshot;

/// Returns what all pages say about the mirror.
pub(super) fn frame(project: &Project, snapshot: &Snapshot) -> Result<Frame> {
    let repository = &project.repository;
    let root = repository.worktree().unwrap_or(repository.common_dir());
    let commit = snapshot.commit();
    Ok(Frame {
        project: root.file_name().map_or_else(|| "the project".to_owned(), |name| name.to_string_lossy().into_owned()),
        branch: project.branch.to_string(),
        commit: short(&commit.to_string()),
        day: Day::of_seconds(repository.commit_seconds(commit)?).to_string(),
        site: None,
    })
}
