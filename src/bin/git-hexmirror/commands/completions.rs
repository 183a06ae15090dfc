//! `completions`

use clap::CommandFactory;
use clap_complete::Shell;

use super::CommandError;
use crate::cli::{Cli, Outcome};
use crate::session::Session;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub struct Arguments {
    shell: Shell,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    // It panics where it cannot write, as into a pager that was left.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "git-hexmirror", &mut script);
    session.output.raw(&script).map_err(CommandError::Print)?;
    Ok(0)
}
