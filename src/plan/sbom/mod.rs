//! Bills of materials: everything that the locks of a repository's projects pin, what requires what, and what the mirror
//! knows about it. The formats are up to the caller.
//!
//! [`LockedEntries`] reads the entries of a lock, and [`Sbom`] resolves what requires what within each project and adds the
//! facts from a mirror.

mod component;
mod entries;
mod graph;
mod purl;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use component::{Component, ComponentId, Listing, ReleaseDetails, Role};
pub use entries::{EntryPin, LockedEntries, LockedEntry};

use super::{ArtefactPin, GitPin, StoredArtefacts};
use crate::model::{GitAddress, Manifest, ReleaseId, Revision, Target};

/// The maximum number of submodules, as when clients are redirected.
const MAX_SUBMODULES: usize = 2000;

/// A folder with locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SbomProject {
    /// The folder, relative to the worktree's root. Empty for the root itself.
    pub folder: String,
    /// The machines that its locks name.
    pub targets: BTreeSet<Target>,
    /// What it requires itself.
    pub requires: BTreeSet<ComponentId>,
}

/// What a mirror knows about what locks pin.
#[derive(Debug)]
pub struct SbomFacts<'m> {
    /// About each pinned release.
    pub releases: BTreeMap<ReleaseId, ReleaseDetails>,
    /// The precompiled files that the pinned releases need.
    pub artefacts: BTreeSet<ArtefactPin>,
    /// The mirror's manifest, at least of the git repositories and files.
    pub manifest: &'m Manifest,
}

/// A bill of materials.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sbom {
    /// The projects, sorted by folder.
    pub projects: Vec<SbomProject>,
    /// Everything that they require.
    pub components: BTreeMap<ComponentId, Component>,
}

impl Sbom {
    /// Creates the bill of the projects in some folders.
    pub fn new(projects: BTreeMap<String, Vec<LockedEntries>>, facts: &SbomFacts<'_>) -> Self {
        let mut sbom = Self::default();
        for (folder, locks) in projects {
            let graph = graph::resolve(&locks, &facts.releases);
            for lock in &locks {
                lock.entries.iter().for_each(|entry| sbom.add(lock, entry, facts));
            }
            for (id, required) in graph.requires {
                sbom.require(&id, required);
            }
            let targets = locks.into_iter().flat_map(|lock| lock.targets).collect();
            sbom.projects.push(SbomProject { folder, targets, requires: graph.roots });
        }
        let pinned: Vec<ReleaseId> = sbom.components.keys().filter_map(ComponentId::release).cloned().collect();
        let stored = StoredArtefacts::of(facts.manifest);
        for pin in facts.artefacts.iter().filter(|pin| pinned.binary_search(&pin.release).is_ok()) {
            let found = stored.find(&pin.artefact).and_then(|id| facts.manifest.files.get(id));
            let id = ComponentId::Artefact(pin.clone());
            sbom.require(&ComponentId::Release(pin.release.clone()), [id.clone()]);
            sbom.components.insert(id, Component::of_artefact(pin, found));
        }
        sbom
    }

    /// Adds what an entry pins, or that one more entry pins it.
    fn add(&mut self, lock: &LockedEntries, entry: &LockedEntry, facts: &SbomFacts<'_>) {
        let new = || match &entry.pin {
            EntryPin::Release(pin) => Component::of_release(pin, facts.releases.get(&pin.id)),
            EntryPin::Revision(pin) => {
                Component::of_revision(pin, has(facts.manifest, pin.url.address(), pin.revision))
            }
            EntryPin::File(pin) => Component::of_file(&entry.id, pin, facts.manifest.files.contains_key(&pin.id)),
            EntryPin::AssetTool(id, pin) => {
                Component::of_asset_tool(id, pin, facts.manifest.files.contains_key(&pin.id))
            }
            EntryPin::None { reason } => Component::of_nothing(reason.clone()),
        };
        let component = self.components.entry(entry.id.clone());
        let component = component.or_insert_with(|| Component { role: entry.role, ..new() });
        component.role = component.role.min(entry.role);
        component.places.insert((lock.file.clone(), entry.line));
        if let EntryPin::Revision(pin) = &entry.pin
            && pin.submodules
        {
            self.add_submodules(&entry.id, pin, facts.manifest);
        }
    }

    /// Adds the submodules of a revision, and theirs, as the mirror records them.
    fn add_submodules(&mut self, of: &ComponentId, pin: &GitPin, manifest: &Manifest) {
        let mut unread = vec![(of.clone(), pin.url.address().clone(), pin.revision)];
        let mut read = BTreeSet::new();
        while let Some((parent, address, revision)) = unread.pop() {
            if read.len() >= MAX_SUBMODULES || !read.insert((parent.clone(), address.clone(), revision)) {
                continue;
            }
            let stored = manifest.git.get(&address).and_then(|stored| stored.revisions.get(&revision));
            for (address, revision) in stored.and_then(|stored| stored.submodules.as_ref()).into_iter().flatten() {
                let id = ComponentId::submodule(address, *revision);
                let submodule = || Component::of_submodule(address, *revision, has(manifest, address, *revision));
                self.components.entry(id.clone()).or_insert_with(submodule);
                self.require(&parent, [id.clone()]);
                unread.push((id, address.clone(), *revision));
            }
        }
    }

    fn require(&mut self, id: &ComponentId, required: impl IntoIterator<Item = ComponentId>) {
        if let Some(component) = self.components.get_mut(id) {
            component.requires.extend(required.into_iter().filter(|required| required != id));
        }
    }
}

fn has(manifest: &Manifest, address: &GitAddress, revision: Revision) -> bool {
    manifest.git.get(address).is_some_and(|stored| stored.revisions.contains_key(&revision))
}
