//! Lists all settings with their origins, as `git config --show-origin` does.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use super::project::Environment;
use super::project::hex_client::{MIRROR, TRUSTED_MIRROR, known_to_hex};
use super::{Project, Result};
use crate::config::{Config, FILE, Judged, Layer, Setting, Standing, UnknownKey, misspelt_variables, unknown_keys};
use crate::fetch::Settings;
use crate::plan::default_locks;
use crate::store::{Repository, SettingOrigin};

/// The origin of a setting's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A command-line flag.
    Flag(&'static str),
    /// An environment variable.
    Variable(&'static str),
    /// Git's configuration.
    Git {
        /// The scope, as `git config --show-scope` names it.
        scope: &'static str,
        /// The file. `None` for git's command line and environment.
        file: Option<PathBuf>,
    },
    /// The Hex client's configuration.
    Hex,
    /// The tracked file.
    Tracked,
    /// The default value.
    Default,
}

impl fmt::Display for Origin {
    /// Names the origin as `git config --show-origin` does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::Git { scope, file: Some(file) } => write!(f, "{scope} file:{}", file.display()),
            Self::Git { file: None, .. } => f.write_str("command line:"),
            Self::Hex => f.write_str("hex.config"),
            Self::Tracked => f.write_str(FILE),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting with a value from one origin, and whether that value takes effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSetting {
    /// The setting and the value.
    pub setting: Setting,
    /// The value's origin.
    pub origin: Origin,
    /// Whether the value takes effect.
    pub standing: Standing,
}

/// Returns all settings with the values from all origins, in order of precedence.
///
/// # Errors
/// Fails if the name of a repository is invalid.
pub fn settings(project: &Project) -> Result<Vec<ListedSetting>> {
    let (repository, environment) = (&project.repository, &project.environment);
    let [flags, variables, git] = &project.own;
    let mut listed = Vec::new();
    let mut add = |setting: Setting, origin: Origin, standing: Standing| {
        listed.push(ListedSetting { setting, origin, standing });
    };
    for setting in flags.settings()? {
        let origin = Origin::Flag(if matches!(setting, Setting::Branch(_)) { "--branch" } else { "--lock" });
        add(setting, origin, Standing::Active);
    }
    for setting in variables.settings()? {
        let origin = variable(environment, setting.variables()).map_or(Origin::Default, Origin::Variable);
        add(setting, origin, Standing::Active);
    }
    for setting in git.settings()? {
        let origin = in_git(repository, &setting);
        add(setting, origin, Standing::Active);
    }
    let mirror = || variable(environment, &TRUSTED_MIRROR).or_else(|| variable(environment, &MIRROR));
    for setting in known_to_hex(environment, &Default::default()).settings()? {
        let is_hexpms = setting.name() == "repositories.hexpm.url";
        let origin = mirror().filter(|_| is_hexpms).map_or(Origin::Hex, Origin::Variable);
        add(setting, origin, Standing::Active);
    }
    for Judged { setting, standing, .. } in &project.tracked.settings {
        add(setting.clone(), Origin::Tracked, *standing);
    }
    for setting in defaults().settings()? {
        add(setting, Origin::Default, Standing::Active);
    }
    // The first effective value overrides the others.
    let mut seen = BTreeSet::new();
    for listed in &mut listed {
        let counts = matches!(listed.standing, Standing::Active | Standing::Allowed);
        if counts && !seen.insert(listed.setting.name()) {
            listed.standing = Standing::Overridden;
        }
    }
    // Omit overridden defaults.
    listed.retain(|listed| !(listed.origin == Origin::Default && listed.standing == Standing::Overridden));
    listed.sort_by_key(|listed| position(&listed.setting));
    Ok(listed)
}

/// Returns the keys of this program in git's configuration that no setting has, and misspelt environment variables.
pub fn unknown_settings(project: &Project) -> Vec<UnknownKey> {
    let mut unknown = unknown_keys(project.repository.setting_names("hexmirror"));
    unknown.extend(misspelt_variables(project.environment.variables.keys().map(String::as_str)));
    unknown
}

/// Returns the name of the first of these variables that is set.
fn variable(environment: &Environment, names: &[&'static str]) -> Option<&'static str> {
    names.iter().copied().find(|name| environment.get(name).is_some())
}

/// Returns the scope and file of the effective value in git's configuration.
fn in_git(repository: &Repository, setting: &Setting) -> Origin {
    match repository.setting_origins(&setting.git_key()).pop() {
        Some(SettingOrigin { scope, file }) => Origin::Git { scope, file },
        None => Origin::Default,
    }
}

fn defaults() -> Layer {
    let mut layer: Layer = Config::defaults();
    let fetching = Settings::default();
    layer.locks = Some(default_locks().map(str::to_owned).collect());
    layer.jobs = Some(fetching.concurrency);
    layer.timeout = usize::try_from(fetching.timeouts.stall.as_secs()).ok();
    layer
}

/// Returns a setting's position in the list: settings of the same name are grouped, and those of repositories come
/// last.
fn position(setting: &Setting) -> (usize, String) {
    let names = defaults().settings().unwrap_or_default();
    let name = setting.name();
    (names.iter().position(|setting| setting.name() == name).unwrap_or(names.len()), name)
}
