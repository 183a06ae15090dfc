//! The policies that a project needs: those that Hex enforces in it, and those that the settings name.

use std::collections::BTreeSet;

use super::Project;
use super::hex_client::hex_home;
use super::lock_file::LockFile;
use super::worktree::{MAX_SETTINGS, read_committed, read_tracked};
use crate::config::ConfigError;
use crate::lock::policy_of_mix_exs;
use crate::model::PolicyId;
use crate::ops::plugins::config::MIX_EXS;
use crate::ops::{OpError, Result};
use crate::store::{ObjectId, Repository};

/// The lock that a mix.exs belongs to.
pub(super) const MIX_LOCK: &str = "mix.lock";

/// Returns the path of the file beside a lock that may name a policy. `None` if it is not a lock of mix.
pub(super) fn mix_exs_beside(lock: &str) -> Option<String> {
    lock.strip_suffix(MIX_LOCK)
        .filter(|folder| folder.is_empty() || folder.ends_with('/'))
        .map(|f| f.to_owned() + MIX_EXS)
}

/// Returns the path and the name of the lock that a mix.exs belongs to. `None` for another file.
pub(super) fn lock_beside(path: &str) -> Option<(String, &'static str)> {
    let folder = path.strip_suffix(MIX_EXS).filter(|folder| folder.is_empty() || folder.ends_with('/'))?;
    Some((format!("{folder}{MIX_LOCK}"), MIX_LOCK))
}

/// Returns the policy that a mix.exs in the worktree names, or one in `HEAD` of a bare repository.
pub(super) fn policy_in_worktree(repository: &Repository, mix_exs: &str) -> Result<Option<PolicyId>> {
    unless_refused(read_tracked(repository, mix_exs, MAX_SETTINGS))
}

/// Returns the policy that a mix.exs in a commit names.
pub(super) fn policy_in_commit(repository: &Repository, blob: ObjectId, mix_exs: &str) -> Result<Option<PolicyId>> {
    unless_refused(read_committed(repository, blob, mix_exs, MAX_SETTINGS).map(Some))
}

/// Returns the policy that the text of a mix.exs names. A file that is too large, or outside of the worktree, names
/// none: it is code that is only read for this.
pub(super) fn unless_refused(read: Result<Option<Vec<u8>>>) -> Result<Option<PolicyId>> {
    match read {
        Err(OpError::Refused { .. }) => Ok(None),
        read => Ok(read?.and_then(|bytes| policy_of_mix_exs(&bytes))),
    }
}

impl Project {
    /// Returns the policies that these locks need.
    ///
    /// # Errors
    /// Fails if `HEX_POLICY` does not name a policy.
    pub(in crate::ops) fn policies(&self, locks: &[LockFile]) -> Result<BTreeSet<PolicyId>> {
        let mut policies = self.policies_besides(locks)?;
        policies.extend(locks.iter().filter_map(|lock| lock.policy.clone()));
        Ok(policies)
    }

    /// Returns the policies that these locks need besides those that their mix.exs names: the configured ones, and what
    /// the Hex client's own settings name. As in Hex, `HEX_POLICY` counts first, then the mix.exs, then `hex.config`
    /// (`load_config_value/3` in `hex/state.ex`). Other clients do not know policies.
    ///
    /// # Errors
    /// Fails if `HEX_POLICY` does not name a policy.
    pub(super) fn policies_besides(&self, locks: &[LockFile]) -> Result<BTreeSet<PolicyId>> {
        let mut policies = self.config.policies.clone();
        let mut of_mix = locks.iter().filter(|lock| mix_exs_beside(&lock.file).is_some()).peekable();
        if of_mix.peek().is_none() {
            return Ok(policies);
        }
        match self.environment.variables.get("HEX_POLICY").map(|text| text.trim()) {
            // Hex enforces no policy then.
            Some("") => {}
            Some(text) => {
                policies.insert(text.parse().map_err(|error| ConfigError::new("HEX_POLICY", error))?);
            }
            None if of_mix.any(|lock| lock.policy.is_none()) => policies.extend(self.policy_of_hex()),
            None => {}
        }
        Ok(policies)
    }

    /// Returns the policies that the settings and the Hex client's own settings name, whether or not they have effect.
    pub(super) fn named_policies(&self) -> BTreeSet<PolicyId> {
        let of_environment = self.environment.get("HEX_POLICY").and_then(|text| text.trim().parse().ok());
        self.config.policies.iter().cloned().chain(of_environment).chain(self.policy_of_hex()).collect()
    }

    /// Returns the policy in the Hex client's configuration. A configuration that cannot be read is reported by the
    /// commands that need it.
    fn policy_of_hex(&self) -> Option<PolicyId> {
        let config = hex_home(&self.environment)?.config().ok()?;
        config.policy?.trim().parse().ok()
    }
}
