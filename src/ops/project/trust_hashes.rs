//! The hashes of the tracked settings that the user allows.

use std::collections::BTreeSet;

use super::environment::Environment;
use crate::config::ConfigError;
use crate::model::TrustHash;
use crate::ops::Result;
use crate::store::Repository;

/// The git setting that contains the allowed hashes.
pub(in crate::ops) const KEY: &str = "hexmirror.trust";
/// The environment variable that contains allowed hashes.
const VARIABLE: &str = "HEXMIRROR_TRUST";

/// Returns the hashes of the tracked settings that the user allows.
pub(in crate::ops) fn allowed(repository: &Repository, environment: &Environment) -> Result<BTreeSet<TrustHash>> {
    let (mut allowed, in_environment) = (recorded(repository)?, in_environment(environment)?);
    allowed.extend(in_environment);
    Ok(allowed)
}

pub(in crate::ops) fn recorded(repository: &Repository) -> Result<BTreeSet<TrustHash>> {
    hashes(&format!("git's setting {KEY}"), &repository.settings(KEY).join(" "))
}

pub(in crate::ops) fn in_environment(environment: &Environment) -> Result<BTreeSet<TrustHash>> {
    hashes(VARIABLE, &environment.get(VARIABLE).unwrap_or_default())
}

fn hashes(origin: &str, text: &str) -> Result<BTreeSet<TrustHash>> {
    let read = |word: &str| {
        let problem = || format!("{word:?} is not a hash printed by `git hexmirror trust`");
        word.parse().map_err(|_| ConfigError::new(origin, problem()))
    };
    Ok(text.split_whitespace().map(read).collect::<Result<_, ConfigError>>()?)
}
