//! Real locks, packages and repositories that are not part of the project.

use std::path::{Path, PathBuf};

/// Returns a file or folder of the real input. `None` if it does not exist, after printing that the test is skipped.
pub fn real_input(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("HEXMIRROR_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = folder.join(path);
    if !path.exists() {
        eprintln!("skipped: there is no {} (set HEXMIRROR_TEST_DATA)", path.display());
        return None;
    }
    Some(path)
}
