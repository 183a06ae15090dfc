//! A project: its repository, settings, environment and locks.

pub(in crate::ops) mod asset_configs;
pub(in crate::ops) mod asset_tools;
pub(in crate::ops) mod builds;
mod config_file;
mod environment;
mod file_content;
mod found;
pub(in crate::ops) mod globs;
pub(in crate::ops) mod hex_client;
pub(in crate::ops) mod hex_repositories;
mod known_trees;
pub(in crate::ops) mod lock_file;
mod lock_stats;
mod lock_summary;
mod locks;
mod memory;
pub(in crate::ops) mod needed;
mod policies;
pub(in crate::ops) mod regular_file;
pub(in crate::ops) mod remote_files;
pub(in crate::ops) mod revisions;
mod tools;
mod tree_locks;
pub(in crate::ops) mod trust_hashes;
pub(in crate::ops) mod worktree;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use crate::config::{Config, ConfigError, FILE, Layer, PrePush, Tracked};
use crate::git::{Git, GitSettings, ProjectGit};
use crate::model::{Remote, Secrets, shortened};
use crate::ops::plugins::config::BuildConfig;
use crate::ops::{OpError, Result};
use crate::store::{Branch, Discovery, ObjectId, Repository, Snapshot};
pub use environment::Environment;
use found::Found;
use hex_client::known_to_hex;
use known_trees::KnownTrees;
pub use lock_file::{LockFile, LockText, can_name_files, locks_in, read_bounded, read_file, read_locks};
use memory::Memory;
use trust_hashes::allowed;
use worktree::{MAX_KEY, MAX_SETTINGS, read_tracked};

/// A project: its repository, its settings, its environment.
#[derive(Debug, Clone)]
pub struct Project {
    /// The git repository.
    pub repository: Repository,
    /// The mirror branch.
    pub branch: Branch,
    /// The settings in force.
    pub config: Config,
    /// The settings of the tracked file, and which of them take effect.
    pub tracked: Tracked,
    /// The user's own settings: flags, environment variables, git configuration.
    pub(in crate::ops) own: [Layer; 3],
    /// The environment.
    pub environment: Environment,
    directory: PathBuf,
    known_trees: Arc<Mutex<KnownTrees>>,
    memory: Memory,
    /// The locks in force, if they are found only once ([`Self::at_one_moment`]).
    moment: Option<Arc<OnceLock<Found>>>,
}

impl Project {
    /// Opens the project that contains `directory`. `flags` are the settings from the command line.
    ///
    /// # Errors
    /// Fails if the directory does not exist or is not in a repository, or if a setting is invalid.
    pub fn open(directory: &Path, flags: Layer, environment: Environment) -> Result<Self> {
        if !directory.is_dir() {
            return Err(OpError::NoFolder { directory: directory.to_owned() });
        }
        let command_line = match environment.get("GIT_CONFIG_PARAMETERS") {
            Some(parameters) => Git::command_line_settings(&parameters)?,
            None => Vec::new(),
        };
        let how = Discovery { command_line: &command_line, is_named: environment.get("GIT_DIR").is_some() };
        Self::of(Repository::discover(directory, how)?, directory, flags, environment)
    }

    /// Creates a project from a repository. `directory` is the current directory.
    ///
    /// # Errors
    /// Fails if a setting is invalid.
    pub fn of(repository: Repository, directory: &Path, flags: Layer, environment: Environment) -> Result<Self> {
        let git = Layer::from_git(
            |key| repository.settings(key),
            |name| repository.settings_by_subsection("hexmirror", name),
        )?;
        let variables = Layer::from_environment(|name| environment.get(name))?;
        let own = [flags, variables, git];
        let tracked = match read_tracked(&repository, FILE, MAX_SETTINGS)? {
            Some(bytes) => judged(&repository, &String::from_utf8_lossy(&bytes), &own, &environment)?,
            None => Tracked::default(),
        };
        let config = Config::from_layers(&own, &tracked.in_force())?;
        let branch = repository.branch(&config.branch);
        let branch = match own.iter().any(|layer| layer.branch.is_some()) {
            false if tracked.in_force().branch.is_some() => branch.map_err(|error| ConfigError::new(FILE, error))?,
            _ => branch?,
        };
        Ok(Self {
            repository,
            branch,
            config,
            tracked,
            own,
            environment,
            directory: directory.to_owned(),
            known_trees: Arc::default(),
            memory: Memory::default(),
            moment: None,
        })
    }

    /// Opens the project's repository again, to read its current state.
    pub(in crate::ops) fn reopened(&self) -> Result<Self> {
        Ok(Self { repository: self.repository.reopened()?, memory: Memory::default(), moment: None, ..self.clone() })
    }

    /// Returns the project as a command sees it that reads it at one moment: the locks in force are found once. Not for what goes
    /// on after that, such as a server, or changes them.
    #[must_use]
    pub fn at_one_moment(&self) -> Self {
        Self { moment: Some(Arc::default()), ..self.clone() }
    }

    /// Returns the project for which only what locks pin counts, and not what the settings ask for and a lock must pin first. Settings
    /// are those of the worktree, and say nothing about locks of other commits.
    #[must_use]
    pub(in crate::ops) fn with_pins_only(&self) -> Self {
        let config = Config {
            downloads: BTreeSet::new(),
            git: BTreeSet::new(),
            tools: Some(BTreeSet::new()),
            docs: false,
            asset_tools: None,
            extra: Vec::new(),
            ..self.config.clone()
        };
        Self { config, memory: Memory::default(), ..self.clone() }
    }

    /// Returns the current directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Finds the system's git for this repository. Unless `may_ask`, git fails instead of asking for a password.
    pub(in crate::ops) fn git(&self, may_ask: bool) -> Result<ProjectGit> {
        let settings = GitSettings { sync: !self.repository.has_fsync_setting(), ..self.git_settings(may_ask) };
        let directory = self.repository.worktree().unwrap_or(self.repository.common_dir());
        Ok(ProjectGit::find(settings, directory, self.repository.git_dir())?)
    }

    /// Returns the settings for git processes that contact a server for this project.
    pub(in crate::ops) fn git_settings(&self, may_ask: bool) -> GitSettings {
        let own_ssh = self.environment.first(&["GIT_SSH_COMMAND", "GIT_SSH"]).is_some()
            || self.repository.setting("core.sshCommand").is_some();
        let restored = self.environment.restored().iter();
        let environment = restored.map(|variable| (variable.name.to_string(), variable.value.clone())).collect();
        GitSettings { may_ask, own_ssh, secrets: self.secrets(), environment, ..GitSettings::default() }
    }

    /// Returns the credentials in the addresses that git may use on its own: of remotes, rewrite rules and proxies.
    fn secrets(&self) -> Secrets {
        let mut secrets = Secrets::default();
        for (section, name) in [("remote", "url"), ("remote", "pushurl"), ("remote", "proxy"), ("branch", "remote")] {
            secrets.extend(self.repository.all_settings_by_subsection(section, name).into_iter().map(|(_, url)| url));
        }
        for name in ["insteadOf", "pushInsteadOf"] {
            let rules = self.repository.all_settings_by_subsection("url", name);
            secrets.extend(rules.into_iter().flat_map(|(base, prefix)| [base, prefix]));
        }
        secrets.extend(["remote.pushDefault", "http.proxy"].into_iter().filter_map(|key| self.repository.setting(key)));
        let proxies = ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
        secrets.extend(proxies.into_iter().filter_map(|name| self.environment.get(name)));
        secrets
    }

    /// Returns the mirror branch's current snapshot, or `None` if there is no mirror.
    ///
    /// # Errors
    /// Fails if the branch is not a mirror or is damaged.
    pub fn snapshot(&self) -> Result<Option<Snapshot>> {
        let tip = self.repository.tip(&self.branch)?;
        tip.map(|tip| self.snapshot_of(None, tip)).transpose()
    }

    /// Returns the snapshot of the local mirror branch, or of a remote's, at a commit.
    pub(in crate::ops) fn snapshot_of(&self, remote: Option<&Remote>, tip: ObjectId) -> Result<Snapshot> {
        let branch = self.branch_of(remote)?;
        self.memory.snapshot(tip, || Ok(Snapshot::at(&self.repository, &branch, tip)?))
    }

    /// Returns what a git revision says about plugins. `name` is the first name of its files, as in gitrevisions(7). Calls
    /// `read` if it was not read before.
    pub(in crate::ops) fn configuration(
        &self,
        name: &str,
        read: impl FnOnce() -> Result<Option<BuildConfig>>,
    ) -> Result<Option<BuildConfig>> {
        self.memory.configuration(name, read)
    }

    /// Returns the local mirror branch, or a remote's as last fetched.
    pub(in crate::ops) fn branch_of(&self, remote: Option<&Remote>) -> Result<Branch> {
        Ok(match remote {
            Some(remote) => self.repository.tracking_branch(remote, &self.branch)?,
            None => self.branch.clone(),
        })
    }

    /// Returns what happens before a push according to the user's own settings, if they say so.
    pub(in crate::ops) fn own_pre_push(&self) -> Option<PrePush> {
        self.own.iter().find_map(|layer| layer.hooks.pre_push)
    }

    /// Returns the current directory relative to the worktree's root. Outside the worktree, returns the root itself.
    pub(in crate::ops) fn folder(&self) -> PathBuf {
        self.repository.worktree().and_then(|root| self.below(root)).unwrap_or_default()
    }

    /// Returns the current directory relative to the worktree's root, if it is inside.
    pub(in crate::ops) fn below(&self, root: &Path) -> Option<PathBuf> {
        let (root, directory) = (fs::canonicalize(root).ok()?, fs::canonicalize(&self.directory).ok()?);
        directory.strip_prefix(root).ok().map(Path::to_owned)
    }
}

/// Decides which tracked settings take effect, given the user's own settings.
fn judged(repository: &Repository, text: &str, own: &[Layer], environment: &Environment) -> Result<Tracked> {
    let tracked = Layer::from_toml(text)?.with_key_files(|file| match read_tracked(repository, file, MAX_KEY) {
        Ok(bytes) => bytes.ok_or_else(|| format!("{} does not exist", shortened(file))),
        Err(error) => Err(error.with_causes()),
    });
    let repositories = &tracked.repositories;
    let hex = if repositories.is_empty() { Layer::default() } else { known_to_hex(environment, repositories) };
    Ok(Tracked::judge(&tracked, own, &hex, &allowed(repository, environment)?)?)
}
