//! `completions`

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{Cli, Outcome};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub struct Arguments {
    shell: Shell,
}

pub fn run(arguments: &Arguments) -> Outcome {
    clap_complete::generate(arguments.shell, &mut Cli::command(), "git-hexmirror", &mut std::io::stdout());
    Ok(0)
}
