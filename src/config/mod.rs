//! Where settings come from: a flag, then `HEXMIRROR_*`, then `git config hexmirror.*`, then the tracked `.hexmirror.toml`,
//! then defaults. With no setting at all everything works for a project with a `mix.lock` and hex.pm.
//!
//! The tracked file arrives with somebody's branch. It describes the project; it does not decide whom to trust, and it makes
//! nothing act (see [`Tracked`]). Even an address that the user has allowed gets no key (see [`RepositoryConfig::trusted`]).

mod setting;
mod sources;
mod tracked;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::model::{EntryId, Fingerprint, FingerprintError, NameError, RepositoryName};

use setting::repository_name;
pub use setting::{Setting, SettingValue};
pub use tracked::{Judged, Standing, Tracked};

/// The name of the tracked file, in the root of the worktree.
pub const FILE: &str = ".hexmirror.toml";
/// The branch that holds the mirror, unless set.
pub const DEFAULT_BRANCH: &str = "hexmirror";
/// The most requests that may run at once.
const MAX_JOBS: usize = 256;
/// The longest that may be waited for a byte, in seconds: an hour.
const MAX_TIMEOUT: usize = 3600;
/// For how many days `prune` keeps everything, unless set.
const KEEP_DAYS: usize = 30;
/// The most days that may be set: some hundred years.
const MAX_DAYS: usize = 100_000;

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {problem}")]
pub struct ConfigError {
    /// Where the setting stands, such as `.hexmirror.toml` or `HEXMIRROR_JOBS`.
    pub origin: String,
    /// What is wrong with it.
    pub problem: String,
}

/// The settings of one source; what is absent is left to the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Layer {
    /// The mirror branch: short, or a full ref's name.
    pub branch: Option<String>,
    /// The lock files, as globs from the root of the worktree.
    pub locks: Option<Vec<String>>,
    /// How many requests run at once.
    pub jobs: Option<usize>,
    /// After how many seconds without a connection or a byte an attempt is given up.
    pub timeout: Option<usize>,
    /// The packages that are stored as their tarballs: `NAME`, or `REPOSITORY/NAME`.
    pub opaque: Option<Vec<String>>,
    /// Settings by Hex repository.
    pub repositories: BTreeMap<String, RepositoryLayer>,
    /// What the hooks do.
    pub hooks: HooksLayer,
    /// What `prune` keeps.
    pub prune: PruneLayer,
    /// Whether git entries with a `depth` are stored that shallow.
    pub shallow: Option<bool>,
    /// The applications whose git repositories are mirrored with their submodules, whatever the lock says.
    pub submodules: Option<Vec<String>>,
}

/// What one source says of the hooks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HooksLayer {
    /// What happens before a push.
    pub pre_push: Option<PrePush>,
    /// What happens after a branch switch, a merge or a rebase.
    pub post_checkout: Option<PostCheckout>,
}

/// What happens before a push of commits with locks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrePush {
    /// The mirror has to be fresh, and goes along.
    #[default]
    Push,
    /// The mirror has to be fresh, and on the remote.
    Check,
    /// Nothing.
    Off,
}

impl PrePush {
    /// Returns the word for it in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Check => "check",
            Self::Off => "off",
        }
    }
}

/// What happens after a branch switch, a merge or a rebase that changed a lock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PostCheckout {
    /// A few lines say what the mirror lacks.
    #[default]
    Notify,
    /// The mirror is pulled.
    Pull,
    /// The mirror is updated from upstream.
    Update,
    /// Nothing.
    Off,
}

impl PostCheckout {
    /// Returns the word for it in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notify => "notify",
            Self::Pull => "pull",
            Self::Update => "update",
            Self::Off => "off",
        }
    }
}

/// What one source says of what `prune` keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PruneLayer {
    /// For how many days everything is kept.
    pub keep_days: Option<usize>,
    /// The tags whose locks count, as globs.
    pub keep_tags: Option<Vec<String>>,
}

/// What one source says of a Hex repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RepositoryLayer {
    /// Its address.
    pub url: Option<String>,
    /// The key that its registry is signed with.
    pub public_key: Option<KeySetting>,
    /// The fingerprint of the only key that may sign its entries. Tracked settings cannot have it.
    #[serde(skip)]
    pub signer: Option<String>,
}

/// The key that a repository's registry is signed with, as a setting gives it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum KeySetting {
    /// The PEM itself.
    Pem(String),
    /// The path of a PEM file, from the root of the worktree.
    File(String),
    /// A file that the tracked settings name, and what it holds: what is judged is what is used.
    Tracked {
        /// Its path, from the root of the worktree.
        file: String,
        /// Its content, or why it cannot be read.
        content: Result<Vec<u8>, String>,
    },
}

impl From<String> for KeySetting {
    fn from(text: String) -> Self {
        if text.trim_start().starts_with("-----BEGIN") { Self::Pem(text) } else { Self::File(text) }
    }
}

impl fmt::Display for KeySetting {
    /// Shows the text of the setting.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pem(text) | Self::File(text) | Self::Tracked { file: text, .. } => f.write_str(text),
        }
    }
}

impl Layer {
    /// Reads the key files that the settings name.
    pub fn with_key_files(mut self, read: impl Fn(&str) -> Result<Vec<u8>, String>) -> Self {
        for repository in self.repositories.values_mut() {
            if let Some(KeySetting::File(file)) = &repository.public_key {
                let (file, content) = (file.clone(), read(file));
                repository.public_key = Some(KeySetting::Tracked { file, content });
            }
        }
        self
    }
}

/// The settings in force for a Hex repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepositoryConfig {
    /// Its address, if set.
    pub url: Option<String>,
    /// Whether the address comes from the user (a flag, the environment, git's settings) and not from the tracked file.
    pub trusted: bool,
    /// The key that its registry is signed with, if set.
    pub public_key: Option<KeySetting>,
    /// The only signer of its entries, if the user set one.
    pub signer: Option<Fingerprint>,
}

/// The settings in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The mirror branch: short, or a full ref's name.
    pub branch: String,
    /// The lock files as globs, if set; else they are looked for.
    pub locks: Option<Vec<String>>,
    /// How many requests run at once, if set.
    pub jobs: Option<usize>,
    /// How long is waited for a connection or a byte, if set.
    pub timeout: Option<Duration>,
    /// The packages that are stored as their tarballs, since what they contain is refused where the mirror is pushed.
    pub opaque: BTreeSet<EntryId>,
    /// The applications whose git repositories are mirrored with their submodules. rebar3 fetches submodules without saying so
    /// in its lock.
    pub submodules: BTreeSet<String>,
    /// Settings by Hex repository.
    pub repositories: BTreeMap<RepositoryName, RepositoryConfig>,
    /// What happens before a push.
    pub pre_push: PrePush,
    /// What happens after a branch switch, a merge or a rebase.
    pub post_checkout: PostCheckout,
    /// For how many days `prune` keeps everything.
    pub keep_days: usize,
    /// The tags whose locks count for `prune`, as globs.
    pub keep_tags: Vec<String>,
    /// Whether git entries with a `depth` are stored that shallow. What a client that does not know the option (Elixir before
    /// 1.17) fetches from such a repository is broken.
    pub shallow: bool,
}

impl Config {
    /// Returns the settings that are in force if nobody sets anything, as far as they are decided here.
    pub fn defaults() -> Layer {
        Layer {
            branch: Some(DEFAULT_BRANCH.into()),
            opaque: Some(Vec::new()),
            submodules: Some(Vec::new()),
            shallow: Some(false),
            hooks: HooksLayer { pre_push: Some(PrePush::default()), post_checkout: Some(PostCheckout::default()) },
            prune: PruneLayer { keep_days: Some(KEEP_DAYS), keep_tags: Some(Vec::new()) },
            ..Layer::default()
        }
    }

    /// Puts the sources together. `trusted` are those of the user, the most important first; `tracked` is what counts of the
    /// project's file ([`Tracked::in_force`]).
    ///
    /// # Errors
    /// Fails where a repository's name is not valid or a number is out of bounds.
    pub fn from_layers(trusted: &[Layer], tracked: &Layer) -> Result<Self, ConfigError> {
        let layers = || trusted.iter().map(|layer| (layer, true)).chain([(tracked, false)]);
        let mut repositories = BTreeMap::<RepositoryName, RepositoryConfig>::new();
        for (layer, trusted) in layers() {
            for (name, of_layer) in &layer.repositories {
                let config: &mut RepositoryConfig = repositories.entry(repository_name(name)?).or_default();
                if config.url.is_none() && of_layer.url.is_some() {
                    config.url.clone_from(&of_layer.url);
                    config.trusted = trusted;
                }
                config.public_key = config.public_key.take().or_else(|| of_layer.public_key.clone());
                if let (None, Some(signer)) = (config.signer, &of_layer.signer) {
                    let error = |error: FingerprintError| ConfigError {
                        origin: format!("git's setting hexmirror.{name}.signer"),
                        problem: error.to_string(),
                    };
                    config.signer = Some(signer.parse().map_err(error)?);
                }
            }
        }
        let jobs = layers().find_map(|(layer, _)| layer.jobs);
        if jobs.is_some_and(|jobs| jobs == 0 || jobs > MAX_JOBS) {
            let problem = format!("must be between 1 and {MAX_JOBS}");
            return Err(ConfigError { origin: "the setting jobs".into(), problem });
        }
        let timeout = layers().find_map(|(layer, _)| layer.timeout);
        if timeout.is_some_and(|seconds| seconds == 0 || seconds > MAX_TIMEOUT) {
            let problem = format!("must be between 1 and {MAX_TIMEOUT} seconds");
            return Err(ConfigError { origin: "the setting timeout".into(), problem });
        }
        let keep_days = layers().find_map(|(layer, _)| layer.prune.keep_days);
        if keep_days.is_some_and(|days| days > MAX_DAYS) {
            let problem = format!("must be at most {MAX_DAYS}");
            return Err(ConfigError { origin: "the setting prune.keep_days".into(), problem });
        }
        let branch = layers().find_map(|(layer, _)| layer.branch.clone());
        Ok(Self {
            branch: branch.unwrap_or_else(|| DEFAULT_BRANCH.into()),
            locks: layers()
                .find_map(|(layer, _)| layer.locks.as_ref())
                .map(|globs| globs.iter().map(|glob| from_root(glob).to_owned()).collect()),
            jobs,
            timeout: timeout.map(|seconds| Duration::from_secs(seconds as u64)),
            opaque: layers().find_map(|(layer, _)| layer.opaque.as_deref()).map_or(Ok(BTreeSet::new()), opaque)?,
            submodules: layers()
                .find_map(|(layer, _)| layer.submodules.clone())
                .unwrap_or_default()
                .into_iter()
                .collect(),
            repositories,
            pre_push: layers().find_map(|(layer, _)| layer.hooks.pre_push).unwrap_or_default(),
            post_checkout: layers().find_map(|(layer, _)| layer.hooks.post_checkout).unwrap_or_default(),
            keep_days: keep_days.unwrap_or(KEEP_DAYS),
            keep_tags: layers().find_map(|(layer, _)| layer.prune.keep_tags.clone()).unwrap_or_default(),
            shallow: layers().find_map(|(layer, _)| layer.shallow).unwrap_or_default(),
        })
    }
}

/// Reads names of packages, with or without their repositories.
fn opaque(names: &[String]) -> Result<BTreeSet<EntryId>, ConfigError> {
    let package = |name: &String| {
        let (repository, package) = name.rsplit_once('/').unwrap_or(("hexpm", name));
        Ok(EntryId { repository: repository.parse()?, package: package.parse()? })
    };
    let read = names.iter().map(package).collect::<Result<_, NameError>>();
    read.map_err(|error| ConfigError { origin: "the setting opaque".into(), problem: error.to_string() })
}

/// Returns a path or glob as what walks through files has it: without a `./` in front, which only a file system would ignore.
fn from_root(mut glob: &str) -> &str {
    while let Some(rest) = glob.strip_prefix("./") {
        glob = rest.trim_start_matches('/');
    }
    glob
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(values: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        let values: BTreeMap<String, String> = values.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        move |name| values.get(name).cloned()
    }

    fn settings(values: &[(&str, &str)]) -> impl Fn(&str) -> Vec<String> {
        let variable = variables(values);
        move |name| variable(name).into_iter().collect()
    }

    #[test]
    fn nothing_set_gives_the_defaults() {
        let environment = Layer::from_environment(|_| None).unwrap();
        let git = Layer::from_git(|_| Vec::new(), |_| Vec::new()).unwrap();
        let config = Config::from_layers(&[environment, git], &Layer::default()).unwrap();
        assert_eq!((config.branch.as_str(), config.locks, config.jobs), ("hexmirror", None, None));
    }

    #[test]
    fn the_more_important_source_wins_key_by_key() {
        let environment =
            Layer::from_environment(variables(&[("HEXMIRROR_BRANCH", "env"), ("HEXMIRROR_JOBS", "")])).unwrap();
        let git = Layer::from_git(settings(&[("hexmirror.branch", "git"), ("hexmirror.jobs", "3")]), |_| Vec::new());
        let tracked = Layer::from_toml("branch = 'file'\njobs = 9\nlocks = ['a/mix.lock']").unwrap();
        let config = Config::from_layers(&[environment, git.unwrap()], &tracked).unwrap();
        assert_eq!((config.branch.as_str(), config.jobs), ("env", Some(3)));
        assert_eq!(config.locks, Some(vec!["a/mix.lock".to_owned()]));
    }

    #[test]
    fn an_address_from_the_tracked_file_is_not_trusted() {
        let tracked =
            Layer::from_toml("[repositories.hexpm]\nurl = 'http://a'\n[repositories.'hexpm:acme']\nurl = 'http://b'");
        let environment = Layer::from_environment(variables(&[("HEXMIRROR_URL", "http://c")])).unwrap();
        let config = Config::from_layers(&[environment], &tracked.unwrap()).unwrap();
        let of = |name: &str| config.repositories[&name.parse::<RepositoryName>().unwrap()].clone();
        assert_eq!((of("hexpm").url.as_deref(), of("hexpm").trusted), (Some("http://c"), true));
        assert_eq!((of("hexpm:acme").url.as_deref(), of("hexpm:acme").trusted), (Some("http://b"), false));
    }

    #[test]
    fn opaque_packages_are_named_with_or_without_their_repository() {
        let tracked = Layer::from_toml("opaque = ['castore', 'hexpm:acme/keys']").unwrap();
        let config = Config::from_layers(&[], &tracked).unwrap();
        let named: Vec<String> = config.opaque.iter().map(ToString::to_string).collect();
        assert_eq!(named.len(), 2);
        assert!(named.contains(&"castore".to_owned()) && named.iter().any(|name| name.contains("keys")), "{named:?}");
        let git = Layer::from_git(settings(&[("hexmirror.opaque", "a b")]), |_| Vec::new()).unwrap();
        assert_eq!(Config::from_layers(&[git], &tracked).unwrap().opaque.len(), 2);
        let error = Config::from_layers(&[], &Layer::from_toml("opaque = ['../x']").unwrap()).unwrap_err();
        assert!(error.to_string().contains("opaque"), "{error}");
    }

    #[test]
    fn mistakes_are_named() {
        assert!(Layer::from_toml("brunch = 'x'").unwrap_err().to_string().contains("brunch"));
        let many = |number: usize| (0..number).map(|id| format!("[repositories.r{id}]\n")).collect::<String>();
        assert!(Layer::from_toml(&many(256)).is_ok());
        assert!(Layer::from_toml(&many(257)).unwrap_err().to_string().contains("256 repositories"));
        let error = Layer::from_environment(variables(&[("HEXMIRROR_JOBS", "many")])).unwrap_err();
        assert_eq!(error.origin, "HEXMIRROR_JOBS");
        assert!(Config::from_layers(&[], &Layer::from_toml("jobs = 0").unwrap()).is_err());
        let error = Layer::from_git(settings(&[("hexmirror.prePush", "pull")]), |_| Vec::new()).unwrap_err();
        assert!(error.to_string().contains("expected one of `push`, `check`, `off`"), "{error}");
        assert!(Config::from_layers(&[], &Layer::from_toml("timeout = 0").unwrap()).is_err());
        assert!(Config::from_layers(&[], &Layer::from_toml("[repositories.'../x']").unwrap()).is_err());
    }
}
