//! Encodes a release as git objects. This is the expensive part of storing a release, and can run on any thread.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use gix::objs::tree::{Editor, EntryKind};
use gix::objs::{Kind, Tree, WriteTo};
use gix::{ObjectId, hash};

use super::pack::PackedObject;
use super::{Repository, Result, Snapshot, StoreError, layout, names};
use crate::hex::recipe::{self, UnpackError, Unpacked};
use crate::hex::tarball::{Tarball, TarballLimits};
use crate::model::{EntryId, ReleaseId, Storage, StoredRelease};

/// Why a release was not encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The tarball is malformed or hostile.
    #[error(transparent)]
    Refused(#[from] crate::hex::tarball::TarballError),
    /// The repository could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Encodes releases for one repository, on one thread. Clone it for use on other threads.
#[derive(Clone)]
pub struct ReleaseEncoder {
    git: gix::Repository,
    compression: gix::zlib::Compression,
    limits: TarballLimits,
    opaque: Arc<BTreeSet<EntryId>>,
    base: Option<Snapshot>,
}

/// A release encoded as git objects, ready for a [`super::Transaction`].
#[derive(Debug)]
pub struct EncodedRelease {
    /// The release.
    pub id: ReleaseId,
    /// What the manifest records about the release.
    pub stored: StoredRelease,
    /// Why the release is stored as its tarball, or `None` if it is stored unpacked.
    pub fallback: Option<String>,
    pub(super) tree: ObjectId,
    pub(super) objects: Vec<PackedObject>,
}

impl ReleaseEncoder {
    /// Creates an encoder for a repository.
    ///
    /// # Errors
    /// Fails if git's setting `pack.compression` is invalid.
    pub fn new(repository: &Repository, limits: TarballLimits) -> Result<Self> {
        Ok(Self {
            git: repository.git.clone(),
            compression: repository.compression()?,
            limits,
            opaque: Arc::default(),
            base: None,
        })
    }

    /// Always stores releases of these packages as their tarballs.
    #[must_use]
    pub fn opaque(self, packages: BTreeSet<EntryId>) -> Self {
        Self { opaque: Arc::new(packages), ..self }
    }

    /// Leaves out objects that a snapshot has for other versions of the same package. Other existing objects are not
    /// left out, because `git gc` may remove unreachable objects at any moment.
    #[must_use]
    pub fn on(self, base: Option<&Snapshot>) -> Self {
        Self { base: base.cloned(), ..self }
    }

    /// Encodes an opened tarball as git objects. It is stored unpacked if it can be rebuilt exactly and git accepts its
    /// file names, otherwise as the tarball.
    ///
    /// # Errors
    /// Fails if the contents are malformed or hostile.
    pub fn encode(&self, id: ReleaseId, tarball: &Tarball<'_>) -> Result<EncodedRelease, EncodeError> {
        let known = self.base.as_ref().map(|base| base.objects_of(&id.repository, &id.package)).unwrap_or_default();
        let mut objects = Objects { encoder: self, known, new: Vec::new() };
        let (tree, fallback) = match recipe::unpack(tarball, &self.limits) {
            Ok(unpacked) => {
                let opaque =
                    self.opaque.contains(&id.entry()).then(|| "its package is in the setting opaque".to_owned());
                let files = unpacked.files().iter().map(|file| (file.path.as_bytes(), unpacked.bytes(file)));
                match opaque.or_else(|| names::refused(files)) {
                    None => (objects.unpacked(&unpacked, tarball.metadata())?, None),
                    Some(reason) => (objects.whole(tarball.bytes())?, Some(reason)),
                }
            }
            Err(UnpackError::NotReproducible { reason }) => (objects.whole(tarball.bytes())?, Some(reason)),
            Err(UnpackError::Refused(error)) => return Err(error.into()),
        };
        let stored = StoredRelease {
            outer: tarball.outer_checksum(),
            inner: tarball.inner_checksum(),
            storage: if fallback.is_some() { Storage::Tarball } else { Storage::Unpacked },
            bytes: tarball.bytes().len() as u64,
        };
        Ok(EncodedRelease { id, stored, fallback, tree, objects: objects.new })
    }
}

/// The new objects of one release.
struct Objects<'a> {
    encoder: &'a ReleaseEncoder,
    /// The objects that the base has or that were already added.
    known: HashSet<ObjectId>,
    new: Vec<PackedObject>,
}

impl Objects<'_> {
    fn unpacked(&mut self, unpacked: &Unpacked, metadata: &[u8]) -> Result<ObjectId> {
        let mut entries = Vec::with_capacity(unpacked.files().len() + 2);
        for file in unpacked.files() {
            let kind = if file.executable { EntryKind::BlobExecutable } else { EntryKind::Blob };
            let blob = self.add(Kind::Blob, unpacked.bytes(file))?;
            entries.push((format!("{}/{}", layout::CONTENTS, file.path), kind, blob));
        }
        let recipe = unpacked.recipe().to_string();
        for (name, bytes) in [(layout::METADATA, metadata), (layout::RECIPE, recipe.as_bytes())] {
            let blob = self.add(Kind::Blob, bytes)?;
            entries.push((name.to_owned(), EntryKind::Blob, blob));
        }
        self.tree(entries)
    }

    fn whole(&mut self, tarball: &[u8]) -> Result<ObjectId> {
        let blob = self.add(Kind::Blob, tarball)?;
        self.tree(vec![(layout::TARBALL.to_owned(), EntryKind::Blob, blob)])
    }

    fn tree(&mut self, entries: Vec<(String, EntryKind, ObjectId)>) -> Result<ObjectId> {
        let git = self.encoder.git.clone();
        let mut editor = Editor::new(Tree::empty(), &git.objects, hash::Kind::Sha1);
        for (path, kind, id) in entries {
            editor.upsert(path.split('/'), kind, id).map_err(StoreError::git("write a tree"))?;
        }
        write_tree(editor, |bytes| self.add(Kind::Tree, bytes))
    }

    /// Adds an object, unless it is known.
    fn add(&mut self, kind: Kind, bytes: &[u8]) -> Result<ObjectId> {
        let id = gix::objs::compute_hash(hash::Kind::Sha1, kind, bytes).map_err(StoreError::git("hash a file"))?;
        if self.known.insert(id) {
            self.new.push(PackedObject::new(kind, bytes, id, self.encoder.compression)?);
        }
        Ok(id)
    }
}

/// Writes the trees of an editor with `add`, and returns the root's id.
pub(super) fn write_tree(mut editor: Editor<'_>, mut add: impl FnMut(&[u8]) -> Result<ObjectId>) -> Result<ObjectId> {
    editor.write(|tree| {
        let mut bytes = Vec::new();
        tree.write_to(&mut bytes).map_err(StoreError::git("write a tree"))?;
        add(&bytes)
    })
}
