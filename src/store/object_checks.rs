//! Checks that the objects of a snapshot are readable and match their ids.

use std::collections::HashSet;

use gix::ObjectId;

use super::private_keys::is_leaked_key;
use super::{Damage, Result, Snapshot, storage};

/// The largest pack of a mirrored git repository that is read into memory for checking, in bytes.
const MAX_READ: u64 = 8 << 20;

/// The result of [`Snapshot::check_trees`].
#[derive(Debug, Default)]
pub struct CheckedTrees {
    /// The damage found.
    pub damages: Vec<Damage>,
    /// The ids of the commit and the trees. A tree that is in several places is listed several times.
    pub trees: Vec<ObjectId>,
    /// The ids and paths of the files.
    pub files: Vec<(ObjectId, String)>,
}

impl Snapshot {
    /// Checks that the commit and every tree of the snapshot are readable and match their ids, and lists the files. Does
    /// not stop at the first defect.
    pub fn check_trees(&self) -> CheckedTrees {
        let mut found = CheckedTrees { trees: vec![self.commit], ..CheckedTrees::default() };
        let mut folders = Vec::new();
        match self.checked(self.commit, "the commit") {
            Ok(_) => folders.push((self.tree, String::new())),
            Err(damage) => found.damages.push(damage),
        }
        while let Some((id, path)) = folders.pop() {
            found.trees.push(id);
            let bytes = match self.checked(id, if path.is_empty() { "the root" } else { &path }) {
                Ok(bytes) => bytes,
                Err(damage) => {
                    found.damages.push(damage);
                    continue;
                }
            };
            for entry in gix::objs::TreeRefIter::from_bytes(&bytes, id.kind()).map_while(Result::ok) {
                let separator = if path.is_empty() { "" } else { "/" };
                let below = (entry.oid.to_owned(), format!("{path}{separator}{}", entry.filename));
                if entry.mode.is_tree() { &mut folders } else { &mut found.files }.push(below);
            }
        }
        found
    }

    /// Checks that a file of the snapshot is readable, matches its id, and is not a private key. For large packs of git repositories only their
    /// existence is checked, because [`Snapshot::write_git_to_scratch`] can read them without loading them into memory.
    pub fn check_file(&self, id: ObjectId, path: &str) -> Option<Damage> {
        let is_large = || self.repository.git.find_header(id).is_ok_and(|header| header.size() > MAX_READ);
        if path.starts_with("git/") && is_large() {
            return None;
        }
        match self.checked(id, path) {
            Ok(content) => is_leaked_key(path, &content).then(|| Damage::private_key(path)),
            Err(damage) => Some(damage),
        }
    }

    /// Checks that every file of the object database that contains one of these objects is exactly as git wrote it.
    pub fn check_storage(&self, ids: &HashSet<ObjectId>) -> Vec<Damage> {
        let objects = self.repository.objects_dir();
        storage::check(&objects, Some(ids)).iter().map(|file| file.damage(&objects)).collect()
    }

    /// Reads an object and verifies it against its id.
    fn checked(&self, id: ObjectId, path: &str) -> Result<Vec<u8>, Damage> {
        let found = self.repository.git.find_object(id).map_err(|error| error.to_string());
        let checked = found.and_then(|object| {
            let data = gix::objs::Data::new(&object.data, object.kind, id.kind());
            data.verify_checksum(&id).map_err(|error| error.to_string())?;
            Ok(object.detach().data)
        });
        checked.map_err(|problem| Damage { path: path.to_owned(), problem })
    }
}
