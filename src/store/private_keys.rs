//! Finds private keys that someone committed to the branch by mistake.
//!
//! Packages and downloads may contain private keys, such as those of a package's tests: others published these, and a checksum
//! fixes what they contain. No other file of the branch contains one.

use gix::ObjectId;
use sha2::{Digest, Sha256};

use super::stored_contents::NOT_OF_RELEASE;
use super::{Damage, Repository, Result, Snapshot, StoreError, layout};
use crate::hex::registry::contains_private_key;
use crate::model::OuterChecksum;

/// What [`Damage`] says about a file with a private key.
const PROBLEM: &str = "it contains a private key";

impl Damage {
    /// Returns whether the damage is a private key.
    pub fn is_private_key(&self) -> bool {
        self.problem == PROBLEM
    }

    pub(super) fn private_key(path: &str) -> Self {
        Self { path: path.to_owned(), problem: PROBLEM.to_owned() }
    }
}

/// Returns whether a file contains a private key and is not a file that others published.
pub(super) fn is_leaked_key(path: &str, content: &[u8]) -> bool {
    !is_published(path) && contains_private_key(content)
}

/// Returns whether others published a file. That a release has no other files is checked when it is rebuilt.
fn is_published(path: &str) -> bool {
    match path.split('/').collect::<Vec<_>>()[..] {
        ["files", shard, checksum, ..] => checksum.len() == 64 && checksum.starts_with(shard),
        ["git", .., "objects", "pack", _] => true,
        ["hex", _, "packages", .., layout::TARBALL | layout::METADATA] => true,
        ["hex", _, "packages", ..] | ["docs", ..] => contents_of(path).is_some(),
        _ => false,
    }
}

/// Returns the folder of the release whose contents a file is in.
fn contents_of(path: &str) -> Option<&str> {
    // A name or a version contains no slash, so the first folder of this name is the release's own.
    let (release, _) = path.split_once(&format!("/{}/", layout::CONTENTS))?;
    let is_release = release.starts_with("hex/") && release.contains("/packages/");
    (is_release || release.starts_with("docs/")).then_some(release)
}

impl Snapshot {
    /// Returns a file with a private key among those that `base` does not have. The contents of releases are left out.
    pub fn private_key(&self, base: Option<&Self>) -> Option<String> {
        let search = Search { repository: &self.repository, snapshot: self, with_contents: false };
        search.folder("", self.tree, base.map(Self::tree))
    }

    /// Returns a file with a private key, and its commit, in the history of this snapshot as far as it is not the history of
    /// `base`. Objects that this clone lacks are left out.
    ///
    /// # Errors
    /// Fails if the history cannot be read.
    pub fn private_key_since(&self, base: Option<ObjectId>) -> Result<Option<(ObjectId, String)>> {
        let action = "search the history for private keys";
        let walk = self.repository.git.rev_walk([self.commit]).with_hidden(base).all();
        for commit in walk.map_err(StoreError::git(action))? {
            let Ok(snapshot) = Self::unchecked(&self.repository, commit.map_err(StoreError::git(action))?.id) else {
                continue;
            };
            let parent = self.repository.commit(snapshot.commit)?.parent_ids().next().map(gix::Id::detach);
            let before = parent.and_then(|parent| Self::unchecked(&self.repository, parent).ok());
            let search = Search { repository: &self.repository, snapshot: &snapshot, with_contents: true };
            if let Some(path) = search.folder("", snapshot.tree, before.map(|before| before.tree)) {
                return Ok(Some((snapshot.commit, path)));
            }
        }
        Ok(None)
    }
}

/// A search in the files of a commit that differ from its parent's.
struct Search<'a> {
    repository: &'a Repository,
    snapshot: &'a Snapshot,
    with_contents: bool,
}

impl Search<'_> {
    /// Returns the path of a file with a private key.
    fn folder(&self, path: &str, tree: ObjectId, before: Option<ObjectId>) -> Option<String> {
        let read = |tree| self.repository.folder_entries(path, tree).unwrap_or_default();
        let before = before.map(read).unwrap_or_default();
        for (name, entry) in read(tree) {
            if before.get(&name) == Some(&entry) {
                continue;
            }
            let (below, (mode, id)) = (if path.is_empty() { name.clone() } else { format!("{path}/{name}") }, entry);
            let found = if mode.is_tree() {
                let before = before.get(&name).filter(|(mode, _)| mode.is_tree()).map(|(_, id)| *id);
                self.folder(&below, id, before)
            } else {
                self.is_key(&below, id).then_some(below)
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn is_key(&self, path: &str, id: ObjectId) -> bool {
        let release = contents_of(path).filter(|_| self.with_contents);
        if release.is_none() && is_published(path) {
            return false;
        }
        let contains = self.repository.git.find_object(id).is_ok_and(|object| contains_private_key(&object.data));
        contains && !release.is_some_and(|release| self.has_only_its_own(release))
    }

    /// Returns whether the contents of a release are those that were published. Objects that are missing do not matter here.
    fn has_only_its_own(&self, release: &str) -> bool {
        let is_docs = release.starts_with("docs/");
        let rebuilt = if is_docs { self.snapshot.rebuild_docs(release) } else { self.snapshot.rebuild(release) };
        let bytes = match rebuilt {
            Ok(bytes) => bytes,
            Err(StoreError::Damaged { source, .. }) if source.to_string() == NOT_OF_RELEASE => return false,
            Err(_) => return !matches!(self.snapshot.lookup(&format!("{release}/{}", layout::RECIPE)), Ok(None)),
        };
        let outer = OuterChecksum::from_bytes(Sha256::digest(&bytes).into());
        let Ok(manifest) = self.snapshot.manifest() else { return true };
        if is_docs {
            let mut paths = layout::docs_paths(manifest).into_iter();
            return paths.any(|(id, path)| path == release && id.checksum.as_bytes() == outer.as_bytes());
        }
        let mut same = manifest.releases.iter().filter(|(_, stored)| stored.outer == outer);
        same.any(|(id, _)| self.snapshot.release_path(manifest, id) == release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_others_published_may_contain_a_key() {
        let sum = "a".repeat(64);
        for path in [
            "hex/hexpm/packages/8e/alpha/contents/test/key.pem",
            "hex/hexpm/packages/alpha@1.0.0/contents/contents/key.pem",
            "hex/hexpm/packages/8e/alpha/tarball",
            "hex/hexpm/packages/8e/alpha/metadata.config",
            "git/h/x.git/objects/pack/pack-1.idx",
            "docs/hexpm/8e/alpha/contents/key.html",
            &format!("files/aa/{sum}"),
            &format!("files/aa/{sum}/001"),
        ] {
            assert!(!is_leaked_key(path, b"-----BEGIN PRIVATE KEY-----"), "{path}");
        }
        for path in [
            "README.md",
            "idx.pem",
            "contents/key.pem",
            "mirror.toml",
            "manifest/8e",
            "hex/hexpm/index/public_key",
            "hex/hexpm/index/idx.pem",
            "hex/hexpm/index/packages/8e/alpha",
            "hex/hexpm/registry/8e/alpha",
            "hex/hexpm/packages/8e/key.pem",
            "hex/hexpm/packages/8e/alpha/recipe",
            "git/h/x.git/HEAD",
            "git/h/x.git/key.pem",
            "files/aa/key.pem",
            "docs/hexpm/8e/alpha/recipe",
            "docs/key.pem",
        ] {
            assert!(is_leaked_key(path, b"-----BEGIN PRIVATE KEY-----"), "{path}");
            assert!(!is_leaked_key(path, b"-----BEGIN PUBLIC KEY-----"), "{path}");
        }
    }
}
