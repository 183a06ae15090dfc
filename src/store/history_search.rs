//! Searches the history of the mirror branch.

use std::collections::HashSet;

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::revision::walk::Sorting;
use gix::traverse::commit::simple::CommitTimeOrder;

use super::Branch;
use super::{Repository, Result, Snapshot, StoreError, layout};
use crate::model::{Manifest, ManifestPart};

impl Repository {
    /// Searches for several items in the branch, in the tracking refs of remotes, and in the histories of all of these,
    /// newest first. Returns the first snapshot that has each item, or `None` if there is none.
    ///
    /// `lines` are the beginnings of the items' lines in the manifest, each with the part that it is in. `has` returns
    /// whether a manifest that contains such a line has the item with that index. The search stops at history that cannot
    /// be read, such as the end of a shallow clone.
    ///
    /// # Errors
    /// Fails if the branch or a tracking ref cannot be read.
    pub fn find_in_history(
        &self,
        branch: &Branch,
        lines: &[(ManifestPart, String)],
        has: impl Fn(usize, &Manifest) -> bool,
    ) -> Result<Vec<Option<Snapshot>>> {
        let mut found: Vec<Option<Snapshot>> = vec![None; lines.len()];
        let own = self.tip(branch)?;
        let remote = self.remote_tips(branch)?.into_iter().map(|(_, tip)| tip);
        let tips: Vec<ObjectId> = own.into_iter().chain(remote).collect();
        let mut seen = HashSet::new();
        for commit in tips.iter().copied().chain(self.newest_first(tips.clone())?) {
            let open: Vec<usize> = (0..lines.len()).filter(|index| found[*index].is_none()).collect();
            if open.is_empty() {
                break;
            }
            let mut candidates = Vec::new();
            for index in open {
                let (part, line) = &lines[index];
                // Commits with the same part of the manifest hold the same items.
                let Some(blob) = self.part_at(commit, *part).filter(|blob| seen.insert((index, *blob))) else {
                    continue;
                };
                if self.git.find_object(blob).is_ok_and(|text| text.data.contains_str(line)) {
                    candidates.push(index);
                }
            }
            if candidates.is_empty() {
                continue;
            }
            let Ok(snapshot) = Snapshot::at(self, branch, commit) else { continue };
            for index in candidates {
                if snapshot.part(lines[index].0).is_ok_and(|manifest| has(index, &manifest)) {
                    found[index] = Some(snapshot.clone());
                }
            }
        }
        Ok(found)
    }

    /// Calls `each` with the contents that a part of the manifest had in the history of some commits, newest first, and with a
    /// commit that has each. History that cannot be read is left out.
    ///
    /// # Errors
    /// Fails if the walk through the history cannot begin.
    pub fn part_history(
        &self,
        branch: &Branch,
        tips: &[ObjectId],
        part: ManifestPart,
        mut each: impl FnMut(ObjectId, &Manifest),
    ) -> Result<()> {
        let mut seen = HashSet::new();
        for commit in tips.iter().copied().chain(self.newest_first(tips.to_vec())?) {
            if !self.part_at(commit, part).is_some_and(|blob| seen.insert(blob)) {
                continue;
            }
            let manifest = Snapshot::at(self, branch, commit).and_then(|snapshot| snapshot.part(part));
            if let Ok(manifest) = manifest {
                each(commit, &manifest);
            }
        }
        Ok(())
    }

    /// Returns the blob with a part of a commit's manifest, or with all of the manifest if it is not divided.
    fn part_at(&self, commit: ObjectId, part: ManifestPart) -> Option<ObjectId> {
        let tree = self.tree_at(commit).ok()?;
        let manifest = tree.find_entry(layout::MANIFEST)?;
        if manifest.mode().is_blob() {
            return Some(manifest.object_id());
        }
        let folder = self.git.find_tree(manifest.object_id()).ok()?;
        let entry = folder.find_entry(part.to_string().as_str())?;
        entry.mode().is_blob().then(|| entry.object_id())
    }

    /// Returns the commits reachable from `tips`, newest first, up to the first one that cannot be read.
    ///
    /// # Errors
    /// Fails if the walk cannot begin.
    pub fn newest_first(&self, tips: Vec<ObjectId>) -> Result<impl Iterator<Item = ObjectId>> {
        let walk = self.git.rev_walk(tips);
        let walk = walk.sorting(Sorting::ByCommitTime(CommitTimeOrder::NewestFirst));
        let walk = walk.all().map_err(StoreError::git("walk through a history"))?;
        Ok(walk.map_while(Result::ok).map(|info| info.id))
    }
}
