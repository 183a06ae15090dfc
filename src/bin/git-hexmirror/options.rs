//! The options that several commands have.

use std::path::PathBuf;

use clap::ValueEnum;
use git_hexmirror::serve::Registry;

/// The options that every command has.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// Run as if started in DIR
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub directory: Option<PathBuf>,
    /// Name of the mirror branch, or a full ref such as refs/hexmirror/main
    #[arg(long, value_name = "NAME", global = true)]
    pub branch: Option<String>,
    /// Lock to read, as a glob relative to the root of the worktree; may be repeated
    #[arg(long = "lock", value_name = "GLOB", global = true)]
    pub locks: Vec<String>,
    /// Print only results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print more details
    #[arg(short, long, global = true, overrides_with = "verbose")]
    pub verbose: bool,
    /// When to use colors; NO_COLOR is respected
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    pub color: Color,
}

/// When to use colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// The registry to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ServedRegistry {
    Signed,
    Pinned,
}

impl From<ServedRegistry> for Registry {
    fn from(registry: ServedRegistry) -> Self {
        match registry {
            ServedRegistry::Signed => Self::Signed,
            ServedRegistry::Pinned => Self::Pinned,
        }
    }
}

/// The option for JSON output.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Json {
    /// Print one JSON document on standard output
    #[arg(long)]
    pub json: bool,
}
