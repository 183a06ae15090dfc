//! Writes the small files that this program keeps beside the repository to answer faster the next time.

use std::fs;

use crate::store::Repository;

/// Replaces a file in the folder for this program's own files. If this fails, the next answer merely takes longer.
pub(super) fn write(repository: &Repository, name: &str, text: &str) {
    let write = || -> std::io::Result<()> {
        let folder = repository.make_own_dir().map_err(std::io::Error::other)?;
        let file = tempfile::NamedTempFile::new_in(&folder)?;
        fs::write(file.path(), text)?;
        repository.share(file.path()).map_err(std::io::Error::other)?;
        file.persist(folder.join(name)).map(drop).map_err(|error| error.error)
    };
    let _ = write();
}
