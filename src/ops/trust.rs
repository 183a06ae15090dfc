//! Records which tracked settings the user allows.

use std::collections::BTreeSet;

use super::project::trust_hashes::{KEY, in_environment, recorded};
use super::{OpError, Project, Result};
use crate::config::{KeySetting, Setting};
use crate::model::TrustHash;

/// Where the tracked settings of a project are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Whether git's configuration contains their hash.
    pub recorded: bool,
    /// Whether the environment variable contains their hash.
    pub in_environment: bool,
    /// Whether either of the two contains other hashes.
    pub has_others: bool,
}

/// Returns where the tracked settings of a project are allowed.
///
/// # Errors
/// Fails if a setting is not a hash.
pub fn allowance(project: &Project) -> Result<Allowance> {
    let (recorded, in_environment) = (recorded(&project.repository)?, in_environment(&project.environment)?);
    let has = |hashes: &BTreeSet<TrustHash>| project.tracked.hash.is_some_and(|hash| hashes.contains(&hash));
    let (is_recorded, is_in_environment) = (has(&recorded), has(&in_environment));
    let has_others = recorded.union(&in_environment).any(|hash| Some(*hash) != project.tracked.hash);
    Ok(Allowance { recorded: is_recorded, in_environment: is_in_environment, has_others })
}

/// Allows the current tracked settings: records their hash in the repository's own git configuration, which all
/// worktrees share. Returns whether the hash is new.
///
/// # Errors
/// Fails if a key file that the settings name cannot be read, or if git cannot write its configuration.
pub fn allow(project: &Project) -> Result<bool> {
    for judged in project.tracked.settings.iter().filter(|judged| judged.is_covered) {
        if let Setting::PublicKey(repository, KeySetting::Tracked { content: Err(problem), .. }) = &judged.setting {
            let (repository, problem) = (repository.clone(), problem.clone());
            return Err(OpError::PublicKey { repository, problem });
        }
    }
    let Some(hash) = project.tracked.hash else { return Ok(false) };
    if recorded(&project.repository)?.contains(&hash) {
        return Ok(false);
    }
    project.git(false)?.add_setting(KEY, &hash.to_string())?;
    Ok(true)
}

/// Revokes all allowed settings: removes all hashes from the repository's own git configuration. Returns the number of
/// removed hashes.
///
/// # Errors
/// Fails if git cannot write its configuration.
pub fn revoke(project: &Project) -> Result<usize> {
    let origins = project.repository.setting_origins(KEY);
    let own = origins.iter().filter(|origin| origin.scope == "local").count();
    if own > 0 {
        project.git(false)?.remove_setting(KEY)?;
    }
    Ok(own)
}
