//! Compares a manifest with its tree: every line must have its paths, and every path must belong to a line.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gix::ObjectId;

use super::file::piece_paths;
use super::layout::Layout;
use super::listing::{Inventory, Listing, Node, git_listing, part_of};
use super::{Damage, Repository, Result, Snapshot, StoreError, layout};
use crate::model::{IndexFile, Manifest, ManifestPart, Storage, StoredGit};

/// Compares a manifest with its tree. Reports paths that are missing, have the wrong kind, or belong to no line.
/// Without `changed`, everything is compared; otherwise, only these parts of the manifest.
pub(super) fn compare(
    layout: Layout,
    manifest: &Manifest,
    changed: Option<&BTreeSet<ManifestPart>>,
    listing: &Listing,
) -> Vec<Damage> {
    let mut comparison =
        Comparison { left: listing.iter().map(|(path, node)| (path.as_str(), node)).collect(), damages: Vec::new() };
    for path in [layout::MIRROR, layout::README] {
        comparison.file(path.to_owned());
    }
    match layout {
        Layout::Flat => comparison.file(layout::MANIFEST.to_owned()),
        Layout::Sharded => {
            let parts = manifest.parts().into_iter();
            let parts = parts.filter(|part| changed.is_none_or(|changed| changed.contains(part)));
            parts.for_each(|part| comparison.file(layout::part_path(part)));
        }
    }
    for id in manifest.entries.keys() {
        comparison.file(layout.entry_path(id));
    }
    for id in manifest.policies.keys() {
        comparison.file(layout::policy_path(id));
    }
    // Several paths can have one content.
    let whole = manifest.files.iter().filter(|(_, stored)| !stored.is_unpacked);
    let contents: BTreeMap<_, _> = whole.map(|(id, stored)| (id.checksum, stored.bytes)).collect();
    for (checksum, bytes) in contents {
        piece_paths(&checksum, bytes).into_iter().for_each(|path| comparison.file(path));
    }
    for path in layout::docs_paths(manifest).into_values() {
        comparison.unpacked(path, &[layout::RECIPE]);
    }
    for repository in manifest.index_signers.keys() {
        for file in [IndexFile::PublicKey, IndexFile::Names, IndexFile::Versions] {
            comparison.file(layout.index_path(repository, &file));
        }
    }
    for id in manifest.index.keys() {
        comparison.file(layout.index_path(&id.repository, &IndexFile::Package(id.package.clone())));
        if !manifest.index_signers.contains_key(&id.repository) {
            let problem = format!("it lists {id} in a pinned index without a signer");
            comparison.damages.push(damage(layout::MANIFEST.to_owned(), &problem));
        }
    }
    for (id, stored) in &manifest.releases {
        comparison.release(layout.release_path(manifest, id), stored.storage);
    }
    for (address, stored) in &manifest.git {
        comparison.git(address.tree_path(), stored);
    }
    let Comparison { left, mut damages } = comparison;
    damages.extend(left.keys().map(|path| damage((*path).to_owned(), "no line of the manifest names it")));
    damages
}

struct Comparison<'a> {
    /// The paths that no line has claimed so far.
    left: BTreeMap<&'a str, &'a Node>,
    damages: Vec<Damage>,
}

impl Comparison<'_> {
    fn file(&mut self, path: String) {
        match self.left.remove(path.as_str()) {
            Some(Node::File(_)) => {}
            Some(_) => self.damages.push(damage(path, "it is not a file")),
            None => self.damages.push(damage(path, "it is missing")),
        }
    }

    fn release(&mut self, path: String, storage: Storage) {
        match storage {
            Storage::Unpacked => self.unpacked(path, &[layout::METADATA, layout::RECIPE]),
            Storage::Tarball if self.left.get(path.as_str()) == Some(&&Node::Unchanged) => {
                self.left.remove(path.as_str());
            }
            Storage::Tarball => self.file(format!("{path}/{}", layout::TARBALL)),
        }
    }

    /// Compares a folder with some files and with contents.
    fn unpacked(&mut self, path: String, names: &[&str]) {
        if let Some(Node::Unchanged) = self.left.get(path.as_str()) {
            self.left.remove(path.as_str());
            return;
        }
        for name in names {
            self.file(format!("{path}/{name}"));
        }
        // A package may have no files at all.
        let contents = format!("{path}/{}", layout::CONTENTS);
        if self.left.get(contents.as_str()) == Some(&&Node::Folder) {
            self.left.remove(contents.as_str());
        }
    }

    fn git(&mut self, path: String, stored: &StoredGit) {
        if let Some(Node::Unchanged) = self.left.get(path.as_str()) {
            self.left.remove(path.as_str());
            return;
        }
        let begin = format!("{path}/");
        let below = self.left.range(begin.as_str()..).take_while(|(path, _)| path.starts_with(&begin));
        let below: Vec<(&str, &Node)> = below.map(|(path, node)| (*path, *node)).collect();
        if below.is_empty() {
            self.damages.push(damage(path, "it is missing"));
            return;
        }
        let mut files = BTreeMap::new();
        for (path, node) in below {
            if let Node::File(Some(content)) = node {
                files.insert(path[begin.len()..].to_owned(), content.clone());
                self.left.remove(path);
            }
        }
        let unlike = stored.differing_files(&files);
        if !unlike.is_empty() {
            self.damages.push(damage(path, &format!("not what the manifest says: {}", unlike.join(", "))));
        }
    }
}

fn damage(path: String, problem: &str) -> Damage {
    Damage { path, problem: problem.to_owned() }
}

/// Returns whether a tree contains the files of a git repository.
///
/// # Errors
/// Fails if the tree cannot be read.
pub(super) fn holds_git(repository: &Repository, path: &str, tree: ObjectId, stored: &StoredGit) -> Result<bool> {
    let listing = git_listing(repository, path, tree)?;
    let left = listing.iter().map(|(path, node)| (path.as_str(), node)).collect();
    let mut comparison = Comparison { left, damages: Vec::new() };
    comparison.git(path.to_owned(), stored);
    Ok(comparison.left.is_empty() && comparison.damages.is_empty())
}

impl Snapshot {
    /// Compares the manifest with the tree and returns the mismatches. Only what differs from `base` is read.
    ///
    /// # Errors
    /// Fails if the manifest or a tree cannot be read.
    pub fn mismatches(&self, base: Option<&Self>) -> Result<Vec<Damage>> {
        let layout = self.layout();
        let changed = match base {
            Some(base) if layout == Layout::Sharded && base.layout() == layout => Some(self.changed_parts(base)?),
            _ => None,
        };
        let read = |snapshot: &Self| match &changed {
            Some(changed) => snapshot.some_parts(changed),
            None => Ok(snapshot.manifest()?.clone()),
        };
        let (manifest, before) = (read(self)?, base.map(read).transpose()?);
        let inventory = Inventory { layout, tree: self.tree, manifest: &manifest };
        let before = base.zip(before.as_ref());
        let before = before.map(|(base, manifest)| Inventory { layout: base.layout(), tree: base.tree, manifest });
        let listing = inventory.list(&self.repository, before, changed.as_ref())?;
        let mut damages = compare(layout, &manifest, changed.as_ref(), &listing);
        let known = self.repositories_with_entries()?;
        for repository in manifest.signers.keys().filter(|repository| !known.contains(*repository)) {
            let problem = format!("it records a signer of {repository}, of which it has no registry entry");
            damages.push(damage(layout::MANIFEST.to_owned(), &problem));
        }
        Ok(damages)
    }

    /// Checks that the manifest lists exactly what the tree has. For operations that remove what the manifest does not
    /// list.
    ///
    /// # Errors
    /// Fails with the first difference.
    pub fn check_manifest(&self) -> Result<()> {
        match self.mismatches(None)?.into_iter().next() {
            Some(Damage { path, problem }) => Err(StoreError::damaged(path)(problem)),
            None => Ok(()),
        }
    }

    /// Returns what differs between two manifests: the parts that differ as they are in this snapshot, and as they are in
    /// `other`. Equal parts are not read.
    ///
    /// # Errors
    /// Fails if a part that differs is missing or damaged.
    pub fn differing(&self, other: &Self) -> Result<(Manifest, Manifest)> {
        if self.layout() != Layout::Sharded || other.layout() != Layout::Sharded {
            return Ok((self.manifest()?.clone(), other.manifest()?.clone()));
        }
        let (ours, theirs) = (self.part_ids()?, other.part_ids()?);
        let parts: BTreeSet<ManifestPart> = ours.keys().chain(theirs.keys()).copied().collect();
        let differing: Vec<_> = parts.into_iter().filter(|part| ours.get(part) != theirs.get(part)).collect();
        Ok((self.some_parts(&differing)?, other.some_parts(&differing)?))
    }

    /// Combines some parts of a manifest that is divided.
    pub(super) fn some_parts<'p>(&self, parts: impl IntoIterator<Item = &'p ManifestPart>) -> Result<Manifest> {
        let parts = parts.into_iter().map(|part| self.part_alone(*part)).collect::<Result<Vec<_>>>()?;
        Ok(Manifest::combined(parts))
    }

    /// Returns the parts of the manifest that differ from a base's, or that describe something that differs.
    fn changed_parts(&self, base: &Self) -> Result<BTreeSet<ManifestPart>> {
        let (now, before) = (self.described()?, base.described()?);
        let differing = now.iter().filter(|(path, id)| before.get(*path) != Some(id));
        let gone = before.keys().filter(|path| !now.contains_key(*path));
        let mut changed: BTreeSet<_> =
            differing.map(|(path, _)| path).chain(gone).filter_map(|path| part_of(path)).collect();
        // A package may only be in an index that has a signer.
        changed.insert(ManifestPart::Index);
        // A signer may only be recorded for a repository of which there is an entry.
        if self.repositories_with_entries()? != base.repositories_with_entries()? {
            changed.insert(ManifestPart::Signers);
        }
        Ok(changed)
    }

    /// Returns the ids of all paths that a part of the manifest describes as a whole.
    fn described(&self) -> Result<HashMap<String, ObjectId>> {
        let mut found = HashMap::new();
        let mut folders = vec![(String::new(), self.tree)];
        while let Some((folder, id)) = folders.pop() {
            for (name, (mode, id)) in self.repository.folder_entries(&folder, id)? {
                let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                if part_of(&path).is_some() {
                    found.insert(path, id);
                } else if mode.is_tree()
                    && (path.starts_with("hex") || path == layout::MANIFEST)
                    && path.matches('/').count() < 4
                {
                    folders.push((path, id));
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::GitContent;

    fn manifest() -> Manifest {
        let (sum, pack) = ("a".repeat(64), "c".repeat(40));
        let release = |line: &str, storage: &str| format!("hex hexpm {line} {storage} 1 {sum} {sum}\n");
        let text = format!("git h/x {pack} full HEAD\n")
            + &release("alpha 1.0.0", "unpacked")
            + &release("alpha 2.0.0", "tarball")
            + &format!("pack h/x {pack} 7\n")
            + &format!("registry hexpm alpha 1 {sum}\n");
        let text = text
            + &format!("index hexpm alpha {sum}\n")
            + "index-signer hexpm SHA256:O1LOYhHFW4kcrblKAxROaDEzLD8bn1seWbe5tq8TRsk\n"
            + &format!("policy acme strict 1 {sum}\nfile downloads/h/x {sum} 7 lock https://h/x\n");
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        lines.sort_unstable();
        let text = lines.concat();
        text.parse().unwrap()
    }

    const FILE: &str = "files/aa/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn listing() -> Listing {
        let mut listing = Listing::new();
        for path in [
            "README.md",
            "manifest/8e",
            "manifest/files",
            "manifest/git",
            "manifest/index",
            "manifest/policies",
            "mirror.toml",
            "hex/hexpm/packages/8e/alpha/tarball",
            "hex/hexpm/packages/8e/alpha@1.0.0/metadata.config",
            "hex/hexpm/packages/8e/alpha@1.0.0/recipe",
            "hex/hexpm/registry/8e/alpha",
            "hex/acme/registry/policies/strict",
            FILE,
            "hex/hexpm/index/public_key",
            "hex/hexpm/index/names",
            "hex/hexpm/index/versions",
            "hex/hexpm/index/packages/8e/alpha",
        ] {
            listing.insert(path.into(), Node::File(None));
        }
        listing.insert("hex/hexpm/packages/8e/alpha@1.0.0/contents".into(), Node::Folder);
        for stored in manifest().git.values() {
            for (path, text) in stored.files() {
                listing.insert(format!("git/h/x.git/{path}"), Node::File(Some(GitContent::Text(text))));
            }
            for name in stored.packs.keys() {
                let pack = |extension: &str| format!("git/h/x.git/objects/pack/pack-{name}.{extension}");
                listing.insert(pack("pack"), Node::File(Some(GitContent::Size(7))));
                listing.insert(pack("idx"), Node::File(Some(GitContent::Size(9))));
            }
        }
        listing
    }

    #[test]
    fn a_tree_and_its_manifest_match() {
        assert_eq!(compare(Layout::Sharded, &manifest(), None, &listing()), []);
    }

    #[test]
    fn every_missing_path_is_reported() {
        for lost in listing().keys().filter(|path| !path.ends_with("/contents")) {
            let mut listing = listing();
            listing.remove(lost);
            let damages = compare(Layout::Sharded, &manifest(), None, &listing);
            assert!(damages.iter().any(|damage| lost.starts_with(&damage.path)), "{lost}: {damages:?}");
            listing.insert(lost.clone(), Node::Other);
            assert_ne!(compare(Layout::Sharded, &manifest(), None, &listing), Vec::new(), "{lost} is of another kind");
        }
    }

    #[test]
    fn every_missing_line_is_reported() {
        let text = manifest().to_string();
        for lost in text.lines() {
            let rest: String = text.lines().filter(|line| *line != lost).map(|line| format!("{line}\n")).collect();
            assert_ne!(compare(Layout::Sharded, &rest.parse().unwrap(), None, &listing()), [], "{lost}");
        }
    }

    #[test]
    fn every_extra_path_is_reported() {
        for extra in [
            "x",
            "hex/x",
            "hex/hexpm/registry/f4/beta",
            "hex/hexpm/registry/alpha",
            "hex/acme/registry/policies/other",
            "hex/hexpm/registry/policies/strict",
            "files/aa/x",
            "files/x",
            "hex/hexpm/registry/f4/alpha",
            "hex/hexpm/index/packages/f4/beta",
            "hex/hexpm/index/packages/alpha",
            "hex/hexpm/index/private_key",
            "manifest/f4",
            "manifest/x",
            "hex/hexpm/packages/8e/alpha/recipe",
            "hex/hexpm/packages/8e/alpha@1.0.0/x",
            "git/h/x.git/config",
            "git/h/y.git/HEAD",
        ] {
            for node in [Node::File(None), Node::Folder, Node::Unchanged] {
                let mut listing = listing();
                listing.insert(extra.into(), node.clone());
                assert_ne!(compare(Layout::Sharded, &manifest(), None, &listing), [], "{extra} {node:?}");
            }
        }
    }
}
