//! Stored git repositories, prepared for checking in a temporary folder.

use gix::bstr::ByteSlice;

use super::blob_hasher::blob_id;
use super::sweep::Temporary;
use super::{Result, Snapshot, StoreError};
use crate::model::GitAddress;

impl Snapshot {
    /// Writes a git repository to `checked.git` in a new temporary folder, which is removed when the returned value is
    /// dropped.
    ///
    /// # Errors
    /// Fails if the repository is damaged or the folder is not writable.
    pub fn write_git_to_scratch(&self, address: &GitAddress) -> Result<Temporary> {
        let path = address.tree_path();
        let tree = self.git_repository(address)?.ok_or_else(|| StoreError::damaged(&path)("it is missing"))?;
        let folder = Temporary::make(&self.repository)?;
        let checked = folder.path().join("checked.git");
        self.repository.write_tree_to(tree, &checked)?;
        let read = self.repository.git.find_tree(tree).map_err(StoreError::damaged(&path))?;
        let mut recorder = gix::traverse::tree::Recorder::default();
        read.traverse().breadthfirst(&mut recorder).map_err(StoreError::damaged(&path))?;
        for entry in recorder.records.iter().filter(|entry| entry.mode.is_blob()) {
            let name = entry.filepath.to_str_lossy();
            let file = checked.join(name.as_ref());
            if blob_id(&file).map_err(StoreError::io("read", &file))? != entry.oid {
                return Err(StoreError::damaged(format!("{path}/{name}"))("its content does not match its id"));
            }
        }
        Ok(folder)
    }
}
