//! Checks before a ref update that everything reachable from the new commit exists.

use std::collections::HashSet;

use gix::ObjectId;

use super::pack::InstalledPacks;
use super::{Branch, CheckedTrees, Repository, Result, Snapshot, StoreError};

/// The largest object that is read, in bytes. For larger ones only their existence is checked.
const MAX_READ: u64 = 8 << 20;

impl Snapshot {
    /// Checks that a partial clone has all objects of the snapshot. Git fetches such objects on access, but this program does not.
    ///
    /// # Errors
    /// Fails with [`StoreError::Partial`] if one is missing. `branch` is the branch that the snapshot belongs to.
    pub fn refuse_partial(&self, branch: &Branch) -> Result<()> {
        if !self.repository.is_partial() {
            return Ok(());
        }
        let CheckedTrees { trees, files, .. } = self.check_trees();
        let mut ids = trees.into_iter().chain(files.into_iter().map(|(id, _)| id));
        match ids.all(|id| self.repository.has(id)) {
            true => Ok(()),
            false => Err(StoreError::Partial { branch: branch.to_string() }),
        }
    }
}

impl Repository {
    /// Checks a commit that is about to be published. Its manifest must be readable and match its tree. Every object
    /// that is reachable from the commit but not from the base must exist, and its content must match its id.
    /// `installed` are the packs that this process wrote.
    ///
    /// # Errors
    /// Fails with [`StoreError::Damaged`] if an object is missing or wrong.
    pub(super) fn check_new(
        &self,
        commit: ObjectId,
        base: Option<&Snapshot>,
        installed: &InstalledPacks,
    ) -> Result<()> {
        let tree = self.tree_at(commit)?.id;
        let walk = Walk { repository: self, installed };
        walk.folder("", tree, base.map(Snapshot::tree))?;
        match Snapshot::unchecked(self, commit)?.mismatches(base)?.into_iter().next() {
            Some(damage) => Err(StoreError::damaged(damage.path)(damage.problem)),
            None => Ok(()),
        }
    }
}

struct Walk<'a> {
    repository: &'a Repository,
    installed: &'a InstalledPacks,
}

impl Walk<'_> {
    /// Checks the entries of a folder that differ from the base's folder at the same path, recursively.
    fn folder(&self, path: &str, tree: ObjectId, base: Option<ObjectId>) -> Result<()> {
        if base == Some(tree) {
            return Ok(());
        }
        let before = base.map(|base| self.repository.folder_entries(path, base)).transpose()?.unwrap_or_default();
        // An entry that was only renamed within the folder exists in the base too.
        let known: HashSet<ObjectId> = before.values().map(|(_, id)| *id).collect();
        self.object(path, tree)?;
        for (name, (mode, id)) in self.repository.folder_entries(path, tree)? {
            if known.contains(&id) {
                continue;
            }
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            if mode.is_tree() {
                let there = before.get(&name).filter(|(mode, _)| mode.is_tree());
                self.folder(&path, id, there.map(|(_, id)| *id))?;
            } else if !mode.is_commit() {
                self.object(&path, id)?;
            }
        }
        Ok(())
    }

    fn object(&self, path: &str, id: ObjectId) -> Result<()> {
        // The index was computed from the bytes in the pack, so a listed object is known to be intact.
        if self.installed.has(id) {
            return Ok(());
        }
        let git = &self.repository.git;
        let path = if path.is_empty() { "the root" } else { path };
        let header = git.find_header(id).map_err(StoreError::damaged(path))?;
        if header.size() > MAX_READ {
            return Ok(());
        }
        let object = git.find_object(id).map_err(StoreError::damaged(path))?;
        let data = gix::objs::Data::new(&object.data, object.kind, id.kind());
        data.verify_checksum(&id).map(drop).map_err(StoreError::damaged(path))
    }
}
