//! What rebar3 lacks to use the mirror. Only its own configuration can give it a key or a repository: no variable leads to
//! another configuration, `REBAR_GLOBAL_CONFIG_DIR` included (`init_config/0` in `rebar3.erl`).

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::Result;
use super::plugins::config::REBAR_CONFIG;
use super::project::hex_repositories::HexRepositories;
use super::project::regular_file::read_regular;
use super::project::worktree::{MAX_LOCK, read_tracked};
use super::project::{LockFile, Project, read_locks};
use super::serving::redirected::redirecting_locks;
use crate::hex::registry::{PublicKey, hexpm_key};
use crate::lock::{LockKind, RebarRepository, rebar_repositories};
use crate::model::RepositoryName;
use crate::progress::Silent;

/// rebar3's configuration of a user, below the home directory.
const CONFIG: &str = ".config/rebar3/rebar.config";

/// A key that rebar3 needs and does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebar3Key {
    /// The user's configuration of rebar3, which may not exist.
    pub file: PathBuf,
    /// The line to add to it.
    pub line: String,
}

/// Returns the key of hexpm that this program's settings name, if rebar3 needs it for the locks in force and neither the
/// user's configuration nor the project's has it.
///
/// # Errors
/// Fails if a lock or the settings cannot be read.
pub fn lacking_rebar3_key(project: &Project) -> Result<Option<Rebar3Key>> {
    let hexpm = RepositoryName::hexpm();
    let known = HexRepositories::new(project, &Silent)?;
    if known.has_default_key(&hexpm) {
        return Ok(None);
    }
    let (Some(key), Some(home)) = (known.known_key(&hexpm)?, &project.environment.home) else { return Ok(None) };
    let locks = redirecting_locks(project)?.unwrap_or_default();
    if key.fingerprint() == hexpm_key().fingerprint() || !is_used(project, &locks)? {
        return Ok(None);
    }
    let file = home.join(CONFIG);
    let own = read_regular(&file, MAX_LOCK).ok().and_then(std::result::Result::ok).unwrap_or_default();
    // What cannot be read is reported by rebar3.
    let own = rebar_repositories(&own).unwrap_or_default();
    let is_it = |repository: RebarRepository| {
        let pem = repository.public_key.filter(|_| repository.name == hexpm.as_str());
        pem.and_then(|pem| PublicKey::from_pem(&pem).ok()).is_some_and(|own| own.fingerprint() == key.fingerprint())
    };
    if own.into_iter().chain(of_projects(project, &locks)).any(is_it) {
        return Ok(None);
    }
    let pem = key.to_pem().trim_end().replace('\n', "\\n");
    let line = format!("{{hex, [{{repos, [#{{name => <<\"hexpm\">>, repo_public_key => <<\"{pem}\">>}}]}}]}}.");
    Ok(Some(Rebar3Key { file, line }))
}

/// Returns whether rebar3 installs packages of these locks: those of a `rebar.lock`, or plugins in a `hexmirror.lock`.
fn is_used(project: &Project, locks: &[LockFile]) -> Result<bool> {
    let of = |kind| locks.iter().filter(move |lock| LockKind::of(&lock.file) == kind);
    let plugins: Vec<LockFile> = of(LockKind::Hexmirror).cloned().collect();
    Ok(of(LockKind::Rebar).next().is_some() || !read_locks(&project.repository, &plugins)?.releases.is_empty())
}

/// Returns the repositories other than hexpm that rebar3's configurations beside the locks name. A `rebar.lock` does not say
/// which repository a package comes from, so packages of these cannot be told from hexpm's.
pub(super) fn repositories_without_pins(project: &Project, locks: &[LockFile]) -> BTreeSet<String> {
    let names = of_projects(project, locks).map(|repository| repository.name);
    names.filter(|name| *name != RepositoryName::hexpm().as_str()).collect()
}

/// Returns the repositories that the configurations beside the `rebar.lock`s name.
fn of_projects(project: &Project, locks: &[LockFile]) -> impl Iterator<Item = RebarRepository> {
    let locks = locks.iter().filter(|lock| LockKind::of(&lock.file) == LockKind::Rebar);
    let read = |lock: &LockFile| {
        let folder = lock.file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let text = read_tracked(&project.repository, &format!("{folder}{REBAR_CONFIG}"), MAX_LOCK).ok().flatten()?;
        rebar_repositories(&text).ok()
    };
    locks.filter_map(read).flatten().collect::<Vec<_>>().into_iter()
}
