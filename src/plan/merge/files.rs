//! Decides which files a merge keeps.

use super::{FileStep, MergeFacts, MergeInput, Planner};

impl<F: MergeFacts> Planner<'_, F> {
    /// Copies the files that only theirs has, and removes what theirs pruned. A path can have several contents, so two
    /// mirrors never contradict each other: locks decide which content is used.
    pub fn files(&mut self) {
        let MergeInput { ours, theirs, .. } = self.input;
        for id in theirs.files.keys() {
            if !ours.files.contains_key(id) && !self.pruned_here.files.contains_key(id) {
                self.plan.files.insert(id.clone(), FileStep::Copy);
                self.plan.statistics.files += 1;
            }
        }
        for id in self.pruned_there.files.keys() {
            self.plan.files.insert(id.clone(), FileStep::Remove);
        }
    }
}
