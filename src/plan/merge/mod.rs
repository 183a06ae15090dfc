//! Plans the merge of two mirrors into their union, so that nothing is lost from either.
//!
//! A merge is based on one mirror, *ours*, and adds what only the other one, *theirs*, has. An item that one side
//! pruned since the merge bases is removed, unless the other side changed it or a lock needs it.

mod entries;
mod fast_forward;
mod files;
mod policies;
mod repositories;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::{Needed, Pruning};
use crate::hex::registry::Package;
use crate::model::{EntryId, Fingerprint, Manifest, PolicyId, ReleaseId, RepositoryName, StoredRelease};

pub use fast_forward::{has_older_entries, has_unshared_contents};
pub use policies::PolicySignature;
pub use steps::{
    EntryStep, FileStep, MergePlan, MergeStatistics, MergeWarning, PolicyStep, ReleaseConflict, ReleaseStep,
    RepositoryStep, Side,
};

/// The mirrors to merge.
#[derive(Debug, Clone, Copy)]
pub struct MergeInput<'a> {
    /// The mirror that the result is based on.
    pub ours: &'a Manifest,
    /// The mirror that is merged into it.
    pub theirs: &'a Manifest,
    /// The merge bases. If there are none, nothing counts as pruned.
    pub bases: &'a [&'a Manifest],
    /// Which of the two is the mirror of this clone. It wins if neither of two registry entries is newer.
    pub local: Side,
}

/// A registry entry whose signature was checked.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckedEntry {
    /// Its repository's signer signed it.
    Verified {
        /// The decoded entry.
        package: Package,
        /// The signed message.
        signed: Vec<u8>,
    },
    /// Another signer signed it than the one that the user's settings name.
    OtherSigner,
    /// The repository's key is unknown.
    NoKey,
}

/// What a merge has to know besides the manifests. Each fact is requested only if it decides something, because most
/// of them are expensive.
pub trait MergeFacts {
    /// The error of a fact that cannot be determined.
    type Error;

    /// Reads and verifies a registry entry that is in the manifest of a side.
    ///
    /// # Errors
    /// Fails if the entry cannot be read, or if it is not signed by its repository and the user's settings name no
    /// signer.
    fn verify(&self, side: Side, id: &EntryId) -> Result<CheckedEntry, Self::Error>;

    /// Reads a registry entry without verifying it again. `None` if the side does not have it.
    ///
    /// # Errors
    /// Fails if the entry cannot be read.
    fn read(&self, side: Side, id: &EntryId) -> Result<Option<Package>, Self::Error>;

    /// Returns what the locks of this clone need. Requested only if a side pruned anything.
    ///
    /// # Errors
    /// Fails if the locks cannot be read.
    fn needed(&self) -> Result<Needed, Self::Error>;

    /// Returns the registry entries of ours that its repository's signer did not sign, because the user replaced the
    /// signer.
    ///
    /// # Errors
    /// Fails if an entry cannot be read.
    fn replaced_entries(&self) -> Result<BTreeSet<EntryId>, Self::Error>;

    /// Checks the signature of a policy that is in the manifest of a side.
    ///
    /// # Errors
    /// Fails if the policy cannot be read, or if it is not signed by its repository and the user's settings name no
    /// signer.
    fn verify_policy(&self, side: Side, id: &PolicyId) -> Result<PolicySignature, Self::Error>;

    /// Returns the policies of ours that its repository's signer did not sign, because the user replaced the signer.
    ///
    /// # Errors
    /// Fails if a policy cannot be read.
    fn replaced_policies(&self) -> Result<BTreeSet<PolicyId>, Self::Error>;

    /// Returns the expected signer of a repository, if it is known.
    fn signer(&self, repository: &RepositoryName) -> Option<Fingerprint>;
}

/// Plans a merge.
///
/// Of each registry entry, the newer one is kept, and the local one if neither is newer. If the two mirrors have
/// different tarballs of one release, the verified registry entry decides; if it cannot, the plan has a conflict.
///
/// # Errors
/// Fails if a fact cannot be determined.
pub fn merge<F: MergeFacts>(input: MergeInput<'_>, facts: &F) -> Result<MergePlan, F::Error> {
    let (mut planner, needed) = Planner::new(input, facts)?;
    planner.replaced_entries()?;
    let packages = planner.differing_entries()?;
    planner.releases(&packages)?;
    planner.policies()?;
    planner.files();
    planner.repositories(&needed);
    planner.absent_entries();
    planner.pruned_entries(&packages)?;
    planner.signers();
    Ok(planner.finish())
}

/// A merge while it is planned.
struct Planner<'a, F> {
    input: MergeInput<'a>,
    facts: &'a F,
    /// What ours pruned and theirs still has.
    pruned_here: Pruning,
    /// What theirs pruned and ours still has.
    pruned_there: Pruning,
    /// The number of entries of another signer than the one that the user's settings name.
    left_out: usize,
    plan: MergePlan,
}

impl<'a, F: MergeFacts> Planner<'a, F> {
    /// Determines what each side pruned and no lock needs. Returns what locks need, too.
    fn new(input: MergeInput<'a>, facts: &'a F) -> Result<(Self, Needed), F::Error> {
        let MergeInput { ours, theirs, bases, .. } = input;
        let mut pruned_here = Pruning::since(bases, ours, theirs);
        let mut pruned_there = Pruning::since(bases, theirs, ours);
        let mut needed = Needed::default();
        if !(pruned_here.is_empty() && pruned_there.is_empty()) {
            // Whoever pruned the other mirror did not know which branches are live here.
            needed = facts.needed()?;
            pruned_here.keep(&needed);
            pruned_there.keep(&needed);
        }
        Pruning::keep_submodules([&mut pruned_here, &mut pruned_there], [ours, theirs]);
        Ok((Self { input, facts, pruned_here, pruned_there, left_out: 0, plan: MergePlan::default() }, needed))
    }

    /// Adds the releases that only theirs has, and removes those that it pruned. `packages` are the kept entries of
    /// those in which the sides differ.
    fn releases(&mut self, packages: &BTreeMap<EntryId, Package>) -> Result<(), F::Error> {
        let MergeInput { ours, theirs, .. } = self.input;
        for (id, stored) in &theirs.releases {
            let copy = match ours.releases.get(id) {
                None => !self.pruned_here.releases.contains_key(id),
                Some(own) if own.outer == stored.outer => false,
                Some(own) => self.is_theirs_published(id, [own, stored], packages)?,
            };
            if copy {
                self.plan.releases.insert(id.clone(), ReleaseStep::Copy);
                self.plan.statistics.releases += 1;
            }
        }
        for id in self.pruned_there.releases.keys() {
            self.plan.releases.insert(id.clone(), ReleaseStep::Remove);
            self.plan.statistics.pruned += 1;
        }
        Ok(())
    }

    /// Returns whether their tarball of a release is the published one, according to the verified registry entry. If
    /// neither is, records a conflict.
    fn is_theirs_published(
        &mut self,
        id: &ReleaseId,
        [own, other]: [&StoredRelease; 2],
        packages: &BTreeMap<EntryId, Package>,
    ) -> Result<bool, F::Error> {
        let entry = id.entry();
        let stored = match packages.contains_key(&entry) || !self.input.ours.entries.contains_key(&entry) {
            true => None,
            false => match self.facts.verify(Side::Ours, &entry)? {
                CheckedEntry::Verified { package, .. } => Some(package),
                CheckedEntry::OtherSigner | CheckedEntry::NoKey => None,
            },
        };
        let package = packages.get(&entry).or(stored.as_ref());
        let published = package.and_then(|package| package.release(&id.version)?.outer_checksum);
        if published != Some(own.outer) && published != Some(other.outer) {
            let conflict = ReleaseConflict { release: id.clone(), ours: own.outer, theirs: other.outer };
            self.plan.conflicts.push(conflict);
        }
        Ok(published == Some(other.outer))
    }

    /// Records the signers of the repositories that have entries or policies in the result: the expected one, or else theirs.
    fn signers(&mut self) {
        let MergeInput { ours, theirs, .. } = self.input;
        let with_entries = self.plan.entries_after(ours).map(|id| &id.repository);
        let with_policies = self.plan.policies_after(ours).map(|id| &id.repository);
        let with_entries: BTreeSet<_> = with_entries.chain(with_policies).cloned().collect();
        for repository in &with_entries {
            let own = ours.signers.get(repository);
            let signer = self.facts.signer(repository).or(own.copied()).or(theirs.signers.get(repository).copied());
            if let Some(signer) = signer.filter(|signer| own != Some(signer)) {
                self.plan.signers.insert(repository.clone(), signer);
            }
        }
    }
    fn finish(mut self) -> MergePlan {
        if self.left_out > 0 {
            self.plan.warnings.push(MergeWarning::OtherSigner { entries: self.left_out });
        }
        self.plan
    }
}
