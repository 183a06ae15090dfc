//! Reads the pinned index, and what it is built from.

use gix::ObjectId;

use super::{Result, Snapshot, StoreError, layout};
use crate::hex::tarball::{Tarball, TarballLimits};
use crate::model::{IndexFile, ReleaseId, RepositoryName, Storage};

impl Snapshot {
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
