//! What locks want of git repositories: the pins of one repository together.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use super::GitPin;
use crate::model::{GitAddress, GitName, GitUrl, Manifest, Revision, StoredGit};

/// What is wanted of one revision: the most that any of its entries wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevisionWant {
    /// How many generations of its ancestry are wanted; all, if `None`.
    pub depth: Option<NonZeroU32>,
    /// The names that entries give it.
    pub names: BTreeSet<GitName>,
    /// Whether its submodules are wanted too, and theirs.
    pub submodules: bool,
    /// Whether the mirror has it and no lock wants it, so that an update may do without it.
    pub optional: bool,
}

/// What is wanted of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryWant {
    /// The address to fetch it from.
    pub url: GitUrl,
    /// Its revisions.
    pub revisions: BTreeMap<Revision, RevisionWant>,
    /// The revision that gets each name. If entries give several revisions one name, the first entry decides: clients
    /// that have a lock ask for the commit.
    names: BTreeMap<GitName, Revision>,
}

impl RevisionWant {
    fn of(pin: &GitPin) -> Self {
        Self { depth: pin.depth, names: pin.names.clone(), submodules: pin.submodules, optional: false }
    }

    /// Adds what somebody else wants of the same revision.
    fn merge(&mut self, other: Self) {
        self.depth = self.depth.zip(other.depth).map(|(one, other)| one.max(other));
        self.names.extend(other.names);
        self.submodules |= other.submodules;
        self.optional &= other.optional;
    }

    /// Returns whether a mirror has all that is wanted of a revision.
    ///
    /// A name may be at another revision: a branch moves, and clients that have a lock ask for the commit.
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
        for pin in pins {
            let wanted: &mut Self = all.entry(pin.url.address().clone()).or_insert_with(|| Self::new(pin.url.clone()));
            if pin.url.is_authenticated() && !wanted.url.is_authenticated() {
                wanted.url = pin.url.clone();
            }
            wanted.add(pin.revision, RevisionWant::of(pin));
        }
        all
    }

    /// Adds what is wanted of a revision. Returns whether that is more than was wanted before.
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

    /// Returns whether a mirror has all that is wanted.
    pub fn is_met(&self, address: &GitAddress, manifest: &Manifest) -> bool {
        self.revisions.iter().all(|(revision, want)| want.is_met(address, *revision, manifest))
    }

    /// Returns whether the repository is stored shallow: if nobody wants, or ever wanted, a full ancestry of it.
    pub fn is_shallow(&self, before: Option<&StoredGit>) -> bool {
        let mut required = self.revisions.values().filter(|want| !want.optional);
        required.all(|want| want.depth.is_some()) && before.is_none_or(|before| !before.is_full())
    }

    /// Returns whether what is stored of the repository can be built upon: whether it has the form that it will have.
    pub fn builds_on(&self, before: &StoredGit) -> bool {
        self.is_shallow(Some(before)) != before.is_full()
    }

    /// Gives the names to the revisions that get them.
    pub(super) fn name(&self, stored: &mut StoredGit) {
        self.names.iter().for_each(|(name, revision)| stored.set_name(*revision, name));
    }
}

/// Returns whether a mirror has all submodules of a revision, and theirs.
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

/// Returns whether an ancestry stored to one depth is enough if another one is wanted; `None` stands for all of it.
pub fn is_deep_enough(stored: Option<NonZeroU32>, wanted: Option<NonZeroU32>) -> bool {
    stored.is_none_or(|stored| wanted.is_some_and(|wanted| stored >= wanted))
}

/// Adds the submodules of some stored revisions, and theirs.
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
