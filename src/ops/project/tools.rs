//! The versions of Elixir and OTP whose Hex and rebar3 a project needs.

use std::collections::BTreeSet;

use super::Project;
use super::worktree::{MAX_SETTINGS, read_tracked};
use crate::lock::pair_of_tool_versions;
use crate::model::ToolsPair;
use crate::ops::{OpError, Result};

/// The files of version managers, in the root of the worktree. The first one that names both versions counts.
const FILES: [&str; 3] = ["mise.toml", ".mise.toml", ".tool-versions"];

impl Project {
    /// Returns the versions that the setting `tools` names, or else those of the project's version manager.
    ///
    /// # Errors
    /// Fails if a file cannot be read.
    pub(in crate::ops) fn tools_pairs(&self) -> Result<BTreeSet<ToolsPair>> {
        if let Some(pairs) = &self.config.tools {
            return Ok(pairs.clone());
        }
        for file in FILES {
            if let Some(pair) = self.versions_in(file)?.and_then(|text| pair_of_tool_versions(file, &text)) {
                return Ok([pair].into());
            }
        }
        Ok(BTreeSet::new())
    }

    /// Returns the file of the project's version manager that mentions Elixir and does not name both versions, unless the setting
    /// `tools` or another file does.
    ///
    /// # Errors
    /// Fails if a file cannot be read.
    pub(in crate::ops) fn unusable_versions(&self) -> Result<Option<&'static str>> {
        if self.config.tools.is_some() || !self.tools_pairs()?.is_empty() {
            return Ok(None);
        }
        for file in FILES {
            if self.versions_in(file)?.is_some_and(|text| String::from_utf8_lossy(&text).contains("elixir")) {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    /// Reads a file of a version manager. `None` if there is none, or it is no regular file of an ordinary size.
    fn versions_in(&self, file: &str) -> Result<Option<Vec<u8>>> {
        match read_tracked(&self.repository, file, MAX_SETTINGS) {
            Err(OpError::Refused { .. }) => Ok(None),
            text => text,
        }
    }
}
