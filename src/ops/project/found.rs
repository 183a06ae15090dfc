//! What a search for the locks in force finds.

use super::lock_file::LockFile;

/// The locks that exist, and the configured names and globs that match no file.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub locks: Vec<LockFile>,
    pub lacking: Vec<String>,
}
