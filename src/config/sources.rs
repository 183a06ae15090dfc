//! Reads the settings of one source: the tracked file, the environment, or git's configuration.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{ConfigError, FILE, HooksLayer, KeySetting, Layer, PruneLayer, RepositoryLayer};

/// The maximum number of repositories in the tracked file. A key file is read for each of them.
const MAX_REPOSITORIES: usize = 256;

impl Layer {
    /// Reads the tracked file.
    ///
    /// # Errors
    /// Fails if the file is not TOML, has an unknown key, or names more than 256 repositories.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let error = |problem| ConfigError { origin: FILE.into(), problem };
        let layer: Self = toml::from_str(text).map_err(|problem| error(problem.to_string()))?;
        if layer.repositories.len() > MAX_REPOSITORIES {
            return Err(error(format!("more than {MAX_REPOSITORIES} repositories")));
        }
        Ok(layer)
    }

    /// Reads `HEXMIRROR_BRANCH`, `HEXMIRROR_LOCKS` (separated by whitespace), `HEXMIRROR_JOBS`,
    /// `HEXMIRROR_TIMEOUT` (seconds), `HEXMIRROR_URL` and `HEXMIRROR_PUBLIC_KEY` (both of `hexpm`), `HEXMIRROR_KEEP_DAYS`,
    /// `HEXMIRROR_KEEP_TAGS`, `HEXMIRROR_OPAQUE` and `HEXMIRROR_SUBMODULES` (separated by whitespace), `HEXMIRROR_SHALLOW` (a
    /// boolean as in git's configuration), and Hex's own `HEX_HTTP_CONCURRENCY`. An empty value counts as absent.
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
        let public_key = get("HEXMIRROR_PUBLIC_KEY").map(KeySetting::from);
        let hexpm = RepositoryLayer { url: get("HEXMIRROR_URL"), public_key, signer: None };
        Ok(Self {
            branch: get("HEXMIRROR_BRANCH"),
            locks: get("HEXMIRROR_LOCKS").map(|locks| words(&locks)),
            jobs,
            timeout,
            opaque: get("HEXMIRROR_OPAQUE").map(|packages| words(&packages)),
            submodules: get("HEXMIRROR_SUBMODULES").map(|apps| words(&apps)),
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
        })
    }

    /// Reads git's configuration: `hexmirror.branch`, `hexmirror.locks`, `hexmirror.jobs`, `hexmirror.timeout` (seconds),
    /// `hexmirror.keepDays`, `hexmirror.keepTags`, `hexmirror.opaque`, `hexmirror.submodules`, `hexmirror.shallow`, and
    /// `hexmirror.REPOSITORY.url`, `hexmirror.REPOSITORY.publicKey` and `hexmirror.REPOSITORY.signer`. Lists (`locks`, `keepTags`,
    /// `opaque`, `submodules`) are separated by whitespace and may be given several times.
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
        let shallow = setting("hexmirror.shallow").map(|value| boolean("git's setting hexmirror.shallow", &value));
        let shallow = shallow.transpose()?;
        Ok(Self {
            branch: setting("hexmirror.branch"),
            locks,
            jobs,
            timeout,
            opaque,
            submodules,
            repositories,
            hooks,
            prune,
            shallow,
        })
    }
}

/// Parses the name of an enum's variant, such as `check`.
fn word<T: for<'a> Deserialize<'a>>(origin: &str, text: String) -> Result<T, ConfigError> {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StringDeserializer};
    let read: StringDeserializer<Error> = text.into_deserializer();
    T::deserialize(read).map_err(|error| ConfigError { origin: origin.into(), problem: error.to_string() })
}

/// Parses a boolean as in git's configuration (git-config(1), "Values").
fn boolean(origin: &str, text: &str) -> Result<bool, ConfigError> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" | "" => Ok(false),
        _ => Err(ConfigError { origin: origin.into(), problem: format!("{text:?} is neither true nor false") }),
    }
}

fn number(origin: &str, text: &str) -> Result<usize, ConfigError> {
    let problem = || format!("{text:?} is not a number");
    text.trim().parse().map_err(|_| ConfigError { origin: origin.into(), problem: problem() })
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
