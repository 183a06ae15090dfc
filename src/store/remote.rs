//! What is known here of the mirror on remotes, and how it bears on the local branch. Asks no network.

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::refs::transaction::PreviousValue;
use gix::refs::{FullName, Target};
use sha2::{Digest, Sha256};

use super::ref_update::RefUpdate;
use super::repository::set_committer;
use super::{Branch, Repository, Result, StoreError};
use crate::model::Remote;

/// Where it is noted what remotes have of branches that are not below `refs/heads/`, and what addresses without a name
/// have: git's own tracking refs have no place for them.
const OWN_TRACKING: &str = "refs/hexmirror-remotes";
/// The most branches of a remote that are compared with what is pushed.
const MAX_BRANCHES: usize = 64;

impl Repository {
    /// Returns the remote that git would push to where none is named.
    pub fn default_remote(&self) -> Option<Remote> {
        let name = self.git.remote_default_name(gix::remote::Direction::Push)?;
        Some(name.to_str_lossy().into_owned().into())
    }

    /// Tells whether this is a partial clone, which lacks objects that a remote promises to have (git-clone(1), `--filter`).
    pub fn is_partial(&self) -> bool {
        let config = self.git.config_snapshot();
        // Either setting makes git take the remote for one that promises (`promisor_remote_config` in its promisor-remote.c).
        self.git.remote_names().iter().any(|name| {
            config.boolean(format!("remote.{name}.promisor").as_str()) == Some(true)
                || config.string(format!("remote.{name}.partialclonefilter").as_str()).is_some()
        })
    }

    /// Returns the full name of the ref that notes where a remote's copy of the branch was last seen. The remote is a name,
    /// or an address.
    pub fn tracking_ref(&self, remote: &Remote, branch: &Branch) -> String {
        let (full, remote) = (branch.full_name(), remote.secret_text());
        let named = self.git.remote_names().iter().any(|name| name.as_bstr() == remote);
        match full.strip_prefix("refs/heads/") {
            Some(short) if named => format!("refs/remotes/{remote}/{short}"),
            _ => {
                let below = full.strip_prefix("refs/").unwrap_or(&full);
                let digest = Sha256::digest(remote);
                let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
                let remote = if named { remote } else { &short };
                format!("{OWN_TRACKING}/{remote}/{below}")
            }
        }
    }

    /// Returns the commit that a remote's copy of the branch was last seen on.
    ///
    /// # Errors
    /// Fails where the ref cannot be read.
    pub fn remote_tip(&self, remote: &Remote, branch: &Branch) -> Result<Option<ObjectId>> {
        self.commit_of(&self.tracking_ref(remote, branch))
    }

    /// Returns the commits that remotes' copies of the branch were last seen on, with the remotes' names, `origin` first.
    ///
    /// # Errors
    /// Fails where a ref cannot be read.
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

    /// Returns where the mirror stands for whoever reads it: the local branch, else what a remote was last seen with, with the
    /// remote's name.
    ///
    /// # Errors
    /// Fails where a ref cannot be read.
    pub fn mirror_tip(&self, branch: &Branch) -> Result<Option<(Option<Remote>, ObjectId)>> {
        if let Some(tip) = self.tip(branch)? {
            return Ok(Some((None, tip)));
        }
        let known = self.remote_tips(branch)?.into_iter().next();
        Ok(known.map(|(remote, tip)| (Some(remote), tip)))
    }

    /// Returns the error that there is no mirror.
    pub fn no_mirror(&self, branch: &Branch) -> StoreError {
        StoreError::NoMirror { branch: branch.to_string(), remote: self.default_remote() }
    }

    /// Notes where a remote's copy of the branch stands, or that it has none; `log` is for the reflog.
    ///
    /// # Errors
    /// Fails where the ref cannot be written.
    pub fn note_remote(&self, remote: &Remote, branch: &Branch, tip: Option<ObjectId>, log: &str) -> Result<()> {
        let action = "note where the remote's mirror stands";
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

    /// Moves the branch from one commit to another: forward, or to one of a history that was rewritten.
    ///
    /// # Errors
    /// Fails with [`StoreError::Moved`] where it is not at `from` any more, and where it is checked out.
    pub fn forward(&self, branch: &Branch, from: ObjectId, to: ObjectId, log: &str) -> Result<()> {
        self.refuse_checked_out(branch)?;
        let expected = PreviousValue::MustExistAndMatch(Target::Object(from));
        let update = RefUpdate { name: &branch.name, commit: to, expected, log, action: "move the mirror branch" };
        match self.move_branch(&update) {
            Err(error) => Err(self.not_moved(branch, Some(from), to, error)?),
            Ok(()) => Ok(()),
        }
    }

    /// Returns the commits that branches of a remote were last seen on; of very many the first.
    ///
    /// # Errors
    /// Fails where the refs cannot be read.
    pub fn branches_of(&self, remote: &Remote) -> Result<Vec<ObjectId>> {
        let action = "read what the remote was last seen with";
        let platform = self.git.references().map_err(StoreError::git(action))?;
        let Ok(below) = platform.prefixed(format!("refs/remotes/{}/", remote.secret_text()).as_str()) else {
            return Ok(Vec::new());
        };
        let tips = below.filter_map(Result::ok).filter_map(|mut reference| reference.peel_to_id().ok());
        Ok(tips.map(gix::Id::detach).take(MAX_BRANCHES).collect())
    }

    /// Returns the commit that a revision names as git has it (`HEAD~3`, a branch, a tag, the beginning of an id, …), or `None`
    /// where there is none, or more than one.
    pub fn commit_named(&self, revision: &str) -> Option<ObjectId> {
        let id = self.git.rev_parse_single(revision).ok()?;
        id.object().ok()?.peel_to_commit().ok().map(|commit| commit.id)
    }

    /// Tells whether an object is a commit, or a tag of one.
    pub fn is_commit(&self, id: ObjectId) -> bool {
        self.git.find_object(id).is_ok_and(|object| object.peel_to_commit().is_ok())
    }
}
