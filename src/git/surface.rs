//! How the output of git about submodules is read, without git. For the fuzz targets (`fuzz/`) and no part of the interface:
//! names and shapes may change at any time.

use std::collections::BTreeMap;

use super::submodule;
use crate::model::Revision;

/// Returns the addresses of submodules by their paths, from what `git config --null --list` prints of a `.gitmodules`.
pub fn submodule_addresses(settings: &[u8]) -> BTreeMap<String, String> {
    submodule::addresses(settings)
}

/// Returns the commits that a tree pins by their paths, from what `git ls-tree -r -z` prints of it.
pub fn gitlinks(listing: &[u8]) -> Vec<(String, Revision)> {
    submodule::gitlinks(listing)
}
