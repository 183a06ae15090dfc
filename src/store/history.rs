//! Relations between mirror histories: ancestry, common commits, and rewritten histories.

use std::collections::{BTreeSet, HashSet};

use gix::ObjectId;

use super::{Checkout, Repository, Result, StoreError};
use crate::model::Revision;

/// The trailer by which a commit declares that its history replaces the history of another commit, which is not among
/// its parents: `Replaces: COMMIT`.
pub const REPLACES: &str = "Replaces: ";
/// The trailer by which a commit without parents names a first commit of the history that it stands for: `Began-With: COMMIT`.
pub(super) const BEGAN_WITH: &str = "Began-With: ";

/// How many commits of a git dependency are searched for an older one.
const MAX_SEARCHED: usize = 100_000;

impl Checkout {
    /// Returns whether one revision of a git dependency is in the history of another, as far as that is stored. Searches the newest
    /// commits of a long history.
    ///
    /// # Errors
    /// Fails if a commit cannot be read.
    pub fn is_ancestor(&self, old: Revision, new: Revision) -> Result<bool> {
        let git = Repository::open(self.folder())?.git;
        let [old, new] = [old, new].map(|revision| ObjectId::from_bytes_or_panic(revision.as_bytes()));
        is_reachable(&git, old, new, MAX_SEARCHED, "search the history of a git dependency")
    }
}

/// Returns whether `old` is among the newest commits of the history of `new`.
fn is_reachable(
    git: &gix::Repository,
    old: ObjectId,
    new: ObjectId,
    newest: usize,
    action: &'static str,
) -> Result<bool> {
    for commit in git.rev_walk([new]).all().map_err(StoreError::git(action))?.take(newest) {
        if commit.map_err(StoreError::git(action))?.id == old {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Repository {
    /// Returns whether `old` is in the history of `new`, as far as the history is available.
    ///
    /// # Errors
    /// Fails if a commit cannot be read.
    pub fn is_ancestor(&self, old: ObjectId, new: ObjectId) -> Result<bool> {
        // The merge base would not do: for commits made within one second, gix 0.90 may return one that is not the
        // best.
        is_reachable(&self.git, old, new, usize::MAX, "compare the histories of two mirrors")
    }

    /// Returns whether a commit is in the history of any of `tips`.
    ///
    /// # Errors
    /// Fails if a commit cannot be read.
    pub fn is_in(&self, commit: ObjectId, tips: &[ObjectId]) -> Result<bool> {
        let action = "compare the pushed commits with the remote's";
        if tips.is_empty() {
            return Ok(false);
        }
        let walk = self.git.rev_walk([commit]).with_hidden(tips.iter().copied());
        Ok(walk.all().map_err(StoreError::git(action))?.next().is_none())
    }

    /// Returns the newest commits that two histories have in common, or none if the histories are unrelated. The
    /// histories of mirrors are short, so both are read in full, without relying on commit dates.
    ///
    /// # Errors
    /// Fails if a commit cannot be read.
    pub fn common(&self, one: ObjectId, other: ObjectId) -> Result<Vec<ObjectId>> {
        let known: HashSet<ObjectId> = self.history(one)?.into_iter().collect();
        let is_known = |id: &gix::oid| known.contains(id);
        let first = self.frontier(other, |id, _| Ok(is_known(id)))?;
        let mut newest = Vec::new();
        for (index, id) in first.iter().enumerate() {
            let mut others = first.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, id)| *id);
            if !others.try_fold(false, |found, newer| Ok::<_, StoreError>(found || self.is_ancestor(*id, newer)?))? {
                newest.push(*id);
            }
        }
        Ok(newest)
    }

    /// Returns the commits that the history of `tip` declares to replace, newest first.
    ///
    /// # Errors
    /// Fails if a commit cannot be read.
    pub fn replaced_by(&self, tip: ObjectId) -> Result<Vec<ObjectId>> {
        let mut replaced = Vec::new();
        for id in self.history(tip)? {
            let message = self.message(id)?;
            let named = message.lines().filter_map(|line| line.strip_prefix(REPLACES));
            replaced.extend(named.filter_map(|id| ObjectId::from_hex(id.trim().as_bytes()).ok()));
        }
        Ok(replaced)
    }

    /// Returns the first commits of a history. They identify the mirror: clones of a project have one in common, also after one
    /// compacted its history. Empty if the history is not complete here.
    ///
    /// # Errors
    /// Fails if a commit cannot be read.
    pub fn first_commits(&self, tip: ObjectId) -> Result<BTreeSet<ObjectId>> {
        let shallow = self.shallow_commits()?;
        let mut first = BTreeSet::new();
        for id in self.history(tip)? {
            if shallow.contains(&id) {
                return Ok(BTreeSet::new());
            }
            if self.commit(id)?.parent_ids().next().is_none() {
                let message = self.message(id)?;
                let before = message.lines().filter_map(|line| line.strip_prefix(BEGAN_WITH));
                let before: Vec<_> = before.filter_map(|id| ObjectId::from_hex(id.trim().as_bytes()).ok()).collect();
                first.extend(if before.is_empty() { vec![id] } else { before });
            }
        }
        Ok(first)
    }

    /// Returns the newest commits of a history made before a point in time, in seconds since 1970. The author date is
    /// used because it survives a rewrite of the history.
    ///
    /// # Errors
    /// Fails if a commit cannot be read.
    pub fn newest_before(&self, tip: ObjectId, seconds: i64) -> Result<Vec<ObjectId>> {
        self.frontier(tip, |_, commit| {
            let made = commit
                .author()
                .map_err(|error| error.to_string())
                .and_then(|author| author.time().map_err(|error| error.to_string()));
            Ok(made.map_err(StoreError::damaged(format!("commit {}", commit.id)))?.seconds < seconds)
        })
    }

    /// Returns the commits that a ref has pointed to according to its reflog, newest first. A reflog need not go back
    /// to the first commit, for example that of a ref created by `git clone`.
    ///
    /// # Errors
    /// Fails if the reflog cannot be read.
    pub fn reflog(&self, full_name: &str) -> Result<Vec<ObjectId>> {
        let action = "read a reflog";
        let Some(reference) = self.git.try_find_reference(full_name).map_err(StoreError::git(action))? else {
            return Ok(Vec::new());
        };
        let mut log = reference.log_iter();
        let Some(lines) = log.rev().map_err(StoreError::git(action))? else { return Ok(Vec::new()) };
        let stood = lines.filter_map(Result::ok).flat_map(|line| [line.new_oid, line.previous_oid]);
        Ok(stood.filter(|id| !id.is_null()).collect())
    }

    /// Returns the first commits, walking back from `tip`, for which `stops` holds.
    fn frontier(
        &self,
        tip: ObjectId,
        stops: impl Fn(&gix::oid, &gix::Commit<'_>) -> Result<bool>,
    ) -> Result<Vec<ObjectId>> {
        let shallow = self.shallow_commits()?;
        let (mut next, mut seen, mut found) = (vec![tip], HashSet::from([tip]), Vec::new());
        while let Some(id) = next.pop() {
            let commit = self.commit(id)?;
            if stops(&id, &commit)? {
                found.push(id);
            } else if !shallow.contains(&id) {
                next.extend(commit.parent_ids().map(gix::Id::detach).filter(|parent| seen.insert(*parent)));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Returns a commit and its ancestors, as far as they are available.
    pub(super) fn history(&self, tip: ObjectId) -> Result<Vec<ObjectId>> {
        let action = "read the history of a mirror";
        let walk = self.git.rev_walk([tip]).all().map_err(StoreError::git(action))?;
        walk.map(|commit| Ok(commit.map_err(StoreError::git(action))?.id)).collect()
    }

    /// Returns the commits whose parents are missing from this clone (git's `shallow` file).
    pub(super) fn shallow_commits(&self) -> Result<BTreeSet<ObjectId>> {
        let shallow = self.git.shallow_commits().map_err(StoreError::git("read the list of shallow commits"))?;
        Ok(shallow.iter().flat_map(|commits| commits.iter().copied()).collect())
    }

    /// Returns the time at which a commit was made, in seconds since 1970.
    ///
    /// # Errors
    /// Fails if the commit cannot be read.
    pub fn commit_seconds(&self, id: ObjectId) -> Result<i64> {
        let time = self.commit(id)?.time().map_err(StoreError::damaged(format!("commit {id}")))?;
        Ok(time.seconds)
    }

    pub(super) fn commit(&self, id: ObjectId) -> Result<gix::Commit<'_>> {
        self.git.find_commit(id).map_err(StoreError::damaged(format!("commit {id}")))
    }

    /// Returns the message of a commit.
    ///
    /// # Errors
    /// Fails if the commit cannot be read.
    pub fn message(&self, id: ObjectId) -> Result<String> {
        let commit = self.commit(id)?;
        let message = commit.message_raw().map_err(StoreError::damaged(format!("commit {id}")))?;
        Ok(message.to_string())
    }
}
