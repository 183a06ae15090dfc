//! Finds the roots of everything in the project that is in use, as `git gc` does: branches, stashes, worktrees and
//! indexes. What their locks pin stays in the mirror.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::PathBuf;

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::index::entry::Mode;

use super::{Branch, FileRule, Repository, Result, StoreError, layout};

/// Refs besides branches that an unfinished operation depends on (gitrepository-layout(5) and gitrevisions(7)).
const UNFINISHED: [&str; 7] =
    ["HEAD", "ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "MERGE_AUTOSTASH"];
/// Files in a worktree's git folder that contain the id of an autostash commit (git-rebase(1), `--autostash`).
const AUTOSTASHES: [&str; 2] = ["rebase-merge/autostash", "rebase-apply/autostash"];

/// Namespaces below `refs` that do not keep commits live by themselves. Stashes are read from their reflog instead.
const NOT_ALIVE: [&str; 7] = ["tags", "notes", "replace", "original", "rewritten", "stash", "hexmirror-remotes"];

/// Where everything in use begins: the commits and files of a clone that do not depend on anything else to be in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roots {
    /// The commits, each with the name of one ref, stash or worktree that points to it.
    pub tips: BTreeMap<ObjectId, String>,
    /// The tips that belong to this clone alone: branches, stashes and detached heads.
    pub local: BTreeSet<ObjectId>,
    /// The tips of remote-tracking refs.
    pub remote: BTreeSet<ObjectId>,
    /// The roots of all worktrees.
    pub worktrees: Vec<PathBuf>,
    /// The files in the indexes of all worktrees, with the ids of their contents.
    pub staged: BTreeSet<(String, ObjectId)>,
    /// Refs and worktrees in use that cannot be read, because their commits or folders are missing.
    pub unreadable: Vec<String>,
}

/// The trees that were already visited.
#[derive(Debug, Clone, Default)]
pub struct VisitedFolders {
    folders: HashSet<(String, ObjectId)>,
    /// Wanted files that are symbolic links.
    links: BTreeSet<String>,
}

impl Roots {
    fn add_local(&mut self, id: ObjectId, name: &str) {
        self.local.insert(id);
        self.tips.entry(id).or_insert_with(|| name.to_owned());
    }
}

impl Repository {
    /// Lists the roots, except for mirrors. `keeps` returns whether a tag counts, given its name without
    /// `refs/tags/`. `rule` decides which staged files count.
    ///
    /// # Errors
    /// Fails if refs or worktrees cannot be read.
    pub fn roots(&self, branch: &Branch, keeps: impl Fn(&str) -> bool, rule: FileRule<'_>) -> Result<Roots> {
        let action = "read the project's refs";
        let mut roots = Roots::default();
        let references = self.git.references().map_err(StoreError::git(action))?;
        for reference in references.all().map_err(StoreError::git(action))?.filter_map(Result::ok) {
            let name = reference.name().as_bstr().to_str_lossy().into_owned();
            let is_local = match name.split('/').collect::<Vec<_>>()[..] {
                ["refs", "heads", ..] => true,
                ["refs", "tags", ref tag @ ..] if keeps(&tag.join("/")) => true,
                ["refs", kind, ..] if NOT_ALIVE.contains(&kind) => continue,
                // Remotes' branches, fetched pull requests and the like.
                _ => false,
            };
            match self.commit_at(reference, branch)? {
                Some(id) if is_local => roots.add_local(id, &name),
                Some(id) => {
                    roots.remote.insert(id);
                    roots.tips.entry(id).or_insert(name);
                }
                None if self.commit_of(&name).is_err() => roots.unreadable.push(name),
                None => {}
            }
        }
        for worktree in self.all_worktrees()? {
            self.add_worktree(&mut roots, &worktree, branch, rule)?;
        }
        for id in self.reflog("refs/stash")? {
            self.add_stash(&mut roots, id, "a stash")?;
        }
        roots.worktrees.sort();
        roots.worktrees.dedup();
        Ok(roots)
    }

    /// Returns a handle for every worktree that shares this repository's objects. A worktree may be returned more than
    /// once.
    fn all_worktrees(&self) -> Result<Vec<gix::Repository>> {
        let mut all = vec![self.git.clone()];
        all.extend(self.git.main_repo().ok());
        let linked = self.linked_worktrees()?;
        all.extend(linked.into_iter().filter_map(|linked| linked.into_repo_with_possibly_inaccessible_worktree().ok()));
        Ok(all)
    }

    /// Adds a worktree's `HEAD`, its staged files, and the commits of unfinished operations in it.
    fn add_worktree(
        &self,
        roots: &mut Roots,
        worktree: &gix::Repository,
        branch: &Branch,
        rule: FileRule<'_>,
    ) -> Result<()> {
        for name in UNFINISHED {
            if let Ok(Some(reference)) = worktree.try_find_reference(name)
                && let Some(id) = self.commit_at(reference, branch)?
            {
                roots.add_local(id, name);
            }
        }
        for file in AUTOSTASHES {
            let named = fs::read_to_string(worktree.git_dir().join(file)).unwrap_or_default();
            if let Ok(id) = ObjectId::from_hex(named.trim().as_bytes()) {
                self.add_stash(roots, id, "an autostash")?;
            }
        }
        if let Some(root) = worktree.workdir() {
            match root.is_dir() {
                true => roots.worktrees.push(root.to_owned()),
                false => roots.unreadable.push(format!("the worktree {}", root.display())),
            }
        }
        // The index does not exist before the first `git add`.
        if let Ok(Some(index)) = worktree.try_index() {
            for entry in index.entries() {
                let path = entry.path(&index).to_str_lossy();
                let folder = path.rsplit_once('/').map(|(folder, _)| format!("{folder}/")).unwrap_or_default();
                let has_beside = |name: &str| index.entry_by_path(format!("{folder}{name}").as_str().into()).is_some();
                // A symbolic link's target is a file of its own in the worktree.
                let is_file = matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE);
                if is_file && (rule.selects)(&path, &has_beside) {
                    roots.staged.insert((path.into_owned(), entry.id));
                }
            }
        }
        Ok(())
    }

    /// Adds a stash, which is a merge of the worktree's state with HEAD, the index and untracked files (git-stash(1)).
    fn add_stash(&self, roots: &mut Roots, id: ObjectId, name: &str) -> Result<()> {
        if !self.has(id) {
            return Ok(());
        }
        let parents = self.commit(id)?.parent_ids().map(gix::Id::detach).collect::<Vec<_>>();
        parents.into_iter().chain([id]).filter(|id| self.has(*id)).for_each(|id| roots.add_local(id, name));
        Ok(())
    }

    /// Returns the commit that a ref points to, or `None` if it points to another kind of object or to a mirror.
    fn commit_at(&self, mut reference: gix::Reference<'_>, branch: &Branch) -> Result<Option<ObjectId>> {
        let Ok(id) = reference.peel_to_id().map(gix::Id::detach) else { return Ok(None) };
        if reference.name() == branch.name.as_ref() || !self.is_commit(id) {
            return Ok(None);
        }
        // A mirror is recognised by the names in its tree alone, because the blobs may be missing from a partial clone.
        let tree = self.tree_at(id)?;
        let has = |name: &str| tree.find_entry(name).is_some();
        Ok((!(has(layout::MIRROR) && has(layout::MANIFEST))).then_some(id))
    }

    /// Returns the commits in the history of `tips` made at or after a point in time, in seconds since 1970. Also
    /// returns whether a shallow clone may lack more such commits.
    ///
    /// # Errors
    /// Fails if a commit cannot be read.
    pub fn commits_since(
        &self,
        tips: impl IntoIterator<Item = ObjectId>,
        seconds: i64,
    ) -> Result<(Vec<ObjectId>, bool)> {
        let shallow = self.shallow_commits()?;
        let mut next: Vec<ObjectId> = tips.into_iter().collect();
        let (mut seen, mut made) = (HashSet::<ObjectId>::from_iter(next.iter().copied()), Vec::new());
        let mut cut = false;
        while let Some(id) = next.pop() {
            let commit = self.commit(id)?;
            if commit.time().map_err(StoreError::damaged(format!("commit {id}")))?.seconds < seconds {
                continue;
            }
            made.push(id);
            cut |= shallow.contains(&id);
            if !shallow.contains(&id) {
                next.extend(commit.parent_ids().map(gix::Id::detach).filter(|parent| seen.insert(*parent)));
            }
        }
        Ok((made, cut))
    }

    /// Returns the commits that are in the history of `tips` but not in that of `others`.
    ///
    /// # Errors
    /// Fails if a commit cannot be read.
    pub fn commits_only_in(&self, tips: &BTreeSet<ObjectId>, others: &BTreeSet<ObjectId>) -> Result<Vec<ObjectId>> {
        let action = "list unpushed commits";
        let walk = self.git.rev_walk(tips.iter().copied()).with_hidden(others.iter().copied());
        let walk = walk.all().map_err(StoreError::git(action))?;
        walk.map(|commit| Ok(commit.map_err(StoreError::git(action))?.id)).collect()
    }

    /// Returns the files of a commit that a rule selects, with the ids of their contents. Folders in `seen` are
    /// skipped, because their files were returned before.
    ///
    /// # Errors
    /// Fails if a tree cannot be read.
    pub fn files_at(
        &self,
        commit: ObjectId,
        rule: FileRule<'_>,
        seen: &mut VisitedFolders,
    ) -> Result<Vec<(String, ObjectId)>> {
        let (mut files, mut folders) = (Vec::new(), vec![(String::new(), self.tree_at(commit)?.id)]);
        while let Some((folder, id)) = folders.pop() {
            if !seen.folders.insert((folder.clone(), id)) {
                continue;
            }
            let tree = self.git.find_tree(id).map_err(StoreError::damaged(format!("commit {commit}")))?;
            for entry in tree.iter().filter_map(Result::ok) {
                let name = entry.filename().to_str_lossy();
                let enters = entry.mode().is_tree() && (rule.enters)(&name);
                let path = if folder.is_empty() { name.into_owned() } else { format!("{folder}/{name}") };
                let selects = || (rule.selects)(&path, &|beside| tree.find_entry(beside).is_some());
                if enters {
                    folders.push((path, entry.object_id()));
                } else if entry.mode().is_link() && selects() {
                    seen.links.insert(path);
                } else if entry.mode().is_blob() && selects() {
                    files.push((path, entry.object_id()));
                }
            }
        }
        // A link's target may change even if the folder of the link does not.
        for path in &seen.links {
            files.extend(self.blob_at(commit, path)?.map(|blob| (path.clone(), blob)));
        }
        Ok(files)
    }

    /// Returns whether this clone fetches all branches of its remotes. A single-branch clone does not.
    pub fn knows_all_branches(&self) -> bool {
        self.git.remote_names().iter().all(|name| {
            let fetch = self.git.config_snapshot().string(format!("remote.{name}.fetch").as_str());
            fetch.is_none_or(|refspec| refspec.find(b"refs/heads/*").is_some())
        })
    }
}
