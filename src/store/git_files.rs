//! The files of a stored git repository, one by one.

use std::collections::BTreeMap;
use std::path::Path;

use gix::ObjectId;

use super::{Result, Snapshot, StoreError, checkout};
use crate::model::GitAddress;

impl Snapshot {
    /// Returns the files of a git repository by path, with their blobs. Leaves out files that do not belong in a packed
    /// repository, such as a `config` or a hook. `None` if the mirror does not have the repository.
    ///
    /// # Errors
    /// Fails if the tree is damaged.
    pub fn git_files(&self, address: &GitAddress) -> Result<Option<BTreeMap<String, ObjectId>>> {
        let Some(tree) = self.git_repository(address)? else { return Ok(None) };
        let path = address.tree_path();
        let read = self.repository.git.find_tree(tree).map_err(StoreError::damaged(&path))?;
        let mut recorder = gix::traverse::tree::Recorder::default();
        read.traverse().breadthfirst(&mut recorder).map_err(StoreError::damaged(&path))?;
        let files = recorder.records.into_iter().filter(|entry| entry.mode.is_blob());
        let files = files.filter(|entry| checkout::is_known(entry.filepath.as_ref()));
        Ok(Some(files.map(|entry| (entry.filepath.to_string(), entry.oid)).collect()))
    }

    /// Writes a blob of the snapshot to a file, without reading large ones into memory. `name` is its name in error
    /// messages.
    ///
    /// # Errors
    /// Fails if the blob is damaged or the file cannot be written.
    pub fn write_blob(&self, id: ObjectId, name: &str, to: &Path) -> Result<()> {
        self.repository.write_blob_to(id, name, to)
    }
}
