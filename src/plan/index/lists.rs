//! The lists of all names and versions in a pinned index.

use std::collections::BTreeMap;

use crate::hex::registry::{Names, NamesEntry, Package, Release, Versions, VersionsEntry};
use crate::model::PackageName;

/// The lists of a repository's pinned index. They contain only packages that have releases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexLists {
    packages: BTreeMap<PackageName, (NamesEntry, VersionsEntry)>,
}

impl IndexLists {
    /// Takes apart existing lists. `None` if they do not list the same packages.
    pub fn of(names: Names, versions: Versions) -> Option<Self> {
        let is_complete = names.skipped.is_empty() && versions.skipped.is_empty();
        if !is_complete || names.packages.len() != versions.packages.len() {
            return None;
        }
        let pairs = names.packages.into_iter().zip(versions.packages);
        let pair = |(name, versions): (NamesEntry, VersionsEntry)| {
            (name.name == versions.name).then(|| (name.name.clone(), (name, versions)))
        };
        pairs.map(pair).collect::<Option<_>>().map(|packages| Self { packages })
    }

    /// Adds a package, or replaces what the lists have of it.
    pub fn put(&mut self, package: &Package) {
        if package.releases.is_empty() {
            self.remove(&package.name);
            return;
        }
        let name = package.name.clone();
        let indexes = |is_listed: &dyn Fn(&Release) -> bool| {
            let listed = package.releases.iter().enumerate().filter(|(_, release)| is_listed(release));
            listed.filter_map(|(index, _)| i32::try_from(index).ok()).collect()
        };
        let versions = VersionsEntry {
            name: name.clone(),
            versions: package.releases.iter().map(|release| release.version.clone()).collect(),
            retired: indexes(&|release| release.retired.is_some()),
            with_advisories: indexes(&|release| !release.advisories.is_empty()),
        };
        // The time of the newest release, since the mirror must not depend on when and where it was written.
        let updated_at = package.releases.iter().filter_map(|release| release.published_at).max();
        self.packages.insert(name.clone(), (NamesEntry { name, updated_at }, versions));
    }

    /// Removes a package.
    pub fn remove(&mut self, name: &PackageName) {
        self.packages.remove(name);
    }

    /// Returns the list of names.
    pub fn names(&self) -> Names {
        let packages = self.packages.values().map(|(name, _)| name.clone()).collect();
        Names { packages, skipped: Vec::new() }
    }

    /// Returns the list of versions.
    pub fn versions(&self) -> Versions {
        let packages = self.packages.values().map(|(_, versions)| versions.clone()).collect();
        Versions { packages, skipped: Vec::new() }
    }
}
