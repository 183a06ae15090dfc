//! Rewrites the history of the mirror branch: keeps its newest commits and drops the ones before them.

use std::fmt::Write;

use gix::ObjectId;
use gix::objs::{Kind, WriteTo};

use super::history::BEGAN_WITH;
use super::own_packs::PackList;
use super::pack::{PackWriter, PackedObject};
use super::repository::set_committer;
use super::{Branch, REPLACES, Repository, Result, StoreError};

/// The outcome of a compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// The old tip.
    pub before: ObjectId,
    /// The new tip, with the same tree.
    pub commit: ObjectId,
    /// The number of commits in the old history.
    pub commits: usize,
    /// The number of commits in the new history.
    pub kept: usize,
}

impl Repository {
    /// Rewrites the branch's history to its `keep` newest commits, at least one. The oldest of these then stands for
    /// everything before it. Only first parents are followed, because a merge commit's tree already contains what was
    /// merged. Trees, messages, authors and dates stay the same. Returns `None` if the history is no longer than
    /// `keep`.
    ///
    /// # Errors
    /// Fails with [`StoreError::Moved`] if the branch moved meanwhile. Also fails if the branch is checked out. The
    /// branch does not change in either case.
    pub fn compact(&self, branch: &Branch, keep: usize) -> Result<Option<Compacted>> {
        self.refuse_checked_out(branch)?;
        let before = self.tip(branch)?.ok_or_else(|| self.no_mirror(branch))?;
        let line = self.first_parents(before)?;
        let keep = keep.clamp(1, line.len());
        let is_merge = |id: &ObjectId| Ok::<_, StoreError>(self.commit(*id)?.parent_ids().count() > 1);
        if keep == line.len()
            && !line.iter().try_fold(false, |found, id| Ok::<_, StoreError>(found || is_merge(id)?))?
        {
            return Ok(None);
        }
        let (mut pack, mut parent) = (PackWriter::begin(&self.objects_dir(), self.files()?)?, None);
        for (index, id) in line[..keep].iter().enumerate().rev() {
            let squashed = (index + 1 == keep).then(|| Ok(self.history(*id)?.len()));
            parent = Some(self.rewritten(&mut pack, *id, parent, squashed.transpose()?, before)?);
        }
        let commit = parent.unwrap_or(before);
        // The pack must stay protected until the branch points to it.
        let installed = pack.finish()?;
        PackList::of(self)?.add(installed.names());
        self.move_tip(branch, before, commit, "compacted")?;
        Ok(Some(Compacted { before, commit, commits: self.history(before)?.len(), kept: keep }))
    }

    /// Returns a commit and its first-parent ancestors, newest first.
    ///
    /// # Errors
    /// Fails if a commit cannot be read.
    pub fn first_parents(&self, tip: ObjectId) -> Result<Vec<ObjectId>> {
        let shallow = self.shallow_commits()?;
        let (mut line, mut next) = (Vec::new(), Some(tip));
        while let Some(id) = next {
            line.push(id);
            let parent = self.commit(id)?.parent_ids().next().map(gix::Id::detach);
            next = parent.filter(|_| !shallow.contains(&id));
        }
        Ok(line)
    }

    /// Copies a commit onto another parent. The first commit of a history records in its message how many commits it
    /// stands for, the id of the old tip, and those of the old first commits.
    fn rewritten(
        &self,
        pack: &mut PackWriter,
        id: ObjectId,
        parent: Option<ObjectId>,
        squashed: Option<usize>,
        before: ObjectId,
    ) -> Result<ObjectId> {
        let damaged = || StoreError::damaged(format!("commit {id}"));
        let commit = self.commit(id)?;
        let mut commit = commit.decode().map_err(damaged())?.into_owned().map_err(damaged())?;
        commit.parents = parent.into_iter().collect();
        if let Some(squashed) = squashed {
            let old = commit.message.to_string();
            let mut message = format!("Compact the history of the mirror: {squashed} commits in one\n\n");
            let _ = writeln!(message, "The newest of them: {}\n", old.lines().next().unwrap_or_default());
            for replaced in [before].into_iter().chain(self.replaced_by(id)?) {
                let _ = writeln!(message, "{REPLACES}{replaced}");
            }
            for first in self.first_commits(before)? {
                let _ = writeln!(message, "{BEGAN_WITH}{first}");
            }
            commit.message = message.into();
            commit.committer = set_committer(&mut self.git.clone())?;
        }
        let mut bytes = Vec::new();
        commit.write_to(&mut bytes).map_err(StoreError::git("write a commit"))?;
        let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, Kind::Commit, &bytes);
        let id = id.map_err(StoreError::git("hash a commit"))?;
        pack.add(PackedObject::new(Kind::Commit, &bytes, id, self.compression()?)?)
    }
}
