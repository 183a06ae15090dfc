//! Decides which policies a merge keeps.

use super::{MergeFacts, MergeInput, Planner, PolicyStep, Side};
use crate::model::{PolicyId, StoredEntry};

/// What is known of the signature of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicySignature {
    /// Its repository's signer signed it.
    Verified,
    /// Another signer signed it than the one that the user's settings name.
    OtherSigner,
    /// The repository's key is unknown.
    NoKey,
}

impl<F: MergeFacts> Planner<'_, F> {
    /// Copies the policies that only theirs has, and of those in which the sides differ the one that changed since the
    /// merge bases. A policy does not say when it was signed, so if both changed, the local one stays. Removes what
    /// theirs pruned, and what a signer signed who was replaced.
    pub fn policies(&mut self) -> Result<(), F::Error> {
        for id in self.facts.replaced_policies()? {
            self.left_out += 1;
            self.plan.policies.insert(id, PolicyStep::Remove);
        }
        let MergeInput { ours, theirs, local, .. } = self.input;
        for (id, stored) in &theirs.policies {
            let own = ours.policies.get(id).filter(|_| !self.plan.policies.contains_key(id));
            if self.pruned_here.policies.contains_key(id) || !self.is_theirs_newer(id, own, stored) {
                continue;
            }
            match self.facts.verify_policy(Side::Theirs, id)? {
                PolicySignature::OtherSigner => self.left_out += 1,
                // Without the key, nothing replaces a policy of the local mirror.
                PolicySignature::NoKey if own.is_some() && local == Side::Ours => {}
                PolicySignature::Verified | PolicySignature::NoKey => {
                    self.plan.policies.insert(id.clone(), PolicyStep::Copy);
                    self.plan.statistics.policies += 1;
                }
            }
        }
        for id in self.pruned_there.policies.keys() {
            self.plan.policies.insert(id.clone(), PolicyStep::Remove);
        }
        Ok(())
    }

    fn is_theirs_newer(&self, id: &PolicyId, own: Option<&StoredEntry>, stored: &StoredEntry) -> bool {
        let Some(own) = own.filter(|own| *own != stored) else { return own.is_none() };
        let was = |kept: &StoredEntry| self.input.bases.iter().any(|base| base.policies.get(id) == Some(kept));
        match (was(own), was(stored)) {
            (true, false) => true,
            (false, true) => false,
            _ => self.input.local == Side::Theirs,
        }
    }
}
