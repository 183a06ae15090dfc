//! The user's own configuration of git, which applies to all repositories.

use std::path::PathBuf;

use super::unsuccessful::Unsuccessful;
use super::{Git, GitSettings, Result};

impl Git {
    /// Returns the path in a setting outside of any repository.
    ///
    /// # Errors
    /// Fails if git cannot be run.
    pub fn user_path(key: &str) -> Result<Option<PathBuf>> {
        let git = Self::unchecked(GitSettings::default());
        match git.run_plain(&["config", "--type=path", "--get", key]).finish() {
            Ok(value) => Ok(Some(String::from_utf8_lossy(value.trim_ascii()).into_owned().into())),
            Err(Unsuccessful::Error(error)) => Err(error),
            // Without the setting, git prints nothing and fails.
            Err(_) => Ok(None),
        }
    }

    /// Writes a setting to the user's configuration, or removes it.
    ///
    /// # Errors
    /// Fails if git cannot write the configuration.
    pub fn set_user_setting(key: &str, value: Option<&str>) -> Result<()> {
        let git = Self::unchecked(GitSettings::default());
        let arguments = match value {
            Some(value) => ["config", "--global", key, value],
            None => ["config", "--global", "--unset", key],
        };
        git.run_plain(&arguments).output("write your settings").map(drop)
    }
}
