//! `compact`

use git_hexmirror::model::count;
use git_hexmirror::ops::{self, OpError, Project};
use git_hexmirror::store::Compacted;
use serde_json::json;

use super::init::short;
use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{BOLD, GOOD, Output, styled};
use crate::session::Session;

/// Rewrite the mirror's history to a single commit with the same tree
///
/// The contents of the newest commit stay as they are. Objects that only older commits contain disappear from this repository
/// when git collects garbage. Fails if a remote's mirror, as last fetched, has contents that the local mirror lacks: run
/// `git hexmirror pull` first. Does not use the network.
///
/// Remotes keep the old history until you run `git hexmirror push --force-with-lease`, which fails if the remote has changed
/// since you last fetched from it. Other clones switch to the new history on their next `git hexmirror pull` or `push`, and keep
/// contents that only they have. To undo this before a push, run `git update-ref` with the commit that is printed, or see
/// `git reflog hexmirror`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Keep the N newest commits, following first parents; the oldest of them replaces all earlier history
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    keep: u32,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    let progress = session.progress();
    let keep = usize::try_from(arguments.keep).unwrap_or(usize::MAX);
    let compacted = ops::compact(&project, keep, &progress);
    drop(progress);
    let compacted = compacted?;
    if arguments.json.json {
        session.output.json(&document(&project, compacted)?).map_err(CommandError::Print)?;
    } else {
        say(&session.output, &project, compacted);
    }
    Ok(0)
}

fn document(project: &Project, compacted: Option<Compacted>) -> Result<serde_json::Value, OpError> {
    Ok(match compacted {
        Some(Compacted { before, commit, commits, kept }) => json!({
            "branch": project.branch.to_string(),
            "before": before.to_string(),
            "commit": commit.to_string(),
            "commits": commits,
            "kept": kept,
        }),
        None => {
            let commit = project.repository.tip(&project.branch)?.map(|commit| commit.to_string());
            json!({ "branch": project.branch.to_string(), "before": commit, "commit": commit })
        }
    })
}

fn say(output: &Output, project: &Project, compacted: Option<Compacted>) {
    let branch = &project.branch;
    let Some(Compacted { before, commit, commits, kept }) = compacted else {
        return output.say(styled(GOOD, "nothing to do") + format!(": the history of {branch} is already that short"));
    };
    let (commits, kept) = (count(commits, "commit", "commits"), count(kept, "commit", "commits"));
    output.say(styled(GOOD, "compacted") + format!(" {branch} from {commits} to {kept}, at {}", short(commit)));
    let undo = format!("to undo this before a push, run `git update-ref {} {}`", branch.full_name(), short(before));
    // Only a remote that has the old history needs anything else.
    let tips = project.repository.remote_tips(branch).unwrap_or_default();
    let replace: String = tips
        .iter()
        .map(|(remote, _)| {
            format!("; to replace the history on {remote}, run `git hexmirror push --force-with-lease {remote}`")
        })
        .collect();
    output.say(styled(BOLD, "hint:") + format!(" {undo}{replace}"));
}
