//! Changes of files.

use gix::ObjectId;
use gix::objs::tree::EntryKind;
use sha2::{Digest, Sha256};

use super::Transaction;
use super::tree::Change;
use crate::model::{FileAddress, FileChecksum, FileId, FilePath, FileTrust, ManifestPart, StoredFile};
use crate::store::file::{piece_paths, pieces};
use crate::store::{Result, Snapshot, StoreError, layout};

impl Transaction<'_> {
    /// Adds a file, and returns whether it is new. A file that is stored already keeps its record. Documentation is stored
    /// unpacked if it can be rebuilt exactly and git accepts its file names.
    ///
    /// # Errors
    /// Fails if the pack cannot be written.
    pub fn put_file(&mut self, path: FilePath, content: &[u8], trust: FileTrust, address: FileAddress) -> Result<bool> {
        let id = FileId { path, checksum: FileChecksum::from_bytes(Sha256::digest(content).into()) };
        if self.manifest.files.contains_key(&id) {
            return Ok(false);
        }
        let mut stored = StoredFile { bytes: content.len() as u64, trust, address, is_unpacked: false };
        if let Some(tree) = self.add_docs(&id, content)? {
            stored.is_unpacked = true;
            self.insert_docs(id, stored, tree);
            return Ok(true);
        }
        let blobs = pieces(content).into_iter().map(|piece| self.add_blob(piece)).collect::<Result<Vec<_>>>()?;
        self.insert_file(id, stored, blobs);
        Ok(true)
    }

    /// Copies a file from another snapshot of this repository.
    ///
    /// # Errors
    /// Fails if the other snapshot lacks it.
    pub fn copy_file(&mut self, other: &Snapshot, id: &FileId) -> Result<()> {
        let manifest = other.part(ManifestPart::Files)?;
        let missing = |path: &str| StoreError::damaged(path)("it is missing");
        let stored = manifest.files.get(id).ok_or_else(|| missing(id.path.as_str()))?;
        if let Some(path) = other.docs_path(id)? {
            let (tree, _) = other.lookup(&path)?.ok_or_else(|| missing(&path))?;
            self.insert_docs(id.clone(), stored.clone(), tree);
            return Ok(());
        }
        let paths = piece_paths(&id.checksum, stored.bytes);
        let blob = |path: &String| Ok(other.lookup(path)?.ok_or_else(|| missing(path))?.0);
        let blobs = paths.iter().map(blob).collect::<Result<Vec<_>>>()?;
        self.insert_file(id.clone(), stored.clone(), blobs);
        Ok(())
    }

    fn insert_file(&mut self, id: FileId, stored: StoredFile, blobs: Vec<ObjectId>) {
        self.parts.insert(ManifestPart::Files);
        self.files.insert(id.checksum, blobs);
        self.manifest.files.insert(id, stored);
    }

    /// Removes a file.
    pub fn remove_file(&mut self, id: &FileId) {
        if let Some(stored) = self.manifest.files.remove(id) {
            self.parts.insert(ManifestPart::Files);
            self.docs.remove(id);
            if !stored.is_unpacked {
                self.files.entry(id.checksum).or_default();
            }
        }
    }

    /// Lists the differences of files: the new contents, and those that no path has any more.
    pub(super) fn place_files(&self, changes: &mut Vec<Change>) {
        for (checksum, blobs) in &self.files {
            let whole = self.manifest.files.iter().filter(|(_, stored)| !stored.is_unpacked);
            let mut of_content = whole.filter(|(id, _)| id.checksum == *checksum);
            match of_content.next() {
                // Without new blobs, those of the base stay, because another path has the same content.
                Some((_, stored)) if !blobs.is_empty() => {
                    let paths = piece_paths(checksum, stored.bytes).into_iter();
                    changes.extend(paths.zip(blobs).map(|(path, blob)| (path, Some((EntryKind::Blob, *blob)))));
                }
                Some(_) => {}
                None => changes.push((layout::file_path(checksum), None)),
            }
        }
    }
}
