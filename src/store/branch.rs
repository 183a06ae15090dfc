//! The mirror branch's ref: which names it may have, and which other refs conflict with it.

use std::path::Path;

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::refs::FullName;

use super::{Repository, Result, StoreError};
use crate::model::Remote;

/// The first components of ref names that git reserves, or that other tools give a meaning (gitrepository-layout(5),
/// git-bisect(1), git-notes(1), git-replace(1), git-rebase(1), git-maintenance(1)). The last one is this program's own.
const RESERVED: [&str; 11] = [
    "tags",
    "remotes",
    "notes",
    "replace",
    "bisect",
    "stash",
    "worktree",
    "rewritten",
    "original",
    "prefetch",
    "hexmirror-remotes",
];
/// The names, besides `HEAD` and `…_HEAD`, that git resolves as a root ref before it looks for a branch
/// (gitglossary(7), pseudoref; refs.c, `is_root_ref`).
const PSEUDO: [&str; 6] = ["HEAD", "@", "AUTO_MERGE", "BISECT_EXPECTED_REV", "NOTES_MERGE_PARTIAL", "NOTES_MERGE_REF"];

/// The mirror branch's ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    pub(super) name: FullName,
}

impl Branch {
    /// Returns the full name of the ref, such as `refs/heads/hexmirror`.
    pub fn full_name(&self) -> String {
        self.name.as_bstr().to_string()
    }
}

impl std::fmt::Display for Branch {
    /// Shows the name as users write it: without `refs/heads/`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(short(&self.full_name()))
    }
}

impl Repository {
    /// Returns the mirror branch for a name, which is short (`hexmirror`) or a full ref (`refs/hexmirror/main`).
    ///
    /// # Errors
    /// Fails if git does not accept the name or reserves it.
    pub fn branch(&self, name: &str) -> Result<Branch> {
        let error = |problem| StoreError::BranchName { branch: name.to_owned(), problem };
        let full = if name.starts_with("refs/") { name.to_owned() } else { format!("refs/heads/{name}") };
        if is_reserved(&full) {
            return Err(error("git reserves that name"));
        }
        let valid = !name.starts_with('-') && !name.is_empty();
        let full = FullName::try_from(full).ok().filter(|_| valid);
        Ok(Branch { name: full.ok_or_else(|| error("git does not accept it"))? })
    }

    /// Returns the tracking ref for a remote's copy of the branch, as a branch of its own.
    ///
    /// # Errors
    /// Fails if the remote's name cannot be part of a ref name.
    pub fn tracking_branch(&self, remote: &Remote, branch: &Branch) -> Result<Branch> {
        let name = FullName::try_from(self.tracking_ref(remote, branch));
        Ok(Branch { name: name.map_err(StoreError::git("name the remote's mirror"))? })
    }

    /// Returns the commit that a branch points to, or `None` if the branch does not exist.
    ///
    /// # Errors
    /// Fails if the ref cannot be read or does not contain a commit id.
    pub fn tip(&self, branch: &Branch) -> Result<Option<ObjectId>> {
        let action = "read the mirror branch's ref";
        // gix reads the first 40 digits of a file and ignores trailing bytes. Git does not ignore them.
        if let Some(broken) = self.broken_ref(&branch.name) {
            return Err(broken);
        }
        let found = self.git.try_find_reference(branch.name.as_ref());
        let broken = || self.broken_packed_refs();
        let reference = found.map_err(|error| broken().unwrap_or_else(|| StoreError::git(action)(error)))?;
        // The commit itself may be missing. Opening the snapshot detects that.
        let id = reference.map(|mut reference| reference.follow_to_object().map(gix::Id::detach));
        id.transpose().map_err(StoreError::git(action))
    }

    /// Fails if the branch is checked out in any worktree, because updating it would make the worktree look modified.
    pub(super) fn refuse_checked_out(&self, branch: &Branch) -> Result<()> {
        let stands_on = |git: &gix::Repository| git.head_name().ok().flatten().as_ref() == Some(&branch.name);
        let error = |worktree: &Path| StoreError::CheckedOut { branch: branch.to_string(), worktree: worktree.into() };
        if let Some(worktree) = self.git.workdir().filter(|_| stands_on(&self.git)) {
            return Err(error(worktree));
        }
        for worktree in self.linked_worktrees()? {
            let Ok(base) = worktree.base() else { continue };
            if worktree.into_repo().is_ok_and(|git| stands_on(&git)) {
                return Err(error(&base));
            }
        }
        Ok(())
    }

    /// Fails if another ref's name is a folder of this branch's name, or the other way round. Git stores refs as files,
    /// and enforces the restriction even for backends that do not need it.
    pub(super) fn refuse_in_the_way(&self, branch: &Branch) -> Result<()> {
        let full = branch.full_name();
        let in_the_way =
            |other: &str| StoreError::InTheWay { branch: branch.to_string(), other: short(other).to_owned() };
        let folders =
            full.match_indices('/').map(|(end, _)| &full[..end]).filter(|folder| folder.matches('/').count() > 1);
        for folder in folders {
            if self.commit_of(folder).is_ok_and(|commit| commit.is_some()) {
                return Err(in_the_way(folder));
            }
        }
        let action = "look for refs in the way";
        let refs = self.git.references().map_err(StoreError::git(action))?;
        let mut below = refs.prefixed(format!("{full}/").as_str()).map_err(StoreError::git(action))?;
        match below.find_map(Result::ok) {
            Some(other) => Err(in_the_way(&other.name().as_bstr().to_str_lossy())),
            None => Ok(()),
        }
    }
}

/// Returns whether git or this program gives a full ref name another meaning.
fn is_reserved(full: &str) -> bool {
    match full.strip_prefix("refs/heads/") {
        Some(short) => PSEUDO.contains(&short) || (short.ends_with("_HEAD") && !short.contains(char::is_lowercase)),
        None => full.split('/').nth(1).is_some_and(|first| first == "heads" || RESERVED.contains(&first)),
    }
}

fn short(full: &str) -> &str {
    full.strip_prefix("refs/heads/").unwrap_or(full)
}

#[cfg(test)]
mod tests {
    use super::is_reserved;

    #[test]
    fn reserved_names_are_recognised() {
        for name in ["refs/heads/HEAD", "refs/heads/@", "refs/heads/FETCH_HEAD", "refs/heads/AUTO_MERGE", "refs/heads"]
        {
            assert!(is_reserved(name), "{name}");
        }
        for name in
            ["refs/stash", "refs/tags/v1", "refs/remotes/origin/x", "refs/notes/commits", "refs/hexmirror-remotes/a"]
        {
            assert!(is_reserved(name), "{name}");
        }
        for name in
            ["refs/heads/hexmirror", "refs/heads/tags/x", "refs/heads/my_HEAD", "refs/hexmirror/main", "refs/heads/a@b"]
        {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
