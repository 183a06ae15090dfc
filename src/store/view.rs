//! Git repositories of the mirror as clients may see them: with the references that the locks give them, not those that the
//! branch has.
//!
//! Whoever may write the mirror branch chooses the references in its tree. If those are not exactly the wanted ones, a view
//! stands beside the repository in the cache: a bare repository with references of its own that borrows the other's objects
//! (gitrepository-layout(5), `objects/info/alternates`).

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::checkout::{self, Checkout};
use super::{Repository, Result, Snapshot, StoreError};

/// Where a view finds the objects.
const ALTERNATES: &str = "objects/info/alternates";
/// The files of a repository that are not objects.
const REFERENCES: [&str; 4] = ["HEAD", "packed-refs", "info/refs", "shallow"];

/// A repository on disk with references of its own. It is not removed from the cache as long as this is kept.
#[derive(Debug)]
pub struct View {
    folder: PathBuf,
    key: String,
    checkout: Checkout,
    _lock: Option<File>,
}

impl View {
    /// Returns the folder with the references.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the folder with the objects.
    pub fn objects(&self) -> &Path {
        self.checkout.folder()
    }

    /// Returns what identifies the content: 40 hexadecimal digits.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl Checkout {
    /// Returns the repository with its own references.
    pub fn as_stored(self) -> View {
        View { folder: self.folder().to_owned(), key: self.tree().to_string(), checkout: self, _lock: None }
    }
}

impl Snapshot {
    /// Returns a repository with other references; `files` are all its files that are not objects, by their paths. A view that
    /// has to be written stands in the folder `cache`, else beside the repository.
    ///
    /// # Errors
    /// Fails if the folder cannot be written ([`StoreError::is_unwritable`], mostly).
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
            // The project may be moved together with its cache.
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
        let (folder, lock) = match checkout::kept(&self.repository.files()?, cache.unwrap_or(beside), &key, write) {
            Err(error) if error.is_unwritable() && cache.is_none() => checkout::there(beside, &key).ok_or(error)?,
            made => made.map(|(folder, lock)| (folder, Some(lock)))?,
        };
        Ok(View { folder, key, checkout, _lock: lock })
    }
}

/// Returns whether a file has this content, or is not there if there is to be none.
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
