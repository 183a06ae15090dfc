//! The mirror's history, read for its log.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use gix::ObjectId;

use super::layout::Layout;
use super::{Branch, Repository, Result, Snapshot, StoreError};
use crate::model::{Day, Manifest, ManifestPart};

/// A commit, as a log shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitSummary {
    /// The id.
    pub id: ObjectId,
    /// The time of the commit, in seconds since 1970.
    pub seconds: i64,
    /// The day of the commit.
    pub day: Day,
    /// The first line of its message.
    pub subject: String,
}

impl Repository {
    /// Describes a commit; `None` if this repository does not have it.
    pub fn commit_summary(&self, id: ObjectId) -> Option<CommitSummary> {
        let seconds = self.commit_seconds(id).ok()?;
        let subject = self.message(id).ok()?.lines().next().unwrap_or_default().to_owned();
        Some(CommitSummary { id, seconds, day: Day::of_seconds(seconds), subject })
    }

    /// Returns the commits in the history of `to` that are not in the history of `from`.
    ///
    /// # Errors
    /// Fails if a commit cannot be read.
    pub fn commits_between(&self, from: ObjectId, to: ObjectId) -> Result<HashSet<ObjectId>> {
        let action = "list the commits of a range";
        let walk = self.git.rev_walk([to]).with_hidden([from]).all().map_err(StoreError::git(action))?;
        walk.map(|commit| Ok(commit.map_err(StoreError::git(action))?.id)).collect()
    }

    /// Returns whether the parents of a commit are missing from this clone (git's `shallow` file).
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub fn is_cut(&self, commit: ObjectId) -> Result<bool> {
        Ok(self.shallow_commits()?.contains(&commit))
    }

    /// Returns what the manifests of a mirror's commit and of its parent say differently, the parent's first. Reads only the
    /// parts that differ and are in `only`, if that is given. Without a parent, everything differs.
    ///
    /// # Errors
    /// Fails if one of the commits is not a mirror or is damaged.
    pub fn differing_manifests(
        &self,
        branch: &Branch,
        commit: ObjectId,
        parent: Option<ObjectId>,
        only: Option<&BTreeSet<ManifestPart>>,
    ) -> Result<[Manifest; 2]> {
        let after = Snapshot::at(self, branch, commit)?;
        let before = parent.map(|parent| Snapshot::at(self, branch, parent)).transpose()?;
        let whole = |snapshot: &Snapshot| snapshot.manifest().cloned();
        let is_sharded = |snapshot: &Snapshot| snapshot.layout() == Layout::Sharded;
        if !is_sharded(&after) || before.as_ref().is_some_and(|before| !is_sharded(before)) {
            return Ok([before.as_ref().map(whole).transpose()?.unwrap_or_default(), whole(&after)?]);
        }
        let now = after.part_ids()?;
        let then = before.as_ref().map(Snapshot::part_ids).transpose()?.unwrap_or_default();
        let parts: BTreeSet<ManifestPart> = now.keys().chain(then.keys()).copied().collect();
        // The entries of an index are in other parts than its signer.
        let parts = parts.into_iter().filter(|part| *part == ManifestPart::Index || now.get(part) != then.get(part));
        let parts: Vec<_> = parts.filter(|part| only.is_none_or(|only| only.contains(part))).collect();
        let read = |snapshot: &Snapshot, ids: &BTreeMap<ManifestPart, ObjectId>| {
            snapshot.some_parts(parts.iter().filter(|part| ids.contains_key(part)))
        };
        let before = before.as_ref().map(|before| read(before, &then)).transpose()?.unwrap_or_default();
        Ok([before, read(&after, &now)?])
    }
}
