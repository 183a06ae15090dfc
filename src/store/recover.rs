//! Reads what is still readable of a damaged snapshot.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use gix::ObjectId;

use super::inventory::holds_git;
use super::layout::Layout;
use super::snapshot::ReadManifest;
use super::{Repository, Result, Snapshot, StoreError, layout};
use crate::model::{
    EntryId, FileId, GitAddress, Manifest, PackageName, PolicyId, ReleaseId, RepositoryName, Storage, StoredGit,
};

/// An item that a mirror stores.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoredItem {
    /// A release.
    Release(ReleaseId),
    /// A registry entry.
    Entry(EntryId),
    /// A policy.
    Policy(PolicyId),
    /// A file.
    File(FileId),
    /// A git repository.
    Git(GitAddress),
}

impl fmt::Display for StoredItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(id) => write!(f, "release {id}"),
            Self::Entry(id) => write!(f, "registry entry of {id}"),
            Self::Policy(id) => write!(f, "policy {id}"),
            Self::File(id) => write!(f, "file {id}"),
            Self::Git(address) => write!(f, "git repository {address}"),
        }
    }
}

impl Repository {
    /// Returns the commits that may have what a damaged tip lacks: the first-parent histories of the tip and of `others`,
    /// such as the branch's reflog and the tips of remotes. Returns at most `limit` commits. A history ends at the first
    /// unreadable commit.
    pub fn related(&self, tip: ObjectId, others: impl IntoIterator<Item = ObjectId>, limit: usize) -> Vec<ObjectId> {
        let mut related = Vec::new();
        for start in [tip].into_iter().chain(others) {
            let mut next = Some(start);
            while let Some(id) = next.filter(|id| related.len() < limit && !related.contains(id)) {
                let commit = self.git.find_commit(id).ok();
                next = commit.as_ref().and_then(|commit| commit.parent_ids().next()).map(gix::Id::detach);
                related.extend(commit.map(|_| id));
            }
        }
        related
    }
}

impl Snapshot {
    /// Returns the same snapshot with another manifest.
    #[must_use]
    pub fn with_manifest(&self, manifest: Manifest) -> Self {
        Self { read: Arc::new(ReadManifest::of(manifest)), ..self.clone() }
    }

    /// Returns the folders of releases with their paths, and the registry entries, as far as the tree can be read.
    pub fn stored_paths(&self) -> (Vec<(RepositoryName, PackageName, String)>, Vec<EntryId>) {
        let (mut releases, mut entries) = (Vec::new(), Vec::new());
        for repository in self.names("hex") {
            let Ok(name) = repository.parse::<RepositoryName>() else { continue };
            for (folder, path) in self.in_shards(&format!("hex/{repository}/packages")) {
                let package = folder.split('@').next().unwrap_or_default().parse::<PackageName>();
                releases.extend(package.ok().map(|package| (name.clone(), package, path)));
            }
            for (package, path) in self.in_shards(&format!("hex/{repository}/registry")) {
                let id = package.parse().ok().map(|package| EntryId { repository: name.clone(), package });
                entries.extend(id.filter(|id| self.layout().entry_path(id) == path));
            }
        }
        (releases, entries)
    }

    /// Returns the names and paths in a folder that is divided into shards.
    fn in_shards(&self, folder: &str) -> Vec<(String, String)> {
        let folders = match self.layout() {
            Layout::Flat => vec![folder.to_owned()],
            Layout::Sharded => self.names(folder).into_iter().map(|shard| format!("{folder}/{shard}")).collect(),
        };
        let names = |folder: String| {
            let names = self.names(&folder);
            names.into_iter().map(move |name| (name.clone(), format!("{folder}/{name}")))
        };
        folders.into_iter().flat_map(names).collect()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let read = || {
            let (id, _) = self.lookup(folder)?.ok_or_else(|| StoreError::damaged(folder)("it is missing"))?;
            self.repository.folder_entries(folder, id)
        };
        read().unwrap_or_else(|_| BTreeMap::new()).into_keys().collect()
    }

    /// Returns the tarball of the release in a folder, without verifying it, and how it is stored.
    ///
    /// # Errors
    /// Fails if the tarball cannot be read.
    pub fn tarball_in(&self, folder: &str) -> Result<(Vec<u8>, Storage)> {
        match self.blob(&format!("{folder}/{}", layout::TARBALL))? {
            Some(bytes) => Ok((bytes, Storage::Tarball)),
            None => Ok((self.rebuild(folder)?, Storage::Unpacked)),
        }
    }

    /// Returns the content of a registry entry's file, without verifying it.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub fn entry_file(&self, id: &EntryId) -> Result<Option<Vec<u8>>> {
        self.blob(&self.layout().entry_path(id))
    }

    /// Returns whether the files of a git repository match a line of a manifest. The content of the packs is not
    /// checked.
    pub fn holds_git(&self, address: &GitAddress, stored: &StoredGit) -> bool {
        let tree = self.git_repository(address).ok().flatten();
        tree.is_some_and(|tree| holds_git(&self.repository, &address.tree_path(), tree, stored).unwrap_or_default())
    }
}
