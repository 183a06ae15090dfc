//! Objects that are only looked at: a temporary repository with an object database on top of the project's own, so that
//! nothing of them stays there.

use std::fs;
use std::path::{Path, PathBuf};

use gix::objs::tree::{Editor, EntryKind};
use gix::objs::{Kind, Tree};
use gix::{ObjectId, hash};

use super::encode::write_tree;
use super::files::Files;
use super::pack::{PackWriter, PackedObject};
use super::sweep::Temporary;
use super::{Checkout, Repository, Result, Snapshot, StoreError, layout};
use crate::hex::tarball::{FileKind, Limits, Tarball, TarballError};
use crate::model::{InnerChecksum, OuterChecksum, ReleaseId, Revision, Storage};

/// An overlay that is being filled.
pub struct Overlay {
    repository: Repository,
    folder: Temporary,
    pack: PackWriter,
    /// The object database below it.
    below: PathBuf,
    compression: gix::zlib::Compression,
}

/// An overlay that git can read. It goes when it is dropped.
#[derive(Debug)]
pub struct Overlaid {
    folder: Temporary,
}

/// Why the files of a tarball are not shown.
#[derive(Debug, thiserror::Error)]
enum Unshown {
    #[error(transparent)]
    Tarball(#[from] TarballError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Overlay {
    /// Begins an overlay of a repository.
    ///
    /// # Errors
    /// Fails where no temporary folder can be made.
    pub fn begin(repository: &Repository) -> Result<Self> {
        let folder = Temporary::make(repository)?;
        let worktree = folder.path().join("worktree");
        fs::create_dir(&worktree).map_err(StoreError::io("create", &worktree))?;
        let pack = PackWriter::begin(&folder.path().join("objects"), Files::temporary())?;
        Ok(Self {
            repository: repository.clone(),
            folder,
            pack,
            below: repository.objects_dir(),
            compression: repository.compression()?,
        })
    }

    /// Returns the tree of a release's files, whether it is stored unpacked or not, after the release was rebuilt and found to
    /// have the checksums that a lock demands.
    ///
    /// # Errors
    /// Fails where the snapshot does not have it, or not so, or is damaged.
    pub fn release(
        &mut self,
        snapshot: &Snapshot,
        id: &ReleaseId,
        outer: Option<OuterChecksum>,
        inner: Option<InnerChecksum>,
    ) -> Result<ObjectId> {
        let manifest = snapshot.manifest()?;
        let path = layout::release_path(manifest, id);
        let missing = || StoreError::damaged(&path)("it is missing");
        let bytes = snapshot.tarball(id)?.ok_or_else(missing)?;
        let tarball = Tarball::open(&bytes, &Limits::default()).map_err(StoreError::damaged(&path))?;
        if outer.is_some_and(|outer| outer != tarball.outer_checksum())
            || inner.is_some_and(|inner| inner != tarball.inner_checksum())
        {
            return Err(StoreError::damaged(path)("it does not have the checksum that the lock demands"));
        }
        match manifest.releases.get(id).ok_or_else(missing)?.storage {
            Storage::Unpacked => {
                let contents = snapshot.lookup(&format!("{path}/{}", layout::CONTENTS))?;
                Ok(contents.map_or(ObjectId::empty_tree(hash::Kind::Sha1), |(tree, _)| tree))
            }
            Storage::Tarball => self.unpack(&tarball).map_err(StoreError::damaged(path)),
        }
    }

    /// Returns the tree of a commit of a git repository of the mirror. Its objects have to be brought to [`Self::objects`].
    ///
    /// # Errors
    /// Fails where the commit is missing or damaged.
    pub fn revision(&self, checkout: &Checkout, revision: Revision) -> Result<ObjectId> {
        let id = ObjectId::from_bytes_or_panic(revision.as_bytes());
        let damaged = || StoreError::damaged(format!("the commit {revision}"));
        let repository = Repository::open(checkout.folder())?;
        let commit = repository.git.find_commit(id).map_err(damaged())?;
        let data = gix::objs::Data::new(&commit.data, Kind::Commit, id.kind());
        data.verify_checksum(&id).map_err(damaged())?;
        Ok(commit.tree_id().map_err(damaged())?.detach())
    }

    /// Returns the folder of the object database.
    pub fn objects(&self) -> PathBuf {
        self.folder.path().join("objects")
    }

    /// Returns the tree that holds others as its folders.
    ///
    /// # Errors
    /// Fails where it cannot be written.
    pub fn group<'t>(&mut self, trees: impl Iterator<Item = (&'t str, ObjectId)>) -> Result<ObjectId> {
        self.tree(trees.map(|(name, tree)| (name.as_bytes().to_vec(), EntryKind::Tree, tree)).collect())
    }

    /// Makes what was added readable for git: as a repository with the settings of the project's own, but with neither its
    /// refs nor its attributes.
    ///
    /// # Errors
    /// Fails where it cannot be written.
    pub fn finish(self) -> Result<Overlaid> {
        let settings = self.repository.settings_included()?;
        self.pack.finish()?;
        let put = |path: &str, bytes: &[u8]| {
            let file = self.folder.path().join(path);
            let folder = file.parent().unwrap_or(self.folder.path());
            let put = fs::create_dir_all(folder).and_then(|()| fs::write(&file, bytes));
            put.map_err(StoreError::io("write", &file))
        };
        let below = fs::canonicalize(&self.below).map_err(StoreError::io("read", &self.below))?;
        put("objects/info/alternates", &[below.as_os_str().as_encoded_bytes(), b"\n"].concat())?;
        put("HEAD", b"ref: refs/heads/none\n")?;
        put("config", &settings)?;
        let refs = self.folder.path().join("refs");
        fs::create_dir(&refs).map_err(StoreError::io("create", &refs))?;
        Ok(Overlaid { folder: self.folder })
    }

    fn unpack(&mut self, tarball: &Tarball<'_>) -> Result<ObjectId, Unshown> {
        let mut entries = Vec::new();
        tarball.each_file(&Limits::default(), |path, kind, bytes| -> Result<(), Unshown> {
            let kind = match kind {
                FileKind::Plain => EntryKind::Blob,
                FileKind::Executable => EntryKind::BlobExecutable,
                FileKind::Link => EntryKind::Link,
            };
            let blob = self.add(Kind::Blob, bytes)?;
            entries.push((path.to_vec(), kind, blob));
            Ok(())
        })?;
        Ok(self.tree(entries)?)
    }

    fn tree(&mut self, entries: Vec<(Vec<u8>, EntryKind, ObjectId)>) -> Result<ObjectId> {
        let git = self.repository.git.clone();
        let mut editor = Editor::new(Tree::empty(), &git.objects, hash::Kind::Sha1);
        for (path, kind, id) in entries {
            let names = path.split(|byte| *byte == b'/').filter(|name| !matches!(name, [] | [b'.']));
            let names: Vec<&gix::bstr::BStr> = names.map(Into::into).collect();
            if !names.is_empty() {
                editor.upsert(names, kind, id).map_err(StoreError::git("write a tree"))?;
            }
        }
        write_tree(editor, |bytes| self.add(Kind::Tree, bytes))
    }

    fn add(&mut self, kind: Kind, bytes: &[u8]) -> Result<ObjectId> {
        let id = gix::objs::compute_hash(hash::Kind::Sha1, kind, bytes).map_err(StoreError::git("hash a file"))?;
        self.pack.add(PackedObject::new(kind, bytes, id, self.compression)?)
    }
}

impl Overlaid {
    /// Returns the git folder of a repository that has the objects.
    pub fn git_dir(&self) -> &Path {
        self.folder.path()
    }

    /// Returns an empty folder that can stand for a worktree, so that the attributes of none count.
    pub fn worktree(&self) -> PathBuf {
        self.folder.path().join("worktree")
    }
}
