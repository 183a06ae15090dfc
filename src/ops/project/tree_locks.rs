//! Finds the locks of commits, the mix.exs beside them that name a policy, and the configuration that mentions an asset tool. Those of the commits that were searched
//! last are kept, in the process and beside the repository, so that later searches read only the folders that differ.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use super::asset_configs::{is_config, mentions};
use super::known_trees::KnownTrees;
use super::locks::MAX_LOCKS;
use super::policies::{lock_beside, mix_exs_beside, policy_in_commit};
use crate::ops::plugins::config::MIX_EXS;
use crate::ops::{OpError, Project, Result, own_file};
use crate::plan::LockVerdict;
use crate::store::{FileRule, ObjectId, Repository, TreeFiles};

/// The name of the file beside the repository.
const FILE: &str = "trees";
/// The number of folders read from which on a result is saved for other processes. Reading fewer costs less than
/// writing the file.
const WORTH_SAVING: usize = 32;
/// The number of files in the pack folder from which on any result is saved. The first object that a process looks up
/// costs as much as opening all indexes.
const MANY_PACK_FILES: usize = 30;

impl Project {
    /// Returns the locks in a commit's tree, in which symbolic links are not resolved, each mix.exs beside them that
    /// names a policy, and each file of configuration that mentions an asset tool. A mirror has none: it contains the locks of packages. If they are known, no object is looked up.
    pub(super) fn tree_locks(&self, commit: ObjectId) -> Result<TreeFiles> {
        let (repository, header) = (&self.repository, self.header()?);
        let mut known = self.known_trees(&header);
        if let Some(found) = known.get(commit) {
            return Ok(found.clone());
        }
        let tree = repository.tree_id(commit)?;
        if let Some(found) = known.of_tree(tree).cloned() {
            self.add_known(&mut known, commit, found.clone(), &header);
            return Ok(found);
        }
        if repository.mirror_commit(commit).is_some() {
            return Ok(TreeFiles { tree, files: BTreeMap::new(), folders_read: 0 });
        }
        let rule = self.lock_rule()?;
        let is_lock = |path: &str, beside: &dyn Fn(&str) -> bool| rule.judge(path, beside) == LockVerdict::InForce;
        let selects = |path: &str, beside: &dyn Fn(&str) -> bool| {
            is_config(path)
                || is_lock(path, beside)
                || lock_beside(path).is_some_and(|(lock, name)| beside(name) && is_lock(&lock, beside))
        };
        let rule = FileRule { enters: &|folder| rule.enters(folder), selects: &selects };
        let mut found = repository.tree_files(commit, rule, known.last())?;
        self.keep_policies(commit, &mut found)?;
        self.keep_configs(&mut found)?;
        if found.files.len() > MAX_LOCKS {
            return Err(OpError::TooManyLocks { limit: MAX_LOCKS });
        }
        self.add_known(&mut known, commit, found.clone(), &header);
        Ok(found)
    }

    /// Removes each mix.exs that names no policy. One that is in a folder that did not change was removed before.
    fn keep_policies(&self, commit: ObjectId, found: &mut TreeFiles) -> Result<()> {
        let of_mix: Vec<String> = found.files.keys().filter_map(|file| mix_exs_beside(file)).collect();
        for mix_exs in of_mix {
            let Some(file) = found.files.get(&mix_exs) else { continue };
            let blob = if file.is_link { self.repository.blob_at(commit, &mix_exs)? } else { Some(file.blob) };
            let policy = blob.map(|blob| policy_in_commit(&self.repository, blob, &mix_exs)).transpose()?.flatten();
            if policy.is_none() {
                found.files.remove(&mix_exs);
            }
        }
        Ok(())
    }

    /// Removes each file of configuration that mentions no asset tool, as [`Self::keep_policies`] does.
    fn keep_configs(&self, found: &mut TreeFiles) -> Result<()> {
        let mut others = Vec::new();
        for (path, file) in found.files.iter().filter(|(path, _)| is_config(path)) {
            if !mentions(&self.repository, file, path)? {
                others.push(path.clone());
            }
        }
        for path in others {
            found.files.remove(&path);
        }
        Ok(())
    }

    /// Returns whether the locks of a commit are known. It is then no mirror, and need not be looked up.
    pub(in crate::ops) fn is_known_commit(&self, commit: ObjectId) -> bool {
        self.header().is_ok_and(|header| self.known_trees(&header).get(commit).is_some())
    }

    fn known_trees(&self, header: &str) -> MutexGuard<'_, KnownTrees> {
        let mut known = self.known_trees.lock().unwrap_or_else(PoisonError::into_inner);
        known.load(&self.repository.own_dir().join(FILE), header);
        known
    }

    fn add_known(&self, known: &mut KnownTrees, commit: ObjectId, found: TreeFiles, header: &str) {
        let folders_read = found.folders_read;
        known.add(commit, found);
        if folders_read >= WORTH_SAVING || self.repository.has_pack_files(MANY_PACK_FILES) {
            own_file::write(&self.repository, FILE, &known.text(header));
        }
    }

    /// Returns the first line of the saved commits. It changes with everything that the result depends on, besides the
    /// commit: the version of this program and the configured locks.
    fn header(&self) -> Result<String> {
        let rule = format!("{:?} {MIX_EXS} config", self.config.locks);
        Ok(format!("{} {}\n", env!("CARGO_PKG_VERSION"), Repository::blob_id(rule.as_bytes())?))
    }
}
