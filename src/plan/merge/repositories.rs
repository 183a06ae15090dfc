//! Decides which git repositories and revisions a merge keeps.

use std::collections::BTreeSet;

use super::{MergeFacts, MergeWarning, Planner, RepositoryStep};
use crate::model::{GitAddress, StoredGit};
use crate::plan::{Needed, Pruning};

impl<F: MergeFacts> Planner<'_, F> {
    /// Merges all git repositories. `needed` names the refs that locks expect.
    pub fn repositories(&mut self, needed: &Needed) {
        let nothing = StoredGit::default();
        let (ours, theirs) = (&self.input.ours.git, &self.input.theirs.git);
        for address in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
            let (own, other) = (ours.get(address).unwrap_or(&nothing), theirs.get(address).unwrap_or(&nothing));
            if own == other {
                continue;
            }
            match self.union(address, own, other) {
                None => self.plan.warnings.push(MergeWarning::DepthConflict { address: address.clone() }),
                Some(union) if union.revisions.is_empty() => {
                    if ours.contains_key(address) {
                        self.plan.repositories.insert(address.clone(), RepositoryStep::Remove);
                    }
                }
                Some(mut union) => {
                    needed.name(address, &mut union);
                    self.copy(address, own, union);
                }
            }
        }
    }

    /// Plans to copy what makes `own` the union, unless it already is.
    fn copy(&mut self, address: &GitAddress, own: &StoredGit, union: StoredGit) {
        if union != *own {
            let added = union.revisions.keys().filter(|revision| !own.revisions.contains_key(*revision));
            self.plan.statistics.revisions += added.count();
            self.plan.repositories.insert(address.clone(), RepositoryStep::Copy(union));
        }
    }

    /// Returns the union of two records of a repository, without what either side pruned. `None` if the mirrors
    /// truncate its history differently.
    fn union(&self, address: &GitAddress, own: &StoredGit, other: &StoredGit) -> Option<StoredGit> {
        let (ours, theirs) = (without(&self.pruned_there, address, own), without(&self.pruned_here, address, other));
        let pruned = |pruning: &Pruning| pruning.revisions.contains_key(address);
        // If one side pruned revisions and still has everything else, its packs are enough.
        if theirs.revisions.is_empty() || pruned(&self.pruned_here) && ours.has_all_of(&theirs) {
            Some(with_names_of(ours.clone(), [&ours, &theirs]))
        } else if ours.revisions.is_empty() || pruned(&self.pruned_there) && theirs.has_all_of(&ours) {
            Some(with_names_of(theirs.clone(), [&ours, &theirs]))
        } else {
            ours.union(&theirs)
        }
    }
}

/// Sets the refs of both records. If both have the same ref, ours is kept.
fn with_names_of(mut stored: StoredGit, [ours, theirs]: [&StoredGit; 2]) -> StoredGit {
    for (revision, named) in theirs.revisions.iter().chain(&ours.revisions) {
        named.names.iter().for_each(|name| stored.set_name(*revision, name));
    }
    stored
}

/// Returns a repository without the revisions that the other side pruned.
fn without(pruned: &Pruning, address: &GitAddress, stored: &StoredGit) -> StoredGit {
    let mut left = stored.clone();
    left.revisions.retain(|revision, _| !pruned.drops(address, *revision));
    left
}
