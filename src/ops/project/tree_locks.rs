//! Finds the locks of commits. The locks of the trees that were searched last are kept, in the process and beside the
//! repository, so that later searches read only the folders that differ.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use super::locks::MAX_LOCKS;
use crate::ops::{OpError, Project, Result, own_file};
use crate::plan::LockVerdict;
use crate::store::{FileRule, ObjectId, Repository, TreeFiles};

/// The name of the file beside the repository.
const FILE: &str = "trees";
/// The number of folders read from which on a result is saved for other processes. Reading fewer costs less than
/// writing the file.
const WORTH_SAVING: usize = 32;

impl Project {
    /// Returns the locks in a commit's tree, in which symbolic links are not resolved. A mirror has none: it contains
    /// the locks of packages.
    pub(super) fn tree_locks(&self, commit: ObjectId) -> Result<TreeFiles> {
        let (repository, tree) = (&self.repository, self.repository.tree_id(commit)?);
        let header = self.header()?;
        let mut known = self.known_trees.lock().unwrap_or_else(PoisonError::into_inner);
        known.load(&repository.own_dir().join(FILE), &header);
        if let Some(found) = known.get(tree) {
            return Ok(found.clone());
        }
        if repository.mirror_commit(commit).is_some() {
            return Ok(TreeFiles { tree, files: BTreeMap::new(), folders_read: 0 });
        }
        let rule = self.lock_rule()?;
        let selects = |path: &str, beside: &dyn Fn(&str) -> bool| rule.judge(path, beside) == LockVerdict::InForce;
        let rule = FileRule { enters: &|folder| rule.enters(folder), selects: &selects };
        let found = repository.tree_files(commit, rule, known.last())?;
        if found.files.len() > MAX_LOCKS {
            return Err(OpError::TooManyLocks { limit: MAX_LOCKS });
        }
        known.add(found.clone());
        if found.folders_read >= WORTH_SAVING {
            own_file::write(repository, FILE, &known.text(&header));
        }
        Ok(found)
    }

    /// Returns the first line of the saved trees. It changes with everything that the result depends on, besides the
    /// tree: the version of this program and the configured locks.
    fn header(&self) -> Result<String> {
        let rule = format!("{:?}", self.config.locks);
        Ok(format!("{} {}\n", env!("CARGO_PKG_VERSION"), Repository::blob_id(rule.as_bytes())?))
    }
}
