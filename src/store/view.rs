//! Git repositories of the mirror as clients may see them: with the refs that follow from the locks, not those in the
//! branch.
//!
//! Anyone who can write the mirror branch chooses the refs in its tree. If these are not exactly the expected ones, a
//! view is created beside the repository in the cache. A view is a bare repository with its own refs that borrows the
//! objects of the other one (gitrepository-layout(5), `objects/info/alternates`).

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::checkout::Checkout;
use super::git_cache::{cached_folder, existing_folder};
use super::{Repository, Result, Snapshot, StoreError};

/// The file that names the object folder of a view.
const ALTERNATES: &str = "objects/info/alternates";
/// The files of a repository that are not objects.
const REFERENCES: [&str; 4] = ["HEAD", "packed-refs", "info/refs", "shallow"];

/// A repository on disk with refs of its own. The cache does not remove it while this value is alive.
#[derive(Debug)]
pub struct View {
    folder: PathBuf,
    key: String,
    checkout: Checkout,
    _lock: Option<File>,
}

impl View {
    /// Returns the folder with the refs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the folder with the objects.
    pub fn objects(&self) -> &Path {
        self.checkout.folder()
    }

    /// Returns an identifier of the content: 40 hexadecimal digits.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl Checkout {
    /// Returns the repository with the refs that are stored in the mirror.
    pub fn as_stored(self) -> View {
        View { folder: self.folder().to_owned(), key: self.tree().to_string(), checkout: self, _lock: None }
    }
}

impl Snapshot {
    /// Returns the repository with other refs. `files` are all its files that are not objects, by path. If a view has
    /// to be written, it is created in the folder `cache`, or beside the repository by default.
    ///
    /// # Errors
    /// Fails if the folder cannot be written (usually [`StoreError::is_unwritable`]).
    pub fn view(&self, checkout: Checkout, files: &[(&str, String)], cache: Option<&Path>) -> Result<View> {
        let has = |name: &&str| {
            let wanted = files.iter().find(|(file, _)| file == name).map(|(_, text)| text.as_str());
            is_text(&checkout.folder().join(name), wanted)
        };
        if REFERENCES.iter().all(has) {
            return Ok(checkout.as_stored());
        }
        let beside = checkout.folder().parent().unwrap_or(Path::new("."));
        let objects = match cache {
            // A relative path, because the project may be moved together with its cache.
            None => format!("../../{}/objects\n", checkout.tree()),
            Some(_) => format!("{}\n", checkout.folder().join("objects").display()),
        };
        let mut described = format!("{}\0{objects}", checkout.tree());
        files.iter().for_each(|(name, text)| described += &format!("\0{name}\0{text}"));
        let key = Repository::blob_id(described.as_bytes())?.to_string();
        let write = |folder: &Path| -> Result<()> {
            let own = [(ALTERNATES, objects.clone())];
            for (name, text) in own.iter().chain(files.iter().filter(|(name, _)| REFERENCES.contains(name))) {
                let path = folder.join(name);
                fs::write(&path, text).map_err(StoreError::io("write", &path))?;
            }
            Ok(())
        };
        let (folder, lock) = match cached_folder(&self.repository.files()?, cache.unwrap_or(beside), &key, write) {
            Err(error) if error.is_unwritable() && cache.is_none() => existing_folder(beside, &key).ok_or(error)?,
            made => made.map(|(folder, lock)| (folder, Some(lock)))?,
        };
        Ok(View { folder, key, checkout, _lock: lock })
    }
}

/// Returns whether a file has the wanted content, or does not exist if `None` is wanted.
fn is_text(path: &Path, wanted: Option<&str>) -> bool {
    match (File::open(path), wanted) {
        (Ok(file), Some(wanted)) => {
            let mut found = Vec::new();
            let read = file.take(wanted.len() as u64 + 1).read_to_end(&mut found);
            read.is_ok() && found == wanted.as_bytes()
        }
        (file, wanted) => file.is_err() && wanted.is_none(),
    }
}
