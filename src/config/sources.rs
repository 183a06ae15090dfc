//! Reads the settings of one source: the tracked file, the environment, or git's configuration.

use std::collections::BTreeMap;
use std::slice;

use serde::Deserialize;

use super::{
    Config, ConfigError, Excerpt, FILE, GitLayer, HooksLayer, KeySetting, Layer, PruneLayer, RepositoryLayer, Setting,
};

/// The maximum number of repositories in the tracked file. A key file is read for each of them.
const MAX_REPOSITORIES: usize = 256;
/// The maximum number of values in a list of the tracked file.
const MAX_NAMES: usize = 1000;
/// The maximum number of branches of git repositories in the tracked file. Each is asked for on every refresh.
const MAX_GIT: usize = 64;
/// The maximum length of a value in the tracked file, in bytes, except for a key.
const MAX_TEXT: usize = 1024;

impl Layer {
    /// Reads the tracked file.
    ///
    /// # Errors
    /// Fails if it is not TOML, has an unknown key, or has a value that is invalid or out of bounds.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let excerpt = |span| Excerpt { text: text.to_owned(), span };
        let layer: Self = toml::from_str(text).map_err(|error| ConfigError {
            excerpt: error.span().map(excerpt),
            ..ConfigError::new(FILE, error.message())
        })?;
        layer.check_bounds()?;
        // An error about a value that comes from the file names the file.
        Config::from_layers(&[], &layer).map_err(|error| ConfigError::new(FILE, error))?;
        Ok(layer)
    }

    /// Checks the number and the length of the tracked file's values. Without bounds, whoever writes the file decides
    /// how long each checkout and push takes.
    fn check_bounds(&self) -> Result<(), ConfigError> {
        let error = |problem: String| Err(ConfigError::new(FILE, problem));
        if self.repositories.len() > MAX_REPOSITORIES {
            return error(format!("more than {MAX_REPOSITORIES} repositories"));
        }
        for setting in self.settings().map_err(|error| ConfigError::new(FILE, error))? {
            let texts = match &setting {
                Setting::Git(list) if list.len() > MAX_GIT => {
                    return error(format!("{} has more than {MAX_GIT} values", setting.name()));
                }
                Setting::Locks(list)
                | Setting::Opaque(list)
                | Setting::Submodules(list)
                | Setting::Policies(list)
                | Setting::KeepTags(list) => list.as_slice(),
                Setting::Branch(text) | Setting::Url(_, text) | Setting::PublicKey(_, KeySetting::File(text)) => {
                    slice::from_ref(text)
                }
                _ => &[],
            };
            if texts.len() > MAX_NAMES {
                return error(format!("{} has more than {MAX_NAMES} values", setting.name()));
            }
            if texts.iter().any(|text| text.len() > MAX_TEXT) {
                return error(format!("{} has a value of more than {MAX_TEXT} bytes", setting.name()));
            }
        }
        Ok(())
    }

    /// Reads `HEXMIRROR_BRANCH`, `HEXMIRROR_LOCKS` (separated by whitespace), `HEXMIRROR_JOBS`,
    /// `HEXMIRROR_TIMEOUT` (seconds), `HEXMIRROR_URL` and `HEXMIRROR_PUBLIC_KEY` (both of `hexpm`), `HEXMIRROR_KEEP_DAYS`,
    /// `HEXMIRROR_KEEP_TAGS`, `HEXMIRROR_OPAQUE`, `HEXMIRROR_SUBMODULES` and `HEXMIRROR_POLICIES` (separated by whitespace),
    /// `HEXMIRROR_GIT` (addresses, each followed by a branch), `HEXMIRROR_EXTRA` (separated by commas), `HEXMIRROR_DOCS`, `HEXMIRROR_SHALLOW` and `HEXMIRROR_NO_VERIFY_REPO_ORIGIN` (booleans as in git's configuration), `HEXMIRROR_MAX_AGE`
    /// (days), and Hex's own `HEX_HTTP_CONCURRENCY` and `HEX_NO_VERIFY_REPO_ORIGIN`. An empty value counts as absent.
    ///
    /// # Errors
    /// Fails if a value is invalid.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let jobs = ["HEXMIRROR_JOBS", "HEX_HTTP_CONCURRENCY"]
            .into_iter()
            .find_map(|name| Some(number(name, &get(name)?)))
            .transpose()?;
        let timeout = get("HEXMIRROR_TIMEOUT").map(|value| number("HEXMIRROR_TIMEOUT", &value)).transpose()?;
        let origin = ["HEXMIRROR_NO_VERIFY_REPO_ORIGIN", "HEX_NO_VERIFY_REPO_ORIGIN"].into_iter();
        let origin = origin.filter_map(|name| Some(boolean(name, &get(name)?))).next().transpose()?;
        let public_key = get("HEXMIRROR_PUBLIC_KEY").map(KeySetting::from);
        let hexpm = RepositoryLayer { url: get("HEXMIRROR_URL"), public_key, signer: None };
        Ok(Self {
            branch: get("HEXMIRROR_BRANCH"),
            locks: get("HEXMIRROR_LOCKS").map(|locks| words(&locks)),
            jobs,
            timeout,
            opaque: get("HEXMIRROR_OPAQUE").map(|packages| words(&packages)),
            submodules: get("HEXMIRROR_SUBMODULES").map(|apps| words(&apps)),
            extra: get("HEXMIRROR_EXTRA").map(|plugins| lines(&plugins)),
            policies: get("HEXMIRROR_POLICIES").map(|names| words(&names)),
            downloads: get("HEXMIRROR_DOWNLOADS").map(|urls| words(&urls)),
            git: get("HEXMIRROR_GIT").map(|branches| git("HEXMIRROR_GIT", words(&branches))).transpose()?,
            tools: get("HEXMIRROR_TOOLS").map(|pairs| words(&pairs)),
            artefacts: get("HEXMIRROR_ARTEFACTS").map(|values| words(&values)),
            docs: get("HEXMIRROR_DOCS").map(|value| boolean("HEXMIRROR_DOCS", &value)).transpose()?,
            asset_tools: get("HEXMIRROR_ASSET_TOOLS").map(|values| words(&values)),
            npm_keys: get("HEXMIRROR_NPM_KEYS").map(KeySetting::from),
            internal_hosts: get("HEXMIRROR_INTERNAL_HOSTS").map(|hosts| words(&hosts)),
            no_verify_repo_origin: origin,
            repositories: [("hexpm".to_owned(), hexpm)].into(),
            hooks: HooksLayer {
                pre_push: get("HEXMIRROR_PRE_PUSH").map(|text| word("HEXMIRROR_PRE_PUSH", text)).transpose()?,
                post_checkout: get("HEXMIRROR_POST_CHECKOUT")
                    .map(|text| word("HEXMIRROR_POST_CHECKOUT", text))
                    .transpose()?,
            },
            prune: PruneLayer {
                keep_days: get("HEXMIRROR_KEEP_DAYS").map(|days| number("HEXMIRROR_KEEP_DAYS", &days)).transpose()?,
                keep_tags: get("HEXMIRROR_KEEP_TAGS").map(|tags| words(&tags)),
            },
            shallow: get("HEXMIRROR_SHALLOW").map(|value| boolean("HEXMIRROR_SHALLOW", &value)).transpose()?,
            max_age: get("HEXMIRROR_MAX_AGE").map(|days| number("HEXMIRROR_MAX_AGE", &days)).transpose()?,
        })
    }

    /// Reads git's configuration: `hexmirror.branch`, `hexmirror.locks`, `hexmirror.jobs`, `hexmirror.timeout` (seconds),
    /// `hexmirror.keepDays`, `hexmirror.keepTags`, `hexmirror.opaque`, `hexmirror.submodules`, `hexmirror.policies`,
    /// `hexmirror.downloads`, `hexmirror.git` (an address and a branch), `hexmirror.tools`, `hexmirror.artefacts`, `hexmirror.assetTools`, `hexmirror.npmKeys`,
    /// `hexmirror.internalHosts`,
    /// `hexmirror.docs`, `hexmirror.noVerifyRepoOrigin`, `hexmirror.shallow`, `hexmirror.maxAge`, and
    /// `hexmirror.REPOSITORY.url`, `hexmirror.REPOSITORY.publicKey` and `hexmirror.REPOSITORY.signer`. Lists (`locks`, `keepTags`,
    /// `opaque`, `submodules`, `policies`, `downloads`, `tools`, `artefacts`, `assetTools`, `internalHosts`) are separated by whitespace and may be given several times.
    /// `hexmirror.extra` has one plugin and may be given several times.
    ///
    /// `values` returns all values of a key; if the setting is not a list, the last value counts, as in git.
    /// `by_subsection` returns the subsections of `hexmirror` in which a key is set, with its value.
    ///
    /// # Errors
    /// Fails if a value is invalid.
    pub fn from_git(
        values: impl Fn(&str) -> Vec<String>,
        by_subsection: impl Fn(&str) -> Vec<(String, String)>,
    ) -> Result<Self, ConfigError> {
        let setting = |key: &str| values(key).pop();
        let list = |key: &str| Some(values(key)).filter(|values| !values.is_empty()).map(|all| words(&all.join(" ")));
        let numeric = |key: &str| setting(key).map(|value| number(&format!("git's setting {key}"), &value)).transpose();
        let truth = |key: &str| setting(key).map(|value| boolean(&format!("git's setting {key}"), &value)).transpose();
        let (jobs, timeout) = (numeric("hexmirror.jobs")?, numeric("hexmirror.timeout")?);
        let mut repositories = BTreeMap::<String, RepositoryLayer>::new();
        for (repository, url) in by_subsection("url") {
            repositories.entry(repository).or_default().url = Some(url);
        }
        for (repository, key) in by_subsection("publicKey") {
            repositories.entry(repository).or_default().public_key = Some(key.into());
        }
        for (repository, signer) in by_subsection("signer") {
            repositories.entry(repository).or_default().signer = Some(signer);
        }
        let locks = list("hexmirror.locks");
        let hooks = HooksLayer {
            pre_push: setting("hexmirror.prePush")
                .map(|text| word("git's setting hexmirror.prePush", text))
                .transpose()?,
            post_checkout: setting("hexmirror.postCheckout")
                .map(|text| word("git's setting hexmirror.postCheckout", text))
                .transpose()?,
        };
        let keep_tags = list("hexmirror.keepTags");
        let prune = PruneLayer { keep_days: numeric("hexmirror.keepDays")?, keep_tags };
        let (opaque, submodules) = (list("hexmirror.opaque"), list("hexmirror.submodules"));
        let policies = list("hexmirror.policies");
        let (tools, artefacts) = (list("hexmirror.tools"), list("hexmirror.artefacts"));
        let git = list("hexmirror.git").map(|words| git("git's setting hexmirror.git", words)).transpose()?;
        let (asset_tools, npm_keys) =
            (list("hexmirror.assetTools"), setting("hexmirror.npmKeys").map(KeySetting::from));
        let (downloads, internal_hosts) = (list("hexmirror.downloads"), list("hexmirror.internalHosts"));
        Ok(Self {
            branch: setting("hexmirror.branch"),
            locks,
            jobs,
            timeout,
            opaque,
            submodules,
            extra: Some(values("hexmirror.extra")).filter(|values| !values.is_empty()),
            policies,
            downloads,
            git,
            tools,
            artefacts,
            docs: truth("hexmirror.docs")?,
            asset_tools,
            npm_keys,
            internal_hosts,
            no_verify_repo_origin: truth("hexmirror.noVerifyRepoOrigin")?,
            repositories,
            hooks,
            prune,
            shallow: truth("hexmirror.shallow")?,
            max_age: numeric("hexmirror.maxAge")?,
        })
    }
}

/// Parses the name of an enum's variant, such as `check`.
fn word<T: for<'a> Deserialize<'a>>(origin: &str, text: String) -> Result<T, ConfigError> {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StringDeserializer};
    let read: StringDeserializer<Error> = text.into_deserializer();
    T::deserialize(read).map_err(|error| ConfigError::new(origin, error))
}

/// Parses addresses of git repositories, each followed by a branch.
fn git(origin: &str, words: Vec<String>) -> Result<Vec<GitLayer>, ConfigError> {
    let (pairs, rest) = words.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(ConfigError::new(origin, "expected addresses, each with a branch: URL BRANCH"));
    }
    Ok(pairs.iter().map(|[url, branch]| GitLayer { url: url.clone(), branch: branch.clone() }).collect())
}

/// Parses a boolean as in git's configuration (git-config(1), "Values").
fn boolean(origin: &str, text: &str) -> Result<bool, ConfigError> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" | "" => Ok(false),
        _ => Err(ConfigError::new(origin, format!("{text:?} is neither true nor false"))),
    }
}

fn number(origin: &str, text: &str) -> Result<usize, ConfigError> {
    text.trim().parse().map_err(|_| ConfigError::new(origin, format!("{text:?} is not a number")))
}

/// Splits a list of values that may contain blanks.
fn lines(text: &str) -> Vec<String> {
    text.split(',').map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).collect()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
