//! Changes that become the mirror branch's next commit, all or nothing.

mod index;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use gix::objs::tree::{Editor, EntryKind};
use gix::objs::{Kind, Tree, WriteTo};
use gix::refs::transaction::PreviousValue;
use gix::{ObjectId, hash};
use sha2::{Digest, Sha256};

use super::encode::EncodedRelease;
use super::pack::{Installed, PackWriter, PackedObject};
use super::ref_update::RefUpdate;
use super::repository::set_committer;
use super::{Branch, Item, Repository, Result, Snapshot, StoreError, layout};
use crate::model::{
    EntryChecksum, EntryId, Fingerprint, GitAddress, Manifest, PackageName, ReleaseId, RepositoryName, StoredEntry,
    StoredGit,
};

/// Changes on top of a snapshot. If it is dropped before [`Transaction::publish`], nothing is changed.
pub struct Transaction<'a> {
    repository: &'a Repository,
    branch: &'a Branch,
    base: Option<&'a Snapshot>,
    /// The second parent: a mirror that was merged into this one.
    merged: Option<ObjectId>,
    /// Whether to commit even if nothing changed, for the sake of the commit message.
    allows_empty: bool,
    /// The commit that the branch points to, if that is not the base: an earlier attempt that the new commit replaces.
    replaced: Option<ObjectId>,
    manifest: Manifest,
    pack: PackWriter,
    /// Packs written by git that are installed together with this transaction's own pack.
    packs: BTreeSet<PathBuf>,
    /// The trees of added releases.
    releases: BTreeMap<ReleaseId, ObjectId>,
    /// The blobs of added registry entries.
    entries: BTreeMap<EntryId, ObjectId>,
    /// The blobs of added packs and indexes, by their paths in the repository.
    repositories: BTreeMap<GitAddress, BTreeMap<String, ObjectId>>,
    removed: Removed,
    /// The changed files and folders of pinned indexes, by path.
    index: BTreeMap<String, Option<(EntryKind, ObjectId)>>,
    /// Items that keep their place in the tree even though they cannot be read.
    damaged: BTreeSet<Item>,
    compression: gix::zlib::Compression,
}

/// What was removed. An item that is added again later leaves this set.
#[derive(Clone, Default)]
struct Removed {
    releases: BTreeSet<ReleaseId>,
    entries: BTreeSet<EntryId>,
    repositories: BTreeSet<GitAddress>,
}

/// A path with its new content, or `None` if the path is removed.
type Change = (String, Option<(EntryKind, ObjectId)>);

/// A file of a git repository that is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitFile {
    /// The file's content.
    Bytes(Vec<u8>),
    /// A blob that another snapshot of this repository already holds.
    Stored(ObjectId),
    /// A blob in a pack that is yet to be installed, with the path of the pack. The index is beside it.
    Packed(ObjectId, PathBuf),
}

/// The outcome of [`Transaction::publish`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The branch's tip: the new commit, or the base's commit if nothing changed.
    pub commit: ObjectId,
    /// The size of the new pack and its index, in bytes.
    pub pack_bytes: u64,
}

impl<'a> Transaction<'a> {
    /// Begins a change of the branch. `base` is the branch's current snapshot, or `None` if the branch does not exist.
    ///
    /// # Errors
    /// Fails if the branch is checked out, another ref conflicts with its name, the base's manifest is damaged, or the
    /// repository is not writable.
    pub fn begin(repository: &'a Repository, branch: &'a Branch, base: Option<&'a Snapshot>) -> Result<Self> {
        Self::begin_on(repository, branch, base, base.is_none())
    }

    fn begin_on(
        repository: &'a Repository,
        branch: &'a Branch,
        base: Option<&'a Snapshot>,
        is_new: bool,
    ) -> Result<Self> {
        repository.refuse_checked_out(branch)?;
        if is_new {
            repository.refuse_in_the_way(branch)?;
        }
        let manifest = base.map(Snapshot::manifest).transpose()?.cloned().unwrap_or_default();
        Ok(Self {
            repository,
            branch,
            base,
            merged: None,
            allows_empty: false,
            replaced: None,
            manifest,
            pack: PackWriter::begin(&repository.objects_dir(), repository.files()?)?,
            packs: BTreeSet::new(),
            releases: BTreeMap::new(),
            entries: BTreeMap::new(),
            repositories: BTreeMap::new(),
            removed: Removed::default(),
            index: BTreeMap::new(),
            damaged: BTreeSet::new(),
            compression: repository.compression()?,
        })
    }

    /// Begins to rebuild the content of the branch, whose tip is `tip` and may be damaged. No object of the tip is
    /// assumed to exist.
    ///
    /// # Errors
    /// As for [`Self::begin`].
    pub fn rebuild(repository: &'a Repository, branch: &'a Branch, tip: Option<ObjectId>) -> Result<Self> {
        Ok(Self { replaced: tip, ..Self::begin_on(repository, branch, None, tip.is_none())? })
    }

    /// Adds a release, or replaces the stored release of the same version.
    ///
    /// # Errors
    /// Fails if the pack cannot be written.
    pub fn add_release(&mut self, release: EncodedRelease) -> Result<()> {
        for object in release.objects {
            self.pack.add(object)?;
        }
        self.manifest.releases.insert(release.id.clone(), release.stored);
        self.releases.insert(release.id, release.tree);
        Ok(())
    }

    /// Makes the next commit a merge whose second parent is `other`. The caller decides what to copy from it.
    pub fn merge(&mut self, other: &Snapshot) {
        self.merged = Some(other.commit());
    }

    /// Makes a commit even if nothing changes, so that its message is recorded.
    pub fn allow_empty(&mut self) {
        self.allows_empty = true;
    }

    /// Makes the new commit replace `superseded`, an unpublished commit on the same base that the branch points to.
    pub fn replace(&mut self, superseded: ObjectId) {
        self.replaced = Some(superseded);
    }

    /// Copies a release as it is stored in another snapshot of this repository.
    ///
    /// # Errors
    /// Fails if the other snapshot does not have the release or is damaged.
    pub fn copy_release(&mut self, other: &Snapshot, id: &ReleaseId) -> Result<()> {
        let manifest = other.manifest()?;
        let path = layout::release_path(manifest, id);
        let missing = || StoreError::damaged(&path)("it is missing");
        let stored = manifest.releases.get(id).ok_or_else(missing)?;
        let (tree, _) = other.lookup(&path)?.ok_or_else(missing)?;
        self.manifest.releases.insert(id.clone(), *stored);
        self.releases.insert(id.clone(), tree);
        Ok(())
    }

    /// Adds a registry entry. `signed` is the signed message, not compressed.
    ///
    /// # Errors
    /// Fails if the pack cannot be written.
    pub fn put_entry(&mut self, id: EntryId, signed: &[u8]) -> Result<()> {
        let checksum = EntryChecksum::from_bytes(Sha256::digest(signed).into());
        let stored = StoredEntry { checksum, bytes: signed.len() as u64 };
        self.manifest.absent.remove(&id);
        if self.manifest.entries.insert(id.clone(), stored) != Some(stored) {
            let blob = self.add_blob(signed)?;
            self.entries.insert(id, blob);
        }
        Ok(())
    }

    /// Records the key that signs the entries of a repository.
    pub fn record_signer(&mut self, repository: RepositoryName, fingerprint: Fingerprint) {
        self.manifest.signers.insert(repository, fingerprint);
    }

    /// Adds or updates a git repository. `files` are the new packs and indexes, by their paths in the repository.
    ///
    /// # Errors
    /// Fails if the pack cannot be written.
    pub fn put_git(&mut self, address: GitAddress, stored: StoredGit, files: Vec<(String, GitFile)>) -> Result<()> {
        let mut blobs = BTreeMap::new();
        for (path, file) in files {
            let blob = match file {
                GitFile::Stored(blob) => blob,
                GitFile::Packed(blob, pack) => {
                    self.packs.insert(pack);
                    blob
                }
                // Packs are already deflated, indexes are not.
                GitFile::Bytes(bytes) if path.ends_with(".pack") => self.add_deflated(&bytes)?,
                GitFile::Bytes(bytes) => self.add_blob(&bytes)?,
            };
            blobs.insert(path, blob);
        }
        self.repositories.entry(address.clone()).or_default().extend(blobs);
        self.manifest.git.insert(address, stored);
        Ok(())
    }

    /// Copies the packs of a git repository from another snapshot of this repository. `stored` describes the result.
    ///
    /// # Errors
    /// Fails if the other snapshot lacks one of the packs.
    pub fn copy_git(&mut self, other: &Snapshot, address: &GitAddress, stored: StoredGit) -> Result<()> {
        let known = self.manifest.git.get(address).map(|known| known.packs.clone()).unwrap_or_default();
        let mut files = Vec::new();
        for name in stored.packs.keys().filter(|name| !known.contains_key(*name)) {
            for extension in ["pack", "idx"] {
                let path = format!("objects/pack/pack-{name}.{extension}");
                let full = format!("{}/{path}", address.tree_path());
                let (blob, _) = other.lookup(&full)?.ok_or_else(|| StoreError::damaged(&full)("it is missing"))?;
                files.push((path, GitFile::Stored(blob)));
            }
        }
        self.put_git(address.clone(), stored, files)
    }

    /// Records that upstream has no registry entry for a package that a dependency names.
    pub fn note_absent(&mut self, id: EntryId) {
        if !self.manifest.entries.contains_key(&id) {
            self.manifest.absent.insert(id);
        }
    }

    /// Keeps an unreadable item at its path in a damaged tip, because the parts of it that are readable are still
    /// useful. Returns whether the path is known.
    ///
    /// # Errors
    /// Fails if a parent folder cannot be read.
    pub fn keep_damaged(&mut self, tip: &Snapshot, item: &Item) -> Result<bool> {
        let manifest = tip.manifest()?;
        let kept = match item {
            Item::Release(id) => {
                let existing = tip.lookup(&layout::release_path(manifest, id))?;
                let existing = manifest.releases.get(id).zip(existing);
                existing.map(|(stored, (tree, _))| {
                    self.manifest.releases.insert(id.clone(), *stored);
                    self.releases.insert(id.clone(), tree);
                })
            }
            Item::Entry(id) => {
                let existing = tip.lookup(&layout::entry_path(id))?;
                let existing = manifest.entries.get(id).zip(existing);
                existing.map(|(stored, (blob, _))| {
                    self.manifest.entries.insert(id.clone(), *stored);
                    self.entries.insert(id.clone(), blob);
                })
            }
            Item::Git(address) => match manifest.git.get(address) {
                Some(stored) => Some(self.copy_git(tip, address, stored.clone())?),
                None => None,
            },
        };
        if kept.is_some() {
            self.damaged.insert(item.clone());
        }
        Ok(kept.is_some())
    }

    /// Removes a release.
    pub fn remove_release(&mut self, id: &ReleaseId) {
        self.manifest.releases.remove(id);
        self.releases.remove(id);
        self.removed.releases.insert(id.clone());
    }

    /// Removes a package's registry entry, or the record that upstream has none.
    pub fn remove_entry(&mut self, id: &EntryId) {
        self.manifest.absent.remove(id);
        self.manifest.entries.remove(id);
        self.entries.remove(id);
        self.removed.entries.insert(id.clone());
    }

    /// Removes a git repository.
    pub fn remove_git(&mut self, address: &GitAddress) {
        self.manifest.git.remove(address);
        self.repositories.remove(address);
        self.removed.repositories.insert(address.clone());
    }

    /// Returns the manifest of the next commit.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Writes all objects and moves the branch to the new commit. Makes no commit if nothing changed.
    ///
    /// # Errors
    /// Fails with [`StoreError::Moved`] if the branch no longer points to the base. The branch does not change.
    pub fn publish(mut self, message: &str) -> Result<Published> {
        let tree = self.write_tree()?;
        if let Some(base) = self.base.filter(|base| base.tree() == tree && self.merged.is_none() && !self.allows_empty)
        {
            return Ok(Published { commit: base.commit(), pack_bytes: 0 });
        }
        let parents = self.base.map(Snapshot::commit).into_iter().chain(self.merged).collect();
        self.commit(tree, parents, message)
    }

    /// Writes all objects and replaces the base, the branch's tip, with a commit that has the same parents and message.
    /// Makes no commit if nothing changed.
    ///
    /// # Errors
    /// As for [`Self::publish`].
    pub fn publish_amended(mut self, base: &Snapshot) -> Result<Published> {
        let tree = self.write_tree()?;
        if tree == base.tree() {
            return Ok(Published { commit: base.commit(), pack_bytes: 0 });
        }
        let message = self.repository.message(base.commit())?;
        let parents = self.repository.commit(base.commit())?.parent_ids().map(gix::Id::detach).collect();
        self.commit(tree, parents, &message)
    }

    /// Writes all objects of a rebuilt mirror. `tip` is the commit and tree of the damaged tip. If the rebuilt tree is
    /// the tip's tree, the branch stays and has its objects back. Otherwise it moves to a new commit on `parents`,
    /// without the unreadable items. Returns those as well.
    ///
    /// # Errors
    /// As for [`Self::publish`].
    pub fn publish_rebuilt(
        mut self,
        tip: Option<(ObjectId, ObjectId)>,
        parents: Vec<ObjectId>,
        message: &str,
    ) -> Result<(Published, BTreeSet<Item>)> {
        let mut tree = self.write_tree()?;
        if let Some((commit, _)) = tip.filter(|(_, before)| *before == tree) {
            let installed = self.install()?;
            return Ok((Published { commit, pack_bytes: installed.bytes }, BTreeSet::new()));
        }
        let dropped = std::mem::take(&mut self.damaged);
        for item in &dropped {
            match item {
                Item::Release(id) => self.remove_release(id),
                Item::Entry(id) => self.remove_entry(id),
                Item::Git(address) => self.remove_git(address),
            }
        }
        if !dropped.is_empty() {
            tree = self.write_tree()?;
        }
        Ok((self.commit(tree, parents, message)?, dropped))
    }

    /// Installs all new objects.
    fn install(self) -> Result<Installed> {
        let mut installed = self.pack.finish()?;
        for pack in &self.packs {
            installed.add(self.repository.files()?, &self.repository.objects_dir(), pack)?;
        }
        Ok(installed)
    }

    /// Commits a tree and moves the branch to the commit.
    fn commit(mut self, tree: ObjectId, parents: Vec<ObjectId>, message: &str) -> Result<Published> {
        let committer = set_committer(&mut self.repository.git.clone())?;
        let commit = gix::objs::Commit {
            tree,
            parents: parents.into(),
            author: committer.clone(),
            committer,
            encoding: None,
            message: message.into(),
            extra_headers: Vec::new(),
        };
        let commit = self.add_object(Kind::Commit, &commit)?;
        let Self { repository, branch, base, replaced, .. } = self;
        let installed = self.install()?;
        repository.check_new(commit, base, &installed)?;
        let before = replaced.or(base.map(Snapshot::commit));
        let expected = match before {
            Some(before) => PreviousValue::MustExistAndMatch(gix::refs::Target::Object(before)),
            None => PreviousValue::MustNotExist,
        };
        let subject = message.lines().next().unwrap_or_default();
        let update = RefUpdate { name: &branch.name, commit, expected, log: subject, action: "move the mirror branch" };
        match repository.move_branch(&update) {
            Ok(()) => Ok(Published { commit, pack_bytes: installed.bytes }),
            Err(error) => Err(repository.not_moved(branch, before, commit, error)?),
        }
    }

    /// Writes the changed trees and returns the root's id.
    fn write_tree(&mut self) -> Result<ObjectId> {
        let action = "write a tree";
        // A record without entries would decide on the key of a repository that is configured later.
        let of_entries: BTreeSet<_> = self.manifest.entries.keys().map(|id| id.repository.clone()).collect();
        self.manifest.signers.retain(|repository, _| of_entries.contains(repository));
        let root = match self.base {
            Some(base) => self.repository.git.find_tree(base.tree()).map_err(StoreError::damaged("the root"))?,
            None => self.repository.git.empty_tree(),
        };
        let root: Tree = root.decode().map_err(StoreError::damaged("the root"))?.into_owned();
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

    /// Lists the differences from the base: paths with their new content, or `None` for removed ones.
    fn changes(&mut self) -> Result<Vec<Change>> {
        let Removed { releases: gone, entries, repositories } = self.removed.clone();
        let entries = entries.iter().filter(|id| !self.manifest.entries.contains_key(*id));
        let mut changes: Vec<Change> = entries.map(|id| (layout::entry_path(id), None)).collect();
        let repositories = repositories.iter().filter(|address| !self.manifest.git.contains_key(*address));
        changes.extend(repositories.map(|address| (address.tree_path(), None)));
        for (id, blob) in self.entries.clone() {
            changes.push((layout::entry_path(&id), Some((EntryKind::Blob, blob))));
        }
        let releases = self.releases.clone();
        let touched = releases.keys().chain(&gone);
        let packages: BTreeSet<_> = touched.map(|id| (id.repository.clone(), id.package.clone())).collect();
        for (repository, package) in packages {
            self.place(&repository, &package, &releases, &mut changes)?;
        }
        for (address, blobs) in self.repositories.clone() {
            self.place_git(&address, blobs, &mut changes)?;
        }
        changes.extend(self.index.clone());
        let texts = [
            (layout::MANIFEST, self.manifest.to_string()),
            (layout::MIRROR, layout::mirror_text()),
            (layout::README, layout::README_TEXT.to_owned()),
        ];
        for (path, text) in texts {
            let change = self.text(path.to_owned(), &text)?;
            changes.push(change);
        }
        Ok(changes)
    }

    /// Adds a package's releases at their paths: the highest at the package's own path, the others beside it.
    fn place(
        &self,
        repository: &RepositoryName,
        package: &PackageName,
        added: &BTreeMap<ReleaseId, ObjectId>,
        changes: &mut Vec<Change>,
    ) -> Result<()> {
        let mut kept = BTreeMap::new();
        if let Some(base) = self.base {
            let manifest = base.manifest()?;
            for (id, _) in manifest.releases_of(repository, package) {
                let path = layout::release_path(manifest, id);
                if !added.contains_key(id)
                    && let Some((tree, _)) = base.lookup(&path)?
                {
                    kept.insert(id, tree);
                }
                changes.push((path, None));
            }
        }
        for (id, _) in self.manifest.releases_of(repository, package) {
            let path = layout::release_path(&self.manifest, id);
            let tree =
                added.get(id).or_else(|| kept.get(id)).ok_or_else(|| StoreError::damaged(&path)("it is missing"))?;
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
        let before = self.base.map(Snapshot::manifest).transpose()?.and_then(|manifest| manifest.git.get(address));
        if let Some(before) = before {
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

    /// Adds a blob whose content is already compressed.
    fn add_deflated(&mut self, bytes: &[u8]) -> Result<ObjectId> {
        let kind = Kind::Blob;
        let id = gix::objs::compute_hash(hash::Kind::Sha1, kind, bytes).map_err(StoreError::git("hash an object"))?;
        self.pack.add(PackedObject::new(kind, bytes, id, gix::zlib::Compression::NONE)?)
    }

    fn add_blob(&mut self, bytes: &[u8]) -> Result<ObjectId> {
        self.add_bytes(Kind::Blob, bytes)
    }

    fn add_object(&mut self, kind: Kind, object: &dyn WriteTo) -> Result<ObjectId> {
        let mut bytes = Vec::new();
        object.write_to(&mut bytes).map_err(StoreError::git("write an object"))?;
        self.add_bytes(kind, &bytes)
    }

    /// Adds an object even if the object database has it. `git gc` may remove an unreachable object at any time.
    fn add_bytes(&mut self, kind: Kind, bytes: &[u8]) -> Result<ObjectId> {
        let id = gix::objs::compute_hash(hash::Kind::Sha1, kind, bytes).map_err(StoreError::git("hash an object"))?;
        self.pack.add(PackedObject::new(kind, bytes, id, self.compression)?)
    }
}
