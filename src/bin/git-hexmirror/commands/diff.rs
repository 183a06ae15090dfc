//! `diff`

use git_hexmirror::ops::{self, Between, Project};

use super::{CommandError, changes, documents, source, status};
use crate::cli::{Json, Outcome};
use crate::report::NOT_FRESH;
use crate::session::Session;

/// Show what the mirror lacks, or what of the dependencies changed between commits
///
/// Without a revision, the locks are compared with the mirror. With REV..REV, the locks of two commits are compared with each
/// other, and with REV those of a commit with the files of the worktree; REV...REV begins where the two went apart.
///
/// With --source, the code itself is compared, as the mirror has it: of all dependencies that changed, or of the packages that
/// are named. Without a revision, that is the lock of HEAD against the one in the worktree.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Commits to compare: REV..REV, REV...REV, or REV against the worktree; with --source also packages
    #[arg(value_name = "REV|PKG")]
    arguments: Vec<String>,
    /// Packages, whatever else their names could mean
    #[arg(last = true, value_name = "PKG", requires = "source")]
    packages: Vec<String>,
    /// Show the difference of the code, of the packages that are named or of all that changed
    #[arg(long, conflicts_with = "json")]
    source: bool,
    /// Show only how much changed in each file
    #[arg(long, requires = "source")]
    stat: bool,
    /// Exit with 1 if the mirror lacks anything, or if anything changed between the commits
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    let named = project.named(&arguments.arguments, &arguments.packages, arguments.source)?;
    let differs = if arguments.source {
        let shown = source::run(&session.output, &project, named.between, &named.packages, arguments.stat)?;
        if !shown.complete {
            return Ok(NOT_FRESH);
        }
        shown.changed
    } else if let Some(between) = named.between {
        between_commits(session, arguments, &project, between)?
    } else {
        with_mirror(session, arguments, &project)?
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
