//! Changes of the pinned index.

use std::collections::BTreeMap;

use gix::objs::tree::EntryKind;

use super::Transaction;
use crate::model::{EntryId, Fingerprint, IndexFile, IndexSource, ManifestPart, RepositoryName};
use crate::store::layout::Layout;
use crate::store::{Result, Snapshot, StoreError, layout};

impl Transaction<'_> {
    /// Writes a file of a repository's pinned index. A registry file is the signed message, not compressed.
    ///
    /// # Errors
    /// Fails if the pack cannot be written.
    pub fn put_index_file(&mut self, repository: &RepositoryName, file: &IndexFile, bytes: &[u8]) -> Result<()> {
        let blob = self.add_blob(bytes)?;
        self.index.insert(layout::index_path(repository, file), Some((EntryKind::Blob, blob)));
        Ok(())
    }

    /// Records what a package's entry in the pinned index is built from.
    ///
    /// # Errors
    /// Fails if the base's manifest is damaged.
    pub fn record_index_source(&mut self, id: EntryId, source: IndexSource) -> Result<()> {
        self.touch(&id.package)?;
        self.manifest.index.insert(id, source);
        Ok(())
    }

    /// Records the key that signs a repository's pinned index.
    pub fn record_index_signer(&mut self, repository: RepositoryName, signer: Fingerprint) {
        self.parts.insert(ManifestPart::Index);
        self.manifest.index_signers.insert(repository, signer);
    }

    /// Returns the key that signs the pinned index of each repository in the next commit.
    pub fn index_signers(&self) -> &BTreeMap<RepositoryName, Fingerprint> {
        &self.manifest.index_signers
    }

    /// Removes a package from the pinned index.
    ///
    /// # Errors
    /// Fails if the base's manifest is damaged.
    pub fn remove_from_index(&mut self, id: &EntryId) -> Result<()> {
        self.touch(&id.package)?;
        if self.manifest.index.remove(id).is_some() {
            let file = IndexFile::Package(id.package.clone());
            self.index.insert(layout::index_path(&id.repository, &file), None);
        }
        Ok(())
    }

    /// Removes a repository's pinned index.
    ///
    /// # Errors
    /// Fails if the base's manifest is damaged.
    pub fn remove_index(&mut self, repository: &RepositoryName) -> Result<()> {
        self.parts.insert(ManifestPart::Index);
        self.read_all()?;
        let listed = self.manifest.index.keys().filter(|id| id.repository == *repository);
        self.parts.extend(listed.map(|id| ManifestPart::of(&id.package)));
        self.manifest.index.retain(|id, _| id.repository != *repository);
        self.manifest.index_signers.remove(repository);
        self.replace_index_folder(repository, None);
        Ok(())
    }

    /// Copies a repository's pinned index from another snapshot of this repository, instead of what is there.
    ///
    /// # Errors
    /// Fails if the other snapshot has no such index or is damaged.
    pub fn copy_index(&mut self, other: &Snapshot, repository: &RepositoryName) -> Result<()> {
        let path = layout::index_folder(repository);
        let missing = || StoreError::damaged(&path)("it is missing");
        let manifest = other.manifest()?;
        let signer = *manifest.index_signers.get(repository).ok_or_else(missing)?;
        let (tree, _) = other.lookup(&path)?.filter(|(_, mode)| mode.is_tree()).ok_or_else(missing)?;
        self.remove_index(repository)?;
        self.manifest.index_signers.insert(repository.clone(), signer);
        for (id, source) in manifest.index.iter().filter(|(id, _)| id.repository == *repository) {
            self.record_index_source(id.clone(), *source)?;
        }
        match other.layout() {
            Layout::Sharded => self.replace_index_folder(repository, Some((EntryKind::Tree, tree))),
            Layout::Flat => self.move_index(other, repository)?,
        }
        Ok(())
    }

    /// Adds the files of a repository's pinned index that is arranged in an older layout, which are the same.
    pub(super) fn move_index(&mut self, other: &Snapshot, repository: &RepositoryName) -> Result<()> {
        let listed = other.manifest()?.index.keys().filter(|id| id.repository == *repository);
        let packages = listed.map(|id| IndexFile::Package(id.package.clone()));
        for file in [IndexFile::PublicKey, IndexFile::Names, IndexFile::Versions].into_iter().chain(packages) {
            let path = layout::index_path(repository, &file);
            let missing = || StoreError::damaged(&path)("it is missing");
            let blob = other.index_file_id(repository, &file)?.ok_or_else(missing)?;
            self.index.entry(path).or_insert(Some((EntryKind::Blob, blob)));
        }
        Ok(())
    }

    fn replace_index_folder(&mut self, repository: &RepositoryName, tree: Option<(EntryKind, gix::ObjectId)>) {
        let folder = layout::index_folder(repository);
        let inside = format!("{folder}/");
        self.index.retain(|path, _| !path.starts_with(&inside));
        self.index.insert(folder, tree);
    }
}
