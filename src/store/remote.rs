//! What this clone knows about the mirror on remotes. Nothing here uses the network.

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::refs::transaction::PreviousValue;
use gix::refs::{FullName, Target};
use sha2::{Digest, Sha256};

use super::ref_update::RefUpdate;
use super::repository::set_committer;
use super::{Branch, Repository, Result, StoreError, layout};
use crate::model::{Remote, hex_digits};

/// The namespace for tracking refs of branches outside `refs/heads/`, and of remotes that are given by address. Git's
/// own tracking refs cannot represent either.
const OWN_TRACKING: &str = "refs/hexmirror-remotes";
/// The maximum number of a remote's branches that are compared with what is pushed.
const MAX_BRANCHES: usize = 64;

impl Repository {
    /// Returns the remote that git pushes to by default.
    pub fn default_remote(&self) -> Option<Remote> {
        let name = self.git.remote_default_name(gix::remote::Direction::Push)?;
        Some(name.to_str_lossy().into_owned().into())
    }

    /// Returns whether this is a partial clone, which lacks objects that a promisor remote has (git-clone(1),
    /// `--filter`).
    pub fn is_partial(&self) -> bool {
        let config = self.git.config_snapshot();
        // Git treats a remote with either setting as a promisor (`promisor_remote_config` in its promisor-remote.c).
        self.git.remote_names().iter().any(|name| {
            config.boolean(format!("remote.{name}.promisor").as_str()) == Some(true)
                || config.string(format!("remote.{name}.partialclonefilter").as_str()).is_some()
        })
    }

    /// Returns the full name of the tracking ref for a remote's copy of the branch. The remote is a name or an address.
    pub fn tracking_ref(&self, remote: &Remote, branch: &Branch) -> String {
        let (full, remote) = (branch.full_name(), remote.secret_text());
        let named = self.git.remote_names().iter().any(|name| name.as_bstr() == remote);
        match full.strip_prefix("refs/heads/") {
            Some(short) if named => format!("refs/remotes/{remote}/{short}"),
            _ => {
                let below = full.strip_prefix("refs/").unwrap_or(&full);
                let short = hex_digits(&Sha256::digest(remote)[..8]);
                let remote = if named { remote } else { &short };
                format!("{OWN_TRACKING}/{remote}/{below}")
            }
        }
    }

    /// Returns the commit that the tracking ref for a remote's copy of the branch points to. It is not looked up.
    ///
    /// # Errors
    /// Fails if the ref cannot be read.
    pub fn remote_tip(&self, remote: &Remote, branch: &Branch) -> Result<Option<ObjectId>> {
        self.ref_id(&self.tracking_ref(remote, branch))
    }

    /// Returns the remotes and the commits that the tracking refs for their copies of the branch point to, `origin`
    /// first.
    ///
    /// # Errors
    /// Fails if a ref cannot be read.
    pub fn remote_tips(&self, branch: &Branch) -> Result<Vec<(Remote, ObjectId)>> {
        let mut tips = Vec::new();
        for remote in self.remote_names() {
            if let Some(tip) = self.remote_tip(&remote, branch)? {
                tips.push((remote, tip));
            }
        }
        Ok(tips)
    }

    /// Returns the names of all remotes, `origin` first.
    pub fn remote_names(&self) -> Vec<Remote> {
        let names = self.git.remote_names();
        let mut names: Vec<Remote> = names.iter().map(|name| name.to_str_lossy().into_owned().into()).collect();
        names.sort_by_key(|name| name.secret_text() != "origin");
        names
    }

    /// Returns the commit of the mirror for readers: the tip of the local branch, or else of a remote's copy together
    /// with the remote's name.
    ///
    /// # Errors
    /// Fails if a ref cannot be read.
    pub fn mirror_tip(&self, branch: &Branch) -> Result<Option<(Option<Remote>, ObjectId)>> {
        if let Some(tip) = self.tip(branch)? {
            return Ok(Some((None, tip)));
        }
        let known = self.remote_tips(branch)?.into_iter().next();
        Ok(known.map(|(remote, tip)| (Some(remote), tip)))
    }

    /// Returns the error for a missing mirror.
    pub fn no_mirror(&self, branch: &Branch) -> StoreError {
        StoreError::NoMirror { branch: branch.to_string(), remote: self.default_remote() }
    }

    /// Updates the tracking ref for a remote's copy of the branch, or removes it if `tip` is `None`. `log` is the
    /// message in the reflog.
    ///
    /// # Errors
    /// Fails if the ref cannot be written.
    pub fn record_remote_tip(&self, remote: &Remote, branch: &Branch, tip: Option<ObjectId>, log: &str) -> Result<()> {
        let action = "record the tip of the remote's mirror";
        let name = FullName::try_from(self.tracking_ref(remote, branch)).map_err(StoreError::git(action))?;
        match tip {
            Some(commit) => {
                let update = RefUpdate { name: &name, commit, expected: PreviousValue::Any, log, action };
                self.move_tracking(&update)?;
            }
            None => {
                let mut git = self.git.clone();
                set_committer(&mut git)?;
                if let Some(reference) = git.try_find_reference(&name).map_err(StoreError::git(action))? {
                    reference.delete().map_err(StoreError::git(action))?;
                }
            }
        }
        Ok(())
    }

    /// Moves the branch from one commit to another, which is a descendant or belongs to a rewritten history.
    ///
    /// # Errors
    /// Fails with [`StoreError::Moved`] if the branch no longer points to `from`. Also fails if the branch is checked
    /// out.
    pub fn move_tip(&self, branch: &Branch, from: ObjectId, to: ObjectId, log: &str) -> Result<()> {
        self.refuse_checked_out(branch)?;
        let expected = PreviousValue::MustExistAndMatch(Target::Object(from));
        let update = RefUpdate { name: &branch.name, commit: to, expected, log, action: "move the mirror branch" };
        match self.move_branch(&update) {
            Err(error) => Err(self.not_moved(branch, Some(from), to, error)?),
            Ok(()) => Ok(()),
        }
    }

    /// Returns the tips of a remote's tracking branches, up to a limit.
    ///
    /// # Errors
    /// Fails if the refs cannot be read.
    pub fn branches_of(&self, remote: &Remote) -> Result<Vec<ObjectId>> {
        let action = "read the remote's mirror as last fetched";
        let platform = self.git.references().map_err(StoreError::git(action))?;
        let Ok(below) = platform.prefixed(format!("refs/remotes/{}/", remote.secret_text()).as_str()) else {
            return Ok(Vec::new());
        };
        let tips = below.filter_map(Result::ok).filter_map(|mut reference| reference.peel_to_id().ok());
        Ok(tips.map(gix::Id::detach).take(MAX_BRANCHES).collect())
    }

    /// Returns the commit that a revision names in git's syntax (`HEAD~3`, a branch, a tag, an abbreviated id, …), or
    /// `None` if it names none or is ambiguous.
    pub fn commit_named(&self, revision: &str) -> Option<ObjectId> {
        let id = self.git.rev_parse_single(revision).ok()?;
        id.object().ok()?.peel_to_commit().ok().map(|commit| commit.id)
    }

    /// Returns the commit that an object is, or that a tag points to, if its tree is that of a mirror. Reads no more than
    /// the commit and its root tree.
    pub fn mirror_commit(&self, id: ObjectId) -> Option<ObjectId> {
        let commit = self.git.find_object(id).ok()?.peel_to_commit().ok()?;
        let tree = commit.tree().ok()?;
        let mode = |name: &str| tree.find_entry(name).map(|entry| entry.mode());
        let has_manifest = mode(layout::MANIFEST).is_some_and(|mode| mode.is_blob() || mode.is_tree());
        (has_manifest && mode(layout::MIRROR).is_some_and(|mode| mode.is_blob())).then_some(commit.id)
    }

    /// Returns the commit that an object is, or that a tag points to.
    pub fn peeled_commit(&self, id: ObjectId) -> Option<ObjectId> {
        Some(self.git.find_object(id).ok()?.peel_to_commit().ok()?.id)
    }

    /// Returns whether an object is a commit, or a tag that points to one.
    pub fn is_commit(&self, id: ObjectId) -> bool {
        self.peeled_commit(id).is_some()
    }
}
