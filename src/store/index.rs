//! Reads the pinned index, and what it is built from.

use std::collections::BTreeMap;

use gix::ObjectId;

use super::layout::Layout;
use super::{Result, Snapshot, StoreError, layout};
use crate::hex::tarball::{Tarball, TarballLimits};
use crate::model::{IndexFile, ManifestPart, ReleaseId, RepositoryName, Storage};

impl Snapshot {
    /// Returns the parts of the manifest that are about packages, with their blob ids. `None` if the manifest is not
    /// divided.
    ///
    /// # Errors
    /// Fails if the manifest's folder is missing or damaged.
    pub fn package_parts(&self) -> Result<Option<BTreeMap<ManifestPart, ObjectId>>> {
        if self.layout() == Layout::Flat {
            return Ok(None);
        }
        let mut parts = self.part_ids()?;
        parts.retain(|part, _| matches!(part, ManifestPart::Packages(_)));
        Ok(Some(parts))
    }

    /// Returns the blob id of the part of the manifest with the signers of the pinned index, if it exists.
    ///
    /// # Errors
    /// Fails if a tree is damaged.
    pub fn index_part_id(&self) -> Result<Option<ObjectId>> {
        Ok(self.lookup(&layout::part_path(ManifestPart::Index))?.map(|(blob, _)| blob))
    }

    /// Returns whether the mirror has releases or registry entries of a repository.
    ///
    /// # Errors
    /// Fails if a tree is damaged.
    pub fn has_packages_of(&self, repository: &RepositoryName) -> Result<bool> {
        let exists = |folder: &str| Ok(self.lookup(&format!("hex/{repository}/{folder}"))?.is_some());
        Ok(exists("packages")? || exists("registry")?)
    }

    /// Returns the number of packages in a repository's pinned index.
    ///
    /// # Errors
    /// Fails if a tree is damaged.
    pub fn count_index(&self, repository: &RepositoryName) -> Result<usize> {
        let path = format!("{}/packages", layout::index_folder(repository));
        let Some((folder, _)) = self.lookup(&path)?.filter(|(_, mode)| mode.is_tree()) else { return Ok(0) };
        let shards = self.repository.folder_entries(&path, folder)?.into_values();
        let count = |tree| {
            let tree = self.repository.git.find_tree(tree).map_err(StoreError::damaged(&path))?;
            Ok(tree.iter().filter_map(std::result::Result::ok).filter(|entry| entry.mode().is_blob()).count())
        };
        shards.filter(|(mode, _)| mode.is_tree()).map(|(_, tree)| count(tree)).sum()
    }

    /// Returns a file of a repository's pinned index, or `None` if there is none. A registry file is the signed message,
    /// not compressed; its signature is not verified.
    ///
    /// # Errors
    /// Fails if the file is damaged.
    pub fn index_file(&self, repository: &RepositoryName, file: &IndexFile) -> Result<Option<Vec<u8>>> {
        self.blob(&self.layout().index_path(repository, file))
    }

    /// Returns the blob id of a file of a repository's pinned index, or `None` if there is none.
    ///
    /// # Errors
    /// Fails if a tree is damaged.
    pub fn index_file_id(&self, repository: &RepositoryName, file: &IndexFile) -> Result<Option<ObjectId>> {
        let found = self.lookup(&self.layout().index_path(repository, file))?;
        Ok(found.filter(|(_, mode)| mode.is_blob()).map(|(blob, _)| blob))
    }

    /// Returns the text of a release's `metadata.config`, or `None` if the release is not stored.
    ///
    /// # Errors
    /// Fails if the release is damaged.
    pub fn metadata(&self, id: &ReleaseId) -> Result<Option<Vec<u8>>> {
        let manifest = self.manifest_of(&id.package)?;
        let Some(stored) = manifest.releases.get(id) else { return Ok(None) };
        let path = self.release_path(&manifest, id);
        match stored.storage {
            Storage::Unpacked => {
                let path = format!("{path}/{}", layout::METADATA);
                self.blob(&path)?.ok_or_else(|| StoreError::damaged(&path)("it is missing")).map(Some)
            }
            Storage::Tarball => {
                let Some(bytes) = self.tarball(id)? else { return Ok(None) };
                let tarball = Tarball::open(&bytes, &TarballLimits::default()).map_err(StoreError::damaged(path))?;
                Ok(Some(tarball.metadata().to_vec()))
            }
        }
    }
}
