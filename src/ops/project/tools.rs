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
            let text = match read_tracked(&self.repository, file, MAX_SETTINGS) {
                Err(OpError::Refused { .. }) => continue,
                text => text?,
            };
            if let Some(pair) = text.and_then(|text| pair_of_tool_versions(file, &text)) {
                return Ok([pair].into());
            }
        }
        Ok(BTreeSet::new())
    }
}
