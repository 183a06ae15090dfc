//! `update`

use std::collections::BTreeSet;
use std::io::IsTerminal;

use git_hexmirror::hex::registry::{Advisory, Retirement};
use git_hexmirror::model::{EntryId, NameError, Storage, count, shortened};
use git_hexmirror::ops::{self, FlaggedRelease, OpError, Project, Repair, Update, UpdateOptions};
use git_hexmirror::store::layout::FORMAT;
use serde_json::{Value, json};

use super::init::short;
use super::{documents, pull, status, verify};
use crate::hints;
use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{BAD, BOLD, CHANGED, DIM, GOOD, Output, Text, bytes, styled};
use crate::report::{INTEGRITY, NOT_FRESH};
use crate::session::Session;

/// How many releases are listed before the rest are only counted.
const SHOWN: usize = 40;

/// Fetch what the locks pin and the mirror lacks, verify it, and commit it
///
/// If nothing is missing, nothing is fetched. What a remote's mirror has, as last fetched, is merged before anything is fetched
/// from upstream; if that is enough, no network is needed. If anything fails, the branch does not change, and the next update does not fetch
/// again what was already fetched and verified.
///
/// The rebar3 plugins that dependencies need to compile are pinned in a hexmirror.lock beside the lock, which this command writes.
/// A pin stays until it no longer suits, or --refresh is given.
///
/// Git dependencies are fetched with the system's git, which uses its credentials, proxies and insteadOf rules: the pinned
/// revision with its history (or to the depth that the lock specifies), and its submodules if the lock says so.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only show what would be fetched; exits with 1 if anything is missing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Fetch all registry entries and policies again, for new retirements, security advisories, rules and versions of plugins
    #[arg(long)]
    refresh: bool,
    /// Fail with exit code 1 instead of writing a hexmirror.lock, for CI
    #[arg(long)]
    locked: bool,
    /// Pin no Hex and rebar3 for further versions of Elixir, as with the setting tools = off
    #[arg(long)]
    no_tools: bool,
    /// Mirror the documentation of the pinned releases too, as with the setting docs = true; a hexmirror.lock then pins it
    #[arg(long)]
    docs: bool,
    /// First restore damaged or missing contents of the mirror from other commits, the remote, the Hex cache or upstream
    ///
    /// If all contents can be restored exactly, the branch does not move; otherwise it gets a new commit. Damaged files of the
    /// object database are moved to .git/hexmirror/damaged. Private keys that someone committed are removed. Exits with 1, 3 or 4 if something could not be restored.
    #[arg(long, conflicts_with = "dry_run")]
    repair: bool,
    /// Commit whatever was fetched, even if some fetches failed; the exit code tells what failed
    #[arg(short, long)]
    keep_going: bool,
    /// Accept upstream's registry entry of PACKAGE (NAME or REPOSITORY/NAME), even if it lacks a release, a retirement or an
    /// advisory that the mirror's entry has
    #[arg(long, value_name = "PACKAGE", value_parser = package)]
    accept_older: Vec<EntryId>,
    /// Number of parallel requests; at most 4 of them are git fetches [default: 8]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    #[command(flatten)]
    json: Json,
}

fn package(text: &str) -> Result<EntryId, String> {
    let (repository, package) = text.rsplit_once('/').unwrap_or(("hexpm", text));
    let error = |error: NameError| error.to_string();
    Ok(EntryId { repository: repository.parse().map_err(error)?, package: package.parse().map_err(error)? })
}

/// Opens the project with the settings that the options change.
fn opened(session: &Session, arguments: &Arguments) -> Result<Project, OpError> {
    let mut project = session.project()?;
    if arguments.no_tools {
        project.config.tools = Some(BTreeSet::new());
    }
    project.config.docs |= arguments.docs;
    Ok(project)
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = opened(session, arguments)?;
    let options = UpdateOptions {
        dry_run: arguments.dry_run,
        refresh: arguments.refresh,
        accept_older: arguments.accept_older.iter().cloned().collect(),
        jobs: arguments.jobs.map(usize::from),
        keep_going: arguments.keep_going,
        locked: arguments.locked,
        adds_machine: !arguments.locked,
        may_ask: session.output.interactive && std::io::stdin().is_terminal(),
    };
    let output = &session.output;
    let mut repair = arguments.repair.then(|| ops::repair(&project, &options, &session.progress())).transpose()?;
    if let Some(repair) = &mut repair {
        if !arguments.json.json {
            repaired(output, &project, repair).map_err(CommandError::Print)?;
        }
        if !(repair.left.is_empty() && repair.dropped.is_empty()) {
            if arguments.json.json {
                output.json(&json!({ "repair": documents::repair(repair) })).map_err(CommandError::Print)?;
            }
            return match repair.failed.take() {
                Some(error) => Err(CommandError::Op(error)),
                None => Ok(if repair.foreign { INTEGRITY } else { NOT_FRESH }),
            };
        }
    }
    // The repair has changed the repository on disk, so it is opened again.
    let project = if repair.is_some() { opened(session, arguments)? } else { project };
    let progress = session.progress();
    let update = ops::update(&project, options, &progress);
    drop(progress);
    let update = update?;
    if arguments.json.json {
        let mut document = documents::update(&update, arguments.dry_run);
        document["repair"] = repair.as_ref().map_or(Value::Null, documents::repair);
        output.json(&document).map_err(CommandError::Print)?;
    } else {
        summarise(output, &project, &update, arguments.dry_run).map_err(CommandError::Print)?;
    }
    if let Some(error) = update.failed {
        output.say(styled(BAD, "incomplete") + ": the mirror lacks some of what the locks pin");
        return Err(CommandError::Op(error));
    }
    let would_change = !update.before.summary.fresh || update.new_target.is_some();
    Ok(if arguments.dry_run && would_change { NOT_FRESH } else { 0 })
}

/// Prints the outcome of a repair.
fn repaired(output: &Output, project: &Project, repair: &Repair) -> std::io::Result<()> {
    let salvage = &repair.salvage;
    for path in &salvage.indexed {
        output.say(format!("  rebuilt the index {}", path.display()));
    }
    if !salvage.set_aside.is_empty() {
        let files = count(salvage.set_aside.len(), "damaged file", "damaged files");
        let objects = count(salvage.saved, "object", "objects");
        output.say(format!("  moved {files} to {}; recovered {objects} from them", salvage.folder.display()));
        salvage.set_aside.iter().for_each(|path| output.detail(styled(DIM, format!("    {}", path.display()))));
    }
    for (item, from) in &repair.restored {
        output.say(
            Text::from("  ") + styled(GOOD, "restored") + format!(" {item}") + styled(DIM, format!(" from {from}")),
        );
    }
    for item in &repair.dropped {
        output.result(styled(BAD, "lost:") + format!(" {item}: removed, because no source has it"))?;
    }
    for path in &repair.private_keys {
        output.result(styled(BAD, "removed:") + format!(" {path} contained a private key"))?;
    }
    if !repair.private_keys.is_empty() {
        output.say(styled(BOLD, "hint:") + format!(" {}", hints::REMOVED_KEY));
    }
    for damage in &repair.left {
        verify::print_damage(output, damage, &repair.unvouched)?;
    }
    let commit = repair.commit.map_or_else(String::new, |commit| format!(" at {}", short(commit)));
    let branch = &project.branch;
    if !repair.left.is_empty() && repair.left.len() <= repair.unvouched.len() {
        let refused = count(repair.unvouched.len(), "file", "files");
        output.say(styled(BAD, "refused") + format!(": a repair of {branch}{commit} cannot change {refused}"));
    } else if repair.is_empty() {
        output.say(styled(GOOD, "intact") + format!(": {branch}{commit} needs no repair"));
    } else if !repair.left.is_empty() {
        output.say(styled(BAD, "incomplete") + format!(": {branch}{commit} is still damaged"));
    } else if repair.commit == repair.before {
        output.say(styled(BOLD, "repaired") + format!(" {branch}: it stays{commit}, with all its objects"));
    } else {
        output.say(styled(BOLD, "repaired") + format!(" {branch}: it is now{commit}"));
    }
    verify::hint_unvouched(output, &repair.unvouched);
    Ok(())
}

/// Prints the outcome of an update, or what it would do.
pub fn summarise(output: &Output, project: &Project, update: &Update, dry_run: bool) -> std::io::Result<()> {
    if let Some(remote) = &update.adopted {
        output.say(format!("adopted {} from {remote}", project.branch));
    }
    if let Some(merged) = &update.merged {
        pull::say(output, &project.branch.to_string(), merged);
    }
    if dry_run {
        match &update.before.comparison {
            Some(comparison) if !update.before.summary.fresh => {
                output.result(format!("{} would be fetched:", status::to_fetch(comparison)))?;
                status::lacks(output, comparison)?;
            }
            _ if update.new_target.is_none() => output.result(styled(GOOD, "fresh") + ": nothing would be fetched")?,
            _ => {}
        }
        if let Some(target) = &update.new_target {
            let why = "and the precompiled files for this machine would be fetched";
            output.result(format!("`target {target}` would be added to hexmirror.lock, {why}"))?;
        }
    } else if update.added.is_empty()
        && update.entries == 0
        && update.policies.is_empty()
        && update.files.is_empty()
        && update.repositories == 0
        && update.signers.is_empty()
        && !update.migrated
        && update.written_locks.is_empty()
    {
        let commit = update.commit.map_or_else(String::new, |commit| format!(" at {}", short(commit)));
        let present = status::contents(update.before.summary.present, update.before.summary.git);
        // What is missing is said with the error.
        if update.failed.is_none() {
            output.say(styled(GOOD, "fresh") + format!(": {}{commit} has {present}; nothing to do", project.branch));
        }
    } else if update.commit == update.before.commit || recorded_only(update) {
        let entries = count(update.entries, "registry entry did not change", "registry entries did not change");
        let commit = update.commit.map_or_else(String::new, short);
        let fetched = bytes(update.downloaded_bytes);
        output
            .say(styled(GOOD, "unchanged") + format!(": {} at {commit}; {entries}, {fetched} fetched", project.branch));
    } else {
        changed(output, project, update);
        next(output, project);
    }
    if let Some(lock) = &update.pinned_in {
        output.say(format!("pinned in {lock}; commit it with the other locks"));
    }
    for file in update.written_locks.iter().filter(|file| !update.removed_locks.contains(file)) {
        output.say(format!("  wrote {}; commit it", shortened(file)));
    }
    for file in &update.removed_locks {
        output.say(format!("  removed {}, which has nothing left to pin; commit that", shortened(file)));
    }
    flagged(output, update);
    if let Some(not_mirrored) = update.before.comparison.as_ref().and_then(status::not_mirrored_line) {
        output.say(styled(DIM, not_mirrored));
    }
    Ok(())
}

/// Prints the pinned releases that are retired or vulnerable, as far as that is news.
fn flagged(output: &Output, update: &Update) {
    for FlaggedRelease { id, flags } in update.flagged.iter().take(SHOWN) {
        if let Some(Retirement { reason, message }) = &flags.retired {
            let message = message.as_ref().map_or_else(String::new, |message| format!(": {}", shortened(message)));
            output.say(Text::from("  ") + styled(CHANGED, "retired") + format!(" {id} ({reason}){message}"));
        }
        for Advisory { id: advisory, severity, summary, html_url, .. } in &flags.advisories {
            let severity = severity.map_or_else(String::new, |severity| format!(" ({severity})"));
            let (advisory, summary, url) = (shortened(advisory), shortened(summary), shortened(html_url));
            let url = if url.is_empty() { String::new() } else { format!(" ({url})") };
            output.say(
                Text::from("  ") + styled(BAD, "vulnerable") + format!(" {id}: {advisory}{severity}: {summary}{url}"),
            );
        }
    }
    if update.flagged.len() > SHOWN {
        output.say(styled(DIM, format!("  … and {} more", update.flagged.len() - SHOWN)));
    }
}

/// Returns whether an update recorded that upstream has no newer registry entries, and changed nothing else.
fn recorded_only(update: &Update) -> bool {
    let Update { added, added_git, repositories, changed_entries, entries, policies, signers, migrated, .. } = update;
    let stored = added.len() + added_git.len() + repositories + changed_entries + policies.len();
    stored == 0 && *entries > 0 && signers.is_empty() && !migrated
}

/// Says what comes next, until the mirror has been pushed for the first time.
fn next(output: &Output, project: &Project) {
    let repository = &project.repository;
    // A bare clone has no tracking refs.
    let Some(remote) = repository.worktree().and_then(|_| repository.default_remote()) else { return };
    if repository.remote_tip(&remote, &project.branch).is_ok_and(|tip| tip.is_none()) {
        output.say(
            styled(BOLD, "next:")
                + format!(" `git hexmirror push {remote}` shares the mirror with everyone who clones the project"),
        );
    }
}

fn changed(output: &Output, project: &Project, update: &Update) {
    if update.migrated {
        output.say(format!("  migrated the mirror to format {FORMAT}; older versions of git-hexmirror cannot read it"));
    }
    for (repository, signer) in &update.signers {
        output.say(format!("  recorded {signer} as the signer of {repository}"));
    }
    for repository in &update.superseded_indexes {
        output.say(
            Text::from("  ") + styled(CHANGED, "removed the imported index")
                + format!(
                    " of {repository}: the mirror has the repository's own entries now; for clients that use the index, serve and export \
                     without --registry pinned, remove its key (`mix hex.repo remove {repository}`), and set HEX_MIRROR, or run `git hexmirror \
                     index --init` and give them its key"
                ),
        );
    }
    for release in update.added.iter().take(SHOWN) {
        let (sign, style) = if release.replaced.is_some() { ("~", CHANGED) } else { ("+", GOOD) };
        let from = release.replaced.as_ref().map_or_else(String::new, |version| format!(" (was {version})"));
        output.say(Text::from("  ") + styled(style, sign) + format!(" {}", release.id) + styled(DIM, from));
        if let Some(reason) = release.fallback.as_ref().filter(|_| release.stored.storage == Storage::Tarball) {
            output.detail(styled(DIM, format!("    stored as a tarball: {reason}")));
        }
    }
    if update.added.len() > SHOWN {
        output.say(styled(DIM, format!("  … and {} more", update.added.len() - SHOWN)));
    }
    for git in &update.added_git {
        let (sign, style) = if git.replaced.is_some() { ("~", CHANGED) } else { ("+", GOOD) };
        let from = git.replaced.map_or_else(String::new, |revision| format!(" (was {})", revision.short()));
        output.say(
            Text::from("  ")
                + styled(style, sign)
                + format!(" {} {}", git.address, git.revision.short())
                + styled(DIM, from),
        );
    }
    for policy in &update.policies {
        output.say(Text::from("  ") + styled(GOOD, "+") + format!(" policy {policy}"));
    }
    for file in &update.files {
        let trust = styled(DIM, format!(" ({})", file.trust.describe()));
        output.say(Text::from("  ") + styled(GOOD, "+") + format!(" {}", file.address) + trust);
    }
    let replaced = update.added.iter().filter(|release| release.replaced.is_some()).count()
        + update.added_git.iter().filter(|git| git.replaced.is_some()).count();
    let added = update.added.len() + update.added_git.len() - replaced;
    let mut parts = Vec::new();
    if added > 0 {
        parts.push(format!("{added} added"));
    }
    if replaced > 0 {
        parts.push(format!("{replaced} replaced"));
    }
    if update.entries > 0 {
        parts.push(count(update.entries, "registry entry", "registry entries"));
    }
    if !update.policies.is_empty() {
        parts.push(count(update.policies.len(), "policy", "policies"));
    }
    if !update.files.is_empty() {
        parts.push(count(update.files.len(), "file", "files"));
    }
    if update.repositories > 0 {
        parts.push(count(update.repositories, "git repository", "git repositories"));
    }
    parts.push(format!("{} fetched", bytes(update.downloaded_bytes)));
    parts.push(format!("repository grew by {}", bytes(update.stored_bytes)));
    parts.push(format!("{:.1} s", update.elapsed.as_secs_f64()));
    let commit = update.commit.map_or_else(String::new, short);
    output.say(styled(BOLD, "updated") + format!(" {} at {commit}: {}", project.branch, parts.join(", ")));
}
