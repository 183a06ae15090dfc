//! A project: its repository, settings, environment and locks.

mod environment;
pub(in crate::ops) mod hex_repositories;
pub(in crate::ops) mod needed;
pub(in crate::ops) mod remote_files;
pub(in crate::ops) mod revisions;
pub(in crate::ops) mod worktree;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::config::{Config, ConfigError, FILE, Layer, PrePush, Tracked};
use crate::git::{Git, GitSettings, ProjectGit};
use crate::lock::Lock;
use crate::model::{Remote, Secrets, shortened};
use crate::ops::{OpError, Result, trust};
use crate::plan::Wanted;
use crate::store::{Branch, Discovery, ObjectId, Repository, Snapshot};
pub use environment::Environment;
use worktree::{MAX_KEY, MAX_LOCK, MAX_SETTINGS, read_committed, read_regular, read_tracked};

/// The lock names to search for if none are configured.
pub(in crate::ops) const LOCKS: [&str; 2] = ["mix.lock", "rebar.lock"];
/// The number of configured locks that an error names.
const NAMED: usize = 3;
/// The maximum length of a glob, in bytes.
const MAX_GLOB: usize = 1024;
/// The maximum number of alternatives in braces per glob, because the glob compiler is recursive.
const MAX_BRACES: usize = 16;
/// The folders that a glob with `**` does not enter, because their contents do not belong to the project.
pub(in crate::ops) const SKIPPED: [&str; 5] = [".git", "deps", "_build", "node_modules", ".elixir_ls"];

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
}

/// The name and content of a lock from any source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockText {
    /// Its path for display.
    pub file: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// A lock file, identified by its blob id. The content of a lock in a commit is read only on demand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockFile {
    /// Its path relative to the worktree's root.
    pub file: String,
    /// The id of its content as a git blob, even if git does not have that blob.
    pub blob: ObjectId,
    /// Its content, if computing the id required reading it.
    read: Option<Vec<u8>>,
}

impl LockFile {
    /// Creates a lock whose content is stored in git.
    pub fn stored(file: String, blob: ObjectId) -> Self {
        Self { file, blob, read: None }
    }

    /// Creates a lock from content that was read from a file.
    ///
    /// # Errors
    /// Fails if the content is a SHA-1 collision attack.
    pub fn read(file: String, bytes: Vec<u8>) -> Result<Self> {
        Ok(Self { file, blob: Repository::blob_id(&bytes)?, read: Some(bytes) })
    }

    /// Returns its content.
    ///
    /// # Errors
    /// Fails if the blob is larger than any lock or cannot be read.
    pub fn bytes(&self, repository: &Repository) -> Result<Cow<'_, [u8]>> {
        match &self.read {
            Some(bytes) => Ok(Cow::Borrowed(bytes)),
            None => Ok(Cow::Owned(read_committed(repository, self.blob, &self.file, MAX_LOCK)?)),
        }
    }
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
        Ok(Self { repository, branch, config, tracked, own, environment, directory: directory.to_owned() })
    }

    /// Opens the project's repository again, to read its current state.
    pub(in crate::ops) fn reopened(&self) -> Result<Self> {
        Ok(Self { repository: self.repository.reopened()?, ..self.clone() })
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
        Ok(self.repository.snapshot(&self.branch)?)
    }

    /// Returns the mirror for reading. In a fresh clone without a local mirror branch, this is the remote's. Writes
    /// nothing.
    ///
    /// # Errors
    /// Fails if the branch is not a mirror or is damaged.
    pub fn readable(&self) -> Result<Option<Snapshot>> {
        let tip = self.repository.mirror_tip(&self.branch)?;
        tip.map(|(remote, tip)| self.snapshot_of(remote.as_ref(), tip)).transpose()
    }

    /// Returns the snapshot of the local mirror branch, or of a remote's, at a commit.
    pub(in crate::ops) fn snapshot_of(&self, remote: Option<&Remote>, tip: ObjectId) -> Result<Snapshot> {
        let branch = match remote {
            Some(remote) => &self.repository.tracking_branch(remote, &self.branch)?,
            None => &self.branch,
        };
        Ok(Snapshot::at(&self.repository, branch, tip)?)
    }

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

    /// Returns what happens before a push according to the user's own settings, if they say so.
    pub(in crate::ops) fn own_pre_push(&self) -> Option<PrePush> {
        self.own.iter().find_map(|layer| layer.hooks.pre_push)
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

    /// Returns the current directory relative to the worktree's root. Outside the worktree, returns the root itself.
    pub(in crate::ops) fn folder(&self) -> PathBuf {
        self.repository.worktree().and_then(|root| self.below(root)).unwrap_or_default()
    }

    /// Returns the current directory relative to the worktree's root, if it is inside.
    fn below(&self, root: &Path) -> Option<PathBuf> {
        let (root, directory) = (fs::canonicalize(root).ok()?, fs::canonicalize(&self.directory).ok()?);
        directory.strip_prefix(root).ok().map(Path::to_owned)
    }
}

/// Names the first of some configured locks.
fn named(locks: &[String], separator: &str) -> String {
    let first: Vec<_> = locks.iter().take(NAMED).map(|lock| shortened(lock)).collect();
    let more = locks.len() - first.len();
    first.join(separator) + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

/// Decides which tracked settings take effect, given the user's own settings.
fn judged(repository: &Repository, text: &str, own: &[Layer], environment: &Environment) -> Result<Tracked> {
    let tracked = Layer::from_toml(text)?.with_key_files(|file| match read_tracked(repository, file, MAX_KEY) {
        Ok(bytes) => bytes.ok_or_else(|| format!("{} does not exist", shortened(file))),
        Err(error) => Err(hex_repositories::with_causes(&error)),
    });
    let repositories = &tracked.repositories;
    let hex = if repositories.is_empty() {
        Layer::default()
    } else {
        hex_repositories::known_to_hex(environment, repositories)
    };
    Ok(Tracked::judge(&tracked, own, &hex, &trust::allowed(repository, environment)?)?)
}

pub(in crate::ops) fn are_literal(globs: &[String]) -> bool {
    globs.iter().all(|glob| !glob.contains(['*', '?', '[', '{', '\\']))
}

/// Parses globs. `origin` describes their source in errors. With `literal_separator`, `*` does not match slashes, as in
/// paths.
pub(in crate::ops) fn glob_set(origin: &str, globs: &[String], literal_separator: bool) -> Result<globset::GlobSet> {
    let unusable = |error: globset::Error| match error.kind() {
        // The text is only that of the regular expressions, which the user did not write.
        globset::ErrorKind::Regex(_) => ConfigError::new(origin, "the globs are too large or too many"),
        _ => ConfigError::new(origin, error),
    };
    let mut set = globset::GlobSetBuilder::new();
    for glob in globs {
        if glob.len() > MAX_GLOB || glob.matches('{').count() > MAX_BRACES {
            let start: String = glob.chars().take(20).collect();
            let problem = format!("the glob {start:?}… has more than {MAX_GLOB} bytes or {MAX_BRACES} brace groups");
            return Err(ConfigError::new(origin, problem).into());
        }
        set.add(globset::GlobBuilder::new(glob).literal_separator(literal_separator).build().map_err(unusable)?);
    }
    Ok(set.build().map_err(unusable)?)
}

impl Project {
    /// Reads locks and collects what the mirror must contain for them.
    ///
    /// # Errors
    /// Fails if a lock is invalid.
    pub fn wanted(&self, locks: &[LockFile]) -> Result<Wanted> {
        let wanted = read_locks(&self.repository, locks)?.with_submodules_of(&self.config.submodules);
        Ok(if self.config.shallow { wanted } else { wanted.with_full_ancestries() })
    }
}

/// Reads locks and collects what they pin.
///
/// # Errors
/// Fails if a lock is invalid.
pub fn read_locks(repository: &Repository, locks: &[LockFile]) -> Result<Wanted> {
    let mut wanted = Wanted::default();
    for lock in locks {
        let (file, bytes) = (&lock.file, lock.bytes(repository)?);
        let lock = Lock::parse(file, &bytes).and_then(|lock| wanted.add(&lock));
        lock.map_err(|source| lock_error(file, &bytes, source))?;
    }
    Ok(wanted)
}

/// Adds a lock's text to its parse error.
pub(in crate::ops) fn lock_error(file: &str, bytes: &[u8], source: crate::lock::LockError) -> OpError {
    OpError::Lock { file: file.to_owned(), text: bytes.to_owned(), source }
}

/// Returns the locks in a folder, which need not be in a repository: the named ones, otherwise `mix.lock` and
/// `rebar.lock`.
///
/// # Errors
/// Fails if there is no lock, or one cannot be read.
pub fn locks_in(directory: &Path, named: Option<&[String]>) -> Result<Vec<LockText>> {
    let read = |file: &str| Ok(LockText { bytes: read_file(&directory.join(file))?, file: file.to_owned() });
    let locks: Vec<LockText> = match named {
        Some(named) => named.iter().map(|file| read(file)).collect::<Result<_>>()?,
        None => LOCKS.iter().filter_map(|file| default_lock(directory, file).transpose()).collect::<Result<_>>()?,
    };
    let none = || OpError::NoLock { wanted: LOCKS.join(" or "), directory: directory.to_owned() };
    if locks.is_empty() { Err(none()) } else { Ok(locks) }
}

/// Reads a lock with a default name in a folder. `None` if it does not exist.
fn default_lock(directory: &Path, file: &str) -> Result<Option<LockText>> {
    let path = directory.join(file);
    let read = fs::canonicalize(&path).and_then(|target| read_regular(&target, MAX_LOCK));
    match read {
        Ok(Ok(bytes)) => Ok(Some(LockText { file: file.to_owned(), bytes })),
        Ok(Err(reason)) => Err(OpError::Refused { file: path.display().to_string(), reason }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OpError::Read { path, source }),
    }
}

/// Reads a lock that the user named. Any readable file is accepted, including a FIFO from shell process substitution.
///
/// # Errors
/// Fails if the file cannot be read or is larger than the maximum size of a lock.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let read = || {
        let file = fs::File::open(path)?;
        let length = file.metadata()?.len().min(MAX_LOCK) + 1;
        read_into(file, usize::try_from(length).unwrap_or_default())
    };
    read().map_err(|source| OpError::Read { path: path.to_owned(), source })
}

/// Reads a lock from any source.
///
/// # Errors
/// Fails if the source cannot be read or is larger than the maximum size of a lock.
pub fn read_bounded(from: impl Read) -> std::io::Result<Vec<u8>> {
    read_into(from, 0)
}

/// Reads a lock into a buffer with an initial capacity of `length` bytes.
fn read_into(from: impl Read, length: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    from.take(MAX_LOCK + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_LOCK { Err(ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// Returns the files below a folder, as relative paths, without the skipped folders.
pub(in crate::ops) fn walk(root: &Path) -> impl Iterator<Item = String> {
    let entries = walkdir::WalkDir::new(root).into_iter().filter_entry(|entry| {
        let skipped = entry.file_name().to_str().is_some_and(|name| SKIPPED.contains(&name));
        !(skipped && entry.file_type().is_dir())
    });
    let root = root.to_owned();
    entries
        .filter_map(Result::ok)
        // A link to a file counts as a file. Anything that is neither a file nor a folder is rejected when it is read.
        .filter(|entry| !(entry.file_type().is_dir() || entry.path_is_symlink() && entry.path().is_dir()))
        .filter_map(move |entry| entry.path().strip_prefix(&root).ok()?.to_str().map(str::to_owned))
}
