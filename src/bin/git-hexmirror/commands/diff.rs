//! `diff`

use git_hexmirror::ops::{self, Between, Project};

use super::{CommandError, changes, documents, status};
use crate::cli::{Json, Outcome};
use crate::report::NOT_FRESH;
use crate::session::Session;

/// Show what the mirror lacks, or what of the dependencies changed between commits
///
/// Without a revision, the locks are compared with the mirror. With REV..REV, the locks of two commits are compared with each
/// other, and with REV those of a commit with the files of the worktree; REV...REV begins where the two went apart.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Commits to compare: REV..REV, REV...REV, or REV against the worktree
    #[arg(value_name = "REV")]
    arguments: Vec<String>,
    /// Exit with 1 if the mirror lacks anything, or if anything changed between the commits
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    let named = project.named(&arguments.arguments, &[], false)?;
    let differs = match named.between {
        Some(between) => between_commits(session, arguments, &project, between)?,
        None => with_mirror(session, arguments, &project)?,
    };
    Ok(if arguments.exit_code && differs { NOT_FRESH } else { 0 })
}

fn with_mirror(session: &Session, arguments: &Arguments, project: &Project) -> Result<bool, CommandError> {
    let output = &session.output;
    let status = ops::status(project, true)?;
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
    Ok(!status.summary.fresh)
}

fn between_commits(
    session: &Session,
    arguments: &Arguments,
    project: &Project,
    between: Between,
) -> Result<bool, CommandError> {
    let diff = ops::lock_diff(project, between)?;
    if arguments.json.json {
        session.output.json(&documents::lock_diff(&diff)).map_err(CommandError::Print)?;
    } else {
        changes::print(&session.output, &diff).map_err(CommandError::Print)?;
    }
    Ok(!diff.changes.is_empty())
}
