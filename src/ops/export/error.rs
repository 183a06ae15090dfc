//! The errors of `export`.

use std::path::PathBuf;

use crate::plan::FileListError;

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
    /// The destination's own list of files cannot be used.
    #[error("cannot use {}", path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// The problem.
        #[source]
        source: FileListError,
    },
    /// The pinned index was chosen, but there is none.
    #[error("{branch} has no pinned index")]
    NoIndex {
        /// The mirror branch.
        branch: String,
    },
}
