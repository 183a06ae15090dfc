//! What an export writes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::contents::{Content, Contents};
use crate::model::{Revision, StaticPath};
use crate::ops::Result;
use crate::serve::Registry;
use crate::store::Snapshot;

/// The files of an export, and where their contents come from.
pub(super) trait Files: Sync {
    /// Returns the first commits of the mirror, which identify it. Empty if they are not known.
    fn mirror(&self) -> &BTreeSet<Revision>;

    /// Returns the registry that the files are of. `None` if they are of a site.
    fn registry(&self) -> Option<Registry>;

    /// Returns the key of each file. Equal keys mean equal contents.
    fn keys(&self) -> BTreeMap<StaticPath, &str>;

    /// Returns the key of a file, or an empty text if there is no such file.
    fn key(&self, path: &StaticPath) -> String;

    /// Loads and verifies the content of a file.
    ///
    /// # Errors
    /// Fails if it is damaged.
    fn load(&self, snapshot: &Snapshot, path: &StaticPath) -> Result<Content>;

    /// Returns the complete file, if it only has to be moved to its place.
    fn prepared(&self, path: &StaticPath) -> Option<&Path> {
        let _ = path;
        None
    }
}

impl Files for Contents {
    fn mirror(&self) -> &BTreeSet<Revision> {
        Contents::mirror(self)
    }

    fn registry(&self) -> Option<Registry> {
        Some(Contents::registry(self))
    }

    fn keys(&self) -> BTreeMap<StaticPath, &str> {
        Contents::keys(self)
    }

    fn key(&self, path: &StaticPath) -> String {
        Contents::key(self, path)
    }

    fn load(&self, snapshot: &Snapshot, path: &StaticPath) -> Result<Content> {
        Contents::load(self, snapshot, path)
    }
}
