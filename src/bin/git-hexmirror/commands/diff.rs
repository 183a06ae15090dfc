//! `diff`

use clap::ValueEnum;
use git_hexmirror::ops::{self, ComparedStates, Project};

use super::{changes, comment, documents, source, status};
use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::report::NOT_FRESH;
use crate::session::Session;

/// Show what the mirror lacks, or which dependencies changed between commits
///
/// Without a revision, compares the locks with the mirror (with --format markdown, HEAD with the worktree). REV..REV compares
/// the locks of two commits, REV compares those of a commit with the worktree, and REV...REV compares those of the merge base
/// of two commits with the second one.
///
/// With --source, compares the source code of the dependencies that changed, or of the given packages, as the mirror has it.
/// Without a revision, --source compares HEAD with the worktree.
///
/// With --format markdown, prints a comment for a pull request. Nothing that comes from a package is markup in it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Commits to compare: REV..REV, REV...REV, or REV with the worktree; with --source also packages
    #[arg(value_name = "REV|PKG")]
    arguments: Vec<String>,
    /// Packages, even if their names are also revisions
    #[arg(last = true, value_name = "PKG", requires = "source")]
    packages: Vec<String>,
    /// Show the changes to the source code of the given packages, or of all that changed
    #[arg(long, conflicts_with = "json")]
    source: bool,
    /// Show only the number of changed lines in each file
    #[arg(long, requires = "source")]
    stat: bool,
    /// Exit with 1 if the mirror lacks anything or, with a revision or --source, if anything changed
    #[arg(long)]
    exit_code: bool,
    /// Form of the comparison of two commits
    #[arg(long, value_enum, default_value = "text", conflicts_with_all = ["json", "source"])]
    format: Format,
    #[command(flatten)]
    json: Json,
}

/// The form of the comparison of two commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line per dependency
    Text,
    /// A comment for a pull request: versions, sizes, advisories, licenses, changelogs
    Markdown,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    let named = project.diff_arguments(&arguments.arguments, &arguments.packages, arguments.source)?;
    let differs = if arguments.source {
        let shown = source::run(&session.output, &project, named.between, &named.packages, arguments.stat)?;
        if !shown.complete {
            return Ok(NOT_FRESH);
        }
        shown.changed
    } else if arguments.format == Format::Markdown {
        as_comment(session, &project, named.between)?
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
    status::say_behind(output, project, &status);
    if arguments.json.json {
        let document = documents::status(&project.branch.to_string(), &status);
        output.json(&document).map_err(CommandError::Print)?;
    } else if let Some(comparison) = &status.comparison {
        let print = || {
            status::lacks(output, comparison)?;
            status.extra.as_ref().map_or(Ok(()), |extra| status::extra(output, extra))?;
            status::not_mirrored(output, comparison)
        };
        print().map_err(CommandError::Print)?;
        if status.commit.is_none() && !status.summary.fresh {
            output.say(status::no_mirror(project));
        }
    }
    Ok(!status.summary.fresh)
}

/// Prints the comment for a pull request. Without a revision, compares HEAD with the worktree.
fn as_comment(session: &Session, project: &Project, between: Option<ComparedStates>) -> Result<bool, CommandError> {
    let between = between.map_or_else(|| ComparedStates::head_and_worktree(project), Ok)?;
    let progress = session.progress();
    let review = ops::review(project, between, &*progress);
    drop(progress);
    let review = review?;
    session.output.raw(comment::comment(&review).as_bytes()).map_err(CommandError::Print)?;
    Ok(!review.changes.is_empty())
}

fn between_commits(
    session: &Session,
    arguments: &Arguments,
    project: &Project,
    between: ComparedStates,
) -> Result<bool, CommandError> {
    let diff = ops::lock_diff(project, between)?;
    if arguments.json.json {
        session.output.json(&documents::lock_diff(&diff)).map_err(CommandError::Print)?;
    } else {
        changes::print(&session.output, &diff).map_err(CommandError::Print)?;
    }
    Ok(!diff.changes.is_empty())
}
