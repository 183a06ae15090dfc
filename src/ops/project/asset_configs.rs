//! The configuration beside the locks of mix that mentions asset tools: `config/*.exs`, and `apps/*/config/*.exs` of an umbrella.
//!
//! A file counts by the id of its content, as a lock does, so that an answer about it can be remembered. It is read only on
//! demand, and never evaluated.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::config_file::ConfigFile;
use super::file_content::Content;
use super::lock_file::LockFile;
use super::lock_stats::LockStats;
use super::policies::MIX_LOCK;
use super::regular_file::read_regular;
use super::worktree::{MAX_SETTINGS, read_committed};
use crate::hex::asset_tools::mentions_tool;
use crate::ops::{OpError, Project, Result};
use crate::store::{ObjectId, Repository, TreeFile, TreeFiles};

/// The folder of a project's configuration.
const CONFIG: &str = "config";
/// The folder of an umbrella's applications.
const APPS: &str = "apps";
/// The extension of configuration.
const EXTENSION: &str = ".exs";
/// The maximum number of files of a folder that are looked at.
const MAX_FILES: usize = 1000;

/// Returns whether a path is that of configuration. Whose it is depends on the locks ([`configs_in`]).
pub(super) fn is_config(path: &str) -> bool {
    let Some((folder, name)) = path.rsplit_once('/') else { return false };
    name.ends_with(EXTENSION)
        && (folder == CONFIG || folder.strip_suffix(CONFIG).is_some_and(|rest| rest.ends_with('/')))
}

/// Returns whether the configuration of a commit mentions an asset tool. A file that is too large mentions none.
pub(super) fn mentions(repository: &Repository, file: &TreeFile, path: &str) -> Result<bool> {
    match read_committed(repository, file.blob, path, MAX_SETTINGS) {
        _ if file.is_link => Ok(false),
        Err(OpError::Refused { .. }) => Ok(false),
        read => Ok(mentions_tool(&read?)),
    }
}

/// Returns the configuration that a lock of mix belongs to, among the files of a commit.
pub(super) fn configs_in(lock: &str, files: &TreeFiles) -> Vec<ConfigFile> {
    let Some(folder) = folder_of_mix_lock(lock) else { return Vec::new() };
    let is_its_own = |path: &str| {
        let below = path.strip_prefix(folder).unwrap_or_default();
        match below.split('/').collect::<Vec<_>>()[..] {
            [CONFIG, _] | [APPS, _, CONFIG, _] => is_config(path),
            _ => false,
        }
    };
    let below = files.files.range(folder.to_owned()..).take_while(|(path, _)| path.starts_with(folder));
    let own = below.filter(|(path, file)| !file.is_link && is_its_own(path));
    own.map(|(path, file)| ConfigFile { file: path.clone(), blob: file.blob, content: Content::Stored }).collect()
}

/// Returns the folder of a lock of mix, with a final `/` unless it is the root. `None` for other locks.
pub(in crate::ops) fn folder_of_mix_lock(lock: &str) -> Option<&str> {
    lock.strip_suffix(MIX_LOCK).filter(|folder| folder.is_empty() || folder.ends_with('/'))
}

impl Project {
    /// Reads the configuration beside a lock of the worktree. Links are not followed. That a file mentions no tool is remembered.
    pub(super) fn with_configs(&self, lock: LockFile, mut stats: Option<&mut LockStats>) -> Result<LockFile> {
        let (Some(root), Some(folder)) = (self.repository.worktree(), folder_of_mix_lock(&lock.file)) else {
            return Ok(lock);
        };
        if self.config.asset_tools.is_none() {
            return Ok(lock);
        }
        // A monorepo has many locks, most without either.
        let exists = |name: &str| root.join(folder).join(name).symlink_metadata().is_ok();
        if !(exists(CONFIG) || exists(APPS)) || !is_real_folder(root, folder) {
            return Ok(lock);
        }
        let mut folders = vec![format!("{folder}{CONFIG}")];
        let apps = format!("{folder}{APPS}");
        folders.extend(names_in(root, &apps, |kind| kind.is_dir()).map(|app| format!("{apps}/{app}/{CONFIG}")));
        let mut configs = BTreeMap::new();
        for folder in folders {
            for name in names_in(root, &folder, |kind| kind.is_file()).filter(|name| name.ends_with(EXTENSION)) {
                let file = format!("{folder}/{name}");
                let found = self.config_file(root, &file, stats.as_deref_mut())?;
                configs.extend(found.map(|found| (file, found)));
            }
        }
        Ok(lock.with_configs(configs.into_values().collect()))
    }

    /// Finds the configuration beside a lock in a commit. Only the folders that can have some are read.
    pub(super) fn with_configs_at(&self, commit: ObjectId, lock: LockFile) -> Result<LockFile> {
        let Some(folder) = folder_of_mix_lock(&lock.file).filter(|_| self.config.asset_tools.is_some()) else {
            return Ok(lock);
        };
        let apps = format!("{folder}{APPS}");
        let of_apps = self.repository.folders_at(commit, &apps)?;
        let of_apps = of_apps.into_iter().map(|app| format!("{apps}/{app}/{CONFIG}"));
        let mut configs = Vec::new();
        for folder in of_apps.chain([format!("{folder}{CONFIG}")]) {
            for (path, file) in self.repository.files_in_folder(commit, &folder)?.into_iter().take(MAX_FILES) {
                if is_config(&path) && mentions(&self.repository, &file, &path)? {
                    configs.push(ConfigFile { file: path, blob: file.blob, content: Content::Stored });
                }
            }
        }
        Ok(lock.with_configs(configs))
    }

    /// Returns the configuration beside locks of the worktree that may ask for asset tools and is not read, each with the reason:
    /// what the checked-out commit has and the worktree has not, links, and what is no regular file of an ordinary size.
    ///
    /// # Errors
    /// Fails if the commit cannot be read.
    pub(in crate::ops) fn unread_configs(&self, locks: &[LockFile]) -> Result<BTreeMap<String, &'static str>> {
        let mut unread = BTreeMap::new();
        let Some(root) = self.repository.worktree() else { return Ok(unread) };
        let committed = self.repository.head()?.map_or(Ok(Vec::new()), |head| self.locks_at(head))?;
        let is_in_force = |lock: &&LockFile| locks.iter().any(|one| one.file == lock.file);
        for config in committed.iter().filter(is_in_force).flat_map(|lock| &lock.configs) {
            if !is_real_file(root, &config.file) {
                unread.insert(config.file.clone(), "is not in the worktree as a regular file");
            }
        }
        let is_link = |path: &str| root.join(path).symlink_metadata().is_ok_and(|found| found.is_symlink());
        for folder in locks.iter().filter_map(|lock| folder_of_mix_lock(&lock.file)) {
            let apps = format!("{folder}{APPS}");
            let of_apps = names_in(root, &apps, |_| true).map(|app| format!("{apps}/{app}"));
            let of_apps: Vec<String> = of_apps.chain([apps.clone()]).collect();
            let configs: Vec<String> =
                of_apps.iter().map(|app| format!("{app}/{CONFIG}")).chain([format!("{folder}{CONFIG}")]).collect();
            let files = configs.iter().flat_map(|config| {
                let names = names_in(root, config, |_| true).filter(|name| name.ends_with(EXTENSION));
                names.map(move |name| format!("{config}/{name}"))
            });
            let is_large =
                |path: &str| root.join(path).symlink_metadata().is_ok_and(|found| found.len() > MAX_SETTINGS);
            for path in files.collect::<Vec<_>>() {
                match (is_link(&path), is_large(&path)) {
                    (true, _) => drop(unread.insert(path, "is a link")),
                    (false, true) => drop(unread.insert(path, "is too large")),
                    (false, false) => {}
                }
            }
            let links = of_apps.into_iter().chain(configs).filter(|path| is_link(path));
            unread.extend(links.map(|path| (path, "is a link")));
        }
        Ok(unread)
    }

    /// Reads a file of configuration. `None` if it mentions no tool, or is no regular file of an ordinary size.
    fn config_file(&self, root: &Path, file: &str, stats: Option<&mut LockStats>) -> Result<Option<ConfigFile>> {
        let known = stats.as_ref().and_then(|stats| stats.get(file));
        if let Some(blob) = known {
            let found = ConfigFile { file: file.to_owned(), blob, content: Content::Worktree };
            return Ok((!blob.is_null()).then_some(found));
        }
        let since = SystemTime::now();
        let Ok(Ok(bytes)) = read_regular(&root.join(file), MAX_SETTINGS) else { return Ok(None) };
        let id = Repository::blob_id(&bytes)?;
        let blob = if mentions_tool(&bytes) { id } else { ObjectId::null(id.kind()) };
        if let Some(stats) = stats {
            stats.add(file, blob, since);
        }
        let found = ConfigFile { file: file.to_owned(), blob, content: Content::Read(bytes) };
        Ok((!blob.is_null()).then_some(found))
    }
}

/// Returns whether a path of the worktree is a regular file that is reached without links.
fn is_real_file(root: &Path, file: &str) -> bool {
    is_real_folder(root, file) && root.join(file).symlink_metadata().is_ok_and(|found| found.is_file())
}

/// Returns whether a folder of the worktree is reached without links.
fn is_real_folder(root: &Path, folder: &str) -> bool {
    let ends = folder.match_indices('/').map(|(end, _)| end);
    ends.into_iter().all(|end| root.join(&folder[..end]).symlink_metadata().is_ok_and(|found| found.is_dir()))
}

/// Returns the names in a folder of the worktree that are of a kind. None if the folder is a link.
fn names_in(root: &Path, folder: &str, is_of_kind: impl Fn(fs::FileType) -> bool) -> impl Iterator<Item = String> {
    let path = root.join(folder);
    let is_real = path.symlink_metadata().is_ok_and(|found| found.is_dir());
    let entries = is_real.then(|| fs::read_dir(path).ok()).flatten().into_iter().flatten().take(MAX_FILES).flatten();
    let named = entries.filter(move |entry| entry.file_type().is_ok_and(&is_of_kind));
    named.filter_map(|entry| entry.file_name().into_string().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_is_in_the_folder_of_its_name() {
        for path in ["config/config.exs", "a/config/x.exs", "apps/b/config/dev.exs"] {
            assert!(is_config(path), "{path}");
        }
        for path in ["config.exs", "config/config.ex", "config/a/b.exs", "myconfig/x.exs", "config/mix.lock", "mix.exs"]
        {
            assert!(!is_config(path), "{path}");
        }
    }

    #[test]
    fn configuration_belongs_to_the_lock_of_its_project_or_umbrella() {
        let blob = ObjectId::from_hex(&[b'1'; 40]).unwrap();
        let of = |lock: &str| {
            let paths =
                ["config/a.exs", "apps/x/config/b.exs", "x/config/c.exs", "x/apps/y/config/d.exs", "x-y/config/e.exs"];
            let files = paths.map(|path| (path.to_owned(), TreeFile { blob, is_link: path.starts_with("x-y") }));
            let files = TreeFiles { tree: blob, files: files.into(), folders_read: 0 };
            configs_in(lock, &files).into_iter().map(|config| config.file).collect::<Vec<_>>()
        };
        assert_eq!(of("mix.lock"), ["apps/x/config/b.exs", "config/a.exs"]);
        assert_eq!(of("x/mix.lock"), ["x/apps/y/config/d.exs", "x/config/c.exs"]);
        assert_eq!(of("apps/x/mix.lock"), ["apps/x/config/b.exs"]);
        assert_eq!(of("x-y/mix.lock"), [""; 0]);
        assert_eq!(of("x/rebar.lock"), [""; 0]);
    }
}
