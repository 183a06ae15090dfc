//! Changes of documentation that is stored unpacked.

use std::collections::HashSet;

use gix::objs::Kind;
use gix::objs::tree::{Editor, EntryKind};
use gix::{ObjectId, hash};

use super::Transaction;
use super::tree::Change;
use crate::hex::recipe::{Unpacked, unpack_docs};
use crate::hex::tarball::TarballLimits;
use crate::model::{EntryId, FileId, ManifestPart, StoredFile};
use crate::store::encode::write_tree;
use crate::store::{Result, StoreError, layout, names};

impl Transaction<'_> {
    /// Adds the objects of documentation and returns its tree. `None` if it must be stored as it is.
    pub(super) fn add_docs(&mut self, id: &FileId, content: &[u8]) -> Result<Option<ObjectId>> {
        let Some(release) = id.path.docs_release() else { return Ok(None) };
        let Some(unpacked) = unpack_docs(content, &TarballLimits::default()) else { return Ok(None) };
        let files = unpacked.files().iter().map(|file| (file.path.as_bytes(), unpacked.bytes(file)));
        if names::refused(files).is_some() {
            return Ok(None);
        }
        let known = self.docs_objects(&release.entry())?;
        self.add_unpacked(&unpacked, known).map(Some)
    }

    /// Returns the objects that the base has for the documentation of a package. Other objects that exist are added again,
    /// because `git gc` may remove unreachable ones.
    fn docs_objects(&self, package: &EntryId) -> Result<HashSet<ObjectId>> {
        let Some(base) = self.base else { return Ok(HashSet::new()) };
        let manifest = base.part(ManifestPart::Files)?;
        let is_its = |id: &FileId| id.path.docs_release().is_some_and(|release| release.entry() == *package);
        let paths = layout::docs_paths(&manifest);
        let folders =
            paths.iter().filter(|(id, _)| is_its(id)).filter_map(|(_, path)| base.lookup(path).ok().flatten());
        Ok(base.objects_below(folders.filter(|(_, mode)| mode.is_tree()).map(|(tree, _)| tree).collect()))
    }

    fn add_unpacked(&mut self, unpacked: &Unpacked, mut known: HashSet<ObjectId>) -> Result<ObjectId> {
        let git = self.repository.git.clone();
        let mut add = |kind, bytes: &[u8]| {
            let id = gix::objs::compute_hash(hash::Kind::Sha1, kind, bytes);
            let id = id.map_err(StoreError::git("hash a file"))?;
            if known.insert(id) { self.add_bytes(kind, bytes) } else { Ok(id) }
        };
        let mut editor = Editor::new(gix::objs::Tree::empty(), &git.objects, hash::Kind::Sha1);
        let mut place = |path: &str, kind, blob| {
            editor.upsert(path.split('/'), kind, blob).map(drop).map_err(StoreError::git("write a tree"))
        };
        for file in unpacked.files() {
            let kind = if file.executable { EntryKind::BlobExecutable } else { EntryKind::Blob };
            place(&format!("{}/{}", layout::CONTENTS, file.path), kind, add(Kind::Blob, unpacked.bytes(file))?)?;
        }
        let recipe = add(Kind::Blob, unpacked.recipe().to_string().as_bytes())?;
        place(layout::RECIPE, EntryKind::Blob, recipe)?;
        write_tree(editor, |bytes| add(Kind::Tree, bytes))
    }

    pub(super) fn insert_docs(&mut self, id: FileId, stored: StoredFile, tree: ObjectId) {
        self.parts.insert(ManifestPart::Files);
        self.docs.insert(id.clone(), tree);
        self.manifest.files.insert(id, stored);
    }

    /// Lists the differences of documentation. If the highest version of a package changes, others move.
    pub(super) fn place_docs(&self, changes: &mut Vec<Change>) -> Result<()> {
        if !self.parts.contains(&ManifestPart::Files) {
            return Ok(());
        }
        let base = self.base.map(|base| Ok::<_, StoreError>((base, base.part(ManifestPart::Files)?))).transpose()?;
        let before = base.as_ref().map(|(_, manifest)| layout::docs_paths(manifest)).unwrap_or_default();
        let after = layout::docs_paths(&self.manifest);
        let stays = |id: &FileId, path: &String| after.get(id) == Some(path) && !self.docs.contains_key(id);
        changes.extend(before.iter().filter(|(id, path)| !stays(id, path)).map(|(_, path)| (path.clone(), None)));
        for (id, path) in &after {
            let tree = match (self.docs.get(*id), before.get(*id), &base) {
                (Some(tree), ..) => *tree,
                (None, Some(known), _) if known == path => continue,
                (None, Some(known), Some((base, _))) => {
                    base.lookup(known)?.ok_or_else(|| StoreError::damaged(known)("it is missing"))?.0
                }
                _ => return Err(StoreError::damaged(path)("it is missing")),
            };
            changes.push((path.clone(), Some((EntryKind::Tree, tree))));
        }
        Ok(())
    }
}
