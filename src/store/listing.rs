//! Lists the tree of a snapshot as far as it is compared with the manifest.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;

use gix::ObjectId;
use gix::bstr::ByteSlice;

use super::layout::Layout;
use super::{Repository, Result, StoreError, layout};
use crate::model::{FileId, GitContent, Manifest, ManifestPart, ReleaseId, StoredFile, StoredGit, StoredRelease};

/// The paths of a tree and their kinds. Folders that are not descended into are listed as such.
pub(super) type Listing = BTreeMap<String, Node>;

/// The kind of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// A file. If it belongs to a git repository, the part of its content that is compared.
    File(Option<GitContent>),
    /// A folder that is not descended into: the contents of a release, or an empty folder.
    Folder,
    /// The folder of a release, documentation or git repository that is the same in the base, with the same manifest line.
    Unchanged,
    /// A symbolic link or a submodule.
    Other,
}

/// What the manifest lists for a folder.
#[derive(PartialEq, Eq)]
enum Unit<'a> {
    Release(&'a ReleaseId, &'a StoredRelease),
    Docs(&'a FileId, &'a StoredFile),
    Git(&'a StoredGit),
}

/// The tree of a snapshot with the part of its manifest that is compared.
#[derive(Clone, Copy)]
pub(super) struct Inventory<'a> {
    pub layout: Layout,
    pub tree: ObjectId,
    pub manifest: &'a Manifest,
}

impl<'a> Inventory<'a> {
    fn units(self) -> HashMap<String, Unit<'a>> {
        let release = |(id, stored)| (self.layout.release_path(self.manifest, id), Unit::Release(id, stored));
        let git = self.manifest.git.iter().map(|(address, stored)| (address.tree_path(), Unit::Git(stored)));
        let docs = layout::docs_paths(self.manifest).into_iter();
        let docs = docs.filter_map(|(id, path)| Some((path, Unit::Docs(id, self.manifest.files.get(id)?))));
        self.manifest.releases.iter().map(release).chain(git).chain(docs).collect()
    }

    /// Lists the tree to the depth that a comparison needs. What is the same in a base is not read. Without a base,
    /// everything is listed; otherwise, only what belongs to the `changed` parts of the manifest, or to none.
    ///
    /// # Errors
    /// Fails if a tree cannot be read.
    pub fn list(
        self,
        repository: &Repository,
        base: Option<Self>,
        changed: Option<&BTreeSet<ManifestPart>>,
    ) -> Result<Listing> {
        let units_before = base.map(Self::units).unwrap_or_default();
        let listing = Listing::new();
        let mut lister = Lister { repository, units: self.units(), units_before, changed, listing };
        lister.folder("", self.tree, base.map(|base| base.tree), Inside::Nothing)?;
        Ok(lister.listing)
    }
}

/// Returns the part of the manifest that describes everything at a path and below, if there is one.
pub(super) fn part_of(path: &str) -> Option<ManifestPart> {
    match path.split('/').collect::<Vec<_>>()[..] {
        ["git"] => Some(ManifestPart::Git),
        ["files" | "docs"] => Some(ManifestPart::Files),
        ["hex", _, "index", file] if file != "packages" => Some(ManifestPart::Index),
        ["hex", _, "registry", "policies"] => Some(ManifestPart::Policies),
        [layout::MANIFEST, part] => part.parse().ok(),
        ["hex", _, "packages" | "registry", shard] | ["hex", _, "index", "packages", shard] => {
            shard.parse().ok().map(ManifestPart::Packages)
        }
        _ => None,
    }
}

/// Lists the tree of one git repository.
///
/// # Errors
/// Fails if the tree cannot be read.
pub(super) fn git_listing(repository: &Repository, path: &str, tree: ObjectId) -> Result<Listing> {
    let (units, units_before) = Default::default();
    let mut lister = Lister { repository, units, units_before, changed: None, listing: Listing::new() };
    lister.folder(path, tree, None, Inside::Git(path.len() + 1))?;
    Ok(lister.listing)
}

/// The kind of folder that a path is in.
#[derive(Clone, Copy)]
enum Inside {
    Nothing,
    Release,
    /// A git repository, with the length of its path.
    Git(usize),
}

struct Lister<'a> {
    repository: &'a Repository,
    units: HashMap<String, Unit<'a>>,
    units_before: HashMap<String, Unit<'a>>,
    /// The parts of the manifest that are compared, or `None` for all.
    changed: Option<&'a BTreeSet<ManifestPart>>,
    listing: Listing,
}

impl Lister<'_> {
    fn folder(&mut self, path: &str, tree: ObjectId, base: Option<ObjectId>, inside: Inside) -> Result<()> {
        let unit = self.units.get(path);
        if unit.is_some() && base == Some(tree) && self.units_before.get(path) == unit {
            self.listing.insert(path.to_owned(), Node::Unchanged);
            return Ok(());
        }
        let inside = match unit {
            Some(Unit::Release(..) | Unit::Docs(..)) => Inside::Release,
            Some(Unit::Git(_)) => Inside::Git(path.len() + 1),
            None => inside,
        };
        let entries = self.repository.folder_entries(path, tree)?;
        let before = base.map(|base| self.repository.folder_entries(path, base)).transpose()?.unwrap_or_default();
        if entries.is_empty() && !path.is_empty() {
            self.listing.insert(path.to_owned(), Node::Folder);
        }
        for (name, (mode, id)) in entries {
            let below = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            if self.changed.is_some_and(|changed| part_of(&below).is_some_and(|part| !changed.contains(&part))) {
                continue;
            }
            let node = match inside {
                Inside::Release if mode.is_tree() => Node::Folder,
                _ if mode.is_tree() => {
                    let there = before.get(&name).filter(|(mode, _)| mode.is_tree()).map(|(_, id)| *id);
                    self.folder(&below, id, there, inside)?;
                    continue;
                }
                _ if !mode.is_blob() => Node::Other,
                Inside::Git(begin) => Node::File(Some(self.content(&below, begin, id)?)),
                _ => Node::File(None),
            };
            self.listing.insert(below, node);
        }
        Ok(())
    }

    /// Reads the part of a git repository's file that is compared.
    fn content(&self, path: &str, begin: usize, id: ObjectId) -> Result<GitContent> {
        let git = &self.repository.git;
        if path[begin..].starts_with("objects/pack/") {
            return Ok(GitContent::Size(git.find_header(id).map_err(StoreError::damaged(path))?.size()));
        }
        let data = mem::take(&mut git.find_object(id).map_err(StoreError::damaged(path))?.data);
        Ok(GitContent::Text(data.to_str_lossy().into()))
    }
}
