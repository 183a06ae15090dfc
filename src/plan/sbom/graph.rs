//! What requires what within a project, of what its locks pin.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::component::{ComponentId, Listing, ReleaseDetails, Role};
use super::entries::{LockedEntries, LockedEntry};
use crate::hex::registry::Dependency;
use crate::hex::requirement::Requirement;
use crate::model::ReleaseId;

/// The graph of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Graph {
    /// What the project requires itself. Everything else is reached from there.
    pub roots: BTreeSet<ComponentId>,
    /// What each component requires.
    pub requires: BTreeMap<ComponentId, BTreeSet<ComponentId>>,
}

/// Resolves the requirements of everything that the locks of a project pin.
///
/// A lock of rebar3 has the level of each entry. Other locks do not say what the project itself asks for, so that is what no
/// other entry requires.
pub(super) fn resolve(locks: &[LockedEntries], releases: &BTreeMap<ReleaseId, ReleaseDetails>) -> Graph {
    let index = Index::of(locks);
    let mut graph = Graph::default();
    for (number, lock) in locks.iter().enumerate() {
        for entry in &lock.entries {
            let required = graph.requires.entry(entry.id.clone()).or_default();
            for dependency in requirements(entry, releases) {
                required.extend(index.find(number, entry, dependency).filter(|id| **id != entry.id).cloned());
            }
        }
    }
    let required: BTreeSet<&ComponentId> = graph.requires.values().flatten().collect();
    let entries = || locks.iter().flat_map(|lock| &lock.entries);
    let is_root = |entry: &&LockedEntry| match entry.level {
        Some(level) => level == 0,
        None => !required.contains(&entry.id),
    };
    graph.roots = entries().filter(is_root).map(|entry| entry.id.clone()).collect();
    graph.connect();
    graph
}

impl Graph {
    /// Makes roots of what cannot be reached: members of circles, and deeper entries whose requirers are not known.
    fn connect(&mut self) {
        let mut reached = BTreeSet::new();
        let mut unread: Vec<&ComponentId> = self.roots.iter().collect();
        let mut added = Vec::new();
        let mut rest = self.requires.keys();
        loop {
            while let Some(id) = unread.pop() {
                if reached.insert(id) {
                    unread.extend(self.requires.get(id).into_iter().flatten());
                }
            }
            let Some(next) = rest.find(|id| !reached.contains(id)) else { break };
            added.push(next.clone());
            unread.push(next);
        }
        self.roots.extend(added);
    }
}

/// Returns what is known to be required by what an entry pins: according to the registry, the lock, or the metadata.
fn requirements<'a>(
    entry: &'a LockedEntry,
    releases: &'a BTreeMap<ReleaseId, ReleaseDetails>,
) -> impl Iterator<Item = &'a Dependency> {
    let details = entry.id.release().and_then(|id| releases.get(id));
    let listed = details.and_then(|details| match &details.listing {
        Listing::Listed { requirements, .. } => Some(requirements),
        Listing::Unsigned | Listing::Unlisted => None,
    });
    let known = listed.or(entry.dependencies.as_ref()).or_else(|| details.and_then(|one| one.requirements.as_ref()));
    known.into_iter().flatten()
}

/// Finds entries by application and by package.
struct Index<'l> {
    locks: &'l [LockedEntries],
    apps: HashMap<&'l str, Vec<(usize, &'l ComponentId)>>,
    packages: HashMap<(&'l str, &'l str), Vec<(usize, &'l ComponentId)>>,
}

impl<'l> Index<'l> {
    fn of(locks: &'l [LockedEntries]) -> Self {
        let mut index = Self { locks, apps: HashMap::new(), packages: HashMap::new() };
        for (number, lock) in locks.iter().enumerate() {
            for entry in &lock.entries {
                // Files and branches have the names of no applications.
                if !matches!(entry.role, Role::Tool | Role::Download | Role::Documentation | Role::Branch) {
                    index.apps.entry(&entry.app).or_default().push((number, &entry.id));
                }
                if let Some(id) = entry.id.release() {
                    let key = (id.repository.as_str(), id.package.as_str());
                    index.packages.entry(key).or_default().push((number, &entry.id));
                }
            }
        }
        index
    }

    /// Returns what a dependency of an entry is. Clients build one version of each application, so a lock that pins it
    /// decides, whatever package or repository it is from. An entry of the same lock counts first, then one of another lock
    /// of the project, then one that only this program's lock has. That one can have several versions of a plugin's
    /// dependency.
    fn find(&self, lock: usize, of: &LockedEntry, dependency: &Dependency) -> impl Iterator<Item = &'l ComponentId> {
        let app = dependency.app.as_deref().unwrap_or(dependency.package.as_str());
        let repository = dependency.repository.as_ref().or(of.id.release().map(|id| &id.repository));
        let package = (repository.map_or("hexpm", |name| name.as_str()), dependency.package.as_str());
        let found = self.apps.get(app).into_iter().chain(self.packages.get(&package)).flatten();
        let rank = |number: usize| (number != lock, self.locks[number].is_own);
        let best = found.clone().map(|(number, _)| rank(*number)).min();
        let found: BTreeSet<&ComponentId> =
            found.filter(|(number, _)| Some(rank(*number)) == best).map(|(_, id)| *id).collect();
        let requirement: Option<Requirement> = dependency.requirement.parse().ok();
        let fits = |id: &&ComponentId| match (id.release(), &requirement) {
            (Some(id), Some(requirement)) => requirement.matches(&id.version, true),
            _ => true,
        };
        let fitting: BTreeSet<&ComponentId> = found.iter().copied().filter(fits).collect();
        if fitting.is_empty() { found } else { fitting }.into_iter()
    }
}
