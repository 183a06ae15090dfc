//! `prune`

use std::collections::BTreeSet;

use git_hexmirror::model::count;
use git_hexmirror::ops::{self, Project, Prune, PruneOptions};

use super::documents;
use super::init::short;
use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{BAD, BOLD, DIM, GOOD, Output, Text, bytes, styled};
use crate::session::Session;

/// How many items are listed before the rest is only counted.
const SHOWN: usize = 40;

/// Remove from the mirror what no lock of a live branch needs
///
/// Keeps everything that is pinned by the locks of: local branches; remote branches and other refs as last fetched (run
/// `git fetch --all --prune` first); tags that match --keep-tags; worktrees, stashes and detached HEADs; unpushed commits; and
/// commits of the last days (--keep-days). Also keeps what was added to the mirror in the last days, and the
/// policies that a mix.exs beside these locks, a setting, HEX_POLICY or your Hex configuration names. The locks are those in force in
/// each of these places, and those that the settings name. If a lock of a branch cannot be read, nothing is removed.
///
/// This makes one commit. The history of the mirror still contains what was removed until you run `git hexmirror compact`. Other
/// clones remove it too when they pull or push. To undo this before a push, run `git update-ref` with the commit that is printed,
/// or see `git reflog hexmirror`; after a push, run `git hexmirror update`, which fetches again what a lock needs.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only show what would be removed
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Keep what was needed or added in the last N days [default: 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    keep_days: Option<u32>,
    /// Also keep what the locks of these tags pin, with patterns as for `git tag --list`; may be repeated
    #[arg(long = "keep-tags", value_name = "GLOB")]
    keep_tags: Vec<String>,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    let options = PruneOptions {
        dry_run: arguments.dry_run,
        keep_days: arguments.keep_days.map(|days| days as usize),
        keep_tags: arguments.keep_tags.clone(),
    };
    let progress = session.progress();
    let prune = ops::prune(&project, &options, &progress);
    drop(progress);
    let prune = prune?;
    if arguments.json.json {
        session.output.json(&documents::prune(&prune, arguments.dry_run)).map_err(CommandError::Print)?;
    } else {
        print(&session.output, &project, &prune, arguments.dry_run).map_err(CommandError::Print)?;
    }
    Ok(0)
}

fn print(output: &Output, project: &Project, prune: &Prune, dry_run: bool) -> std::io::Result<()> {
    let locks = count(prune.locks, "lock was", "locks were");
    if prune.pruning.is_empty() {
        let (nothing, branch) = (styled(GOOD, "nothing to remove"), &project.branch);
        output.say(
            nothing
                + format!(
                    ": everything in {branch} was added recently or is needed by one of the locks ({locks} read)"
                ),
        );
        return Ok(());
    }
    let (releases, revisions) = (&prune.pruning.releases, &prune.pruning.revisions);
    let sized =
        releases.iter().map(|(id, size)| Text::from(format!("{id} ")) + styled(DIM, format!("({})", bytes(*size))));
    let git = revisions
        .iter()
        .flat_map(|(address, gone)| gone.iter().map(move |id| Text::from(format!("{address} {}", id.short()))));
    let policies = prune.pruning.policies.keys().map(|policy| Text::from(format!("policy {policy}")));
    let files = prune.pruning.files.iter();
    let files = files.map(|(id, size)| Text::from(format!("{id} ")) + styled(DIM, format!("({})", bytes(*size))));
    let gone: Vec<Text> = sized.chain(policies).chain(files).chain(git).collect();
    // The plan is the result of a dry run; otherwise it is a message for the user.
    for line in gone.iter().take(if output.verbose { usize::MAX } else { SHOWN }) {
        let line = Text::from("  ") + styled(BAD, "-") + " " + line.clone();
        if dry_run { output.result(line)? } else { output.say(line) }
    }
    if gone.len() > SHOWN && !output.verbose {
        output.say(styled(DIM, format!("  … and {} more", gone.len() - SHOWN)));
    }
    let git = revisions.values().map(BTreeSet::len).sum();
    let parts = [
        (releases.len(), count(releases.len(), "release", "releases")),
        (prune.pruning.entries.len(), count(prune.pruning.entries.len(), "registry entry", "registry entries")),
        (prune.pruning.policies.len(), count(prune.pruning.policies.len(), "policy", "policies")),
        (prune.pruning.files.len(), count(prune.pruning.files.len(), "file", "files")),
        (git, count(git, "git revision", "git revisions")),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|(number, _)| *number > 0).map(|(_, text)| text).collect();
    let verb = if dry_run { Text::from("would remove") } else { styled(GOOD, "removed") };
    let (parts, size, all) = (parts.join(", "), bytes(prune.bytes), bytes(prune.of_bytes));
    output.say(verb + format!(" {parts}: {size} of {all}, which no lock needs ({locks} read)"));
    if !dry_run {
        let hint = styled(BOLD, "hint:");
        output.say(hint + format!(
            " to undo this before a push, run `git update-ref {} {}`; to remove it from the history too, run `git hexmirror compact`",
            project.branch.full_name(),
            short(prune.before)
        ));
    }
    Ok(())
}
