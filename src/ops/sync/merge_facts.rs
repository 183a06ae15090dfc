//! What the plan of a merge has to know about two snapshots of this clone.

use std::collections::BTreeSet;

use super::signers::Signers;
use crate::hex::registry::Package;
use crate::model::{EntryId, Fingerprint, PolicyId, RepositoryName};
use crate::ops::artefacts::add_needed;
use crate::ops::plugins::add_listed;
use crate::ops::project::needed::{LockScope, needed};
use crate::ops::update::stored_entry::read_entry;
use crate::ops::{OpError, Project, Result};
use crate::plan::{CheckedEntry, MergeFacts, Needed, PolicySignature, Side};
use crate::progress::Progress;
use crate::store::{Snapshot, StoreError};

/// Reads entries from two snapshots and needs from the project's locks.
pub(super) struct SnapshotFacts<'a> {
    pub project: &'a Project,
    pub ours: &'a Snapshot,
    pub theirs: &'a Snapshot,
    pub signers: &'a Signers,
    pub progress: &'a dyn Progress,
}

impl SnapshotFacts<'_> {
    fn snapshot(&self, side: Side) -> &Snapshot {
        match side {
            Side::Ours => self.ours,
            Side::Theirs => self.theirs,
        }
    }
}

impl MergeFacts for SnapshotFacts<'_> {
    type Error = OpError;

    fn verify(&self, side: Side, id: &EntryId) -> Result<CheckedEntry> {
        let signed = self.snapshot(side).entry(id)?;
        let missing = || StoreError::damaged(format!("the registry entry of {id}"))("it is missing");
        self.signers.check(id, signed.ok_or_else(missing)?)
    }

    fn read(&self, side: Side, id: &EntryId) -> Result<Option<Package>> {
        read_entry(self.snapshot(side), id)
    }

    fn needed(&self) -> Result<Needed> {
        let scope = LockScope { tags: self.project.config.keep_tags.clone(), since: i64::MAX, strict: false };
        let mut needed = needed(self.project, &scope, self.progress)?.needed;
        add_listed(&mut needed, self.ours)?;
        add_listed(&mut needed, self.theirs)?;
        add_needed(&mut needed, self.ours)?;
        add_needed(&mut needed, self.theirs)?;
        Ok(needed)
    }

    fn replaced_entries(&self) -> Result<BTreeSet<EntryId>> {
        self.signers.to_replace(self.ours)
    }

    fn verify_policy(&self, side: Side, id: &PolicyId) -> Result<PolicySignature> {
        let signed = self.snapshot(side).policy(id)?;
        let missing = || StoreError::damaged(format!("the policy {id}"))("it is missing");
        self.signers.check_policy(id, &signed.ok_or_else(missing)?)
    }

    fn replaced_policies(&self) -> Result<BTreeSet<PolicyId>> {
        let replaced = self.signers.policies_to_replace(self.ours)?.into_iter().map(|id| {
            let signature = self.verify_policy(Side::Ours, &id)?;
            Ok((signature != PolicySignature::Verified).then_some(id))
        });
        replaced.filter_map(Result::transpose).collect()
    }

    fn signer(&self, repository: &RepositoryName) -> Option<Fingerprint> {
        self.signers.expected(repository).map(|signer| signer.fingerprint)
    }
}
