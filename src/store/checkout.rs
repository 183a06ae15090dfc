//! Git repositories of the mirror, written to disk as bare repositories that git can read.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::read::ZlibDecoder;
use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice};

use super::git_cache::{cached_folder, existing_folder, write_folder};
use super::{Repository, Result, Snapshot, StoreError};
use crate::model::GitAddress;

/// Files of at least this size, in bytes, are streamed to disk instead of loaded into memory.
const LARGE: u64 = 8 << 20;

/// A bare git repository on disk. The cache does not remove it while this value is alive.
#[derive(Debug)]
pub struct Checkout {
    tree: ObjectId,
    folder: PathBuf,
    /// `None` if another user's cache has no lock file that we can open. Its owner may then remove the folder while we
    /// use it.
    _lock: Option<File>,
}

impl Checkout {
    /// Returns the repository's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the id of the tree that the folder was written from.
    pub fn tree(&self) -> ObjectId {
        self.tree
    }
}

impl Snapshot {
    /// Returns the id of a git repository's tree, or `None` if the mirror does not have the repository. Repositories
    /// with the same id have the same content.
    ///
    /// # Errors
    /// Fails if the snapshot cannot be read.
    pub fn git_repository(&self, address: &GitAddress) -> Result<Option<ObjectId>> {
        Ok(self.lookup(&address.tree_path())?.filter(|(_, mode)| mode.is_tree()).map(|(id, _)| id))
    }

    /// Returns a git repository as a folder of the project's own cache, or `None` if the mirror does not have it.
    ///
    /// # Errors
    /// As for [`Repository::checkout`].
    pub fn checkout(&self, address: &GitAddress) -> Result<Option<Checkout>> {
        self.git_repository(address)?.map(|tree| self.repository.checkout(tree)).transpose()
    }

    /// Returns a git repository as a folder of another cache, or `None` if the mirror does not have it.
    ///
    /// # Errors
    /// As for [`Repository::checkout`].
    pub fn checkout_in(&self, cache: &Path, address: &GitAddress) -> Result<Option<Checkout>> {
        self.git_repository(address)?.map(|tree| self.repository.checkout_in(cache, tree)).transpose()
    }
}

impl Repository {
    /// Returns a git repository of the mirror as a folder of the cache, and creates the folder if it does not exist. If
    /// the cache is not writable, an existing folder is used.
    ///
    /// # Errors
    /// Fails if the tree is damaged or the cache cannot be written (usually [`StoreError::is_unwritable`]).
    pub fn checkout(&self, tree: ObjectId) -> Result<Checkout> {
        let cache = self.own_dir().join("git");
        match self.checkout_in(&cache, tree) {
            Err(error) if error.is_unwritable() => {
                let (folder, lock) = existing_folder(&cache, &tree.to_string()).ok_or(error)?;
                Ok(Checkout { tree, folder, _lock: lock })
            }
            checkout => checkout,
        }
    }

    fn checkout_in(&self, cache: &Path, tree: ObjectId) -> Result<Checkout> {
        let write = |folder: &Path| self.write_files(tree, folder);
        let (folder, lock) = cached_folder(&self.files()?, cache, &tree.to_string(), write)?;
        Ok(Checkout { tree, folder, _lock: Some(lock) })
    }

    /// Writes a bare repository's tree to a new folder, all or nothing. Files that do not belong in a packed repository
    /// are left out, so a `config` or a hook in the branch has no effect.
    ///
    /// # Errors
    /// Fails if the tree is damaged or the folder cannot be written.
    pub fn write_tree_to(&self, tree: ObjectId, folder: &Path) -> Result<()> {
        write_folder(&self.files()?, folder, |folder| self.write_files(tree, folder))
    }

    /// Writes the files of a bare repository's tree.
    fn write_files(&self, tree: ObjectId, folder: &Path) -> Result<()> {
        let item = format!("the tree {tree} of a git repository");
        let mut recorder = gix::traverse::tree::Recorder::default();
        let read = self.git.find_tree(tree).map_err(StoreError::damaged(&item))?;
        read.traverse().breadthfirst(&mut recorder).map_err(StoreError::damaged(&item))?;
        for entry in recorder.records.iter().filter(|entry| entry.mode.is_blob() && is_known(entry.filepath.as_bstr()))
        {
            let name = entry.filepath.to_str_lossy();
            self.write_blob_to(entry.oid, &name, &folder.join(name.as_ref()))?;
        }
        if folder.join("HEAD").is_file() { Ok(()) } else { Err(StoreError::damaged(item)("it has no HEAD")) }
    }

    /// Writes a blob to a file. `name` is the file's name in the repository, for errors.
    pub(super) fn write_blob_to(&self, id: ObjectId, name: &str, path: &Path) -> Result<()> {
        let item = format!("the file {name}");
        let size = self.git.find_header(id).map_err(StoreError::damaged(&item))?.size();
        let write = || StoreError::io("write", path);
        let mut file = File::create(path).map_err(write())?;
        if size < LARGE || !self.copy_packed(id, size, &mut file).map_err(write())? {
            // The object is small, loose, or a delta. Packs are hardly ever stored as deltas of each other.
            let object = self.git.find_object(id).map_err(StoreError::damaged(&item))?;
            file.write_all(&object.data).map_err(write())?;
        }
        // Without this, a machine crash could leave a folder that only looks complete.
        file.sync_all().map_err(write())
    }

    /// Copies a blob in chunks from a pack that stores it undeltified. The object database could only return the whole
    /// blob in memory. Returns `false` if no such pack exists.
    fn copy_packed(&self, id: ObjectId, size: u64, to: &mut File) -> io::Result<bool> {
        let packs = self.objects_dir().join("pack");
        for entry in fs::read_dir(&packs)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "idx") {
                continue;
            }
            let Ok(index) = gix_pack::index::File::at(&path, id.kind()) else { continue };
            let Some(position) = index.lookup(id) else { continue };
            // A concurrent repack may have removed the pack.
            let Ok(mut pack) = File::open(path.with_extension("pack")) else { continue };
            let offset = index.pack_offset_at_index(position);
            pack.seek(SeekFrom::Start(offset))?;
            let mut pack = BufReader::new(pack);
            let entry = gix_pack::data::Entry::from_read(&mut pack, offset, id.kind().len_in_bytes())?;
            if !matches!(entry.header, gix_pack::data::entry::Header::Blob) {
                continue;
            }
            let copied = io::copy(&mut ZlibDecoder::new(pack).take(size + 1), to)?;
            return if copied == size { Ok(true) } else { Err(io::Error::other("its size in the pack is wrong")) };
        }
        Ok(false)
    }
}

/// Returns whether a path belongs in a packed bare repository and git needs it to serve the repository.
pub(super) fn is_known(path: &BStr) -> bool {
    let Ok(path) = path.to_str() else { return false };
    if matches!(path, "HEAD" | "packed-refs" | "shallow" | "info/refs" | "objects/info/packs") {
        return true;
    }
    let name = path.strip_prefix("objects/pack/pack-").and_then(|name| name.split_once('.'));
    name.is_some_and(|(digits, extension)| {
        digits.len() == 40
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
            && matches!(extension, "pack" | "idx" | "rev")
    })
}

#[cfg(test)]
mod tests {
    use super::is_known;

    #[test]
    fn only_the_files_of_a_packed_repository_are_written() {
        let pack = format!("objects/pack/pack-{}", "0123456789".repeat(4));
        for path in ["HEAD", "packed-refs", "shallow", "info/refs", "objects/info/packs", &format!("{pack}.idx")] {
            assert!(is_known(path.into()), "{path}");
        }
        for path in ["config", "hooks/x", "refs/heads/x", "objects/info/alternates", &format!("{pack}.keep"), "../HEAD"]
        {
            assert!(!is_known(path.into()), "{path}");
        }
    }
}
