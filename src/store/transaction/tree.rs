//! Writes the trees of the next commit.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gix::objs::tree::{Editor, EntryKind};
use gix::objs::{Kind, Tree};
use gix::{ObjectId, hash};

use super::Transaction;
use crate::model::{GitAddress, ManifestPart, PackageName, RepositoryName};
use crate::store::layout::{Layout, MirrorFile};
use crate::store::{Repository, Result, Snapshot, StoreError, layout};

/// A path with its new content, or `None` if the path is removed.
pub(super) type Change = (String, Option<(EntryKind, ObjectId)>);

impl Transaction<'_> {
    /// Writes the changed trees and returns the root's id.
    pub(super) fn write_tree(&mut self) -> Result<ObjectId> {
        let action = "write a tree";
        // A record without entries would decide on the key of a repository that is configured later.
        let used = self.repositories_with_entries()?;
        let unused: Vec<_> = self.manifest.signers.keys().filter(|name| !used.contains(*name)).cloned().collect();
        for name in unused {
            self.manifest.signers.remove(&name);
            self.parts.insert(ManifestPart::Signers);
        }
        let migrated = self.base.filter(|base| base.layout() != Layout::Sharded);
        let root = match self.base {
            Some(base) => self.repository.git.find_tree(base.tree()).map_err(StoreError::damaged("the root"))?,
            None => self.repository.git.empty_tree(),
        };
        let mut root: Tree = root.decode().map_err(StoreError::damaged("the root"))?.into_owned();
        if let Some(base) = migrated {
            self.migrate(base)?;
            root.entries.retain(|entry| entry.filename != "hex" && entry.filename != layout::MANIFEST);
        }
        let changes = self.changes()?;
        let git = self.repository.git.clone();
        let mut editor = Editor::new(root, &git.objects, hash::Kind::Sha1);
        for (path, change) in changes {
            let components = path.split('/');
            match change {
                Some((kind, id)) => editor.upsert(components, kind, id).map(drop),
                None => editor.remove(components).map(drop),
            }
            .map_err(StoreError::git(action))?;
        }
        editor.write(|tree| self.add_object(Kind::Tree, tree))
    }

    /// Adds everything of a base that is arranged in an older layout, because all paths change. Its trees and blobs stay
    /// the same.
    fn migrate(&mut self, base: &Snapshot) -> Result<()> {
        self.read_all()?;
        let manifest = base.manifest()?;
        let missing = |path: &str| StoreError::damaged(path)("it is missing");
        let mut folders = HashMap::new();
        // Each folder is read once, because a look-up reads all of it.
        let mut find = |path: &str| -> Result<ObjectId> {
            let (folder, name) = path.rsplit_once('/').unwrap_or_default();
            if !folders.contains_key(folder) {
                let (id, _) = base.lookup(folder)?.ok_or_else(|| missing(folder))?;
                folders.insert(folder.to_owned(), self.repository.folder_entries(folder, id)?);
            }
            folders[folder].get(name).map(|(_, id)| *id).ok_or_else(|| missing(path))
        };
        for id in manifest.releases.keys() {
            if self.manifest.releases.contains_key(id) && !self.releases.contains_key(id) {
                self.releases.insert(id.clone(), find(&base.release_path(manifest, id))?);
            }
        }
        for id in manifest.entries.keys() {
            if self.manifest.entries.contains_key(id) && !self.entries.contains_key(id) {
                self.entries.insert(id.clone(), find(&base.layout().entry_path(id))?);
            }
        }
        for repository in manifest.index_signers.keys() {
            if self.manifest.index_signers.contains_key(repository)
                && !self.index.contains_key(&layout::index_folder(repository))
            {
                self.move_index(base, repository)?;
            }
        }
        self.parts.extend(ManifestPart::all());
        Ok(())
    }

    /// Lists the differences from the base: paths with their new content, or `None` for removed ones.
    fn changes(&mut self) -> Result<Vec<Change>> {
        let entries = self.removed.entries.iter().filter(|id| !self.manifest.entries.contains_key(*id));
        let mut changes: Vec<Change> = entries.map(|id| (layout::entry_path(id), None)).collect();
        let repositories = self.removed.repositories.iter();
        let repositories = repositories.filter(|address| !self.manifest.git.contains_key(*address));
        changes.extend(repositories.map(|address| (address.tree_path(), None)));
        for (id, blob) in &self.entries {
            changes.push((layout::entry_path(id), Some((EntryKind::Blob, *blob))));
        }
        for (id, blob) in &self.policies {
            changes.push((layout::policy_path(id), blob.map(|blob| (EntryKind::Blob, blob))));
        }
        self.place_files(&mut changes);
        self.place_docs(&mut changes)?;
        let touched = self.releases.keys().chain(&self.removed.releases);
        let packages: BTreeSet<_> = touched.map(|id| (&id.repository, &id.package)).collect();
        for (repository, package) in packages {
            self.place(repository, package, &mut changes)?;
        }
        for (address, blobs) in self.repositories.clone() {
            self.place_git(&address, blobs, &mut changes)?;
        }
        changes.extend(self.index.clone());
        self.place_manifest(&mut changes)?;
        let mirror = MirrorFile::text(self.refreshed);
        for (path, text) in [(layout::MIRROR, mirror), (layout::README, layout::README_TEXT.to_owned())] {
            let change = self.text(path.to_owned(), &text)?;
            changes.push(change);
        }
        Ok(changes)
    }

    /// Adds the parts of the manifest that may have changed.
    fn place_manifest(&mut self, changes: &mut Vec<Change>) -> Result<()> {
        if self.base.is_none() {
            self.parts.insert(ManifestPart::Git);
        }
        let mut texts = self.manifest.texts(&self.parts);
        for part in self.parts.clone() {
            let path = layout::part_path(part);
            changes.push(match texts.remove(&part) {
                Some(text) => self.text(path, &text)?,
                None => (path, None),
            });
        }
        Ok(())
    }

    /// Adds a package's releases at their paths: the highest at the package's own path, the others beside it.
    fn place(&self, repository: &RepositoryName, package: &PackageName, changes: &mut Vec<Change>) -> Result<()> {
        let mut kept = BTreeMap::new();
        if let Some(base) = self.base.filter(|base| base.layout() == Layout::Sharded) {
            let manifest = base.manifest_of(package)?;
            for (id, _) in manifest.releases_of(repository, package) {
                let path = layout::release_path(&manifest, id);
                if !self.releases.contains_key(id)
                    && let Some((tree, _)) = base.lookup(&path)?
                {
                    kept.insert(id.clone(), tree);
                }
                changes.push((path, None));
            }
        }
        for (id, _) in self.manifest.releases_of(repository, package) {
            let path = layout::release_path(&self.manifest, id);
            let tree = self.releases.get(id).or_else(|| kept.get(id));
            let tree = tree.ok_or_else(|| StoreError::damaged(&path)("it is missing"))?;
            changes.push((path, Some((EntryKind::Tree, *tree))));
        }
        Ok(())
    }

    /// Lists the differences of a git repository: new packs, removed packs, and the files that are derived from both.
    fn place_git(
        &mut self,
        address: &GitAddress,
        blobs: BTreeMap<String, ObjectId>,
        changes: &mut Vec<Change>,
    ) -> Result<()> {
        let folder = address.tree_path();
        let stored = self.manifest.git.get(address).cloned().unwrap_or_default();
        let before = self.base.map(|base| base.part(ManifestPart::Git)).transpose()?;
        if let Some(before) = before.as_ref().and_then(|manifest| manifest.git.get(address)) {
            for name in before.packs.keys().filter(|name| !stored.packs.contains_key(*name)) {
                let gone = |extension| (format!("{folder}/objects/pack/pack-{name}.{extension}"), None);
                changes.extend(["pack", "idx"].map(gone));
            }
            if !before.shallow.is_empty() && stored.shallow.is_empty() {
                changes.push((format!("{folder}/shallow"), None));
            }
        }
        for (path, blob) in blobs {
            changes.push((format!("{folder}/{path}"), Some((EntryKind::Blob, blob))));
        }
        for (path, text) in stored.files() {
            let change = self.text(format!("{folder}/{path}"), &text)?;
            changes.push(change);
        }
        Ok(())
    }

    /// Adds a text file's blob, unless the base has the same blob at this path.
    fn text(&mut self, path: String, text: &str) -> Result<Change> {
        let existing = self.base.map(|base| base.lookup(&path)).transpose()?.flatten();
        let id = Repository::blob_id(text.as_bytes())?;
        if existing.is_none_or(|(blob, _)| blob != id) || !self.repository.has(id) {
            self.add_blob(text.as_bytes())?;
        }
        Ok((path, Some((EntryKind::Blob, id))))
    }
}
