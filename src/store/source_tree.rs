//! The sources of releases and git revisions, for viewing: folders and files by path, and what differs between two of them.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use gix::objs::Kind;
use gix::objs::tree::{Editor, EntryKind, EntryMode};
use gix::objs::{Tree, TreeRefIter, Write as _};
use gix::{ObjectId, hash};

use super::encode::write_tree;
use super::{Checkout, Repository, Result, Snapshot, StoreError, layout};
use crate::hex::tarball::{FileKind, Tarball, TarballError, TarballLimits};
use crate::model::{OuterChecksum, ReleaseId, Revision, Storage};

/// The largest contents, in bytes, of a release stored as its tarball that are unpacked for viewing.
const MAX_UNPACKED: usize = 32 << 20;
/// The maximum number of releases that are remembered as verified.
const MAX_VERIFIED: usize = 4096;
/// The depth of folders up to which sources are compared.
const MAX_DEPTH: usize = 200;

/// The files of a release or of a git revision. Every object is checked against its id when it is read, since a pack of a git
/// dependency can claim any id for an object.
pub struct SourceTree {
    git: gix::Repository,
    root: ObjectId,
    /// Keeps the repository of a git dependency from being removed.
    _checkout: Option<Checkout>,
}

/// A file or folder of a [`SourceTree`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceEntry {
    /// Its name in the folder. Not necessarily UTF-8.
    pub name: Vec<u8>,
    /// Its kind.
    pub kind: SourceKind,
    id: ObjectId,
}

/// The kind of a [`SourceEntry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// A folder.
    Folder,
    /// An ordinary file.
    File,
    /// A file that may be executed.
    Executable,
    /// A symbolic link. Its content is its target.
    Link,
    /// A commit of another repository.
    Submodule,
}

/// A file that differs between two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceChange {
    /// The path, with slashes. Not necessarily UTF-8.
    pub path: Vec<u8>,
    /// The file in the old tree.
    pub before: Option<SourceEntry>,
    /// The file in the new tree.
    pub after: Option<SourceEntry>,
}

/// What differs between two trees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceChanges {
    /// The files, sorted by path.
    pub files: Vec<SourceChange>,
    /// Whether there are more, or folders too deep to compare.
    pub is_cut: bool,
}

/// The releases whose stored files were found to make up the published tarball. Rebuilding one takes some milliseconds, so this is
/// remembered as long as the server runs.
#[derive(Debug, Default)]
pub struct VerifiedReleases(Mutex<HashSet<(ObjectId, OuterChecksum)>>);

/// Why the files of a tarball cannot be shown.
#[derive(Debug, thiserror::Error)]
enum Unshown {
    #[error(transparent)]
    Tarball(#[from] TarballError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl VerifiedReleases {
    fn has(&self, release: &(ObjectId, OuterChecksum)) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(release)
    }

    fn add(&self, release: (ObjectId, OuterChecksum)) {
        let mut verified = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= MAX_VERIFIED {
            verified.clear();
        }
        verified.insert(release);
    }
}

impl Snapshot {
    /// Returns the files of a release, or `None` if the release is not stored. They are those of the tarball that has the outer
    /// checksum in the manifest.
    ///
    /// # Errors
    /// Fails if the release is damaged, or is stored as a tarball that is too large to be unpacked.
    pub fn release_source(&self, id: &ReleaseId, verified: &VerifiedReleases) -> Result<Option<SourceTree>> {
        let manifest = self.manifest_of(&id.package)?;
        let Some(stored) = manifest.releases.get(id) else { return Ok(None) };
        let path = self.release_path(&manifest, id);
        if stored.storage == Storage::Tarball {
            let missing = || StoreError::damaged(&path)("it is missing");
            let bytes = self.tarball(id)?.ok_or_else(missing)?;
            return SourceTree::unpacked(&self.repository, &bytes).map_err(StoreError::damaged(path)).map(Some);
        }
        let (folder, _) = self.lookup(&path)?.ok_or_else(|| StoreError::damaged(&path)("it is missing"))?;
        let release = (folder, stored.outer);
        if !verified.has(&release) {
            self.tarball(id)?;
            verified.add(release);
        }
        let contents = self.lookup(&format!("{path}/{}", layout::CONTENTS))?;
        let root = contents.map_or(ObjectId::empty_tree(hash::Kind::Sha1), |(tree, _)| tree);
        Ok(Some(SourceTree { git: self.repository.git.clone(), root, _checkout: None }))
    }
}

impl Checkout {
    /// Returns the files of a revision of a git dependency.
    ///
    /// # Errors
    /// Fails if the revision is missing or damaged.
    pub fn source(self, revision: Revision) -> Result<SourceTree> {
        let id = ObjectId::from_bytes_or_panic(revision.as_bytes());
        let git = Repository::open(self.folder())?.git;
        let mut source = SourceTree { git, root: id, _checkout: Some(self) };
        let commit = source.checked(id, Kind::Commit)?;
        let commit = gix::objs::CommitRef::from_bytes(&commit, id.kind());
        source.root = commit.map_err(StoreError::damaged(format!("commit {id}")))?.tree();
        Ok(source)
    }
}

impl SourceTree {
    /// Unpacks a tarball in memory.
    fn unpacked(repository: &Repository, bytes: &[u8]) -> Result<Self, Unshown> {
        let git = repository.git.clone().with_object_memory();
        let limits = TarballLimits { unpacked: MAX_UNPACKED, ..TarballLimits::default() };
        let write = |kind, bytes: &[u8]| git.write_buf(kind, bytes).map_err(StoreError::git("unpack a tarball"));
        let mut entries = Vec::new();
        Tarball::open(bytes, &limits)?.each_file(&limits, |path, kind, bytes| -> Result<(), Unshown> {
            let kind = match kind {
                FileKind::Plain => EntryKind::Blob,
                FileKind::Executable => EntryKind::BlobExecutable,
                FileKind::Link => EntryKind::Link,
            };
            entries.push((path.to_vec(), kind, write(Kind::Blob, bytes)?));
            Ok(())
        })?;
        let mut editor = Editor::new(Tree::empty(), &git.objects, hash::Kind::Sha1);
        for (path, kind, id) in entries {
            let names = path.split(|byte| *byte == b'/').filter(|name| !matches!(name, [] | [b'.']));
            let names: Vec<&gix::bstr::BStr> = names.map(Into::into).collect();
            if !names.is_empty() {
                editor.upsert(names, kind, id).map_err(StoreError::git("write a tree"))?;
            }
        }
        let root = write_tree(editor, |bytes| write(Kind::Tree, bytes))?;
        Ok(Self { git, root, _checkout: None })
    }

    /// Returns what is at a path, or `None` if nothing is. The root is the empty path.
    ///
    /// # Errors
    /// Fails if a folder is damaged.
    pub fn entry(&self, path: &str) -> Result<Option<SourceEntry>> {
        let mut found = SourceEntry { name: Vec::new(), kind: SourceKind::Folder, id: self.root };
        for name in path.split('/').filter(|_| !path.is_empty()) {
            if found.kind != SourceKind::Folder {
                return Ok(None);
            }
            match self.entries_of(found.id)?.remove(name.as_bytes()) {
                Some(entry) => found = entry,
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }

    /// Returns what a folder contains, folders first.
    ///
    /// # Errors
    /// Fails if the folder is damaged.
    pub fn entries(&self, folder: &SourceEntry) -> Result<Vec<SourceEntry>> {
        let entries = self.entries_of(folder.id)?.into_values();
        let (mut folders, files): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.kind == SourceKind::Folder);
        folders.extend(files);
        Ok(folders)
    }

    /// Returns the size of a file in bytes.
    ///
    /// # Errors
    /// Fails if the file is missing.
    pub fn size(&self, file: &SourceEntry) -> Result<u64> {
        if file.kind == SourceKind::Submodule {
            return Ok(0);
        }
        Ok(self.git.find_header(file.id).map_err(StoreError::damaged(format!("object {}", file.id)))?.size())
    }

    /// Returns the content of a file, which must not be a folder. Of a submodule, this is the id of its commit. `None` if the file
    /// has more than `limit` bytes.
    ///
    /// # Errors
    /// Fails if the file is missing or damaged.
    pub fn read(&self, file: &SourceEntry, limit: u64) -> Result<Option<Vec<u8>>> {
        if file.kind == SourceKind::Submodule {
            return Ok(Some(file.id.to_string().into_bytes()));
        }
        if self.size(file)? > limit {
            return Ok(None);
        }
        self.checked(file.id, Kind::Blob).map(Some)
    }

    /// Returns the files that differ in a newer tree, at most about `limit`.
    ///
    /// # Errors
    /// Fails if a folder of one of the trees is damaged.
    pub fn changes(&self, after: &Self, limit: usize) -> Result<SourceChanges> {
        let mut changes = SourceChanges::default();
        let mut folders = vec![(Vec::new(), 0, [Some(self.root), Some(after.root)])];
        while let Some((path, depth, [old, new])) = folders.pop() {
            if old == new {
                continue;
            }
            if changes.files.len() >= limit || depth > MAX_DEPTH {
                changes.is_cut = true;
                continue;
            }
            let read = |tree: &Self, id: Option<ObjectId>| id.map(|id| tree.entries_of(id)).transpose();
            let before = read(self, old)?.unwrap_or_default();
            let mut after = read(after, new)?.unwrap_or_default();
            let mut pairs: BTreeMap<_, _> =
                before.into_iter().map(|(name, entry)| (name.clone(), [Some(entry), after.remove(&name)])).collect();
            pairs.extend(after.into_iter().map(|(name, entry)| (name, [None, Some(entry)])));
            for (name, pair) in pairs {
                let path = if path.is_empty() { name } else { [&path[..], b"/", &name[..]].concat() };
                let is_folder =
                    |entry: &Option<SourceEntry>| entry.as_ref().is_some_and(|entry| entry.kind == SourceKind::Folder);
                if pair.iter().any(is_folder) {
                    let folder =
                        |entry: &Option<SourceEntry>| entry.as_ref().filter(|_| is_folder(entry)).map(|e| e.id);
                    folders.push((path.clone(), depth + 1, [folder(&pair[0]), folder(&pair[1])]));
                }
                let [before, after] = pair.map(|entry| entry.filter(|entry| entry.kind != SourceKind::Folder));
                if before != after {
                    changes.files.push(SourceChange { path, before, after });
                }
            }
        }
        changes.files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(changes)
    }

    fn entries_of(&self, folder: ObjectId) -> Result<BTreeMap<Vec<u8>, SourceEntry>> {
        let bytes = self.checked(folder, Kind::Tree)?;
        let mut entries = BTreeMap::new();
        for entry in TreeRefIter::from_bytes(&bytes, folder.kind()) {
            let entry = entry.map_err(StoreError::damaged(format!("tree {folder}")))?;
            let name = entry.filename.to_vec();
            entries.insert(name.clone(), SourceEntry { name, kind: kind(entry.mode), id: entry.oid.to_owned() });
        }
        Ok(entries)
    }

    /// Reads an object and checks it against its id.
    fn checked(&self, id: ObjectId, kind: Kind) -> Result<Vec<u8>> {
        let name = || format!("object {id}");
        if id == ObjectId::empty_tree(id.kind()) {
            return Ok(Vec::new());
        }
        let object = self.git.find_object(id).map_err(StoreError::damaged(name()))?.detach();
        let data = gix::objs::Data::new(&object.data, object.kind, id.kind());
        data.verify_checksum(&id).map_err(StoreError::damaged(name()))?;
        if object.kind != kind {
            return Err(StoreError::damaged(name())(format!("it is a {}, not a {kind}", object.kind)));
        }
        Ok(object.data)
    }
}

fn kind(mode: EntryMode) -> SourceKind {
    match mode.kind() {
        EntryKind::Tree => SourceKind::Folder,
        EntryKind::Blob => SourceKind::File,
        EntryKind::BlobExecutable => SourceKind::Executable,
        EntryKind::Link => SourceKind::Link,
        EntryKind::Commit => SourceKind::Submodule,
    }
}
