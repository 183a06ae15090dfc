//! Settings and their sources, in order of precedence: a flag, `HEXMIRROR_*`, `git config hexmirror.*`, the tracked
//! `.hexmirror.toml`, defaults. A project with a `mix.lock` that uses hex.pm needs no settings.
//!
//! The tracked file is untrusted, because it comes with every branch. It may describe the project, but it may neither decide whom
//! to trust nor make a hook act (see [`Tracked`]). Even a URL that the user has allowed receives no key (see
//! [`RepositoryConfig::trusted`]).

mod artefacts;
mod asset_tools;
mod layer;
mod setting;
mod sources;
mod tracked;
mod unknown;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use crate::model::{
    EntryId, FileAddress, Fingerprint, FingerprintError, GitBranch, NameError, PolicyId, PolicyIdError, RepositoryName,
    ToolsPair, ToolsPairError, redacted_address, shortened,
};

pub use artefacts::ArtefactUrls;
pub use asset_tools::AssetToolSettings;
pub use layer::{GitLayer, HooksLayer, KeySetting, Layer, PostCheckout, PrePush, PruneLayer, RepositoryLayer};
pub use setting::{Setting, SettingValue};
pub use tracked::{Judged, Standing, Tracked};
pub use unknown::{UnknownKey, misspelt_variables, unknown_keys};

/// The name of the tracked file, in the root of the worktree.
pub const FILE: &str = ".hexmirror.toml";
/// The default name of the mirror branch.
pub const DEFAULT_BRANCH: &str = "hexmirror";
/// The maximum number of parallel requests.
const MAX_JOBS: usize = 256;
/// The maximum timeout, in seconds: an hour.
const MAX_TIMEOUT: usize = 3600;
/// The default number of days for which `prune` keeps everything.
const KEEP_DAYS: usize = 30;
/// The default age of registry entries above which `status` mentions it, in days.
const MAX_AGE: usize = 30;
/// The maximum of settings in days: a few hundred years.
const MAX_DAYS: usize = 100_000;

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {problem}")]
pub struct ConfigError {
    /// The source of the setting, such as `.hexmirror.toml` or `HEXMIRROR_JOBS`.
    pub origin: String,
    /// What is wrong with it.
    pub problem: String,
    /// The position in the tracked file, if the file is not valid TOML or has an unknown key.
    pub excerpt: Option<Excerpt>,
}

/// A position in the tracked file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The content of the file.
    pub text: String,
    /// The position, in bytes of the file.
    pub span: Range<usize>,
}

impl ConfigError {
    /// Creates an error without an excerpt. Shortens the problem, because it may quote a value of any length.
    pub fn new(origin: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { origin: origin.into(), problem: shortened(&problem.to_string()).into_owned(), excerpt: None }
    }
}

/// Returns whether the URL of a repository is the path of a folder on this machine: `/…`, `./…` or `../…`.
pub fn is_folder(url: &str) -> bool {
    ["/", "./", "../"].iter().any(|begin| url.starts_with(begin)) || matches!(url, "." | "..")
}

/// The effective settings of a Hex repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepositoryConfig {
    /// The URL of the repository, if set.
    pub url: Option<String>,
    /// Whether the URL comes from the user (a flag, the environment, git's configuration) and not from the tracked file.
    pub trusted: bool,
    /// The public key that verifies the registry, if set.
    pub public_key: Option<KeySetting>,
    /// The only allowed signer of registry entries, if the user set one.
    pub signer: Option<Fingerprint>,
}

/// The effective settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The mirror branch: a branch name, or the full name of a ref.
    pub branch: String,
    /// The lock files as globs, if set; otherwise the program searches for locks.
    pub locks: Option<Vec<String>>,
    /// The number of parallel requests, if set.
    pub jobs: Option<usize>,
    /// The time without a connection or a byte after which an attempt fails, if set.
    pub timeout: Option<Duration>,
    /// The packages that are stored as tarballs, because a remote rejects pushes with their contents.
    pub opaque: BTreeSet<EntryId>,
    /// The applications whose git repositories are mirrored with their submodules. rebar3 fetches submodules, but its lock does not
    /// say so.
    pub submodules: BTreeSet<String>,
    /// The rebar3 plugins to pin that no rebar.config shows, as `NAME` or `NAME REQUIREMENT`.
    pub extra: Vec<String>,
    /// The policies to mirror, besides those that a mix.exs or the Hex client's own settings name.
    pub policies: BTreeSet<PolicyId>,
    /// The addresses of files to mirror, which a hexmirror.lock then pins.
    pub downloads: BTreeSet<FileAddress>,
    /// The branches of git repositories to mirror besides the dependencies. A hexmirror.lock then pins their tips.
    pub git: BTreeSet<GitBranch>,
    /// The versions of Elixir and OTP whose Hex and rebar3 are mirrored. `None` for those that the project's tracked
    /// `.tool-versions` or `mise.toml` names.
    pub tools: Option<BTreeSet<ToolsPair>>,
    /// Where precompiled files of packages are fetched from, if not where the package says. `None` if they are not mirrored.
    pub artefacts: Option<ArtefactUrls>,
    /// Whether the documentation of the pinned releases is mirrored, which a hexmirror.lock then pins.
    pub docs: bool,
    /// Which asset tools are mirrored besides those that the project configures, and where they are published. `None` if none is
    /// mirrored.
    pub asset_tools: Option<AssetToolSettings>,
    /// Public keys that may sign packages of npm, besides npm's own.
    pub npm_keys: Option<KeySetting>,
    /// The hosts of files that may be in a private network and may be asked by `http`.
    pub internal_hosts: BTreeSet<String>,
    /// Whether registry entries may name another repository than the one that they come from, if set. A company's mirror
    /// that signs in its own name needs it.
    pub no_verify_repo_origin: Option<bool>,
    /// Settings by Hex repository.
    pub repositories: BTreeMap<RepositoryName, RepositoryConfig>,
    /// The action before a push.
    pub pre_push: PrePush,
    /// The action after a branch switch, a merge or a rebase.
    pub post_checkout: PostCheckout,
    /// The number of days for which `prune` keeps everything.
    pub keep_days: usize,
    /// The tags whose locks `prune` respects, as globs.
    pub keep_tags: Vec<String>,
    /// Whether git entries with a `depth` are stored with only that depth. A client that does not support the option (Elixir
    /// before 1.17) fetches a broken repository in that case.
    pub shallow: bool,
    /// The age of registry entries above which `status` mentions it, in days. `None` for never.
    pub max_age: Option<u64>,
}

impl Config {
    /// Returns the default settings, except those whose default other modules decide.
    pub fn defaults() -> Layer {
        Layer {
            branch: Some(DEFAULT_BRANCH.into()),
            opaque: Some(Vec::new()),
            submodules: Some(Vec::new()),
            extra: Some(Vec::new()),
            policies: Some(Vec::new()),
            downloads: Some(Vec::new()),
            git: Some(Vec::new()),
            tools: Some(vec!["auto".into()]),
            artefacts: Some(vec!["auto".into()]),
            docs: Some(false),
            asset_tools: Some(vec!["auto".into()]),
            internal_hosts: Some(Vec::new()),
            no_verify_repo_origin: Some(false),
            shallow: Some(false),
            max_age: Some(MAX_AGE),
            hooks: HooksLayer { pre_push: Some(PrePush::default()), post_checkout: Some(PostCheckout::default()) },
            prune: PruneLayer { keep_days: Some(KEEP_DAYS), keep_tags: Some(Vec::new()) },
            ..Layer::default()
        }
    }

    /// Merges the sources. `trusted` are the user's settings, in order of precedence; `tracked` are the active settings of the
    /// project's file ([`Tracked::in_force`]).
    ///
    /// # Errors
    /// Fails if a repository's name is invalid or a number is out of range.
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
                    let error = |error: FingerprintError| {
                        ConfigError::new(format!("git's setting hexmirror.{name}.signer"), error)
                    };
                    config.signer = Some(signer.parse().map_err(error)?);
                }
            }
        }
        let jobs = layers().find_map(|(layer, _)| layer.jobs);
        if jobs.is_some_and(|jobs| jobs == 0 || jobs > MAX_JOBS) {
            let problem = format!("must be between 1 and {MAX_JOBS}");
            return Err(ConfigError::new("the setting jobs", problem));
        }
        let timeout = layers().find_map(|(layer, _)| layer.timeout);
        if timeout.is_some_and(|seconds| seconds == 0 || seconds > MAX_TIMEOUT) {
            let problem = format!("must be between 1 and {MAX_TIMEOUT} seconds");
            return Err(ConfigError::new("the setting timeout", problem));
        }
        let keep_days = layers().find_map(|(layer, _)| layer.prune.keep_days);
        if keep_days.is_some_and(|days| days > MAX_DAYS) {
            let problem = format!("must be at most {MAX_DAYS}");
            return Err(ConfigError::new("the setting prune.keep_days", problem));
        }
        let max_age = layers().find_map(|(layer, _)| layer.max_age);
        if max_age.is_some_and(|days| days > MAX_DAYS) {
            return Err(ConfigError::new("the setting max_age", format!("must be at most {MAX_DAYS}")));
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
            extra: layers().find_map(|(layer, _)| layer.extra.clone()).unwrap_or_default(),
            policies: layers()
                .find_map(|(layer, _)| layer.policies.as_deref())
                .map_or(Ok(BTreeSet::new()), policies)?,
            downloads: layers()
                .find_map(|(layer, _)| layer.downloads.as_deref())
                .map_or(Ok(BTreeSet::new()), downloads)?,
            git: layers().find_map(|(layer, _)| layer.git.as_deref()).map_or(Ok(BTreeSet::new()), git)?,
            tools: layers().find_map(|(layer, _)| layer.tools.as_deref()).map_or(Ok(None), tools)?,
            artefacts: layers()
                .find_map(|(layer, _)| layer.artefacts.as_deref())
                .map_or(Ok(Some(ArtefactUrls::new())), artefacts::artefacts)
                .map_err(|error| ConfigError::new("the setting artefacts", error))?,
            docs: layers().find_map(|(layer, _)| layer.docs).unwrap_or_default(),
            asset_tools: layers()
                .find_map(|(layer, _)| layer.asset_tools.as_deref())
                .map_or(Ok(Some(AssetToolSettings::default())), asset_tools::asset_tools)
                .map_err(|error| ConfigError::new("the setting asset_tools", error))?,
            npm_keys: trusted.iter().find_map(|layer| layer.npm_keys.clone()),
            internal_hosts: layers()
                .find_map(|(layer, _)| layer.internal_hosts.clone())
                .unwrap_or_default()
                .into_iter()
                .collect(),
            no_verify_repo_origin: layers().find_map(|(layer, _)| layer.no_verify_repo_origin),
            repositories,
            pre_push: layers().find_map(|(layer, _)| layer.hooks.pre_push).unwrap_or_default(),
            post_checkout: layers().find_map(|(layer, _)| layer.hooks.post_checkout).unwrap_or_default(),
            keep_days: keep_days.unwrap_or(KEEP_DAYS),
            keep_tags: layers().find_map(|(layer, _)| layer.prune.keep_tags.clone()).unwrap_or_default(),
            shallow: layers().find_map(|(layer, _)| layer.shallow).unwrap_or_default(),
            max_age: Some(max_age.unwrap_or(MAX_AGE)).filter(|days| *days > 0).map(|days| days as u64),
        })
    }
}

/// Parses the name of the repository that a setting is for.
fn repository_name(name: &str) -> Result<RepositoryName, ConfigError> {
    name.parse().map_err(|error: NameError| ConfigError::new("the setting repositories", error))
}

/// Parses names of packages, with or without a repository.
fn opaque(names: &[String]) -> Result<BTreeSet<EntryId>, ConfigError> {
    let package = |name: &String| {
        let (repository, package) = name.rsplit_once('/').unwrap_or(("hexpm", name));
        Ok(EntryId { repository: repository.parse()?, package: package.parse()? })
    };
    let read = names.iter().map(package).collect::<Result<_, NameError>>();
    read.map_err(|error| ConfigError::new("the setting opaque", error))
}

/// Parses names of policies.
fn policies(names: &[String]) -> Result<BTreeSet<PolicyId>, ConfigError> {
    let read = names.iter().map(|name| name.parse()).collect::<Result<_, PolicyIdError>>();
    read.map_err(|error| ConfigError::new("the setting policies", error))
}

/// Parses versions of Elixir and OTP. `None` for those that the project names.
fn tools(pairs: &[String]) -> Result<Option<BTreeSet<ToolsPair>>, ConfigError> {
    match pairs {
        [word] if word == "auto" => return Ok(None),
        [word] if word == "off" => return Ok(Some(BTreeSet::new())),
        _ => {}
    }
    let read = |pair: &String| pair.replacen("-otp-", " otp ", 1).parse();
    let read = pairs.iter().map(read).collect::<Result<_, ToolsPairError>>();
    read.map(Some).map_err(|error| {
        ConfigError::new("the setting tools", format!("{error}; expected auto, off, or versions such as 1.18.4-otp-27"))
    })
}

/// Parses addresses of files.
fn downloads(urls: &[String]) -> Result<BTreeSet<FileAddress>, ConfigError> {
    let read = |url: &String| url.parse().map_err(|error| format!("{}: {error}", redacted_address(url)));
    let read = urls.iter().map(read).collect::<Result<BTreeSet<FileAddress>, String>>();
    let read = read.map_err(|error| ConfigError::new("the setting downloads", error))?;
    let paths: BTreeMap<String, &FileAddress> =
        read.iter().map(|address| (address.download_path().as_str().to_owned(), address)).collect();
    // A folder of files cannot have both.
    for (path, address) in &paths {
        let mut above = path.match_indices('/').filter_map(|(end, _)| paths.get(&path[..end]));
        if let Some(above) = above.next() {
            let problem = format!("{above} and {address} cannot both be mirrored: one would be a file and a folder");
            return Err(ConfigError::new("the setting downloads", problem));
        }
    }
    Ok(read)
}

/// Parses branches of git repositories.
fn git(branches: &[GitLayer]) -> Result<BTreeSet<GitBranch>, ConfigError> {
    let read = |GitLayer { url, branch }: &GitLayer| {
        GitBranch::new(url, branch).map_err(|error| format!("{}: {error}", redacted_address(url)))
    };
    let read = branches.iter().map(read).collect::<Result<_, String>>();
    read.map_err(|error| ConfigError::new("the setting git", error))
}

/// Removes a leading `./` from a path or glob, because the paths that it is matched against have none.
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
    fn no_age_is_too_old_if_the_limit_is_zero() {
        let max_age = |toml: &str| Config::from_layers(&[], &Layer::from_toml(toml).unwrap()).unwrap().max_age;
        assert_eq!((max_age(""), max_age("max_age = 7"), max_age("max_age = 0")), (Some(30), Some(7), None));
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
        let error = Layer::from_toml("opaque = ['../x']").unwrap_err();
        assert!(error.to_string().starts_with(".hexmirror.toml: the setting opaque: "), "{error}");
    }

    #[test]
    fn files_are_named_by_addresses_or_tables() {
        let downloads = |text: &str| Layer::from_toml(text).map(|layer| layer.downloads.unwrap_or_default());
        assert_eq!(
            downloads("downloads = ['https://h/x', { url = 'https://h/y' }]").unwrap(),
            ["https://h/x", "https://h/y"]
        );
        assert_eq!(downloads("[[downloads]]\nurl = 'https://h/x'\n").unwrap(), ["https://h/x"]);
        assert_eq!(downloads("").unwrap(), [""; 0]);
        for wrong in ["downloads = 'https://h/x'", "downloads = [1]", "[[downloads]]\nuri = 'https://h/x'\n"] {
            assert!(downloads(wrong).is_err(), "{wrong}");
        }
        let error = downloads("[[downloads]]\nurl = 'x'\nsha256 = 'y'\n").unwrap_err().to_string();
        assert!(error.contains("expected an address, or a table with `url`"), "{error}");
    }

    #[test]
    fn mistakes_are_named() {
        assert!(Layer::from_toml("brunch = 'x'").unwrap_err().to_string().contains("brunch"));
        let many = |number: usize| (0..number).map(|id| format!("[repositories.r{id}]\n")).collect::<String>();
        assert!(Layer::from_toml(&many(256)).is_ok());
        assert!(Layer::from_toml(&many(257)).unwrap_err().to_string().contains("256 repositories"));
        let error = Layer::from_environment(variables(&[("HEXMIRROR_JOBS", "many")])).unwrap_err();
        assert_eq!(error.origin, "HEXMIRROR_JOBS");
        let own = Layer { jobs: Some(0), ..Layer::default() };
        assert!(Config::from_layers(&[own], &Layer::default()).is_err());
        assert!(Layer::from_toml("jobs = 0").is_err());
        let error = Layer::from_git(settings(&[("hexmirror.prePush", "pull")]), |_| Vec::new()).unwrap_err();
        assert!(error.to_string().contains("expected one of `push`, `check`, `off`"), "{error}");
        assert!(Layer::from_toml("timeout = 0").is_err());
        assert!(Layer::from_toml("max_age = 100001").is_err() && Layer::from_toml("max_age = -1").is_err());
        assert!(Layer::from_toml("[repositories.'../x']").is_err());
    }
}
