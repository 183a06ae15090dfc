//! The content of one commit of the mirror branch.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use gix::ObjectId;

use super::layout::{Layout, MirrorFile};
use super::{Branch, Repository, Result, StoreError, layout};
use crate::model::{Day, EntryId, Manifest, ManifestPart, PackageName, ReleaseId, RepositoryName};

/// The supported format versions.
const READABLE: std::ops::RangeInclusive<u32> = layout::OLDEST_FORMAT..=layout::FORMAT;

/// The largest object that is read into memory, in bytes. No tarball is larger.
const MAX_OBJECT: usize = 1 << 30;

/// The memory for recently read objects, in bytes. Every path goes through the same few folders.
const CACHE: usize = 4 << 20;

/// The content of one commit of the mirror branch. All reads use the commit's tree.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(super) repository: Repository,
    pub(super) commit: ObjectId,
    pub(super) tree: ObjectId,
    pub(super) format: u32,
    pub(super) refreshed: Option<Day>,
    pub(super) read: Arc<ReadManifest>,
}

/// What was read of a manifest so far. Clones of a snapshot share it.
#[derive(Debug, Default)]
pub(super) struct ReadManifest {
    whole: OnceLock<Arc<Manifest>>,
    /// Some parts, unless all of it was read.
    parts: Mutex<HashMap<ManifestPart, Arc<Manifest>>>,
}

impl ReadManifest {
    pub fn of(whole: Manifest) -> Self {
        Self { whole: Arc::new(whole).into(), ..Self::default() }
    }
}

impl Repository {
    /// Returns the branch's current snapshot, or `None` if the branch does not exist.
    ///
    /// # Errors
    /// Fails if the branch is not a mirror, has an unsupported format, or is damaged.
    pub fn snapshot(&self, branch: &Branch) -> Result<Option<Snapshot>> {
        self.tip(branch)?.map(|tip| Snapshot::at(self, branch, tip)).transpose()
    }
}

impl Snapshot {
    /// Opens the snapshot of a commit.
    ///
    /// # Errors
    /// Fails if the commit is not a mirror, has an unsupported format, or cannot be read.
    pub fn at(repository: &Repository, branch: &Branch, commit: ObjectId) -> Result<Self> {
        let snapshot = Self::open(repository, commit)?;
        let mirror = snapshot.blob(layout::MIRROR);
        if repository.is_partial() && (mirror.is_err() || !snapshot.has_manifest()) {
            return Err(StoreError::Partial { branch: branch.to_string() });
        }
        let Some(mirror) = mirror? else {
            repository.check_tree(snapshot.tree)?;
            return Err(StoreError::NotAMirror { branch: branch.to_string() });
        };
        match MirrorFile::parse(&mirror) {
            Some(MirrorFile { format, refreshed }) if READABLE.contains(&format) => {
                Ok(Self { format, refreshed, ..snapshot })
            }
            Some(MirrorFile { format: found, .. }) => {
                Err(StoreError::Format { branch: branch.to_string(), found, supported: layout::FORMAT })
            }
            None => Err(StoreError::damaged(layout::MIRROR)("it has no format number")),
        }
    }

    /// Opens the snapshot of a commit without checking its content.
    ///
    /// # Errors
    /// Fails if the commit cannot be read.
    pub fn unchecked(repository: &Repository, commit: ObjectId) -> Result<Self> {
        let snapshot = Self::open(repository, commit)?;
        let mirror = snapshot.blob(layout::MIRROR).ok().flatten().and_then(|mirror| MirrorFile::parse(&mirror));
        // A damaged mirror still shows by its manifest's kind how it is arranged.
        let is_flat = || matches!(snapshot.lookup(layout::MANIFEST), Ok(Some((_, mode))) if mode.is_blob());
        let format = mirror.map(|mirror| mirror.format).filter(|format| READABLE.contains(format));
        let format = format.unwrap_or_else(|| if is_flat() { layout::OLDEST_FORMAT } else { layout::FORMAT });
        let refreshed = mirror.map_or_else(|| snapshot.lost_day(), |mirror| mirror.refreshed);
        Ok(Self { format, refreshed, ..snapshot })
    }

    fn open(repository: &Repository, commit: ObjectId) -> Result<Self> {
        let read = repository.git.find_commit(commit).map_err(StoreError::damaged(format!("commit {commit}")))?;
        let tree = read.tree_id().map_err(StoreError::damaged(format!("commit {commit}")))?.detach();
        let mut repository = repository.clone();
        repository.git.object_cache_size_if_unset(CACHE);
        Ok(Self { repository, commit, tree, format: layout::FORMAT, refreshed: None, read: Arc::default() })
    }

    /// Returns whether the objects of the manifest exist. They may be missing from a partial clone.
    fn has_manifest(&self) -> bool {
        match self.lookup(layout::MANIFEST) {
            Ok(Some((id, mode))) if mode.is_tree() => {
                let entries = self.repository.folder_entries(layout::MANIFEST, id);
                entries.is_ok_and(|entries| entries.values().all(|(_, id)| self.repository.has(*id)))
            }
            Ok(Some((id, _))) => self.repository.has(id),
            found => found.is_ok(),
        }
    }

    /// Returns the commit.
    pub fn commit(&self) -> ObjectId {
        self.commit
    }

    /// Returns the commit's tree.
    pub fn tree(&self) -> ObjectId {
        self.tree
    }

    /// Returns whether an older version of this program wrote the mirror, in which case the next change migrates it.
    pub fn is_of_older_format(&self) -> bool {
        self.format < layout::FORMAT
    }

    /// Returns how packages and registry entries are arranged.
    pub(super) fn layout(&self) -> Layout {
        Layout::of_format(self.format)
    }

    /// Returns the folder of a release, which depends on whether the release is its package's highest in a manifest.
    pub fn release_path(&self, manifest: &Manifest, id: &ReleaseId) -> String {
        self.layout().release_path(manifest, id)
    }

    /// Returns the whole manifest. Use [`Self::manifest_of`] if some packages are enough.
    ///
    /// # Errors
    /// Fails if the manifest is missing or damaged.
    pub fn manifest(&self) -> Result<&Manifest> {
        if let Some(manifest) = self.read.whole.get() {
            return Ok(manifest);
        }
        let manifest = match self.layout() {
            Layout::Flat => Arc::new(self.flat_manifest()?),
            Layout::Sharded => {
                let parts = self.existing_parts()?.into_iter().map(|part| self.part_alone(part));
                let parts = parts.collect::<Result<Vec<_>>>()?;
                self.read.parts.lock().unwrap_or_else(PoisonError::into_inner).clear();
                Arc::new(Manifest::combined(parts))
            }
        };
        Ok(self.read.whole.get_or_init(|| manifest))
    }

    fn flat_manifest(&self) -> Result<Manifest> {
        let bytes = self.blob(layout::MANIFEST)?;
        let bytes = bytes.ok_or_else(|| StoreError::damaged(layout::MANIFEST)("it is missing"))?;
        let text = std::str::from_utf8(&bytes).map_err(StoreError::damaged(layout::MANIFEST))?;
        text.parse().map_err(StoreError::damaged(layout::MANIFEST))
    }

    /// Takes over the parts of another snapshot's manifest that were read and are the same in this one.
    pub fn reuse(&self, other: &Self) {
        let [Ok(own), Ok(others)] = [self, other].map(Self::part_ids) else { return };
        let read = other.read.parts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let same = read.into_iter().filter(|(part, _)| own.contains_key(part) && own.get(part) == others.get(part));
        self.read.parts.lock().unwrap_or_else(PoisonError::into_inner).extend(same);
    }

    /// Returns the parts of the manifest that exist, and the one that must. The manifest must be divided.
    pub(super) fn existing_parts(&self) -> Result<BTreeSet<ManifestPart>> {
        Ok(self.part_ids()?.into_keys().chain([ManifestPart::Git]).collect())
    }

    /// Returns the manifest if all of it is known, as that of a manifest that is not divided always is.
    ///
    /// # Errors
    /// Fails if a manifest that is not divided is missing or damaged.
    pub(super) fn known_manifest(&self) -> Result<Option<&Manifest>> {
        if self.layout() == Layout::Flat {
            return self.manifest().map(Some);
        }
        Ok(self.read.whole.get().map(Arc::as_ref))
    }

    /// Returns what the manifest says about a package. It may say something about other packages too.
    ///
    /// # Errors
    /// Fails if the manifest is missing or damaged.
    pub fn manifest_of(&self, package: &PackageName) -> Result<Arc<Manifest>> {
        self.part(ManifestPart::of(package))
    }

    /// Returns what the manifest says about some packages, and about all git repositories, policies, files and signers. Reads
    /// only the parts with these lines.
    ///
    /// # Errors
    /// Fails if the manifest is missing or damaged.
    pub fn excerpt<'p>(&self, packages: impl IntoIterator<Item = &'p EntryId>) -> Result<Manifest> {
        let (git, signers) = (self.part(ManifestPart::Git)?, self.part(ManifestPart::Signers)?);
        let policies = self.part(ManifestPart::Policies)?.policies.clone();
        let files = self.part(ManifestPart::Files)?.files.clone();
        let (git, signers) = (git.git.clone(), signers.signers.clone());
        let mut excerpt = Manifest { git, policies, files, signers, ..Manifest::default() };
        for id in packages {
            self.manifest_of(&id.package)?.copy_package(id, &mut excerpt);
        }
        Ok(excerpt)
    }

    /// Returns a part of the manifest, or all of it if it is not divided or already known.
    ///
    /// # Errors
    /// Fails if the part is damaged.
    pub fn part(&self, part: ManifestPart) -> Result<Arc<Manifest>> {
        if self.layout() == Layout::Flat {
            self.manifest()?;
        }
        match self.read.whole.get() {
            Some(manifest) => Ok(Arc::clone(manifest)),
            None => self.part_alone(part),
        }
    }

    /// Returns a part of a manifest that is divided, and nothing else, even if all of the manifest is already known.
    ///
    /// # Errors
    /// Fails if the part is damaged.
    pub fn part_alone(&self, part: ManifestPart) -> Result<Arc<Manifest>> {
        let parts = || self.read.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = parts().get(&part) {
            return Ok(Arc::clone(known));
        }
        let path = layout::part_path(part);
        let read = match self.blob(&path)? {
            Some(bytes) => {
                let text = std::str::from_utf8(&bytes).map_err(StoreError::damaged(&path))?;
                Manifest::parse_part(part, text).map_err(StoreError::damaged(&path))?
            }
            None if part == ManifestPart::Git => return Err(StoreError::damaged(path)("it is missing")),
            None => Manifest::default(),
        };
        let read = Arc::new(read);
        parts().insert(part, Arc::clone(&read));
        Ok(read)
    }

    /// Returns the blobs of the manifest's parts. Other files in the manifest's folder are left out.
    pub(super) fn part_ids(&self) -> Result<BTreeMap<ManifestPart, ObjectId>> {
        let missing = || StoreError::damaged(layout::MANIFEST)("it is missing");
        let (id, _) = self.lookup(layout::MANIFEST)?.filter(|(_, mode)| mode.is_tree()).ok_or_else(missing)?;
        let entries = self.repository.folder_entries(layout::MANIFEST, id)?.into_iter();
        let parts = entries.filter(|(_, (mode, _))| mode.is_blob());
        Ok(parts.filter_map(|(name, (_, id))| Some((name.parse().ok()?, id))).collect())
    }

    /// Returns the Hex repositories of which the tree has registry entries or policies.
    ///
    /// # Errors
    /// Fails if the tree cannot be read.
    pub fn repositories_with_entries(&self) -> Result<BTreeSet<RepositoryName>> {
        let Some((id, _)) = self.lookup("hex")?.filter(|(_, mode)| mode.is_tree()) else { return Ok(BTreeSet::new()) };
        let mut found = BTreeSet::new();
        for name in self.repository.folder_entries("hex", id)?.into_keys() {
            if self.lookup(&format!("hex/{name}/registry"))?.is_some() {
                found.extend(name.parse::<RepositoryName>().ok());
            }
        }
        Ok(found)
    }

    /// Returns the number of stored releases, which is the number of their folders. This is much faster than reading the
    /// whole manifest.
    ///
    /// # Errors
    /// Fails if the tree cannot be read.
    pub fn count_releases(&self) -> Result<usize> {
        let folders_in = |path: &str, tree| -> Result<Vec<(String, ObjectId)>> {
            let entries = self.repository.folder_entries(path, tree)?.into_iter();
            Ok(entries.filter(|(_, (mode, _))| mode.is_tree()).map(|(name, (_, id))| (name, id)).collect())
        };
        let Some((hex, _)) = self.lookup("hex")?.filter(|(_, mode)| mode.is_tree()) else { return Ok(0) };
        let mut releases = 0;
        for (name, _) in folders_in("hex", hex)? {
            let path = format!("hex/{name}/packages");
            let Some((packages, _)) = self.lookup(&path)?.filter(|(_, mode)| mode.is_tree()) else { continue };
            let folders = folders_in(&path, packages)?;
            releases += match self.layout() {
                Layout::Flat => folders.len(),
                Layout::Sharded => {
                    let count = |(shard, tree): &(String, ObjectId)| {
                        let path = format!("{path}/{shard}");
                        let tree = self.repository.git.find_tree(*tree).map_err(StoreError::damaged(path))?;
                        Ok::<_, StoreError>(tree.iter().filter_map(Result::ok).filter(|e| e.mode().is_tree()).count())
                    };
                    folders.iter().map(count).sum::<Result<usize>>()?
                }
            };
        }
        Ok(releases)
    }

    /// Returns the objects of all stored versions of a package, without missing blobs and unreadable trees.
    pub(super) fn objects_of(&self, repository: &RepositoryName, package: &PackageName) -> HashSet<ObjectId> {
        let Ok(manifest) = self.manifest_of(package) else { return HashSet::new() };
        let release = |id: &ReleaseId| self.lookup(&self.release_path(&manifest, id)).ok().flatten();
        let releases = manifest.releases_of(repository, package).filter_map(|(id, _)| release(id));
        self.objects_below(releases.filter(|(_, mode)| mode.is_tree()).map(|(tree, _)| tree).collect())
    }

    /// Returns the objects of some folders, without missing blobs and unreadable trees.
    pub(super) fn objects_below(&self, mut folders: Vec<ObjectId>) -> HashSet<ObjectId> {
        let (git, mut objects) = (&self.repository.git, HashSet::new());
        while let Some(id) = folders.pop() {
            let Ok(tree) = git.find_tree(id) else { continue };
            if !objects.insert(id) {
                continue;
            }
            for entry in tree.iter().filter_map(Result::ok) {
                match entry.mode() {
                    mode if mode.is_tree() => folders.push(entry.object_id()),
                    _ if git.has_object(entry.object_id()) => drop(objects.insert(entry.object_id())),
                    _ => {}
                }
            }
        }
        objects
    }

    /// Returns the id and mode of the tree entry at a path.
    pub(super) fn lookup(&self, path: &str) -> Result<Option<(ObjectId, gix::objs::tree::EntryMode)>> {
        let tree = self.repository.git.find_tree(self.tree).map_err(StoreError::damaged("the root"))?;
        let entry = tree.lookup_entry_by_path(path).map_err(StoreError::damaged(path))?;
        Ok(entry.map(|entry| (entry.object_id(), entry.mode())))
    }

    /// Returns the content of a file in the tree.
    pub(super) fn blob(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match self.lookup(path)? {
            Some((id, mode)) if mode.is_blob() => self.object(id, || path.to_owned()).map(Some),
            _ => Ok(None),
        }
    }

    pub(super) fn required(&self, folder: &str, name: &str) -> Result<Vec<u8>> {
        let path = format!("{folder}/{name}");
        self.blob(&path)?.ok_or_else(|| StoreError::damaged(path)("it is missing"))
    }

    pub(super) fn object(&self, id: ObjectId, path: impl Fn() -> String) -> Result<Vec<u8>> {
        let header = self.repository.git.find_header(id).map_err(|error| StoreError::damaged(path())(error))?;
        if header.size() > MAX_OBJECT as u64 {
            return Err(StoreError::damaged(path())("it is larger than anything this program writes"));
        }
        let object = self.repository.git.find_object(id).map_err(|error| StoreError::damaged(path())(error))?;
        Ok(object.detach().data)
    }
}
