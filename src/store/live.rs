//! What of the project is alive: its branches, stashes and worktrees, the commits that were made lately or are not pushed
//! yet, and the files in them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;

use gix::ObjectId;
use gix::bstr::ByteSlice;

use super::{Branch, Repository, Result, StoreError};

/// Refs beside branches that something unfinished stands on (gitrepository-layout(5) and gitrevisions(7)).
const UNFINISHED: [&str; 6] = ["HEAD", "ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD"];

/// What a clone knows of a project's commits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// The commits that something stands on, each with the name of one such thing.
    pub tips: BTreeMap<ObjectId, String>,
    /// Those of them that are of this clone alone: branches, stashes, detached heads.
    pub local: BTreeSet<ObjectId>,
    /// Those of them that remotes were last seen with.
    pub remote: BTreeSet<ObjectId>,
    /// The roots of all worktrees.
    pub worktrees: Vec<PathBuf>,
}

impl Repository {
    /// Lists what is alive, without mirrors. `keeps` tells of a tag's name, without `refs/tags/`, whether it counts.
    ///
    /// # Errors
    /// Fails where refs or worktrees cannot be read.
    pub fn live(&self, branch: &Branch, keeps: impl Fn(&str) -> bool) -> Result<Live> {
        let action = "read the project's refs";
        let mut live = Live::default();
        let references = self.git.references().map_err(StoreError::git(action))?;
        for reference in references.all().map_err(StoreError::git(action))?.filter_map(Result::ok) {
            let name = reference.name().as_bstr().to_str_lossy().into_owned();
            let set = match name.split('/').collect::<Vec<_>>()[..] {
                ["refs", "heads", ..] => &mut live.local,
                ["refs", "remotes", ..] => &mut live.remote,
                ["refs", "tags", ref tag @ ..] if keeps(&tag.join("/")) => &mut live.local,
                _ => continue,
            };
            if let Some(id) = self.commit_at(reference, branch)? {
                set.insert(id);
                live.tips.insert(id, name);
            }
        }
        let mut roots: Vec<PathBuf> =
            self.git.main_repo().ok().and_then(|main| main.workdir().map(Into::into)).into_iter().collect();
        let mut heads = vec![self.git.clone()];
        heads.extend(self.git.main_repo().ok());
        for worktree in self.git.worktrees().map_err(StoreError::git("list the worktrees"))? {
            roots.extend(worktree.base().ok());
            heads.extend(worktree.into_repo_with_possibly_inaccessible_worktree().ok());
        }
        for (git, name) in heads.iter().flat_map(|git| UNFINISHED.map(|name| (git, name))) {
            if let Ok(Some(reference)) = git.try_find_reference(name)
                && let Some(id) = self.commit_at(reference, branch)?
            {
                live.local.insert(id);
                live.tips.entry(id).or_insert_with(|| name.to_owned());
            }
        }
        for id in self.reflog("refs/stash")?.into_iter().filter(|id| self.has(*id)) {
            // A stash is a merge of what was in the worktree with HEAD, the index and untracked files (git-stash(1)).
            let parents = self.commit(id)?.parent_ids().map(gix::Id::detach).collect::<Vec<_>>();
            for id in parents.into_iter().chain([id]).filter(|id| self.has(*id)) {
                live.local.insert(id);
                live.tips.entry(id).or_insert_with(|| "a stash".to_owned());
            }
        }
        roots.extend(self.worktree().map(Into::into));
        roots.sort();
        roots.dedup();
        live.worktrees = roots;
        Ok(live)
    }

    /// Returns the commit that a ref stands on; nothing where it is none, or one of a mirror.
    fn commit_at(&self, mut reference: gix::Reference<'_>, branch: &Branch) -> Result<Option<ObjectId>> {
        let Ok(id) = reference.peel_to_id().map(gix::Id::detach) else { return Ok(None) };
        let is_mirror = reference.name() == branch.name.as_ref() || super::Snapshot::at(self, branch, id).is_ok();
        Ok((!is_mirror && self.is_commit(id)).then_some(id))
    }

    /// Returns the commits in the history of some that were made at a moment, in seconds since 1970, or later.
    ///
    /// # Errors
    /// Fails where a commit cannot be read.
    pub fn made_since(&self, tips: impl IntoIterator<Item = ObjectId>, seconds: i64) -> Result<Vec<ObjectId>> {
        let shallow = self.shallow_commits()?;
        let mut next: Vec<ObjectId> = tips.into_iter().collect();
        let (mut seen, mut made) = (HashSet::<ObjectId>::from_iter(next.iter().copied()), Vec::new());
        while let Some(id) = next.pop() {
            let commit = self.commit(id)?;
            if commit.time().map_err(StoreError::damaged(format!("commit {id}")))?.seconds < seconds {
                continue;
            }
            made.push(id);
            if !shallow.contains(&id) {
                next.extend(commit.parent_ids().map(gix::Id::detach).filter(|parent| seen.insert(*parent)));
            }
        }
        Ok(made)
    }

    /// Returns the commits in the history of some that are in the history of none of the others.
    ///
    /// # Errors
    /// Fails where a commit cannot be read.
    pub fn only_in(&self, tips: &BTreeSet<ObjectId>, others: &BTreeSet<ObjectId>) -> Result<Vec<ObjectId>> {
        let action = "list what is not pushed yet";
        let walk = self.git.rev_walk(tips.iter().copied()).with_hidden(others.iter().copied());
        let walk = walk.all().map_err(StoreError::git(action))?;
        walk.map(|commit| Ok(commit.map_err(StoreError::git(action))?.id)).collect()
    }

    /// Returns the files of a commit whose paths are `wanted`, with the ids of their contents. Folders that `seen` has are
    /// left out: their files were returned before.
    ///
    /// # Errors
    /// Fails where a tree cannot be read.
    pub fn files_at(
        &self,
        commit: ObjectId,
        wanted: impl Fn(&str) -> bool,
        enters: impl Fn(&str) -> bool,
        seen: &mut HashSet<(String, ObjectId)>,
    ) -> Result<Vec<(String, ObjectId)>> {
        let (mut files, mut folders) = (Vec::new(), vec![(String::new(), self.tree_at(commit)?.id)]);
        while let Some((folder, id)) = folders.pop() {
            if !seen.insert((folder.clone(), id)) {
                continue;
            }
            let tree = self.git.find_tree(id).map_err(StoreError::damaged(format!("commit {commit}")))?;
            for entry in tree.iter().filter_map(Result::ok) {
                let name = entry.filename().to_str_lossy();
                let path = if folder.is_empty() { name.into_owned() } else { format!("{folder}/{name}") };
                if entry.mode().is_tree() && enters(&path) {
                    folders.push((path, entry.object_id()));
                } else if entry.mode().is_blob() && wanted(&path) {
                    files.push((path, entry.object_id()));
                }
            }
        }
        Ok(files)
    }

    /// Tells whether the remotes' branches are fetched here, all of each: not so in a clone of a single branch.
    pub fn knows_all_branches(&self) -> bool {
        self.git.remote_names().iter().all(|name| {
            let fetch = self.git.config_snapshot().string(format!("remote.{name}.fetch").as_str());
            fetch.is_none_or(|refspec| refspec.find(b"refs/heads/*").is_some())
        })
    }
}
