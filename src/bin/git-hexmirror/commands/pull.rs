//! `pull`

use git_hexmirror::model::{Remote, count};
use git_hexmirror::ops::{self, Integration, PullOutcome, RemoteAccess};
use git_hexmirror::plan::MergeStatistics;
use serde_json::json;

use super::init::short;
use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{GOOD, Output, Text, styled};
use crate::session::Session;

/// Fetch the mirror branch of a remote and merge it into the local one
///
/// Uses git, with its configuration and credentials. If both branches have commits of their own, the result contains everything
/// that either has, except what `git hexmirror prune` removed on one side and the other side did not change.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Name or URL of the remote [default: remote.pushDefault, else origin or the only remote]
    remote: Option<Remote>,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    let progress = session.progress();
    let access = RemoteAccess { remote: arguments.remote.as_ref(), may_ask: true };
    let pull = ops::pull(&project, access, progress.as_ref());
    drop(progress);
    let pull = pull?;
    if arguments.json.json {
        let document = json!({
            "remote": pull.remote,
            "branch": project.branch.to_string(),
            "commit": pull.commit.to_string(),
            "way": word(pull.integration),
            "releases": pull.statistics.releases,
            "entries": pull.statistics.entries,
            "policies": pull.statistics.policies,
            "files": pull.statistics.files,
            "revisions": pull.statistics.revisions,
            "pruned": pull.statistics.pruned,
            "ahead": pull.ahead,
        });
        session.output.json(&document).map_err(CommandError::Print)?;
    } else {
        say(&session.output, &project.branch.to_string(), &pull);
    }
    Ok(0)
}

/// Prints the outcome of a pull.
pub fn say(output: &Output, branch: &str, pull: &PullOutcome) {
    output.say(integrated(branch, pull));
    if pull.ahead {
        let remote = &pull.remote;
        output.say(format!("{branch} is ahead of {remote}; run `git hexmirror push {remote}` to push it"));
    }
}

/// Describes how a remote's mirror was integrated.
pub fn integrated(branch: &str, pull: &PullOutcome) -> Text {
    let (remote, commit) = (&pull.remote, short(pull.commit));
    let came = statistics(pull.statistics).map_or_else(String::new, |statistics| format!(", with {statistics}"));
    match pull.integration {
        Integration::UpToDate => Text::from(format!("{branch} is up to date with {remote}, at {commit}")),
        Integration::Adopted => styled(GOOD, "adopted") + format!(" {branch} from {remote}, at {commit}{came}"),
        Integration::FastForwarded => styled(GOOD, "pulled") + format!(" {branch} from {remote}, at {commit}{came}"),
        Integration::Rebased => {
            styled(GOOD, "moved") + format!(" {branch} to {remote}'s, which was compacted, at {commit}{came}")
        }
        Integration::Merged => styled(GOOD, "merged") + format!(" {branch} with {remote}'s, at {commit}{came}"),
    }
}

/// Describes what a merge added and removed; `None` if nothing changed.
pub fn statistics(statistics: MergeStatistics) -> Option<String> {
    let releases = (statistics.releases > 0).then(|| count(statistics.releases, "release", "releases"));
    let entries = (statistics.entries > 0).then(|| count(statistics.entries, "registry entry", "registry entries"));
    let policies = (statistics.policies > 0).then(|| count(statistics.policies, "policy", "policies"));
    let files = (statistics.files > 0).then(|| count(statistics.files, "file", "files"));
    let revisions = (statistics.revisions > 0).then(|| count(statistics.revisions, "git revision", "git revisions"));
    let pruned =
        (statistics.pruned > 0).then(|| format!("{} removed", count(statistics.pruned, "release", "releases")));
    let parts = releases.into_iter().chain(entries).chain(policies).chain(files);
    let parts: Vec<_> = parts.chain(revisions).chain(pruned).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Returns the word for JSON documents.
pub fn word(integration: Integration) -> &'static str {
    match integration {
        Integration::UpToDate => "up-to-date",
        Integration::Adopted => "adopted",
        Integration::FastForwarded => "forwarded",
        Integration::Merged => "merged",
        Integration::Rebased => "rebased",
    }
}
