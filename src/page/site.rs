//! The pages of a static site.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Address, PackageQuery, SourceId};
use crate::model::{EntryId, GitAddress};

/// What a site has pages about.
#[derive(Debug, Default)]
pub struct SiteScope {
    /// The packages.
    pub packages: BTreeSet<EntryId>,
    /// The git repositories.
    pub repositories: BTreeSet<GitAddress>,
    /// The sources.
    pub sources: BTreeSet<SourceId>,
    /// The differences, each between old and new sources.
    pub comparisons: BTreeSet<[SourceId; 2]>,
}

/// The pages that are written as files. Others are not linked to: those that depend on what people enter, and those about what
/// is not in the scope of the site.
#[derive(Debug, Default)]
pub struct Site {
    scope: SiteScope,
    found: Mutex<Found>,
}

/// The pages that others link to.
#[derive(Debug, Default)]
struct Found {
    /// All of them, by the names of their files.
    names: BTreeSet<String>,
    /// Those that were not taken yet.
    next: BTreeMap<String, Address>,
}

impl Site {
    /// Creates a site with the pages that can be reached from the overview.
    pub fn new(scope: SiteScope) -> Self {
        let site = Self { scope, ..Self::default() };
        site.link(&Address::Overview);
        site
    }

    /// Returns whether the site has the page at an address.
    pub(super) fn has(&self, address: &Address) -> bool {
        match address {
            Address::Overview
            | Address::Style
            | Address::Icon
            | Address::Repositories
            | Address::Stored
            | Address::History { .. }
            | Address::Changes(_) => true,
            Address::Packages(query) => *query == PackageQuery::default().at(query.page),
            Address::PackageNamed(_) => false,
            Address::Package(id) => self.scope.packages.contains(id),
            Address::Repository(address) => self.scope.repositories.contains(address),
            Address::Source { id, .. } | Address::Raw { id, .. } => self.scope.sources.contains(id),
            Address::Compare { between, .. } => self.scope.comparisons.contains(&**between),
        }
    }

    /// Returns the name of the file for the page at an address, which a page links to.
    pub(super) fn link(&self, address: &Address) -> String {
        let name = address.file_name();
        let mut found = self.found();
        if !found.names.contains(&name) {
            found.names.insert(name.clone());
            found.next.insert(name.clone(), address.clone());
        }
        name
    }

    /// Returns the pages that were linked to since this was last called, with the names of their files.
    pub fn take_found(&self) -> Vec<(String, Address)> {
        mem::take(&mut self.found().next).into_iter().collect()
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
