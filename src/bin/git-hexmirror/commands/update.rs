//! `update`

use git_hexmirror::model::Storage;
use git_hexmirror::ops::{self, Project, Update, UpdateOptions};

use super::init::short;
use super::{CommandError, documents, status};
use crate::cli::{Json, Outcome};
use crate::output::{BOLD, CHANGED, DIM, GOOD, Output, bytes, count, styled};
use crate::report::NOT_FRESH;
use crate::session::Session;

/// How many releases are listed before the rest is only counted.
const SHOWN: usize = 40;

/// Bring the mirror up to the locks: fetch what is missing, verify it, make one commit
///
/// Nothing is fetched where nothing is missing. If anything fails, the branch is as it was, and what was fetched and
/// verified is not fetched again by the next update.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only say what would be fetched; exits with 1 if anything would
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Fetch all registry entries anew, for retirements and security advisories
    #[arg(long)]
    refresh: bool,
    /// How many requests run at once [default: 8]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    let options =
        UpdateOptions { dry_run: arguments.dry_run, refresh: arguments.refresh, jobs: arguments.jobs.map(usize::from) };
    let progress = session.progress();
    let update = ops::update(&project, options, &progress);
    drop(progress);
    let update = update?;
    let output = &session.output;
    if arguments.json.json {
        output.json(&documents::update(&update, arguments.dry_run)).map_err(CommandError::Print)?;
    } else {
        summarise(output, &project, &update, arguments.dry_run).map_err(CommandError::Print)?;
    }
    Ok(if arguments.dry_run && !update.before.summary.fresh { NOT_FRESH } else { 0 })
}

/// Prints what an update did, or would do.
pub fn summarise(output: &Output, project: &Project, update: &Update, dry_run: bool) -> std::io::Result<()> {
    if let Some(remote) = &update.adopted {
        output.say(format!("adopted {} from {remote}", project.branch));
    }
    if dry_run {
        match &update.before.comparison {
            Some(comparison) if !update.before.summary.fresh => {
                output
                    .say(format!("{} would be fetched:", count(comparison.to_fetch().count(), "release", "releases")));
                status::lacks(output, comparison)?;
            }
            _ => output.say(format!("{}: nothing would be fetched", styled(GOOD, "fresh"))),
        }
    } else if update.added.is_empty() && update.entries == 0 {
        let commit = update.commit.map_or_else(String::new, |commit| format!(" at {}", short(commit)));
        let present = count(update.before.summary.present, "release", "releases");
        output.say(format!("{}: {}{commit} has {present}; nothing to do", styled(GOOD, "fresh"), project.branch));
    } else {
        changed(output, project, update);
    }
    if update.before.summary.git > 0 && !output.quiet {
        let git = count(update.before.summary.git, "git dependency is", "git dependencies are");
        output.say(styled(DIM, format!("{git} not mirrored yet; see `git hexmirror diff`")));
    }
    Ok(())
}

fn changed(output: &Output, project: &Project, update: &Update) {
    for release in update.added.iter().take(SHOWN) {
        let (sign, style) = if release.replaced.is_some() { ("~", CHANGED) } else { ("+", GOOD) };
        let from = release.replaced.as_ref().map_or_else(String::new, |version| format!(" (was {version})"));
        output.say(format!("  {} {}{}", styled(style, sign), release.id, styled(DIM, from)));
        if let Some(reason) = release.fallback.as_ref().filter(|_| release.stored.storage == Storage::Tarball) {
            output.detail(styled(DIM, format!("    stored as its tarball: {reason}")));
        }
    }
    if update.added.len() > SHOWN {
        output.say(styled(DIM, format!("  … and {} more", update.added.len() - SHOWN)));
    }
    let replaced = update.added.iter().filter(|release| release.replaced.is_some()).count();
    let added = update.added.len() - replaced;
    let mut parts = Vec::new();
    if added > 0 {
        parts.push(format!("{added} added"));
    }
    if replaced > 0 {
        parts.push(format!("{replaced} replaced"));
    }
    parts.push(count(update.entries, "registry entry", "registry entries"));
    parts.push(format!("{} fetched", bytes(update.downloaded_bytes)));
    parts.push(format!("repository grew by {}", bytes(update.stored_bytes)));
    parts.push(format!("{:.1} s", update.elapsed.as_secs_f64()));
    let commit = update.commit.map_or_else(String::new, short);
    output.say(format!("{} {} at {commit}: {}", styled(BOLD, "updated"), project.branch, parts.join(", ")));
}
