//! Commits what a transaction collected, and moves the branch.

use std::collections::BTreeSet;

use gix::ObjectId;
use gix::objs::Kind;
use gix::refs::transaction::PreviousValue;

use super::Transaction;
use crate::store::own_packs::PackList;
use crate::store::pack::InstalledPacks;
use crate::store::ref_update::RefUpdate;
use crate::store::repository::set_committer;
use crate::store::{Result, Snapshot, StoredItem};

/// The outcome of [`Transaction::publish`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The branch's tip: the new commit, or the base's commit if nothing changed.
    pub commit: ObjectId,
    /// The size of the new pack and its index, in bytes.
    pub pack_bytes: u64,
}

impl Transaction<'_> {
    /// Writes all objects and moves the branch to the new commit. Makes no commit if nothing changed.
    ///
    /// # Errors
    /// Fails with [`Moved`](crate::store::StoreError::Moved) if the branch no longer points to the base. The branch does
    /// not change.
    pub fn publish(mut self, message: &str) -> Result<Published> {
        let tree = self.write_tree()?;
        if let Some(base) = self.base.filter(|base| base.tree() == tree && self.merged.is_none() && !self.allows_empty)
        {
            return Ok(Published { commit: base.commit(), pack_bytes: 0 });
        }
        let parents = self.base.map(Snapshot::commit).into_iter().chain(self.merged).collect();
        self.commit(tree, parents, message)
    }

    /// Writes all objects and replaces the base, the branch's tip, with a commit that has the same parents and message.
    /// Makes no commit if nothing changed.
    ///
    /// # Errors
    /// As for [`Self::publish`].
    pub fn publish_amended(mut self, base: &Snapshot) -> Result<Published> {
        let tree = self.write_tree()?;
        if tree == base.tree() {
            return Ok(Published { commit: base.commit(), pack_bytes: 0 });
        }
        let message = self.repository.message(base.commit())?;
        let parents = self.repository.commit(base.commit())?.parent_ids().map(gix::Id::detach).collect();
        self.commit(tree, parents, &message)
    }

    /// Writes all objects of a rebuilt mirror. `tip` is the commit and tree of the damaged tip. If the rebuilt tree is
    /// the tip's tree, the branch stays and has its objects back. Otherwise it moves to a new commit on `parents`,
    /// without the unreadable items. Returns those as well.
    ///
    /// # Errors
    /// As for [`Self::publish`].
    pub fn publish_rebuilt(
        mut self,
        tip: Option<(ObjectId, ObjectId)>,
        parents: Vec<ObjectId>,
        message: &str,
    ) -> Result<(Published, BTreeSet<StoredItem>)> {
        let mut tree = self.write_tree()?;
        if let Some((commit, _)) = tip.filter(|(_, before)| *before == tree) {
            let installed = self.install()?;
            return Ok((Published { commit, pack_bytes: installed.bytes }, BTreeSet::new()));
        }
        let dropped = std::mem::take(&mut self.damaged);
        for item in &dropped {
            match item {
                StoredItem::Release(id) => self.remove_release(id)?,
                StoredItem::Entry(id) => self.remove_entry(id)?,
                StoredItem::Policy(id) => self.remove_policy(id),
                StoredItem::File(id) => self.remove_file(id),
                StoredItem::Git(address) => self.remove_git(address),
            }
        }
        if !dropped.is_empty() {
            tree = self.write_tree()?;
        }
        Ok((self.commit(tree, parents, message)?, dropped))
    }

    /// Installs all new objects.
    fn install(self) -> Result<InstalledPacks> {
        let mut installed = self.pack.finish()?;
        for pack in &self.packs {
            installed.add(self.repository.files()?, &self.repository.objects_dir(), pack)?;
        }
        PackList::of(self.repository)?.add(installed.names());
        Ok(installed)
    }

    /// Commits a tree and moves the branch to the commit.
    fn commit(mut self, tree: ObjectId, parents: Vec<ObjectId>, message: &str) -> Result<Published> {
        let committer = set_committer(&mut self.repository.git.clone())?;
        let commit = gix::objs::Commit {
            tree,
            parents: parents.into(),
            author: committer.clone(),
            committer,
            encoding: None,
            message: message.into(),
            extra_headers: Vec::new(),
        };
        let commit = self.add_object(Kind::Commit, &commit)?;
        let Self { repository, branch, base, replaced, .. } = self;
        let installed = self.install()?;
        repository.check_new(commit, base, &installed)?;
        let before = replaced.or(base.map(Snapshot::commit));
        let expected = match before {
            Some(before) => PreviousValue::MustExistAndMatch(gix::refs::Target::Object(before)),
            None => PreviousValue::MustNotExist,
        };
        let subject = message.lines().next().unwrap_or_default();
        let update = RefUpdate { name: &branch.name, commit, expected, log: subject, action: "move the mirror branch" };
        match repository.move_branch(&update) {
            Ok(()) => Ok(Published { commit, pack_bytes: installed.bytes }),
            Err(error) => Err(repository.not_moved(branch, before, commit, error)?),
        }
    }
}
