//! Decides whether a fast-forward to another mirror would lose anything, and counts what a mirror receives.

use super::{MergeStatistics, Side};
use crate::hex::registry::Package;
use crate::model::{EntryId, Manifest};
use crate::plan::lost_facts;
use crate::plan::pruning::{has, revisions};

/// Returns whether our mirror has anything that theirs lacks. Such contents are added on top of theirs.
pub fn has_unshared_contents(ours: &Manifest, theirs: &Manifest) -> bool {
    ours.signers.keys().any(|repository| !theirs.signers.contains_key(repository))
        // A merge keeps those that a remaining release needs.
        || ours.entries.keys().any(|id| !theirs.entries.contains_key(id))
        || ours.policies.keys().any(|id| !theirs.policies.contains_key(id))
        || ours.files.keys().any(|id| !theirs.files.contains_key(id))
        || ours.releases.keys().any(|id| !theirs.releases.contains_key(id))
        || revisions(ours).any(|(address, revision)| !has(theirs, address, revision))
}

/// Returns whether their mirror has a registry entry that lacks a fact of ours. Anyone with write access to the remote
/// can restore an entry that its repository once signed, such as one without an advisory. `read` returns an entry of a
/// side.
///
/// # Errors
/// Returns the first error of `read`.
pub fn has_older_entries<E>(
    ours: &Manifest,
    theirs: &Manifest,
    read: impl Fn(Side, &EntryId) -> Result<Option<Package>, E>,
) -> Result<bool, E> {
    let differing = ours.entries.iter().filter(|(id, own)| theirs.entries.get(*id).is_some_and(|other| other != *own));
    for (id, _) in differing {
        if let Some((own, other)) = read(Side::Ours, id)?.zip(read(Side::Theirs, id)?)
            && !lost_facts(&own, &other).is_empty()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

impl MergeStatistics {
    /// Returns what a mirror received when its manifest changed.
    pub fn between(before: &Manifest, after: &Manifest) -> Self {
        let lacking = |one: &Manifest, other: &Manifest| {
            one.releases.keys().filter(|id| !other.releases.contains_key(*id)).count()
        };
        let new = after.entries.iter().filter(|(id, stored)| before.entries.get(*id) != Some(*stored));
        let entries = new.count();
        let new = after.policies.iter().filter(|(id, stored)| before.policies.get(*id) != Some(*stored));
        let policies = new.count();
        let files = after.files.keys().filter(|id| !before.files.contains_key(*id)).count();
        let revisions = revisions(after).filter(|(address, revision)| !has(before, address, *revision)).count();
        Self { releases: lacking(after, before), entries, policies, files, revisions, pruned: lacking(before, after) }
    }
}
