//! Finds real input for the tests of the Hex formats.

use std::path::PathBuf;

/// Finds real input that is not part of the project. If there is none, prints that the test is skipped.
pub fn data(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("HEXMIRROR_TEST_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")), PathBuf::from);
    let path = folder.join(path);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}
