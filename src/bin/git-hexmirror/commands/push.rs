//! `push`

use git_hexmirror::model::Remote;
use git_hexmirror::ops::{self, Integration, Project, PullOutcome, PushOutcome, RemoteAccess};
use serde_json::json;

use super::init::short;
use super::pull::{self, statistics, word};
use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{GOOD, Output, styled};
use crate::session::Session;

/// Push the mirror branch to a remote, merged with the remote's
///
/// Uses git, with its configuration and credentials. If the remote's mirror has new commits, they are merged first, so that no
/// contents are lost. Git hooks do not run.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Name or URL of the remote [default: remote.pushDefault, else origin or the only remote]
    remote: Option<Remote>,
    /// Replace the remote's mirror after `git hexmirror compact`; fails if it has contents that the local one lacks
    #[arg(long)]
    force_with_lease: bool,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    let access = RemoteAccess { remote: arguments.remote.as_ref(), may_ask: true };
    let push = match arguments.force_with_lease {
        true => ops::push_rewritten(&project, access)?,
        false => pushed(session, &project, access)?,
    };
    if arguments.json.json {
        let document = json!({
            "remote": push.remote,
            "branch": project.branch.to_string(),
            "commit": push.commit.to_string(),
            "pushed": push.pushed,
            "way": word(push.integration),
            "merged": {
                "releases": push.statistics.releases,
                "entries": push.statistics.entries,
                "revisions": push.statistics.revisions,
                "pruned": push.statistics.pruned,
            },
            "attempts": push.attempts,
        });
        session.output.json(&document).map_err(CommandError::Print)?;
    } else {
        say(&session.output, &project, &push);
    }
    Ok(0)
}

fn pushed(session: &Session, project: &Project, access: RemoteAccess<'_>) -> Result<PushOutcome, CommandError> {
    let progress = session.progress();
    Ok(ops::push(project, access, progress.as_ref())?)
}

/// Prints the outcome of a push.
pub fn say(output: &Output, project: &Project, push: &PushOutcome) {
    let (branch, remote, commit) = (&project.branch, &push.remote, short(push.commit));
    if !push.pushed && push.integration != Integration::UpToDate {
        // Nothing was pushed: the local branch only followed the remote's, as after a pull.
        let PushOutcome { integration, statistics, commit, .. } = *push;
        return pull::say(
            output,
            &branch.to_string(),
            &PullOutcome { remote: remote.clone(), integration, statistics, commit, ahead: false },
        );
    }
    if !push.pushed {
        return output.say(format!("{remote} already has {branch} at {commit}"));
    }
    let merged =
        statistics(push.statistics).map_or_else(String::new, |statistics| format!(", merged with {statistics}"));
    output.say(styled(GOOD, "pushed") + format!(" {branch} to {remote}, at {commit}{merged}"));
}
