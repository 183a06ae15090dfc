//! Updates a ref such that a machine crash leaves either the old or the new value, never an empty file.
//!
//! gix writes the new value to `REF.lock` and renames that file. A file system may make the rename durable before the
//! content (ext4 with delayed allocation, XFS). Therefore the lock file is synced before the rename, and its folder
//! afterwards.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gix::ObjectId;
use gix::lock::acquire::Fail;
use gix::refs::FullName;
use gix::refs::transaction::{PreviousValue, RefEdit};

use super::files::{Component, Files};
use super::ref_marker::RefMarker;
use super::repository::{set_committer, set_logging};
use super::{Branch, Repository, Result, StoreError};

/// An update of a ref.
pub(super) struct RefUpdate<'a> {
    /// The ref.
    pub name: &'a FullName,
    /// The new commit.
    pub commit: ObjectId,
    /// The condition on the old value.
    pub expected: PreviousValue,
    /// The message in the reflog, without the name of this program.
    pub log: &'a str,
    /// What is attempted, as a verb phrase, for error messages.
    pub action: &'static str,
}

impl Repository {
    /// Creates the branch at a commit.
    ///
    /// # Errors
    /// Fails if the branch already exists or cannot be written.
    pub fn create(&self, branch: &Branch, commit: ObjectId, log: &str) -> Result<()> {
        self.refuse_in_the_way(branch)?;
        let expected = PreviousValue::MustNotExist;
        self.move_branch(&RefUpdate { name: &branch.name, commit, expected, log, action: "create the mirror branch" })
    }

    /// Updates the mirror branch. The update is always recorded in the reflog, so that it can be undone. By default,
    /// git keeps no reflog in bare repositories or for refs that are not branches.
    pub(super) fn move_branch(&self, update: &RefUpdate<'_>) -> Result<()> {
        let mut git = self.git.clone();
        set_logging(&mut git)?;
        self.carry_out(&git, update, |_| Ok(()))
    }

    /// Updates the mirror branch whatever its old value, if `still` succeeds after the ref is locked.
    pub(super) fn replace_branch(&self, update: &RefUpdate<'_>, still: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let mut git = self.git.clone();
        set_logging(&mut git)?;
        self.carry_out(&git, update, still)
    }

    /// Updates the tracking ref of a remote's mirror.
    pub(super) fn move_tracking(&self, update: &RefUpdate<'_>) -> Result<()> {
        let mut git = self.git.clone();
        set_committer(&mut git)?;
        // Git has often updated the ref already, but without syncing it.
        if self.ref_target(update.name)? == Some(update.commit) {
            let name = update.name.as_bstr().to_string();
            let (files, path) = (self.files()?, self.common_dir().join(&name));
            files.sync(Component::Reference, &path)?;
            return self.finish(&files, &path, &self.common_dir().join("logs").join(&name));
        }
        self.carry_out(&git, update, |_| Ok(()))
    }

    /// Returns [`StoreError::Moved`] if the mirror branch points neither to the commit before an update nor to the one
    /// after it. Otherwise returns the update's own error.
    pub(super) fn not_moved(
        &self,
        branch: &Branch,
        before: Option<ObjectId>,
        to: ObjectId,
        error: StoreError,
    ) -> Result<StoreError> {
        let tip = self.tip(branch)?;
        let is_known = tip == before || tip == Some(to);
        Ok(if is_known { error } else { StoreError::Moved { branch: branch.to_string() } })
    }

    fn carry_out(
        &self,
        git: &gix::Repository,
        update: &RefUpdate<'_>,
        still: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let RefUpdate { name, commit, expected, log, action } = update;
        let (files, name_text) = (self.files()?, name.as_bstr().to_string());
        let path = self.common_dir().join(&name_text);
        let failed = || StoreError::git_file(action, &path);
        let reflog = self.common_dir().join("logs").join(&name_text);
        let _marker = RefMarker::set(self, &name_text, *commit);
        files.create_dir_all(folder_of(&path))?;
        let edit = RefEdit::update((*name).clone(), *commit, expected.clone(), format!("hexmirror: {log}"));
        let committer = git.committer().transpose().map_err(failed())?;
        let [loose, packed] = self.lock_timeouts();
        let prepared = git.refs.transaction().prepare([edit], loose, packed).map_err(failed())?;
        still(&path)?;
        let lock = with_suffix(&path, ".lock");
        files.share(&lock)?;
        files.sync(Component::Reference, &lock)?;
        prepared.commit(committer).map_err(failed())?;
        self.finish(&files, &path, &reflog)
    }

    /// Sets the permissions of the files of an update and syncs them.
    fn finish(&self, files: &Files, path: &Path, reflog: &Path) -> Result<()> {
        let logs = self.common_dir().join("logs");
        let new = reflog.ancestors().take_while(|path| path.starts_with(&logs));
        new.into_iter().try_for_each(|path| files.share(path))?;
        if reflog.is_file() {
            // A lost ref is recovered from its reflog.
            files.sync(Component::Reference, reflog)?;
            files.sync_folder(Component::Reference, folder_of(reflog))?;
        }
        files.sync_folders(Component::Reference, folder_of(path), self.common_dir())
    }

    /// Returns how long to wait for the locks of a ref and of packed-refs (`core.filesRefLockTimeout`,
    /// `core.packedRefsTimeout`).
    fn lock_timeouts(&self) -> [Fail; 2] {
        let config = self.git.config_snapshot();
        [("core.filesRefLockTimeout", 100), ("core.packedRefsTimeout", 1000)].map(|(key, default)| {
            let milliseconds = config.integer(key).unwrap_or(default);
            // A negative number means no timeout.
            u64::try_from(milliseconds).map_or(Duration::MAX, Duration::from_millis).into()
        })
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}
