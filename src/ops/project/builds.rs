//! The files beside a lock of rebar3 that ask for plugins and are not read.

use std::collections::{BTreeMap, BTreeSet};

use super::lock_file::LockFile;
use super::locks::{REBAR_LOCK, apps};
use super::worktree::{MAX_SETTINGS, read_tracked};
use crate::lock::own_lock_beside;
use crate::ops::plugins::config::REBAR_CONFIG;
use crate::ops::{OpError, Project, Result};

impl Project {
    /// Returns each rebar.config of a project of rebar3 in the worktree that may ask for plugins and is not read, with the reason:
    /// what the checked-out commit has and the worktree has not, and what is refused. `own` is the path of the project's
    /// hexmirror.lock.
    ///
    /// # Errors
    /// Fails if a file or the commit cannot be read.
    pub(in crate::ops) fn unread_builds(
        &self,
        locks: &[LockFile],
        own: &str,
    ) -> Result<BTreeMap<String, &'static str>> {
        let mut unread = BTreeMap::new();
        let head = self.repository.head()?;
        for (lock, build) in locks.iter().filter_map(|lock| Some((lock, lock.build.as_ref()?))) {
            if own_lock_beside(&lock.file) != own {
                continue;
            }
            let folder = lock.file.strip_suffix(REBAR_LOCK).unwrap_or_default();
            let mut files = BTreeSet::from([format!("{folder}{REBAR_CONFIG}")]);
            let folders = |parent: &str| {
                let committed = head.map_or(Ok(Vec::new()), |head| self.repository.folders_at(head, parent))?;
                Ok(committed.into_iter().chain(self.folders_in_worktree(parent)).collect())
            };
            let apps = apps(folder, build.clone().app_folders(folder), folders)?;
            files.extend(apps.into_iter().map(|app| format!("{app}/{REBAR_CONFIG}")));
            for file in files {
                let is_committed =
                    || head.map_or(Ok(false), |head| Ok::<_, OpError>(self.repository.blob_at(head, &file)?.is_some()));
                let reason = match read_tracked(&self.repository, &file, MAX_SETTINGS) {
                    Err(OpError::Refused { .. }) => "is no regular file of an ordinary size in the worktree",
                    Ok(None) if is_committed()? => "is not in the worktree",
                    read => {
                        read?;
                        continue;
                    }
                };
                unread.insert(file, reason);
            }
        }
        Ok(unread)
    }
}
