//! The errors of `export`.

use std::path::PathBuf;

use crate::model::StaticPath;
use crate::plan::FileListError;
use crate::serve::Registry;

/// An error about the destination or the choice of an export.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Something that this program did not write is in the way.
    #[error("{} was not written by this program; nothing was changed", path.display())]
    Foreign {
        /// The first such file.
        path: PathBuf,
        /// The number of other such files.
        more: usize,
    },
    /// Two files of the mirror cannot be in one folder.
    #[error("the mirror has {file} and {below}, and a folder cannot have both; nothing was changed")]
    Nested {
        /// The path that would be a file and a folder.
        file: StaticPath,
        /// The path below it.
        below: StaticPath,
    },
    /// A symbolic link is in the way.
    #[error("{} is a symbolic link, which is not followed; nothing was changed", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// Another mirror wrote what the destination has.
    #[error("{destination} has the files of another mirror; nothing was changed")]
    OtherMirror {
        /// The destination.
        destination: String,
        /// The destination's list of files.
        list: String,
    },
    /// The destination is, or is below, something that is not a folder.
    #[error("{} is not a folder", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The destination is the folder of the whole file system.
    #[error("{} is the root of the file system", path.display())]
    Root {
        /// The path.
        path: PathBuf,
    },
    /// The destination is inside of git's own files.
    #[error("{} is in the git repository {}", folder.display(), git_dir.display())]
    GitDir {
        /// The destination.
        folder: PathBuf,
        /// The repository.
        git_dir: PathBuf,
    },
    /// The destination's own list of files cannot be used.
    #[error("cannot use {}", path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// The problem.
        #[source]
        source: FileListError,
    },
    /// No stored package has an entry in the chosen registry.
    #[error("{branch} has packages, but no {}", match registry {
        Registry::Signed => "registry entries of them that upstream signed",
        Registry::Pinned => "entries of them in its pinned index",
    })]
    NoEntries {
        /// The mirror branch.
        branch: String,
        /// The chosen registry.
        registry: Registry,
        /// Whether there is a pinned index.
        has_index: bool,
    },
    /// The pinned index was chosen, but there is none.
    #[error("{branch} has no pinned index")]
    NoIndex {
        /// The mirror branch.
        branch: String,
    },
}
