//! Changes that become the mirror branch's next commit, all or nothing.
//!
//! This file collects the changes, `tree` writes the trees that they result in, and `publish` commits these.

mod docs;
mod file;
mod index;
mod policy;
mod publish;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use gix::objs::tree::EntryKind;
use gix::objs::{Kind, WriteTo};
use gix::{ObjectId, hash};
use sha2::{Digest, Sha256};

use super::encode::EncodedRelease;
use super::pack::{PackWriter, PackedObject};
use super::{Branch, Repository, Result, Snapshot, StoreError, StoredItem};
use crate::model::{
    Day, EntryChecksum, EntryId, FileChecksum, FileId, Fingerprint, GitAddress, Manifest, ManifestPart, PackageName,
    PolicyId, ReleaseId, RepositoryName, StoredEntry, StoredGit, StoredRelease,
};
pub use publish::Published;

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
    /// The manifest of the next commit, as far as it was needed.
    manifest: Manifest,
    /// The parts of the base's manifest that are not in it yet.
    unread: BTreeSet<ManifestPart>,
    pack: PackWriter,
    /// Packs written by git that are installed together with this transaction's own pack.
    packs: BTreeSet<PathBuf>,
    /// The trees of added releases.
    releases: BTreeMap<ReleaseId, ObjectId>,
    /// The blobs of added registry entries.
    entries: BTreeMap<EntryId, ObjectId>,
    /// The blobs of added policies. `None` for a removed one.
    policies: BTreeMap<PolicyId, Option<ObjectId>>,
    /// The blobs of the pieces of added files. Empty for one that may have been removed.
    files: BTreeMap<FileChecksum, Vec<ObjectId>>,
    /// The trees of added documentation that is stored unpacked.
    docs: BTreeMap<FileId, ObjectId>,
    /// The blobs of added packs and indexes, by their paths in the repository.
    repositories: BTreeMap<GitAddress, BTreeMap<String, ObjectId>>,
    removed: Removed,
    /// The changed files and folders of pinned indexes, by path.
    index: BTreeMap<String, Option<(EntryKind, ObjectId)>>,
    /// The day when upstream was last asked for all registry entries.
    refreshed: Option<Day>,
    /// The parts of the manifest that may differ from the base's.
    parts: BTreeSet<ManifestPart>,
    /// Items that keep their place in the tree even though they cannot be read.
    damaged: BTreeSet<StoredItem>,
    compression: gix::zlib::Compression,
}

/// What was removed. An item that is added again later leaves this set.
#[derive(Clone, Default)]
struct Removed {
    releases: BTreeSet<ReleaseId>,
    entries: BTreeSet<EntryId>,
    repositories: BTreeSet<GitAddress>,
}

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
        let known = base.map(Snapshot::known_manifest).transpose()?.flatten();
        let unread = match base {
            Some(base) if known.is_none() => base.existing_parts()?,
            _ => BTreeSet::new(),
        };
        let mut transaction = Self {
            repository,
            branch,
            base,
            merged: None,
            allows_empty: false,
            replaced: None,
            manifest: known.cloned().unwrap_or_default(),
            unread,
            pack: PackWriter::begin(&repository.objects_dir(), repository.files()?)?,
            packs: BTreeSet::new(),
            releases: BTreeMap::new(),
            entries: BTreeMap::new(),
            policies: BTreeMap::new(),
            files: BTreeMap::new(),
            docs: BTreeMap::new(),
            repositories: BTreeMap::new(),
            removed: Removed::default(),
            index: BTreeMap::new(),
            refreshed: base.and_then(Snapshot::refreshed),
            parts: BTreeSet::new(),
            damaged: BTreeSet::new(),
            compression: repository.compression()?,
        };
        for part in ManifestPart::besides_packages() {
            transaction.read(part)?;
        }
        Ok(transaction)
    }

    /// Adds a part of the base's manifest to that of the next commit, unless it was added before. Adds nothing else, even
    /// if the base's manifest has been read as a whole since the transaction began: other parts may have changed here.
    fn read(&mut self, part: ManifestPart) -> Result<()> {
        if let Some(base) = self.base
            && self.unread.remove(&part)
        {
            self.manifest.extend(Manifest::clone(&*base.part_alone(part)?));
        }
        Ok(())
    }

    /// Adds all of the base's manifest to that of the next commit.
    fn read_all(&mut self) -> Result<()> {
        let unread = std::mem::take(&mut self.unread);
        if let Some(base) = self.base.filter(|_| !unread.is_empty()) {
            let parts = unread.into_iter().map(|part| base.part_alone(part)).collect::<Result<Vec<_>>>()?;
            let read = std::mem::take(&mut self.manifest);
            self.manifest = Manifest::combined(parts.into_iter().chain([Arc::new(read)]));
        }
        Ok(())
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
        self.insert_release(release.id, release.stored, release.tree)
    }

    fn insert_release(&mut self, id: ReleaseId, stored: StoredRelease, tree: ObjectId) -> Result<()> {
        self.touch(&id.package)?;
        self.manifest.releases.insert(id.clone(), stored);
        self.releases.insert(id, tree);
        Ok(())
    }

    /// Notes that the manifest's lines about a package may change.
    fn touch(&mut self, package: &PackageName) -> Result<()> {
        let part = ManifestPart::of(package);
        self.parts.insert(part);
        self.read(part)
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
        let manifest = other.manifest_of(&id.package)?;
        let path = other.release_path(&manifest, id);
        let missing = || StoreError::damaged(&path)("it is missing");
        let stored = manifest.releases.get(id).ok_or_else(missing)?;
        let (tree, _) = other.lookup(&path)?.ok_or_else(missing)?;
        self.insert_release(id.clone(), *stored, tree)
    }

    /// Adds a registry entry. `signed` is the signed message, not compressed. Returns whether it differs from the stored one.
    ///
    /// # Errors
    /// Fails if the pack cannot be written.
    pub fn put_entry(&mut self, id: EntryId, signed: &[u8]) -> Result<bool> {
        let checksum = EntryChecksum::from_bytes(Sha256::digest(signed).into());
        let stored = StoredEntry { checksum, bytes: signed.len() as u64 };
        self.touch(&id.package)?;
        self.manifest.absent.remove(&id);
        let is_changed = self.manifest.entries.insert(id.clone(), stored) != Some(stored);
        if is_changed {
            let blob = self.add_blob(signed)?;
            self.entries.insert(id, blob);
        }
        Ok(is_changed)
    }

    /// Records the day when upstream was last asked for all registry entries.
    pub fn record_refresh(&mut self, day: Option<Day>) {
        self.refreshed = day;
    }

    /// Records the key that signs the entries of a repository.
    pub fn record_signer(&mut self, repository: RepositoryName, fingerprint: Fingerprint) {
        self.parts.insert(ManifestPart::Signers);
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
        self.parts.insert(ManifestPart::Git);
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
    ///
    /// # Errors
    /// Fails if the base's manifest is damaged.
    pub fn record_absent(&mut self, id: EntryId) -> Result<()> {
        self.touch(&id.package)?;
        if !self.manifest.entries.contains_key(&id) {
            self.manifest.absent.insert(id);
        }
        Ok(())
    }

    /// Keeps an unreadable item at its path in a damaged tip, because the parts of it that are readable are still
    /// useful. Returns whether the path is known.
    ///
    /// # Errors
    /// Fails if a parent folder cannot be read.
    pub fn keep_damaged(&mut self, tip: &Snapshot, item: &StoredItem) -> Result<bool> {
        let manifest = tip.manifest()?;
        let kept = match item {
            StoredItem::Release(id) => {
                let existing = tip.lookup(&tip.release_path(manifest, id))?;
                let existing = manifest.releases.get(id).zip(existing);
                existing.map(|(stored, (tree, _))| self.insert_release(id.clone(), *stored, tree)).transpose()?
            }
            StoredItem::Entry(id) => {
                let existing = tip.lookup(&tip.layout().entry_path(id))?;
                let existing = manifest.entries.get(id).zip(existing);
                let keep = |(stored, (blob, _)): (&StoredEntry, (ObjectId, _))| {
                    self.touch(&id.package)?;
                    self.manifest.entries.insert(id.clone(), *stored);
                    self.entries.insert(id.clone(), blob);
                    Ok::<_, StoreError>(())
                };
                existing.map(keep).transpose()?
            }
            // It is small, and an update fetches it again.
            StoredItem::Policy(_) | StoredItem::File(_) => None,
            StoredItem::Git(address) => match manifest.git.get(address) {
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
    ///
    /// # Errors
    /// Fails if the base's manifest is damaged.
    pub fn remove_release(&mut self, id: &ReleaseId) -> Result<()> {
        self.touch(&id.package)?;
        self.manifest.releases.remove(id);
        self.releases.remove(id);
        self.removed.releases.insert(id.clone());
        Ok(())
    }

    /// Removes a package's registry entry, or the record that upstream has none.
    ///
    /// # Errors
    /// Fails if the base's manifest is damaged.
    pub fn remove_entry(&mut self, id: &EntryId) -> Result<()> {
        self.touch(&id.package)?;
        self.manifest.absent.remove(id);
        self.manifest.entries.remove(id);
        self.entries.remove(id);
        self.removed.entries.insert(id.clone());
        Ok(())
    }

    /// Removes a git repository.
    pub fn remove_git(&mut self, address: &GitAddress) {
        self.parts.insert(ManifestPart::Git);
        self.manifest.git.remove(address);
        self.repositories.remove(address);
        self.removed.repositories.insert(address.clone());
    }

    /// Returns the manifest of the next commit. Use [`Self::excerpt`] if some packages are enough.
    ///
    /// # Errors
    /// Fails if the base's manifest is damaged.
    pub fn manifest(&mut self) -> Result<&Manifest> {
        self.read_all()?;
        Ok(&self.manifest)
    }

    /// Returns what the manifest of the next commit says about some packages, and about everything that is not a package.
    /// It may say something about other packages too.
    ///
    /// # Errors
    /// Fails if the base's manifest is damaged.
    pub fn excerpt<'p>(&mut self, packages: impl IntoIterator<Item = &'p EntryId>) -> Result<&Manifest> {
        packages.into_iter().try_for_each(|id| self.read(ManifestPart::of(&id.package)))?;
        Ok(&self.manifest)
    }

    /// Returns the Hex repositories of which the next commit has registry entries or policies.
    ///
    /// # Errors
    /// Fails if the base is damaged.
    pub fn repositories_with_entries(&mut self) -> Result<BTreeSet<RepositoryName>> {
        let mut names = match self.base {
            // The last entry of a repository may have been removed.
            Some(_) if !self.removed.entries.is_empty() || self.policies.values().any(Option::is_none) => {
                self.read_all()?;
                BTreeSet::new()
            }
            Some(base) => base.repositories_with_entries()?,
            None => BTreeSet::new(),
        };
        names.extend(self.manifest.signed_repositories().cloned());
        Ok(names)
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
