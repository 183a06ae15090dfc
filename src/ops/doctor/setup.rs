//! What was set up: git, the remotes, the hooks, the settings, and the Hex repositories to fetch from.

use std::collections::BTreeSet;
use std::path::Path;

use super::finding::{Finding, Topic};
use crate::config::{PostCheckout, PrePush, SettingValue, Standing, UnknownKey};
use crate::git::Git;
use crate::model::{RepositoryName, redacted, redacted_address};
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::sharing::is_automated;
use crate::ops::{HookState, HooksOwner, Origin, Project, Result, hook_states, hooks_owner};
use crate::progress::Silent;

/// Returns git's version.
pub fn git(project: &Project) -> Result<Vec<Finding>> {
    let version = Git::find(project.git_settings(false))?.version()?;
    Ok(vec![Finding::good(Topic::Git, format!("git {version}"))])
}

/// Returns the remotes with their addresses.
pub fn remotes(project: &Project) -> Vec<Finding> {
    let repository = &project.repository;
    let default = repository.default_remote();
    let described = |name: &crate::model::Remote| {
        let url = repository.setting(&format!("remote.{}.url", name.secret_text()));
        let url = url.map_or_else(|| "no address".to_owned(), |url| redacted_address(&url));
        let used = if default.as_ref() == Some(name) { " (used unless another one is given)" } else { "" };
        Finding::good(Topic::Remotes, format!("{name}: {url}{used}"))
    };
    let found: Vec<Finding> = repository.remote_names().iter().map(described).collect();
    if found.is_empty() { vec![Finding::good(Topic::Remotes, "there are none")] } else { found }
}

/// Returns whether git calls this program.
pub fn hooks(project: &Project, binary: &Path) -> Result<Vec<Finding>> {
    if project.repository.worktree().is_none() {
        return Ok(vec![Finding::good(Topic::Hooks, "not needed in a bare repository")]);
    }
    if project.config.pre_push == PrePush::Off && project.config.post_checkout == PostCheckout::Off {
        return Ok(vec![Finding::good(Topic::Hooks, "turned off by settings")]);
    }
    let states = hook_states(project, binary)?;
    let is_good = |state: &HookState| state.caller.is_some() || state.state.is_good();
    let (good, lacking): (Vec<_>, Vec<_>) = states.iter().partition(|state| is_good(state));
    let names = |states: &[&HookState]| states.iter().map(|state| state.hook.name()).collect::<Vec<_>>().join(", ");
    if lacking.is_empty() {
        return Ok(vec![Finding::good(Topic::Hooks, format!("{} call git hexmirror", names(&good)))]);
    }
    if is_automated(project) {
        return Ok(vec![Finding::good(Topic::Hooks, "not needed in continuous integration")]);
    }
    let text = format!("{} do not call git hexmirror, or an older one", names(&lacking));
    Ok(vec![match hooks_owner(project)? {
        HooksOwner::Project | HooksOwner::User => {
            Finding::act(Topic::Hooks, text, "add the lines that `git hexmirror hooks status` prints")
        }
        HooksOwner::Clone => Finding::run(Topic::Hooks, text, "git hexmirror hooks install"),
    }])
}

/// Returns the settings that someone set, each with its origin.
pub fn settings(project: &Project) -> Result<Vec<Finding>> {
    let listed = crate::ops::settings(project)?.into_iter().filter(|listed| listed.origin != Origin::Default);
    let described = |listed: crate::ops::ListedSetting| {
        let value = match listed.setting.value() {
            SettingValue::Text(text) => redacted(&text),
            value => value.to_string(),
        };
        // A public key is longer than a line.
        let value = value.lines().next().unwrap_or_default().to_owned();
        let text = format!("{}={value} ({})", listed.setting.name(), listed.origin);
        match listed.standing {
            Standing::Active | Standing::Allowed => Finding::good(Topic::Settings, text),
            Standing::Overridden => Finding::good(Topic::Settings, text + ", overridden"),
            Standing::Inactive => {
                Finding::run(Topic::Settings, text + ", inactive until you allow it", "git hexmirror trust")
            }
        }
    };
    let unknown = crate::ops::unknown_settings(project).into_iter().map(|UnknownKey { key, nearest }| {
        let action = match nearest {
            Some(nearest) if project.environment.get(&key).is_some() => format!("rename the variable to {nearest}"),
            Some(nearest) => format!("rename it to {nearest}, or remove it: git config --unset-all {key}"),
            None => format!("remove it: git config --unset-all {key}"),
        };
        Finding::act(Topic::Settings, format!("no setting is called {key}, so it has no effect"), action)
    });
    let found: Vec<Finding> = listed.map(described).chain(unknown).collect();
    Ok(if found.is_empty() { vec![Finding::good(Topic::Settings, "only defaults")] } else { found })
}

/// Returns the addresses of hexpm and of the repositories that the locks name.
pub fn upstream(project: &Project) -> Result<Vec<Finding>> {
    let locks = project.present_locks().and_then(|locks| project.wanted(&locks)).unwrap_or_default();
    let named = locks.packages().into_iter().map(|id| id.repository.clone());
    let names: BTreeSet<RepositoryName> = named.chain([RepositoryName::hexpm()]).collect();
    let repositories = HexRepositories::new(project, &Silent)?;
    let found = names.iter().map(|name| {
        Ok(match repositories.address(name)? {
            Some(url) if repositories.lacks_folder(name) => Finding::act(
                Topic::Upstream,
                format!("{name}: {url}, which does not exist"),
                format!("create it, or correct or unset `git config hexmirror.{name}.url`"),
            ),
            Some(url) => Finding::good(Topic::Upstream, format!("{name}: {url}")),
            None => Finding::act(
                Topic::Upstream,
                format!("{name} has no address"),
                format!("set it with `git config hexmirror.{name}.url URL` or `mix hex.repo add {name} URL`"),
            ),
        })
    });
    found.collect()
}
