//! Temporary objects for viewing: a temporary repository whose object database has the project's as an alternate, so
//! that the project's repository is not changed.

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
use crate::hex::tarball::{FileKind, Tarball, TarballError, TarballLimits};
use crate::model::{InnerChecksum, OuterChecksum, ReleaseId, Revision, Storage};

/// Scratch objects that are being added.
pub struct ScratchObjects {
    repository: Repository,
    folder: Temporary,
    pack: PackWriter,
    /// The project's object database.
    below: PathBuf,
    compression: gix::zlib::Compression,
}

/// A temporary repository with scratch objects, for `git diff`. Dropping it removes the files.
#[derive(Debug)]
pub struct DiffRepository {
    folder: Temporary,
}

/// Why the files of a tarball cannot be shown.
#[derive(Debug, thiserror::Error)]
enum Unshown {
    #[error(transparent)]
    Tarball(#[from] TarballError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ScratchObjects {
    /// Begins scratch objects on top of a repository.
    ///
    /// # Errors
    /// Fails if no temporary folder can be created.
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

    /// Returns the tree of a release's files, whether the release is stored unpacked or as a tarball. The release is
    /// rebuilt first and checked against the checksums in the lock.
    ///
    /// # Errors
    /// Fails if the release is missing, has other checksums, or is damaged.
    pub fn release(
        &mut self,
        snapshot: &Snapshot,
        id: &ReleaseId,
        outer: Option<OuterChecksum>,
        inner: Option<InnerChecksum>,
    ) -> Result<ObjectId> {
        let manifest = snapshot.manifest_of(&id.package)?;
        let path = snapshot.release_path(&manifest, id);
        let missing = || StoreError::damaged(&path)("it is missing");
        let bytes = snapshot.tarball(id)?.ok_or_else(missing)?;
        let tarball = Tarball::open(&bytes, &TarballLimits::default()).map_err(StoreError::damaged(&path))?;
        if outer.is_some_and(|outer| outer != tarball.outer_checksum())
            || inner.is_some_and(|inner| inner != tarball.inner_checksum())
        {
            return Err(StoreError::damaged(path)("it does not have the checksum that the lock requires"));
        }
        match manifest.releases.get(id).ok_or_else(missing)?.storage {
            Storage::Unpacked => {
                let contents = snapshot.lookup(&format!("{path}/{}", layout::CONTENTS))?;
                Ok(contents.map_or(ObjectId::empty_tree(hash::Kind::Sha1), |(tree, _)| tree))
            }
            Storage::Tarball => self.unpack(&tarball).map_err(StoreError::damaged(path)),
        }
    }

    /// Returns the tree of a commit of a mirrored git repository. The caller must first copy the commit's objects to
    /// [`Self::objects`].
    ///
    /// # Errors
    /// Fails if the commit is missing or damaged.
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

    /// Returns a new tree with the given trees as its folders.
    ///
    /// # Errors
    /// Fails if the tree cannot be written.
    pub fn tree_of<'t>(&mut self, trees: impl Iterator<Item = (&'t str, ObjectId)>) -> Result<ObjectId> {
        self.tree(trees.map(|(name, tree)| (name.as_bytes().to_vec(), EntryKind::Tree, tree)).collect())
    }

    /// Makes the objects readable for git, as a repository with the project's settings but without its refs and
    /// attributes.
    ///
    /// # Errors
    /// Fails if the repository cannot be written.
    pub fn finish(self) -> Result<DiffRepository> {
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
        Ok(DiffRepository { folder: self.folder })
    }

    fn unpack(&mut self, tarball: &Tarball<'_>) -> Result<ObjectId, Unshown> {
        let mut entries = Vec::new();
        tarball.each_file(&TarballLimits::default(), |path, kind, bytes| -> Result<(), Unshown> {
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

impl DiffRepository {
    /// Returns the git folder of the temporary repository.
    pub fn git_dir(&self) -> &Path {
        self.folder.path()
    }

    /// Returns an empty folder to use as the worktree, so that no worktree's attributes apply.
    pub fn worktree(&self) -> PathBuf {
        self.folder.path().join("worktree")
    }
}
