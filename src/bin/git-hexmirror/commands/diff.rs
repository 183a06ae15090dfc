//! `diff`

use git_hexmirror::ops;

use super::{CommandError, documents, status};
use crate::cli::{Json, Outcome};
use crate::report::NOT_FRESH;
use crate::session::Session;

/// Show what the mirror lacks, and what it has beyond the locks
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Exit with 1 if the mirror lacks anything
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    let output = &session.output;
    let status = ops::status(&project, true)?;
    if arguments.json.json {
        let document = documents::status(&project.branch.to_string(), &status);
        output.json(&document).map_err(CommandError::Print)?;
    } else if let Some(comparison) = &status.comparison {
        let print = || {
            status::lacks(output, comparison)?;
            status::extra(output, comparison)?;
            status::not_mirrored(output, comparison)
        };
        print().map_err(CommandError::Print)?;
    }
    Ok(if arguments.exit_code && !status.summary.fresh { NOT_FRESH } else { 0 })
}
