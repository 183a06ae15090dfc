//! What locks require of a git repository: all pins of the repository, merged.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use super::GitPin;
use crate::model::{GitAddress, GitName, GitUrl, Manifest, Revision, StoredGit};

/// The combined requirements of all entries for one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevisionWant {
    /// The required number of generations of its ancestry; `None` for the complete ancestry.
    pub depth: Option<NonZeroU32>,
    /// The refs that entries name for the revision.
    pub names: BTreeSet<GitName>,
    /// Whether the revision's submodules are required, recursively.
    pub submodules: bool,
    /// Whether the revision is in the mirror but no lock requires it. An update may then drop it.
    pub optional: bool,
}

/// The combined requirements of all entries for one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryWant {
    /// The address to fetch it from.
    pub url: GitUrl,
    /// The required revisions.
    pub revisions: BTreeMap<Revision, RevisionWant>,
    /// The revision of each ref. If entries give one name to several revisions, the pin of a branch wins, whose clients ask
    /// for the name; among dependencies the first one, because clients that have a lock request the commit.
    names: BTreeMap<GitName, Revision>,
}

impl RevisionWant {
    fn of(pin: &GitPin) -> Self {
        Self { depth: pin.depth, names: pin.names.clone(), submodules: pin.submodules, optional: false }
    }

    /// Adds the requirements of another entry for the same revision.
    fn merge(&mut self, other: Self) {
        self.depth = self.depth.zip(other.depth).map(|(one, other)| one.max(other));
        self.names.extend(other.names);
        self.submodules |= other.submodules;
        self.optional &= other.optional;
    }

    /// Returns whether a mirror meets all requirements for a revision.
    ///
    /// A required ref may point to another revision: branches move, and clients that have a lock request the commit.
    pub fn is_met(&self, address: &GitAddress, revision: Revision, manifest: &Manifest) -> bool {
        let Some(repository) = manifest.git.get(address) else { return false };
        let Some(stored) = repository.revisions.get(&revision) else { return false };
        is_deep_enough(stored.depth, self.depth)
            && self.names.iter().all(|name| repository.has_name(name))
            && (!self.submodules || has_submodules(address, revision, manifest))
    }
}

impl RepositoryWant {
    pub(super) fn new(url: GitUrl) -> Self {
        Self { url, revisions: BTreeMap::new(), names: BTreeMap::new() }
    }

    /// Merges pins by repository and revision.
    pub fn all(pins: &[GitPin]) -> BTreeMap<GitAddress, Self> {
        let mut all = BTreeMap::new();
        let (branches, dependencies): (Vec<_>, Vec<_>) = pins.iter().partition(|pin| pin.as_of.is_some());
        for pin in branches.into_iter().chain(dependencies) {
            let wanted: &mut Self = all.entry(pin.url.address().clone()).or_insert_with(|| Self::new(pin.url.clone()));
            if pin.url.is_authenticated() && !wanted.url.is_authenticated() {
                wanted.url = pin.url.clone();
            }
            wanted.add(pin.revision, RevisionWant::of(pin));
        }
        all
    }

    /// Adds requirements for a revision. Returns whether this changed anything.
    pub(super) fn add(&mut self, revision: Revision, want: RevisionWant) -> bool {
        for name in &want.names {
            self.names.entry(name.clone()).or_insert(revision);
        }
        match self.revisions.get_mut(&revision) {
            Some(known) => {
                let before = known.clone();
                known.merge(want);
                *known != before
            }
            None => self.revisions.insert(revision, want).is_none(),
        }
    }

    /// Returns whether a mirror meets all requirements.
    pub fn is_met(&self, address: &GitAddress, manifest: &Manifest) -> bool {
        self.revisions.iter().all(|(revision, want)| want.is_met(address, *revision, manifest))
    }

    /// Returns whether to store the repository shallow. That is the case if no entry requires a complete ancestry, and
    /// the mirror has not stored complete ancestries so far.
    pub fn is_shallow(&self, before: Option<&StoredGit>) -> bool {
        let mut required = self.revisions.values().filter(|want| !want.optional);
        required.all(|want| want.depth.is_some()) && before.is_none_or(|before| !before.is_full())
    }

    /// Returns whether a fetch can extend what is stored, because the repository stays shallow or stays complete.
    pub fn builds_on(&self, before: &StoredGit) -> bool {
        self.is_shallow(Some(before)) != before.is_full()
    }

    /// Sets the refs in `stored` to their revisions.
    pub(super) fn name(&self, stored: &mut StoredGit) {
        self.names.iter().for_each(|(name, revision)| stored.set_name(*revision, name));
    }
}

/// Returns whether a mirror has all submodules of a revision, recursively.
fn has_submodules(address: &GitAddress, revision: Revision, manifest: &Manifest) -> bool {
    let mut seen = BTreeSet::new();
    let mut next = vec![(address, revision)];
    while let Some((address, revision)) = next.pop() {
        if !seen.insert((address, revision)) {
            continue;
        }
        let stored = manifest.git.get(address).and_then(|stored| stored.revisions.get(&revision));
        let Some(submodules) = stored.and_then(|stored| stored.submodules.as_ref()) else { return false };
        next.extend(submodules.iter().map(|(address, revision)| (address, *revision)));
    }
    true
}

/// Returns whether the stored depth of an ancestry satisfies the required one. `None` stands for the complete ancestry.
pub fn is_deep_enough(stored: Option<NonZeroU32>, wanted: Option<NonZeroU32>) -> bool {
    stored.is_none_or(|stored| wanted.is_some_and(|wanted| stored >= wanted))
}

/// Returns the revisions together with their stored submodules, recursively.
pub(super) fn with_submodules(
    revisions: impl IntoIterator<Item = (GitAddress, Revision)>,
    manifest: &Manifest,
) -> BTreeSet<(GitAddress, Revision)> {
    let mut all = BTreeSet::new();
    let mut next: Vec<_> = revisions.into_iter().collect();
    while let Some((address, revision)) = next.pop() {
        let stored = manifest.git.get(&address).and_then(|stored| stored.revisions.get(&revision));
        if all.insert((address, revision)) {
            next.extend(stored.and_then(|stored| stored.submodules.as_ref()).into_iter().flatten().cloned());
        }
    }
    all
}
