//! What a commit of the mirror branch stores, as it was published, verified against the manifest.

use std::collections::{HashMap, HashSet};
use std::error::Error;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use sha2::{Digest, Sha256};

use super::{Result, Snapshot, StoreError, layout};
use crate::hex::recipe::{self, RebuildError, Recipe};
use crate::hex::tarball::{Tarball, TarballLimits};
use crate::model::{EntryId, OuterChecksum, ReleaseId, Storage};

/// The problem of a file in the contents of a release that the release does not have.
pub(super) const NOT_OF_RELEASE: &str = "the recipe of its release does not list it";

/// Reads a file of the contents of a release.
type ReadContents<'a> = dyn FnMut(&str) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> + 'a;

impl Snapshot {
    /// Returns the signed message of a registry entry, verified against the manifest, or `None` if the entry is not
    /// stored.
    ///
    /// # Errors
    /// Fails if the entry is damaged.
    pub fn entry(&self, id: &EntryId) -> Result<Option<Vec<u8>>> {
        let manifest = self.manifest_of(&id.package)?;
        let Some(stored) = manifest.entries.get(id) else { return Ok(None) };
        let path = self.layout().entry_path(id);
        let bytes = self.blob(&path)?.ok_or_else(|| StoreError::damaged(&path)("it is missing"))?;
        let found: [u8; 32] = Sha256::digest(&bytes).into();
        if &found != stored.checksum.as_bytes() {
            return Err(StoreError::damaged(path)("its checksum differs from the manifest's"));
        }
        Ok(Some(bytes))
    }

    /// Returns the tarball of a release, byte for byte as published and verified against the manifest, or `None` if the
    /// release is not stored.
    ///
    /// # Errors
    /// Fails if the release is damaged.
    pub fn tarball(&self, id: &ReleaseId) -> Result<Option<Vec<u8>>> {
        let manifest = self.manifest_of(&id.package)?;
        let Some(stored) = manifest.releases.get(id) else { return Ok(None) };
        let path = self.release_path(&manifest, id);
        let bytes = match stored.storage {
            Storage::Tarball => self.required(&path, layout::TARBALL)?,
            Storage::Unpacked => self.rebuild(&path)?,
        };
        let found = OuterChecksum::from_bytes(Sha256::digest(&bytes).into());
        if found != stored.outer {
            return Err(StoreError::damaged(path)(format!(
                "its checksum is {found}, the manifest says {}",
                stored.outer
            )));
        }
        Ok(Some(bytes))
    }

    /// Returns the files in the root of a release's contents whose names are accepted. Empty if the release is not stored.
    ///
    /// # Errors
    /// Fails if the release is damaged.
    pub fn release_files(&self, id: &ReleaseId, accepts: impl Fn(&str) -> bool) -> Result<HashMap<String, Vec<u8>>> {
        let manifest = self.manifest_of(&id.package)?;
        let Some(stored) = manifest.releases.get(id) else { return Ok(HashMap::new()) };
        let path = self.release_path(&manifest, id);
        if stored.storage == Storage::Tarball {
            let bytes = self.required(&path, layout::TARBALL)?;
            let tarball = Tarball::open(&bytes, &TarballLimits::default()).map_err(StoreError::damaged(&path))?;
            return tarball.root_files(&TarballLimits::default(), accepts).map_err(StoreError::damaged(path));
        }
        let folder = format!("{path}/{}", layout::CONTENTS);
        let Some((tree, _)) = self.lookup(&folder)?.filter(|(_, mode)| mode.is_tree()) else {
            return Ok(HashMap::new());
        };
        let tree = self.repository.git.find_tree(tree).map_err(StoreError::damaged(&folder))?;
        let mut files = HashMap::new();
        for entry in tree.iter().filter_map(Result::ok).filter(|entry| entry.mode().is_blob()) {
            if let Ok(name) = entry.filename().to_str()
                && accepts(name)
            {
                files.insert(name.to_owned(), self.object(entry.object_id(), || format!("{folder}/{name}"))?);
            }
        }
        Ok(files)
    }

    pub(super) fn rebuild(&self, path: &str) -> Result<Vec<u8>> {
        let recipe = self.recipe(path)?;
        let metadata = self.required(path, layout::METADATA)?;
        let limits = TarballLimits::default();
        self.rebuilt(path, |read| recipe::rebuild(&recipe, &metadata, read, &limits))
    }

    /// Rebuilds documentation that is stored in a folder.
    pub(super) fn rebuild_docs(&self, path: &str) -> Result<Vec<u8>> {
        let recipe = self.recipe(path)?;
        self.rebuilt(path, |read| recipe::rebuild_docs(&recipe, read, &TarballLimits::default()))
    }

    fn recipe(&self, path: &str) -> Result<Recipe> {
        let recipe = self.required(path, layout::RECIPE)?;
        let damaged = || format!("{path}/{}", layout::RECIPE);
        let text = std::str::from_utf8(&recipe).map_err(StoreError::damaged(damaged()))?;
        text.parse().map_err(StoreError::damaged(damaged()))
    }

    /// Rebuilds what is stored in a folder from its contents, all of which must be used.
    fn rebuilt(
        &self,
        path: &str,
        rebuild: impl FnOnce(&mut ReadContents<'_>) -> Result<Vec<u8>, RebuildError>,
    ) -> Result<Vec<u8>> {
        let files = self.files_below(&format!("{path}/{}", layout::CONTENTS))?;
        let mut unread: HashSet<&BStr> = files.keys().map(|name| name.as_bstr()).collect();
        let mut read = |name: &str| -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
            let full = || format!("{path}/{}/{name}", layout::CONTENTS);
            let id = files.get(name.as_bytes().as_bstr()).ok_or("it is missing")?;
            unread.remove(name.as_bytes().as_bstr());
            Ok(self.object(*id, full)?)
        };
        let rebuilt = rebuild(&mut read).map_err(StoreError::damaged(path))?;
        match unread.into_iter().min() {
            Some(name) => Err(StoreError::damaged(format!("{path}/{}/{name}", layout::CONTENTS))(NOT_OF_RELEASE)),
            None => Ok(rebuilt),
        }
    }

    /// Returns all blobs below a folder by their relative paths, or an empty map if the folder does not exist.
    fn files_below(&self, folder: &str) -> Result<HashMap<BString, ObjectId>> {
        let Some((id, mode)) = self.lookup(folder)? else { return Ok(HashMap::new()) };
        if !mode.is_tree() {
            return Err(StoreError::damaged(folder)("it is not a folder"));
        }
        let tree = self.repository.git.find_tree(id).map_err(StoreError::damaged(folder))?;
        let mut recorder = gix::traverse::tree::Recorder::default();
        tree.traverse().breadthfirst(&mut recorder).map_err(StoreError::damaged(folder))?;
        Ok(recorder.records.into_iter().filter(|e| e.mode.is_blob()).map(|e| (e.filepath, e.oid)).collect())
    }
}
