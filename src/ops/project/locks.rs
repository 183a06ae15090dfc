//! The locks of a project: in its worktree, and in its commits.

use std::collections::BTreeMap;

use super::Project;
use super::globs::{are_literal, glob_set, walk};
use super::lock_file::{LOCKS, LockFile, read_locks};
use super::worktree::{MAX_LOCK, read_tracked};
use crate::model::shortened;
use crate::ops::{OpError, Result};
use crate::plan::Wanted;
use crate::store::ObjectId;

/// The number of configured locks that an error names.
const NAMED: usize = 3;

impl Project {
    /// Returns the project's locks. If locks are configured, all of them must exist. Otherwise, these are the nearest
    /// `mix.lock` and `rebar.lock`, searched upward from the current directory to the worktree's root.
    ///
    /// # Errors
    /// Fails if there is no lock, a configured name or glob matches no file, or a lock cannot be read.
    pub fn locks(&self) -> Result<Vec<LockFile>> {
        let (locks, lacking) = self.found_locks()?;
        if locks.is_empty() || !lacking.is_empty() { Err(self.no_lock(&lacking)) } else { Ok(locks) }
    }

    /// Returns the project's locks that exist, for a checked-out commit that may be older than the settings.
    ///
    /// # Errors
    /// Fails if there is no lock, or one cannot be read.
    pub fn present_locks(&self) -> Result<Vec<LockFile>> {
        let (locks, lacking) = self.found_locks()?;
        if locks.is_empty() { Err(self.no_lock(&lacking)) } else { Ok(locks) }
    }

    fn no_lock(&self, lacking: &[String]) -> OpError {
        let wanted = if lacking.is_empty() { LOCKS.join(" or ") } else { named(lacking, " and no ") };
        let directory = self.repository.worktree().unwrap_or(self.repository.common_dir()).to_owned();
        OpError::NoLock { wanted, directory }
    }

    /// Returns the locks that exist, and the configured names and globs that match no file.
    fn found_locks(&self) -> Result<(Vec<LockFile>, Vec<String>)> {
        match &self.config.locks {
            Some(globs) => self.configured_locks(globs),
            None => Ok((self.nearest_locks()?, Vec::new())),
        }
    }

    /// Describes the setting that names the locks.
    pub(in crate::ops) fn locks_setting(&self) -> &'static str {
        if self.own.iter().any(|layer| layer.locks.is_some()) {
            "the setting locks"
        } else {
            "locks of .hexmirror.toml"
        }
    }

    /// Describes which locks are searched for.
    pub(in crate::ops) fn wanted_locks(&self) -> String {
        self.config.locks.as_ref().map_or_else(|| LOCKS.join(" or "), |globs| named(globs, " or "))
    }

    /// Returns the sorted paths of the locks in a commit: those configured, otherwise those in its root folder.
    /// Configured locks may be missing.
    ///
    /// # Errors
    /// Fails if the commit cannot be read.
    pub fn lock_paths_at(&self, commit: ObjectId) -> Result<Vec<String>> {
        let mut paths = match &self.config.locks {
            // Names without wildcards do not require a walk through the whole tree.
            Some(globs) if are_literal(globs) => globs.clone(),
            Some(globs) => {
                let set = glob_set(self.locks_setting(), globs, true)?;
                self.repository.paths_at(commit)?.into_iter().filter(|path| set.is_match(path)).collect()
            }
            None => LOCKS.map(str::to_owned).into(),
        };
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    /// Returns the locks of a commit. Reads the commit's trees but not the locks' contents.
    ///
    /// # Errors
    /// Fails if the commit cannot be read.
    pub fn locks_at(&self, commit: ObjectId) -> Result<Vec<LockFile>> {
        let mut locks = Vec::new();
        for file in self.lock_paths_at(commit)? {
            let blob = self.repository.blob_at(commit, &file)?;
            locks.extend(blob.map(|blob| LockFile::stored(file, blob)));
        }
        Ok(locks)
    }

    /// Returns the configured locks that exist, sorted, and the names and globs that match no file.
    pub(in crate::ops) fn configured_locks(&self, globs: &[String]) -> Result<(Vec<LockFile>, Vec<String>)> {
        let (mut locks, mut lacking) = (BTreeMap::new(), Vec::new());
        let literal = |glob: &String| are_literal(std::slice::from_ref(glob));
        // Names without wildcards do not require a walk through the whole worktree.
        let files: Vec<String> = match self.repository.worktree() {
            _ if are_literal(globs) => Vec::new(),
            Some(root) => walk(root).collect(),
            None => self.repository.head().map_or(Ok(Vec::new()), |head| self.repository.paths_at(head))?,
        };
        for glob in globs {
            let set = glob_set(self.locks_setting(), std::slice::from_ref(glob), true)?;
            let matching = || files.iter().filter(|file| set.is_match(file)).cloned().collect();
            let named: Vec<String> = if literal(glob) { vec![glob.clone()] } else { matching() };
            let mut found = false;
            for file in named {
                let lock = self.lock(file.clone())?;
                found |= lock.is_some();
                locks.extend(lock.map(|lock| (file, lock)));
            }
            if !found {
                lacking.push(glob.clone());
            }
        }
        Ok((locks.into_values().collect(), lacking))
    }

    fn nearest_locks(&self) -> Result<Vec<LockFile>> {
        let mut folder = self.folder();
        loop {
            let mut locks = Vec::new();
            for name in LOCKS {
                locks.extend(self.lock(folder.join(name).to_string_lossy().into_owned())?);
            }
            if !locks.is_empty() || !folder.pop() {
                return Ok(locks);
            }
        }
    }

    /// Returns a lock of the worktree, or of `HEAD` in a bare repository. `None` if it does not exist.
    pub(in crate::ops) fn lock(&self, file: String) -> Result<Option<LockFile>> {
        if self.repository.worktree().is_none() {
            let Some(head) = self.repository.head() else { return Ok(None) };
            return Ok(self.repository.blob_at(head, &file)?.map(|blob| LockFile::stored(file, blob)));
        }
        let Some(bytes) = read_tracked(&self.repository, &file, MAX_LOCK)? else { return Ok(None) };
        LockFile::read(file, bytes).map(Some)
    }

    /// Reads locks and collects what the mirror must contain for them.
    ///
    /// # Errors
    /// Fails if a lock is invalid.
    pub fn wanted(&self, locks: &[LockFile]) -> Result<Wanted> {
        let wanted = read_locks(&self.repository, locks)?.with_submodules_of(&self.config.submodules);
        Ok(if self.config.shallow { wanted } else { wanted.with_full_ancestries() })
    }
}

/// Names the first of some configured locks.
fn named(locks: &[String], separator: &str) -> String {
    let first: Vec<_> = locks.iter().take(NAMED).map(|lock| shortened(lock)).collect();
    let more = locks.len() - first.len();
    first.join(separator) + &if more > 0 { format!(" and {more} more") } else { String::new() }
}
