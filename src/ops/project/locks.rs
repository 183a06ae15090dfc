//! The locks in force: those that every command and hook acts on. [`LockRule`] decides which files these are.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::Project;
use super::asset_configs::{configs_in, is_config};
use super::found::Found;
use super::globs::{are_literal, glob_set, walk};
use super::lock_file::{LockFile, read_locks};
use super::lock_stats::LockStats;
use super::policies::{mix_exs_beside, policy_in_commit, policy_in_worktree};
use super::worktree::{MAX_LOCK, MAX_SETTINGS, read_committed, read_tracked};
use crate::config::ConfigError;
use crate::lock::{AppFolders, own_lock_beside};
use crate::model::shortened;
use crate::ops::plugins::config::{BuildConfig, MIX_EXS};
use crate::ops::{OpError, Result, own_file};
use crate::plan::{LeftOutLock, LockRule, LockVerdict, Omission, Wanted, default_locks, default_locks_listed};
use crate::store::{FileRule, ObjectId};

/// The lock of rebar3.
pub(super) const REBAR_LOCK: &str = "rebar.lock";
/// The maximum number of locks in force.
pub(in crate::ops) const MAX_LOCKS: usize = 10_000;
/// The file beside the repository with the remembered ids of locks in the worktree.
const STATS: &str = "worktree-locks";
/// The number of locks from which on their ids are remembered. Hashing fewer costs less, unless one of them is large.
const MANY: usize = 8;
/// The size in bytes from which on a lock is large.
const LARGE: u64 = 128 << 10;
/// The number of configured locks that an error names.
const NAMED: usize = 3;

/// The maximum number of applications of a project that consists of several.
const MAX_APPS: usize = 1000;

impl Project {
    /// Returns the locks in force. Configured locks must all exist. Otherwise, these are the tracked locks beside a
    /// project file, and the untracked ones of the project that the current directory belongs to. The worktree has
    /// their content; `HEAD` says which ones are tracked.
    ///
    /// # Errors
    /// Fails if there is no lock, a configured name or glob matches no file, or a lock cannot be read.
    pub fn locks(&self) -> Result<Vec<LockFile>> {
        let Found { locks, lacking } = self.found_locks()?;
        if locks.is_empty() || !lacking.is_empty() { Err(self.no_lock(&lacking)?) } else { Ok(locks) }
    }

    /// Returns the locks in force that exist, for a checked-out commit that may be older than the settings.
    ///
    /// # Errors
    /// Fails if there is no lock, or one cannot be read.
    pub fn present_locks(&self) -> Result<Vec<LockFile>> {
        let Found { locks, lacking } = self.found_locks()?;
        if locks.is_empty() { Err(self.no_lock(&lacking)?) } else { Ok(locks) }
    }

    /// Returns the locks of a commit that would be in force if it were checked out, sorted by path. Reads trees, but not
    /// the locks' contents.
    ///
    /// # Errors
    /// Fails if the commit cannot be read, or if it has too many locks.
    pub fn locks_at(&self, commit: ObjectId) -> Result<Vec<LockFile>> {
        let mut locks = BTreeMap::new();
        for file in self.literal_locks() {
            let lock = self.repository.blob_at(commit, file)?.map(|blob| LockFile::stored(file.clone(), blob));
            let lock = lock.map(|lock| self.with_policy_at(commit, lock)).transpose()?;
            let lock = lock.map(|lock| self.with_configs_at(commit, lock)).transpose()?;
            locks.extend(lock.map(|lock| (file.clone(), lock)));
        }
        // Names without wildcards do not require a search.
        if self.config.locks.as_deref().is_none_or(|globs| !are_literal(globs)) {
            let found = self.tree_locks(commit)?;
            let files = &found.files;
            for (file, of_tree) in files {
                let blob = if of_tree.is_link { self.repository.blob_at(commit, file)? } else { Some(of_tree.blob) };
                let Some(blob) = blob.filter(|_| !is_beside_locks(file)) else { continue };
                let lock = LockFile::stored(file.clone(), blob);
                // Those that name no policy are not among the files.
                let has_policy = mix_exs_beside(file).is_some_and(|mix_exs| files.contains_key(&mix_exs));
                let lock =
                    if has_policy || file.ends_with(REBAR_LOCK) { self.with_policy_at(commit, lock)? } else { lock };
                locks.insert(file.clone(), lock.with_configs(configs_in(file, &found)));
            }
        }
        Ok(locks.into_values().collect())
    }

    /// Reads the policy that the mix.exs beside a lock names in a commit.
    fn with_policy_at(&self, commit: ObjectId, lock: LockFile) -> Result<LockFile> {
        let read = |file: &str| {
            let blob = self.repository.blob_at(commit, file)?;
            blob.map(|blob| read_committed(&self.repository, blob, file, MAX_SETTINGS)).transpose()
        };
        let lock = self.with_build(lock, read, |folder| Ok(self.repository.folders_at(commit, folder)?))?;
        let Some(mix_exs) = mix_exs_beside(&lock.file) else { return Ok(lock) };
        let Some(blob) = self.repository.blob_at(commit, &mix_exs)? else { return Ok(lock) };
        Ok(lock.with_policy(policy_in_commit(&self.repository, blob, &mix_exs)?))
    }

    /// Reads the policy that the mix.exs beside a lock names in the worktree. That it names none is remembered.
    fn with_policy(&self, lock: LockFile, stats: Option<&mut LockStats>) -> Result<LockFile> {
        let read = |file: &str| read_tracked(&self.repository, file, MAX_SETTINGS);
        let lock = self.with_build(lock, read, |folder| Ok(self.folders_in_worktree(folder)))?;
        let Some(mix_exs) = mix_exs_beside(&lock.file) else { return Ok(lock) };
        if stats.as_ref().is_some_and(|stats| stats.get(&mix_exs).is_some()) {
            return Ok(lock);
        }
        let since = SystemTime::now();
        let policy = policy_in_worktree(&self.repository, &mix_exs)?;
        if let (Some(stats), None) = (stats, &policy) {
            stats.add(&mix_exs, ObjectId::null(lock.blob.kind()), since);
        }
        Ok(lock.with_policy(policy))
    }

    /// Reads what the files beside a lock of rebar3 say about plugins. A file that is refused says nothing.
    fn with_build(
        &self,
        lock: LockFile,
        read: impl Fn(&str) -> Result<Option<Vec<u8>>>,
        folders: impl Fn(&str) -> Result<Vec<String>>,
    ) -> Result<LockFile> {
        let folder = lock.file.strip_suffix(REBAR_LOCK).filter(|folder| folder.is_empty() || folder.ends_with('/'));
        let Some(folder) = folder.map(str::to_owned) else { return Ok(lock) };
        let read_in = |folder: &str| {
            BuildConfig::read(folder, |name| match read(&format!("{folder}{name}")) {
                Err(OpError::Refused { .. }) => Ok(None),
                read => read,
            })
        };
        let mut build = read_in(&folder)?;
        let of_project = build.app_folders(&folder);
        for app in apps(&folder, of_project, folders)? {
            build.add_app(read_in(&format!("{app}/"))?);
        }
        Ok(lock.with_build(build))
    }

    /// Returns the names of the folders in a folder of the worktree, sorted. Links are left out.
    pub(super) fn folders_in_worktree(&self, folder: &str) -> Vec<String> {
        let Some(root) = self.repository.worktree() else { return Vec::new() };
        let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let mut names: Vec<String> = folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Adds the hexmirror.lock beside each lock: it pins what the other lock does not, wherever that one is named.
    fn add_hexmirror_locks(&self, locks: &mut Vec<LockFile>) -> Result<()> {
        let files: BTreeSet<String> = locks.iter().map(|lock| own_lock_beside(&lock.file)).collect();
        for file in files {
            if !locks.iter().any(|lock| lock.file == file) {
                locks.extend(self.lock(file)?);
            }
        }
        locks.sort_by(|one, other| one.file.cmp(&other.file));
        Ok(())
    }

    /// Returns the tracked files, and those of the current project, that look like locks but are not in force. Searches
    /// the whole tree.
    ///
    /// # Errors
    /// Fails if `HEAD` cannot be read.
    pub fn left_out_locks(&self) -> Result<Vec<LeftOutLock>> {
        let (rule, left_out) = (self.lock_rule()?, RefCell::new(BTreeMap::new()));
        let note = |path: &str, beside: &dyn Fn(&str) -> bool| {
            let reason = match rule.judge(path, beside) {
                LockVerdict::LeftOut(reason) => Some(reason),
                LockVerdict::InForce => self.is_dangling(path).then_some(Omission::Dangling),
                LockVerdict::NoLock => None,
            };
            left_out.borrow_mut().extend(reason.map(|reason| (path.to_owned(), reason)));
            false
        };
        if let Some(head) = self.tracked_commit()? {
            self.repository.tree_files(head, FileRule { enters: &|_| true, selects: &note }, None)?;
        }
        let folder = self.folder();
        for name in default_locks() {
            let path = folder.join(name).to_string_lossy().into_owned();
            if self.exists(&path) {
                note(&path, &|name| self.exists(&folder.join(name).to_string_lossy()));
            }
        }
        Ok(left_out.into_inner().into_iter().map(|(file, reason)| LeftOutLock { file, reason }).collect())
    }

    /// Returns the rule that decides which files are locks in force.
    ///
    /// # Errors
    /// Fails if a configured glob is invalid.
    pub(in crate::ops) fn lock_rule(&self) -> Result<LockRule> {
        Ok(match &self.config.locks {
            Some(globs) => LockRule::configured(glob_set(self.locks_setting(), globs, true)?),
            None => LockRule::default(),
        })
    }

    fn no_lock(&self, lacking: &[String]) -> Result<OpError> {
        let wanted = if lacking.is_empty() { default_locks_listed() } else { named(lacking, " and no ") };
        let directory = self.repository.worktree().unwrap_or(self.repository.common_dir()).to_owned();
        let left_out = if lacking.is_empty() { self.left_out_locks()? } else { Vec::new() };
        Ok(OpError::NoLock { wanted, directory, left_out })
    }

    fn found_locks(&self) -> Result<Found> {
        let Some(moment) = &self.moment else { return self.find_locks() };
        match moment.get() {
            Some(found) => Ok(found.clone()),
            None => self.find_locks().map(|found| moment.get_or_init(|| found).clone()),
        }
    }

    fn find_locks(&self) -> Result<Found> {
        let mut found = match &self.config.locks {
            Some(globs) => self.configured_locks(globs)?,
            None => Found { locks: self.default_locks()?, lacking: Vec::new() },
        };
        self.add_hexmirror_locks(&mut found.locks)?;
        if found.locks.len() > MAX_LOCKS { Err(OpError::TooManyLocks { limit: MAX_LOCKS }) } else { Ok(found) }
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
        self.config.locks.as_ref().map_or_else(default_locks_listed, |globs| named(globs, " or "))
    }

    /// Returns the configured locks that exist, sorted, and the names and globs that match no file.
    fn configured_locks(&self, globs: &[String]) -> Result<Found> {
        let (mut locks, mut lacking) = (BTreeMap::new(), Vec::new());
        let literal = |glob: &String| are_literal(std::slice::from_ref(glob));
        let paths_at = |head| self.repository.paths_at(head);
        // Names without wildcards do not require a walk through the whole worktree.
        let files: BTreeSet<String> = match self.repository.worktree() {
            _ if are_literal(globs) => BTreeSet::new(),
            Some(root) => walk(root).chain(self.sparse_commit()?.map_or(Ok(Vec::new()), paths_at)?).collect(),
            None => self.repository.head()?.map_or(Ok(Vec::new()), paths_at)?.into_iter().collect(),
        };
        for glob in globs {
            let set = glob_set(self.locks_setting(), std::slice::from_ref(glob), true)?;
            let matching = || files.iter().filter(|file| set.is_match(file)).cloned().collect();
            let named: Vec<String> = if literal(glob) { vec![glob.clone()] } else { matching() };
            let mut found = false;
            for file in named {
                let lock = self.lock(file.clone())?;
                let lock = lock.map_or_else(|| self.sparse_lock(&file), |lock| Ok(Some(lock)))?;
                found |= lock.is_some();
                locks.extend(lock.map(|lock| (file, lock)));
            }
            if !found {
                lacking.push(glob.clone());
            }
        }
        Ok(Found { locks: locks.into_values().collect(), lacking })
    }

    /// Returns the commit of a sparse checkout. Its files that are not checked out count as they are in the commit.
    fn sparse_commit(&self) -> Result<Option<ObjectId>> {
        let is_sparse = self.repository.worktree().is_some() && self.repository.is_sparse();
        Ok(self.repository.head()?.filter(|_| is_sparse))
    }

    /// Returns a lock that a sparse checkout does not have.
    fn sparse_lock(&self, file: &str) -> Result<Option<LockFile>> {
        let Some(head) = self.sparse_commit()? else { return Ok(None) };
        let Some(blob) = self.repository.blob_at(head, file)? else { return Ok(None) };
        let lock = self.with_policy_at(head, LockFile::stored(file.to_owned(), blob))?;
        self.with_configs_at(head, lock).map(Some)
    }

    /// Returns the locks in force if none are configured.
    fn default_locks(&self) -> Result<Vec<LockFile>> {
        let Some(root) = self.repository.worktree() else {
            return self.repository.head()?.map_or(Ok(Vec::new()), |head| self.locks_at(head));
        };
        let head = self.tracked_commit()?;
        let mut locks = BTreeMap::new();
        let tracked = head.map_or(Ok(Vec::new()), |head| self.locks_at(head))?;
        let saved = self.repository.own_dir().join(STATS);
        let is_large = |lock: &LockFile| root.join(&lock.file).metadata().is_ok_and(|found| found.len() >= LARGE);
        let is_worth_it = tracked.len() >= MANY || tracked.iter().any(is_large);
        let mut stats = is_worth_it.then(|| LockStats::load(&saved, root));
        for tracked in tracked {
            let present = self.lock_in_worktree(&tracked.file, stats.as_mut())?;
            // A sparse checkout does not have all files. They count as they are in the commit.
            let absent = || self.repository.is_sparse().then_some(tracked);
            locks.extend(present.or_else(absent).map(|lock| (lock.file.clone(), lock)));
        }
        if let Some(stats) = stats.filter(|stats| stats.is_changed) {
            own_file::write(&self.repository, STATS, &stats.text());
        }
        let is_mirror = head.is_none() && self.repository.head()?.is_some();
        let folder = self.folder();
        if let (false, Some(folder)) = (is_mirror, folder.to_str()) {
            for file in LockRule::default().locks_around(folder, &|path| root.join(path).symlink_metadata().is_ok()) {
                if !locks.contains_key(&file) {
                    locks.extend(self.lock(file.clone())?.map(|lock| (file, lock)));
                }
            }
        }
        Ok(locks.into_values().collect())
    }

    /// Returns a lock of the worktree, which is not read if its id is remembered. `None` if it does not exist.
    fn lock_in_worktree(&self, file: &str, stats: Option<&mut LockStats>) -> Result<Option<LockFile>> {
        let Some(stats) = stats else { return self.lock(file.to_owned()) };
        if let Some(blob) = stats.get(file) {
            let lock = self.with_policy(LockFile::in_worktree(file.to_owned(), blob), Some(stats))?;
            return self.with_configs(lock, Some(stats)).map(Some);
        }
        let since = SystemTime::now();
        let Some(lock) = self.read_lock(file.to_owned())? else { return Ok(None) };
        stats.add(file, lock.blob, since);
        let lock = self.with_policy(lock, Some(stats))?;
        self.with_configs(lock, Some(stats)).map(Some)
    }

    /// Returns the commit whose files are tracked. `None` before the first commit, and if the mirror itself is checked
    /// out: it contains the locks of packages.
    fn tracked_commit(&self) -> Result<Option<ObjectId>> {
        let is_project =
            |head: &ObjectId| self.is_known_commit(*head) || self.repository.mirror_commit(*head).is_none();
        Ok(self.repository.head()?.filter(is_project))
    }

    fn exists(&self, path: &str) -> bool {
        self.repository.worktree().is_some_and(|root| root.join(path).symlink_metadata().is_ok())
    }

    fn is_dangling(&self, path: &str) -> bool {
        let target = |root: &Path| root.join(path).metadata();
        let missing = |root: &Path| target(root).is_err_and(|error| error.kind() == ErrorKind::NotFound);
        self.exists(path) && self.repository.worktree().is_some_and(missing)
    }

    fn literal_locks(&self) -> impl Iterator<Item = &String> {
        let configured = self.config.locks.iter().flatten();
        configured.filter(|name| are_literal(std::slice::from_ref(*name)))
    }

    /// Returns a lock of the worktree, or of `HEAD` in a bare repository. `None` if it does not exist.
    pub(in crate::ops) fn lock(&self, file: String) -> Result<Option<LockFile>> {
        self.read_lock(file)?
            .map(|lock| self.with_policy(lock, None))
            .transpose()?
            .map(|lock| self.with_configs(lock, None))
            .transpose()
    }

    /// Returns a lock as [`Self::lock`] does, without its policy.
    fn read_lock(&self, file: String) -> Result<Option<LockFile>> {
        if self.repository.worktree().is_none() {
            let Some(head) = self.repository.head()? else { return Ok(None) };
            return Ok(self.repository.blob_at(head, &file)?.map(|blob| LockFile::stored(file, blob)));
        }
        let Some(bytes) = read_tracked(&self.repository, &file, MAX_LOCK)? else { return Ok(None) };
        LockFile::read(file, bytes).map(Some)
    }

    /// Reads locks and collects what the mirror must contain for them.
    ///
    /// # Errors
    /// Fails if a lock is invalid, or if two locks disagree.
    pub fn wanted(&self, locks: &[LockFile]) -> Result<Arc<Wanted>> {
        self.memory.wanted(locks, || {
            let mut wanted = self.pinned(locks)?;
            wanted.policies.extend(self.policies_besides(locks)?);
            match self.repository.worktree() {
                Some(_) => self.require_unpinned(locks, &mut wanted)?,
                // A bare repository has no hexmirror.lock that an update could pin them in.
                None => wanted.unpinned_tools.clear(),
            }
            Ok(if self.config.shallow { wanted } else { wanted.with_full_ancestries() })
        })
    }
}

impl Project {
    /// Reads locks and collects what they pin, without what else the mirror must contain.
    ///
    /// # Errors
    /// Fails as [`Self::wanted`] does.
    pub(in crate::ops) fn pinned(&self, locks: &[LockFile]) -> Result<Wanted> {
        Ok(read_locks(&self.repository, locks)?.with_submodules_of(&self.config.submodules))
    }

    /// Requires what the settings and the files of version managers name, which an update pins.
    ///
    /// # Errors
    /// Fails if a file cannot be read.
    pub(in crate::ops) fn require_unpinned(&self, locks: &[LockFile], wanted: &mut Wanted) -> Result<()> {
        wanted.require_downloads(&self.config.downloads);
        for address in &wanted.unpinned {
            if let Some(other) = wanted.nested_file(&address.download_path()) {
                let problem = format!("{address} and {}, which a lock pins, cannot both be mirrored", other.address);
                return Err(ConfigError::new("the setting downloads", problem).into());
            }
        }
        wanted.require_git(&self.config.git);
        wanted.require_tools(self.tools_pairs()?);
        if self.config.docs {
            wanted.require_docs();
        }
        let assets = self.asset_config(locks)?;
        wanted.require_asset_tools(&assets);
        Ok(())
    }
}

/// Returns the folders of a project's applications. `folders` returns the names of the folders in a folder.
pub(super) fn apps(
    folder: &str,
    of_project: AppFolders,
    folders: impl Fn(&str) -> Result<Vec<String>>,
) -> Result<BTreeSet<String>> {
    let AppFolders { apps, parents, .. } = of_project;
    let mut all: BTreeSet<String> = apps.into_iter().map(|app| format!("{folder}{app}")).take(MAX_APPS).collect();
    for parent in parents.into_iter().map(|parent| format!("{folder}{parent}")) {
        let left = MAX_APPS.saturating_sub(all.len());
        all.extend(folders(&parent)?.into_iter().map(|app| format!("{parent}/{app}")).take(left));
    }
    Ok(all)
}

/// Returns whether a file is not a lock, but says something about one.
fn is_beside_locks(file: &str) -> bool {
    file.rsplit('/').next() == Some(MIX_EXS) || is_config(file)
}

/// Names the first of some configured locks.
fn named(locks: &[String], separator: &str) -> String {
    let first: Vec<_> = locks.iter().take(NAMED).map(|lock| shortened(lock)).collect();
    let more = locks.len() - first.len();
    first.join(separator) + &if more > 0 { format!(" and {more} more") } else { String::new() }
}
