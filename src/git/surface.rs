//! Parsers of git's output about submodules, for the fuzz targets (`fuzz/`). Not part of the public interface: names
//! and signatures may change at any time.

use std::collections::BTreeMap;

use super::submodule;
use crate::model::Revision;

/// Returns the addresses of submodules by path from the output of `git config --null --list` for a `.gitmodules` file.
pub fn submodule_addresses(settings: &[u8]) -> BTreeMap<String, String> {
    submodule::addresses(settings)
}

/// Returns the submodule commits in a tree with their paths, from the output of `git ls-tree -r -z`.
pub fn gitlinks(listing: &[u8]) -> Vec<(String, Revision)> {
    submodule::gitlinks(listing)
}
