//! Finds what can be imported in folders: tarballs, registries, git repositories.

use std::path::{Path, PathBuf};
use std::{fs, io};

use walkdir::{DirEntry, WalkDir};

use super::error::ImportError;
use crate::model::RepositoryName;
use crate::ops::{OpError, Result};

/// The deepest level that is searched.
const MAX_DEPTH: usize = 24;
/// The maximum number of files and folders that are looked at, below each given folder.
const MAX_ENTRIES: usize = 1_000_000;
/// The folder of a registry with its entries.
const PACKAGES: &str = "packages";

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The tarballs.
    pub tarballs: Vec<FoundFile>,
    /// The folders with the files of a Hex registry.
    pub registries: Vec<PathBuf>,
    /// The git repositories, with or without a worktree.
    pub git: Vec<PathBuf>,
    /// The folders that cannot be read, and why.
    pub unreadable: Vec<(PathBuf, io::Error)>,
}

/// A file that is named like a tarball.
#[derive(Debug, Clone)]
pub(super) struct FoundFile {
    pub path: PathBuf,
    /// The registry that the file belongs to.
    pub registry: Option<PathBuf>,
    /// The repository that the folder is named after, as in the cache of Hex.
    pub cached_from: Option<RepositoryName>,
}

impl Contents {
    /// Searches folders. Does not follow links below them.
    ///
    /// # Errors
    /// Fails if a given folder does not exist or cannot be read, or has too many files. Unreadable folders below it are
    /// only listed.
    pub fn find(folders: &[PathBuf]) -> Result<Self> {
        let mut contents = Self::default();
        for folder in folders {
            if !folder.exists() {
                return Err(OpError::NoFolder { directory: folder.clone() });
            }
            let folder = fs::canonicalize(folder).map_err(OpError::machine("read", folder))?;
            contents.search(&folder)?;
        }
        contents.tarballs.sort_by(|a, b| a.path.cmp(&b.path));
        contents.tarballs.dedup_by(|a, b| a.path == b.path);
        for folders in [&mut contents.registries, &mut contents.git] {
            folders.sort();
            folders.dedup();
        }
        Ok(contents)
    }

    /// Returns whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.tarballs.is_empty() && self.git.is_empty() && self.registries.is_empty()
    }

    fn search(&mut self, folder: &Path) -> Result<()> {
        let mut entries = WalkDir::new(folder).max_depth(MAX_DEPTH).into_iter();
        let mut seen = 0;
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let path = error.path().unwrap_or(folder).to_owned();
                    let is_given = error.depth() == 0;
                    let error = error.into_io_error().unwrap_or_else(|| io::Error::other("its links form a loop"));
                    if is_given {
                        return Err(OpError::machine("read", path)(error));
                    }
                    self.unreadable.push((path, error));
                    continue;
                }
            };
            seen += 1;
            if seen > MAX_ENTRIES {
                return Err(ImportError::TooManyFiles { folder: folder.to_owned(), limit: MAX_ENTRIES }.into());
            }
            if entry.file_type().is_dir() {
                if is_git_repository(entry.path()) {
                    entries.skip_current_dir();
                    if self.can_read(&entry.path().join("objects")) {
                        self.git.push(entry.into_path());
                    }
                // A registry's folder of entries that cannot be read is listed when the search arrives there.
                } else if is_registry(entry.path()) && fs::read_dir(entry.path().join(PACKAGES)).is_ok() {
                    self.registries.push(entry.into_path());
                }
            } else if is_tarball(&entry) {
                self.tarballs.push(FoundFile::at(entry.into_path()));
            }
        }
        Ok(())
    }

    /// Returns whether a folder can be read, and lists it otherwise.
    fn can_read(&mut self, folder: &Path) -> bool {
        let read = fs::read_dir(folder);
        self.unreadable.extend(read.as_ref().err().map(|error| (folder.to_owned(), error.kind().into())));
        read.is_ok()
    }
}

impl FoundFile {
    fn at(path: PathBuf) -> Self {
        let folder = path.parent();
        let name = |folder: &Path| folder.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let above = folder.and_then(Path::parent);
        let registry = above.filter(|above| folder.and_then(name).as_deref() == Some("tarballs") && is_registry(above));
        // `cache_path/3` in Hex's `scm.ex`.
        let is_cache = above.and_then(name).as_deref() == Some(PACKAGES);
        let cached_from = folder.and_then(name).filter(|_| is_cache).and_then(|name| name.parse().ok());
        Self { registry: registry.map(Path::to_owned), cached_from, path }
    }
}

fn is_tarball(entry: &DirEntry) -> bool {
    entry.file_type().is_file() && entry.path().extension().is_some_and(|extension| extension == "tar")
}

/// Returns whether a folder has a registry's files, as `mix hex.registry build` and `export` write them.
fn is_registry(folder: &Path) -> bool {
    folder.join(PACKAGES).is_dir()
        && (folder.join("public_key").is_file() || folder.join("names").is_file() || folder.join("tarballs").is_dir())
}

/// Returns whether a folder is a git repository: a bare one, or the `.git` of a clone. Git itself also demands `refs`, an empty
/// folder that is lost if someone commits the repository's files to another repository.
fn is_git_repository(folder: &Path) -> bool {
    folder.join("HEAD").is_file() && folder.join("objects").is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_recognised_by_where_they_are() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        for file in [
            ".hex_repo/public_key",
            ".hex_repo/packages/a",
            ".hex_repo/tarballs/a-1.0.0.tar",
            "hex/packages/hexpm:acme/b-1.0.0.tar",
            "loose/c.tar",
            "loose/c.tar.gz",
            "git/team/lib.git/HEAD",
            "git/team/lib.git/objects/pack/x.tar",
        ] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), "").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(root.join("loose/c.tar"), root.join("loose/d.tar")).unwrap();
        let found = Contents::find(&[root.clone(), root.join("loose")]).unwrap();
        let below = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let tarballs: Vec<_> = found
            .tarballs
            .iter()
            .map(|file| {
                let cached_from = file.cached_from.as_ref().map(ToString::to_string);
                (below(&file.path), file.registry.as_deref().map(below), cached_from)
            })
            .collect();
        let expected = [
            (".hex_repo/tarballs/a-1.0.0.tar".into(), Some(".hex_repo".into()), None),
            ("hex/packages/hexpm:acme/b-1.0.0.tar".into(), None, Some("hexpm:acme".into())),
            ("loose/c.tar".into(), None, None),
        ];
        assert_eq!(tarballs, expected);
        assert_eq!(found.registries.iter().map(|path| below(path)).collect::<Vec<_>>(), [".hex_repo"]);
        assert_eq!(found.git.iter().map(|path| below(path)).collect::<Vec<_>>(), ["git/team/lib.git"]);
    }
}
