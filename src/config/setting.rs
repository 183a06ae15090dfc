//! Individual settings with their names and values, for listing them and for deciding which of them are active.

use std::fmt;

use super::{
    ConfigError, GitLayer, HooksLayer, KeySetting, Layer, PostCheckout, PrePush, PruneLayer, RepositoryLayer,
    repository_name,
};
use crate::model::{RepositoryName, redacted_address};

/// One setting of one source, with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// The mirror branch.
    Branch(String),
    /// The lock files, as globs.
    Locks(Vec<String>),
    /// The number of parallel requests.
    Jobs(usize),
    /// The timeout, in seconds.
    Timeout(usize),
    /// The packages that are stored as tarballs.
    Opaque(Vec<String>),
    /// The applications whose git repositories are mirrored with their submodules.
    Submodules(Vec<String>),
    /// The rebar3 plugins to pin that no rebar.config shows.
    Extra(Vec<String>),
    /// The policies to mirror.
    Policies(Vec<String>),
    /// The addresses of files to mirror.
    Downloads(Vec<String>),
    /// The branches of git repositories to mirror besides the dependencies.
    Git(Vec<GitLayer>),
    /// The versions of Elixir and OTP whose Hex and rebar3 are mirrored.
    Tools(Vec<String>),
    /// Whether precompiled files of packages are mirrored, and where they are published.
    Artefacts(Vec<String>),
    /// Whether the documentation of the pinned releases is mirrored.
    Docs(bool),
    /// Which asset tools are mirrored, and where they are published.
    AssetTools(Vec<String>),
    /// Public keys that may sign packages of npm.
    NpmKeys(KeySetting),
    /// The hosts of files that may be in a private network.
    InternalHosts(Vec<String>),
    /// Whether registry entries may name another repository than the one that they come from.
    NoVerifyRepoOrigin(bool),
    /// Whether git entries with a `depth` are stored with only that depth.
    Shallow(bool),
    /// The age of registry entries above which `status` mentions it, in days.
    MaxAge(usize),
    /// The action before a push.
    PrePush(PrePush),
    /// The action after a branch switch, a merge or a rebase.
    PostCheckout(PostCheckout),
    /// The number of days for which `prune` keeps everything.
    KeepDays(usize),
    /// The tags whose locks `prune` respects.
    KeepTags(Vec<String>),
    /// The URL of a Hex repository.
    Url(RepositoryName, String),
    /// The public key that verifies a Hex repository's registry.
    PublicKey(RepositoryName, KeySetting),
    /// The fingerprint of the only key that may sign a Hex repository's registry entries.
    Signer(RepositoryName, String),
}

/// The value of a setting for display, without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingValue {
    /// A string.
    Text(String),
    /// A number.
    Number(usize),
    /// A boolean.
    Boolean(bool),
    /// A list of strings.
    List(Vec<String>),
}

impl fmt::Display for SettingValue {
    /// Separates the values of a list by spaces, as in the environment and git's configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Boolean(value) => value.fmt(f),
            Self::List(values) => f.write_str(&values.join(" ")),
        }
    }
}

impl Setting {
    /// Returns the table of the tracked file that contains the setting, the repository it is for, and its key there.
    fn place(&self) -> (&'static str, Option<&RepositoryName>, &'static str) {
        match self {
            Self::Branch(_) => ("", None, "branch"),
            Self::Locks(_) => ("", None, "locks"),
            Self::Jobs(_) => ("", None, "jobs"),
            Self::Timeout(_) => ("", None, "timeout"),
            Self::Opaque(_) => ("", None, "opaque"),
            Self::Submodules(_) => ("", None, "submodules"),
            Self::Extra(_) => ("", None, "extra"),
            Self::Policies(_) => ("", None, "policies"),
            Self::Downloads(_) => ("", None, "downloads"),
            Self::Git(_) => ("", None, "git"),
            Self::Tools(_) => ("", None, "tools"),
            Self::Artefacts(_) => ("", None, "artefacts"),
            Self::Docs(_) => ("", None, "docs"),
            Self::AssetTools(_) => ("", None, "asset_tools"),
            Self::NpmKeys(_) => ("", None, "npm_keys"),
            Self::InternalHosts(_) => ("", None, "internal_hosts"),
            Self::NoVerifyRepoOrigin(_) => ("", None, "no_verify_repo_origin"),
            Self::Shallow(_) => ("", None, "shallow"),
            Self::MaxAge(_) => ("", None, "max_age"),
            Self::PrePush(_) => ("hooks.", None, "pre_push"),
            Self::PostCheckout(_) => ("hooks.", None, "post_checkout"),
            Self::KeepDays(_) => ("prune.", None, "keep_days"),
            Self::KeepTags(_) => ("prune.", None, "keep_tags"),
            Self::Url(repository, _) => ("repositories.", Some(repository), "url"),
            Self::PublicKey(repository, _) => ("repositories.", Some(repository), "public_key"),
            Self::Signer(repository, _) => ("repositories.", Some(repository), "signer"),
        }
    }

    /// Returns the setting's name, as a path in the tracked file: `hooks.post_checkout`, `repositories.acme.url`.
    pub fn name(&self) -> String {
        let (table, repository, key) = self.place();
        table.to_owned() + &repository.map(|name| format!("{name}.")).unwrap_or_default() + key
    }

    /// Returns the key of this setting in git's configuration: `hexmirror.postCheckout`, `hexmirror.acme.url`.
    pub fn git_key(&self) -> String {
        let (_, repository, key) = self.place();
        let mut words = key.split('_');
        let mut text = "hexmirror.".to_owned() + &repository.map(|name| format!("{name}.")).unwrap_or_default();
        text += words.next().unwrap_or_default();
        for word in words {
            let (first, rest) = word.split_at(1);
            text += &(first.to_ascii_uppercase() + rest);
        }
        text
    }

    /// Returns the value for display, without credentials.
    pub fn value(&self) -> SettingValue {
        match self {
            Self::Branch(text) | Self::Signer(_, text) => SettingValue::Text(text.clone()),
            Self::Url(_, text) => SettingValue::Text(redacted_address(text)),
            Self::PublicKey(_, key) | Self::NpmKeys(key) => SettingValue::Text(key.to_string()),
            Self::Jobs(number) | Self::Timeout(number) | Self::MaxAge(number) | Self::KeepDays(number) => {
                SettingValue::Number(*number)
            }
            Self::Docs(value) | Self::NoVerifyRepoOrigin(value) | Self::Shallow(value) => SettingValue::Boolean(*value),
            Self::PrePush(what) => SettingValue::Text(what.as_str().to_owned()),
            Self::PostCheckout(what) => SettingValue::Text(what.as_str().to_owned()),
            Self::Downloads(list) => SettingValue::List(list.iter().map(|url| redacted_address(url)).collect()),
            Self::Git(list) => {
                let shown = |GitLayer { url, branch }: &GitLayer| format!("{} {branch}", redacted_address(url));
                SettingValue::List(list.iter().map(shown).collect())
            }
            Self::Artefacts(list) | Self::AssetTools(list) => {
                SettingValue::List(list.iter().map(|value| without_password(value)).collect())
            }
            Self::Locks(list)
            | Self::Opaque(list)
            | Self::Submodules(list)
            | Self::Extra(list)
            | Self::Policies(list)
            | Self::Tools(list)
            | Self::InternalHosts(list)
            | Self::KeepTags(list) => SettingValue::List(list.clone()),
        }
    }

    /// Returns the environment variables that set this setting, in order of precedence.
    pub fn variables(&self) -> &'static [&'static str] {
        match self {
            Self::Branch(_) => &["HEXMIRROR_BRANCH"],
            Self::Locks(_) => &["HEXMIRROR_LOCKS"],
            Self::Jobs(_) => &["HEXMIRROR_JOBS", "HEX_HTTP_CONCURRENCY"],
            Self::Timeout(_) => &["HEXMIRROR_TIMEOUT"],
            Self::Opaque(_) => &["HEXMIRROR_OPAQUE"],
            Self::Submodules(_) => &["HEXMIRROR_SUBMODULES"],
            Self::Extra(_) => &["HEXMIRROR_EXTRA"],
            Self::Policies(_) => &["HEXMIRROR_POLICIES"],
            Self::Downloads(_) => &["HEXMIRROR_DOWNLOADS"],
            Self::Git(_) => &["HEXMIRROR_GIT"],
            Self::Tools(_) => &["HEXMIRROR_TOOLS"],
            Self::Artefacts(_) => &["HEXMIRROR_ARTEFACTS"],
            Self::Docs(_) => &["HEXMIRROR_DOCS"],
            Self::AssetTools(_) => &["HEXMIRROR_ASSET_TOOLS"],
            Self::NpmKeys(_) => &["HEXMIRROR_NPM_KEYS"],
            Self::InternalHosts(_) => &["HEXMIRROR_INTERNAL_HOSTS"],
            Self::NoVerifyRepoOrigin(_) => &["HEXMIRROR_NO_VERIFY_REPO_ORIGIN", "HEX_NO_VERIFY_REPO_ORIGIN"],
            Self::Shallow(_) => &["HEXMIRROR_SHALLOW"],
            Self::MaxAge(_) => &["HEXMIRROR_MAX_AGE"],
            Self::PrePush(_) => &["HEXMIRROR_PRE_PUSH"],
            Self::PostCheckout(_) => &["HEXMIRROR_POST_CHECKOUT"],
            Self::KeepDays(_) => &["HEXMIRROR_KEEP_DAYS"],
            Self::KeepTags(_) => &["HEXMIRROR_KEEP_TAGS"],
            // For hexpm; other repositories have no variables.
            Self::Url(..) => &["HEXMIRROR_URL"],
            Self::PublicKey(..) => &["HEXMIRROR_PUBLIC_KEY"],
            Self::Signer(..) => &[],
        }
    }
}

impl Layer {
    /// Returns the settings of this source, in the order in which they are listed.
    ///
    /// # Errors
    /// Fails if the name of a repository is invalid.
    pub fn settings(&self) -> Result<Vec<Setting>, ConfigError> {
        // No `..` in the patterns, so that the compiler demands a name for each new setting.
        let Self {
            branch,
            locks,
            jobs,
            timeout,
            opaque,
            policies,
            downloads,
            git,
            tools,
            artefacts,
            docs,
            asset_tools,
            npm_keys,
            internal_hosts,
            no_verify_repo_origin,
            repositories,
            hooks,
            prune,
            shallow,
            submodules,
            extra,
            max_age,
        } = self;
        let HooksLayer { pre_push, post_checkout } = hooks;
        let PruneLayer { keep_days, keep_tags } = prune;
        let single = [
            branch.clone().map(Setting::Branch),
            locks.clone().map(Setting::Locks),
            jobs.map(Setting::Jobs),
            timeout.map(Setting::Timeout),
            opaque.clone().map(Setting::Opaque),
            submodules.clone().map(Setting::Submodules),
            extra.clone().map(Setting::Extra),
            policies.clone().map(Setting::Policies),
            downloads.clone().map(Setting::Downloads),
            git.clone().map(Setting::Git),
            tools.clone().map(Setting::Tools),
            artefacts.clone().map(Setting::Artefacts),
            docs.map(Setting::Docs),
            asset_tools.clone().map(Setting::AssetTools),
            npm_keys.clone().map(Setting::NpmKeys),
            internal_hosts.clone().map(Setting::InternalHosts),
            no_verify_repo_origin.map(Setting::NoVerifyRepoOrigin),
            shallow.map(Setting::Shallow),
            max_age.map(Setting::MaxAge),
            pre_push.map(Setting::PrePush),
            post_checkout.map(Setting::PostCheckout),
            keep_days.map(Setting::KeepDays),
            keep_tags.clone().map(Setting::KeepTags),
        ];
        let mut settings: Vec<Setting> = single.into_iter().flatten().collect();
        for (name, RepositoryLayer { url, public_key, signer }) in repositories {
            let name = repository_name(name)?;
            settings.extend(url.clone().map(|url| Setting::Url(name.clone(), url)));
            settings.extend(public_key.clone().map(|key| Setting::PublicKey(name.clone(), key)));
            settings.extend(signer.clone().map(|signer| Setting::Signer(name.clone(), signer)));
        }
        Ok(settings)
    }
}

/// Returns `NAME=URL` without the password that the URL may have.
fn without_password(value: &str) -> String {
    match value.split_once('=') {
        Some((package, url)) => format!("{package}={}", redacted_address(url)),
        None => value.to_owned(),
    }
}

impl FromIterator<Setting> for Layer {
    fn from_iter<I: IntoIterator<Item = Setting>>(settings: I) -> Self {
        let mut layer = Self::default();
        for setting in settings {
            match setting {
                Setting::Branch(name) => layer.branch = Some(name),
                Setting::Locks(globs) => layer.locks = Some(globs),
                Setting::Jobs(number) => layer.jobs = Some(number),
                Setting::Timeout(seconds) => layer.timeout = Some(seconds),
                Setting::Opaque(names) => layer.opaque = Some(names),
                Setting::Submodules(apps) => layer.submodules = Some(apps),
                Setting::Extra(plugins) => layer.extra = Some(plugins),
                Setting::Policies(names) => layer.policies = Some(names),
                Setting::Downloads(urls) => layer.downloads = Some(urls),
                Setting::Git(branches) => layer.git = Some(branches),
                Setting::Tools(pairs) => layer.tools = Some(pairs),
                Setting::Artefacts(values) => layer.artefacts = Some(values),
                Setting::Docs(value) => layer.docs = Some(value),
                Setting::AssetTools(values) => layer.asset_tools = Some(values),
                Setting::NpmKeys(key) => layer.npm_keys = Some(key),
                Setting::InternalHosts(hosts) => layer.internal_hosts = Some(hosts),
                Setting::NoVerifyRepoOrigin(value) => layer.no_verify_repo_origin = Some(value),
                Setting::Shallow(value) => layer.shallow = Some(value),
                Setting::MaxAge(days) => layer.max_age = Some(days),
                Setting::PrePush(what) => layer.hooks.pre_push = Some(what),
                Setting::PostCheckout(what) => layer.hooks.post_checkout = Some(what),
                Setting::KeepDays(days) => layer.prune.keep_days = Some(days),
                Setting::KeepTags(globs) => layer.prune.keep_tags = Some(globs),
                Setting::Url(repository, url) => {
                    layer.repositories.entry(repository.to_string()).or_default().url = Some(url);
                }
                Setting::PublicKey(repository, key) => {
                    layer.repositories.entry(repository.to_string()).or_default().public_key = Some(key);
                }
                Setting::Signer(repository, signer) => {
                    layer.repositories.entry(repository.to_string()).or_default().signer = Some(signer);
                }
            }
        }
        layer
    }
}

#[cfg(test)]
mod tests {
    use super::super::unknown_keys;
    use super::*;

    /// A tracked file with every setting.
    const ALL: &str = "branch = 'hexmirror'\nlocks = ['a']\njobs = 1\ntimeout = 2\nopaque = ['b']\nsubmodules = ['c']\nextra = ['pc ~> 1.0']\n\
                       policies = ['corp/strict']\ndownloads = ['https://h/x']\ngit = [{ url = 'https://h/g', branch = 'main' }]\ntools = ['1.18.4-otp-27']\nartefacts = ['x=https://h/x']\nasset_tools = ['esbuild@0.25.0', 'esbuild=https://h/x']\ndocs = true\ninternal_hosts = ['h']\nno_verify_repo_origin = true\n\
                       shallow = true\nmax_age = 4\n[hooks]\npre_push = 'off'\npost_checkout = 'pull'\n[prune]\nkeep_days = 3\n\
                       keep_tags = ['d', 'e']\n[repositories.'hexpm:acme']\nurl = 'https://u:secret@h/x'\npublic_key = 'f.pem'\n";

    #[test]
    fn a_layer_is_its_settings() {
        let layer = Layer::from_toml(ALL).unwrap();
        let settings = layer.settings().unwrap();
        assert_eq!(settings.len(), 24);
        assert_eq!(settings.iter().cloned().collect::<Layer>(), layer);
        let names: std::collections::BTreeSet<String> = settings.iter().map(Setting::name).collect();
        assert_eq!(names.len(), settings.len(), "{names:?}");
    }

    #[test]
    fn settings_are_shown_without_credentials() {
        let shown = |setting: &Setting| format!("{}={}", setting.name(), setting.value());
        let settings = Layer::from_toml(ALL).unwrap().settings().unwrap();
        let shown: Vec<String> = settings.iter().map(shown).collect();
        assert_eq!(
            shown[20..],
            [
                "prune.keep_days=3",
                "prune.keep_tags=d e",
                "repositories.hexpm:acme.url=https://***@h/x",
                "repositories.hexpm:acme.public_key=f.pem",
            ]
        );
    }

    #[test]
    fn each_setting_is_read_where_it_says_that_it_is() {
        let layer: Layer = Layer::from_toml(&ALL.replace("hexpm:acme", "hexpm")).unwrap();
        for setting in layer.settings().unwrap() {
            let value = match &setting {
                Setting::Url(_, url) => url.clone(),
                setting => setting.value().to_string(),
            };
            for variable in setting.variables() {
                let read = Layer::from_environment(|name| (name == *variable).then(|| value.clone())).unwrap();
                assert_eq!(read.settings().unwrap(), std::slice::from_ref(&setting), "{variable}");
            }
            let key = setting.git_key();
            let values = |name: &str| if name == key { vec![value.clone()] } else { Vec::new() };
            let of = |name: &str| {
                if format!("hexmirror.hexpm.{name}") == key {
                    vec![("hexpm".into(), value.clone())]
                } else {
                    Vec::new()
                }
            };
            let rest = key.strip_prefix("hexmirror.").unwrap();
            let (repository, name) =
                rest.rsplit_once('.').map_or((None, rest), |(of, name)| (Some(of.to_owned()), name));
            assert_eq!(unknown_keys([(repository, name.to_owned())]), [], "{key}");
            assert_eq!(Layer::from_git(values, of).unwrap().settings().unwrap(), [setting], "{key}");
        }
    }
}
