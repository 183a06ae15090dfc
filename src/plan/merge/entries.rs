//! Decides which registry entries a merge keeps.

use std::collections::{BTreeMap, BTreeSet};

use super::{CheckedEntry, EntryStep, MergeFacts, MergeInput, MergeWarning, Planner, Side};
use crate::hex::registry::Package;
use crate::model::EntryId;
use crate::plan::{Relation, lost_facts, needed_entries, relation};

/// The decision between their entry and ours.
enum Choice {
    /// Theirs is copied. Its contents, if it was verified.
    Theirs(Option<Package>),
    /// Ours stays. Its contents, if it was verified.
    Ours(Option<Package>),
}

impl<F: MergeFacts> Planner<'_, F> {
    /// Removes the entries of ours that were signed by a signer who was replaced.
    pub fn replaced_entries(&mut self) -> Result<(), F::Error> {
        let replaced = self.facts.replaced_entries()?;
        self.left_out += replaced.len();
        self.plan.entries.extend(replaced.into_iter().map(|id| (id, EntryStep::Remove)));
        Ok(())
    }

    /// Copies their entries that are newer than ours, or that ours lacks. Returns the verified ones that are kept of
    /// the entries in which the sides differ.
    pub fn differing_entries(&mut self) -> Result<BTreeMap<EntryId, Package>, F::Error> {
        let (mut kept, mut unverified) = (BTreeMap::new(), BTreeSet::new());
        let MergeInput { ours, theirs, .. } = self.input;
        for (id, stored) in &theirs.entries {
            if ours.entries.get(id) == Some(stored) || self.pruned_here.entries.contains_key(id) {
                continue;
            }
            let checked = self.facts.verify(Side::Theirs, id)?;
            if checked == CheckedEntry::NoKey {
                unverified.insert(id.clone());
            }
            let package = match self.choose(id, checked)? {
                Choice::Theirs(package) => {
                    self.plan.entries.insert(id.clone(), EntryStep::Copy);
                    self.plan.statistics.entries += 1;
                    package
                }
                Choice::Ours(package) => package,
            };
            kept.extend(package.map(|package| (id.clone(), package)));
        }
        if !unverified.is_empty() {
            self.plan.warnings.push(MergeWarning::Unverified { entries: unverified });
        }
        Ok(kept)
    }

    /// Decides between two entries. Entries from another mirror are verified again before they are copied.
    fn choose(&mut self, id: &EntryId, theirs: CheckedEntry) -> Result<Choice, F::Error> {
        let ours = self.input.ours.entries.contains_key(id);
        let (package, signed) = match theirs {
            // Without the key, nothing replaces an entry of the local mirror.
            CheckedEntry::NoKey if !ours || self.input.local == Side::Theirs => return Ok(Choice::Theirs(None)),
            CheckedEntry::NoKey => return Ok(Choice::Ours(None)),
            CheckedEntry::OtherSigner => {
                self.left_out += 1;
                return Ok(Choice::Ours(None));
            }
            CheckedEntry::Verified { package, signed } => (package, signed),
        };
        let ours = if ours { Some(self.facts.verify(Side::Ours, id)?) } else { None };
        match ours {
            Some(CheckedEntry::Verified { package: own, signed: own_signed })
                if !self.replaces(id, (&package, &signed), (&own, &own_signed)) =>
            {
                Ok(Choice::Ours(Some(own)))
            }
            _ => Ok(Choice::Theirs(Some(package))),
        }
    }

    /// Returns whether their entry replaces ours. If neither is newer, the local one is kept, with a warning.
    fn replaces(&mut self, id: &EntryId, theirs: (&Package, &[u8]), ours: (&Package, &[u8])) -> bool {
        let lost = match (relation(theirs, ours), self.input.local) {
            (Relation::Newer, _) => return true,
            (Relation::NotNewer, _) => return false,
            (Relation::Conflict { lost }, Side::Ours) => lost,
            (Relation::Conflict { .. }, Side::Theirs) => lost_facts(theirs.0, ours.0),
        };
        self.plan.warnings.push(MergeWarning::EntryConflict { entry: id.clone(), lost });
        self.input.local == Side::Theirs
    }

    /// Records the packages for which only theirs knows that upstream has no entry.
    pub fn absent_entries(&mut self) {
        let unknown = self.input.theirs.absent.difference(&self.input.ours.absent);
        for id in unknown.filter(|id| !self.pruned_here.entries.contains_key(*id)) {
            if !self.has_entry(id) {
                self.plan.entries.insert(id.clone(), EntryStep::RecordAbsent);
            }
        }
    }

    /// Decides on the entries that one side pruned: an entry that a release needs is kept or restored.
    pub fn pruned_entries(&mut self, packages: &BTreeMap<EntryId, Package>) -> Result<(), F::Error> {
        if self.pruned_here.entries.is_empty() && self.pruned_there.entries.is_empty() {
            return Ok(());
        }
        let needed = self.needed_entries(packages)?;
        let restored: Vec<EntryId> =
            self.pruned_here.entries.keys().filter(|id| needed.contains(*id)).cloned().collect();
        for id in restored {
            self.restore(id)?;
        }
        let unneeded = self.pruned_there.entries.keys().filter(|id| !needed.contains(*id));
        self.plan.entries.extend(unneeded.map(|id| (id.clone(), EntryStep::Remove)));
        Ok(())
    }

    /// Returns the entries that the releases of the result need.
    fn needed_entries(&self, packages: &BTreeMap<EntryId, Package>) -> Result<BTreeSet<EntryId>, F::Error> {
        let read = |id: &EntryId| match packages.get(id) {
            Some(package) => Ok(Some(package.clone())),
            None => Ok(self.facts.read(Side::Ours, id)?.or(self.facts.read(Side::Theirs, id)?)),
        };
        needed_entries(self.plan.releases_after(self.input.ours), read)
    }

    /// Restores an entry that ours pruned, or the record that upstream has none. The merge base has the same entry.
    fn restore(&mut self, id: EntryId) -> Result<(), F::Error> {
        if !self.input.theirs.entries.contains_key(&id) {
            self.plan.entries.insert(id, EntryStep::RecordAbsent);
        } else if self.facts.verify(Side::Theirs, &id)? == CheckedEntry::OtherSigner {
            self.left_out += 1;
        } else {
            self.plan.entries.insert(id, EntryStep::Copy);
            self.plan.statistics.entries += 1;
        }
        Ok(())
    }

    /// Returns whether the result has an entry, as planned so far.
    fn has_entry(&self, id: &EntryId) -> bool {
        match self.plan.entries.get(id) {
            Some(step) => *step == EntryStep::Copy,
            None => self.input.ours.entries.contains_key(id),
        }
    }
}
