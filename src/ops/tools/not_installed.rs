//! What an installation leaves out of what the project configures, and why.

use std::path::PathBuf;

use crate::model::{AssetTool, AssetToolId, Target, ToolsPair, Version};

/// Why something that the project configures was not installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum NotInstalled {
    /// No lock pins Hex and rebar3 for versions of Elixir and OTP.
    #[error("Hex and rebar3 for Elixir {pair}: no hexmirror.lock pins them")]
    NoPair {
        /// The versions.
        pair: ToolsPair,
    },
    /// No lock pins a build.
    #[error("{id}: no hexmirror.lock pins it")]
    Unpinned {
        /// The build.
        id: AssetToolId,
        /// This machine, if its Erlang says what it is.
        machine: Option<Target>,
    },
    /// The publisher has no such build.
    #[error("{id}: its publisher has no such build, says hexmirror.lock")]
    Unpublished {
        /// The build.
        id: AssetToolId,
    },
    /// The package that installs the tool knows no build for this machine.
    #[error("{tool} {version}: the package {tool} knows no build for {machine}")]
    NoBuild {
        /// The tool.
        tool: AssetTool,
        /// Its version.
        version: Version,
        /// The machines.
        machine: String,
    },
    /// It is not known which machine needs the tool.
    #[error("{tool} {version}: there is no erl that says what this machine is, and no hexmirror.lock names a machine")]
    NoMachine {
        /// The tool.
        tool: AssetTool,
        /// Its version.
        version: Version,
    },
    /// The configuration is an expression.
    #[error("{tool}: {problem}")]
    Unread {
        /// The tool.
        tool: AssetTool,
        /// What cannot be read, with the file and the line.
        problem: String,
    },
    /// Several versions have the same file name.
    #[error("{}: the package looks for all of these under this name: {}", place.display(), versions.join(", "))]
    Conflict {
        /// The file.
        place: PathBuf,
        /// The first of the versions.
        first: AssetToolId,
        /// The versions, each with where it is configured.
        versions: Vec<String>,
        /// Whether several projects share the file.
        is_shared: bool,
    },
    /// The repository has no worktree, and so no folder of builds.
    #[error("{tool} {version}: this repository has no worktree to install it in")]
    NoWorktree {
        /// The tool.
        tool: AssetTool,
        /// Its version.
        version: Version,
    },
}
