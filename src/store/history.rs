//! The histories of mirrors: which has which, what two have in common, and what was rewritten.

use std::collections::{BTreeSet, HashSet};

use gix::ObjectId;

use super::{Repository, Result, StoreError};

/// The trailer by which a commit says that its history stands for that of another commit, which it does not name as its
/// parent: `Replaces: COMMIT`.
pub const REPLACES: &str = "Replaces: ";

impl Repository {
    /// Tells whether everything in the history of `old` is in that of `new`, as far as it is here.
    ///
    /// # Errors
    /// Fails where a commit cannot be read.
    pub fn is_ancestor(&self, old: ObjectId, new: ObjectId) -> Result<bool> {
        // Not by the merge base: of commits within one second gix 0.90 may find another than the best one.
        let action = "compare the histories of two mirrors";
        for commit in self.git.rev_walk([new]).all().map_err(StoreError::git(action))? {
            if commit.map_err(StoreError::git(action))?.id == old {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tells whether a commit is in the history of any of some others.
    ///
    /// # Errors
    /// Fails where a commit cannot be read.
    pub fn is_in(&self, commit: ObjectId, tips: &[ObjectId]) -> Result<bool> {
        let action = "compare what is pushed with what the remote has";
        if tips.is_empty() {
            return Ok(false);
        }
        let walk = self.git.rev_walk([commit]).with_hidden(tips.iter().copied());
        Ok(walk.all().map_err(StoreError::git(action))?.next().is_none())
    }

    /// Returns the newest commits that two histories have in common; none where they never met. The histories of mirrors
    /// are short, so both are read in full, and no date is relied on.
    ///
    /// # Errors
    /// Fails where a commit cannot be read.
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

    /// Returns the commits that the history of `tip` says it stands for, the newest first.
    ///
    /// # Errors
    /// Fails where a commit cannot be read.
    pub fn replaced_by(&self, tip: ObjectId) -> Result<Vec<ObjectId>> {
        let mut replaced = Vec::new();
        for id in self.history(tip)? {
            let message = self.message(id)?;
            let named = message.lines().filter_map(|line| line.strip_prefix(REPLACES));
            replaced.extend(named.filter_map(|id| ObjectId::from_hex(id.trim().as_bytes()).ok()));
        }
        Ok(replaced)
    }

    /// Returns the newest commits of a history that were made before a moment, given in seconds since 1970; by the author's
    /// date, which outlives the rewriting of a history.
    ///
    /// # Errors
    /// Fails where a commit cannot be read.
    pub fn newest_before(&self, tip: ObjectId, seconds: i64) -> Result<Vec<ObjectId>> {
        self.frontier(tip, |_, commit| {
            let made = commit
                .author()
                .map_err(|error| error.to_string())
                .and_then(|author| author.time().map_err(|error| error.to_string()));
            Ok(made.map_err(StoreError::damaged(format!("commit {}", commit.id)))?.seconds < seconds)
        })
    }

    /// Returns the commits that a ref stood on, the newest first, as far as its reflog tells: it may begin late, as that of
    /// a ref that `git clone` made.
    ///
    /// # Errors
    /// Fails where the reflog cannot be read.
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

    /// Returns the first commits of a history, going back from `tip`, for which `stops` holds.
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

    /// Returns a commit and everything in its history, as far as it is here.
    pub(super) fn history(&self, tip: ObjectId) -> Result<Vec<ObjectId>> {
        let action = "read the history of a mirror";
        let walk = self.git.rev_walk([tip]).all().map_err(StoreError::git(action))?;
        walk.map(|commit| Ok(commit.map_err(StoreError::git(action))?.id)).collect()
    }

    /// Returns the commits whose parents are not here (git's `shallow` file).
    pub(super) fn shallow_commits(&self) -> Result<BTreeSet<ObjectId>> {
        let shallow = self.git.shallow_commits().map_err(StoreError::git("read which commits have no parents here"))?;
        Ok(shallow.iter().flat_map(|commits| commits.iter().copied()).collect())
    }

    pub(super) fn commit(&self, id: ObjectId) -> Result<gix::Commit<'_>> {
        self.git.find_commit(id).map_err(StoreError::damaged(format!("commit {id}")))
    }

    fn message(&self, id: ObjectId) -> Result<String> {
        let commit = self.commit(id)?;
        let message = commit.message_raw().map_err(StoreError::damaged(format!("commit {id}")))?;
        Ok(message.to_string())
    }
}
