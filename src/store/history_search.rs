//! Searches the history of the mirror branch.

use std::collections::HashSet;

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::revision::walk::Sorting;
use gix::traverse::commit::simple::CommitTimeOrder;

use super::Branch;
use super::{Repository, Result, Snapshot, StoreError, layout};
use crate::model::Manifest;

impl Repository {
    /// Searches for several items in the branch, in the tracking refs of remotes, and in the histories of all of these,
    /// newest first. Returns the first snapshot that has each item, or `None` if there is none.
    ///
    /// `lines` are the beginnings of the items' lines in the manifest. `has` returns whether a manifest that contains
    /// such a line has the item with that index. The search stops at history that cannot be read, such as the end of a
    /// shallow clone.
    ///
    /// # Errors
    /// Fails if the branch or a tracking ref cannot be read.
    pub fn find_in_history(
        &self,
        branch: &Branch,
        lines: &[String],
        has: impl Fn(usize, &Manifest) -> bool,
    ) -> Result<Vec<Option<Snapshot>>> {
        let mut found: Vec<Option<Snapshot>> = vec![None; lines.len()];
        let own = self.tip(branch)?;
        let remote = self.remote_tips(branch)?.into_iter().map(|(_, tip)| tip);
        let tips: Vec<ObjectId> = own.into_iter().chain(remote).collect();
        let mut seen = HashSet::new();
        for commit in tips.iter().copied().chain(self.newest_first(&tips)?) {
            if found.iter().all(Option::is_some) {
                break;
            }
            // Commits with the same manifest hold the same items.
            let Ok(Some(manifest)) = self.blob_at(commit, layout::MANIFEST) else { continue };
            if !seen.insert(manifest) {
                continue;
            }
            let Ok(text) = self.git.find_object(manifest) else { continue };
            let open = |index: &usize| found[*index].is_none() && text.data.contains_str(&lines[*index]);
            let candidates: Vec<usize> = (0..lines.len()).filter(open).collect();
            if candidates.is_empty() {
                continue;
            }
            let Ok(snapshot) = Snapshot::at(self, branch, commit) else { continue };
            let Ok(manifest) = snapshot.manifest() else { continue };
            for index in candidates {
                if has(index, manifest) {
                    found[index] = Some(snapshot.clone());
                }
            }
        }
        Ok(found)
    }

    /// Returns the commits reachable from `tips`, newest first, up to the first one that cannot be read.
    fn newest_first(&self, tips: &[ObjectId]) -> Result<impl Iterator<Item = ObjectId>> {
        let walk = self.git.rev_walk(tips.iter().copied());
        let walk = walk.sorting(Sorting::ByCommitTime(CommitTimeOrder::NewestFirst));
        let walk = walk.all().map_err(StoreError::git("walk through the mirror's history"))?;
        Ok(walk.map_while(Result::ok).map(|info| info.id))
    }
}
