//! Decides whether a fast-forward to another mirror would lose anything.

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
    /// Returns what a fast-forward adds to our mirror, which may not exist yet. `entries` is the number of added or
    /// replaced registry entries.
    pub fn of_fast_forward(ours: Option<&Manifest>, theirs: &Manifest, entries: usize) -> Self {
        let is_new = |id| ours.is_none_or(|ours| !ours.releases.contains_key(id));
        let releases = theirs.releases.keys().filter(|id| is_new(*id)).count();
        let is_known = |address, revision| ours.is_some_and(|ours| has(ours, address, revision));
        let revisions = revisions(theirs).filter(|(address, revision)| !is_known(address, *revision)).count();
        Self { releases, entries, revisions, pruned: 0 }
    }
}
