//! `import`

use std::io;
use std::path::PathBuf;

use git_hexmirror::model::count;
use git_hexmirror::ops::{self, Import, ImportOptions};
use git_hexmirror::plan::Evidence;

use super::documents;
use super::init::short;
use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{CHANGED, DIM, GOOD, Output, Text, bytes, styled};
use crate::report::NOT_FRESH;
use crate::session::Session;

/// How many releases or files are listed before the rest is only counted.
const SHOWN: usize = 40;
/// How many of the things that the mirror still lacks are named.
const NAMED: usize = 3;

/// Import packages and git dependencies from local folders, without a network
///
/// Searches the folders, and all folders in them, for tarballs of Hex packages and for git repositories: a .hex_repo as `mix
/// hex.registry build` makes it, a .git_repo, the cache of Hex (~/.hex/packages), what `git hexmirror export` wrote, or any other
/// folder. All is imported in one commit, or nothing.
///
/// A release that a lock pins must have the checksums in the lock. What no lock pins is left out, unless --all is given. Of git
/// repositories, only the revisions that the locks pin are imported, with their ancestry, whatever the repositories are called. Registry
/// entries are imported if their repository signed them. A registry that another key signed is kept as the pinned index, for
/// clients that have this key, until an update with a network replaces it. Folders that cannot be read are named and left out, and
/// the exit code is then 1.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folder to import
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    /// Import also releases that no lock pins, verified by their registry or only by their own checksums
    #[arg(long)]
    all: bool,
    /// Only show what would be imported
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    let folders = arguments.folders.iter().map(|folder| session.path(folder)).collect();
    let options = ImportOptions { folders, all: arguments.all, dry_run: arguments.dry_run };
    let progress = session.progress();
    let import = ops::import(&project, &options, &progress);
    drop(progress);
    let import = import?;
    if arguments.json.json {
        session.output.json(&documents::import(&import, arguments.dry_run)).map_err(CommandError::Print)?;
    } else {
        print(&session.output, &project.branch.to_string(), &import, arguments.dry_run).map_err(CommandError::Print)?;
    }
    // There may have been more to import.
    Ok(if import.unreadable.is_empty() { 0 } else { NOT_FRESH })
}

fn print(output: &Output, branch: &str, import: &Import, dry_run: bool) -> io::Result<()> {
    let shown = if output.verbose { usize::MAX } else { SHOWN };
    let lines = lines(import);
    for line in lines.iter().take(shown) {
        // The plan is the result of a dry run.
        if dry_run { output.result(line.clone())? } else { output.say(line.clone()) }
    }
    if lines.len() > shown {
        output.say(styled(DIM, format!("  … and {} more", lines.len() - shown)));
    }
    for path in import.unpinned.iter().take(shown) {
        output.detail(styled(DIM, format!("  left out {}: no lock pins it", path.display())));
    }
    for path in import.unused_git.iter().take(shown) {
        output.detail(styled(DIM, format!("  left out {}: no lock pins any of its commits", path.display())));
    }
    for index in &import.indexes {
        output.say(format!(
            "  kept the registry of {} that {} signed, as the pinned index: `git hexmirror serve` has it at /pinned, for clients with this key",
            index.repository, index.signer
        ));
    }
    let verb = match (import.is_empty(), dry_run) {
        (true, _) => styled(GOOD, "up to date"),
        (false, true) => Text::from("would import"),
        (false, false) => styled(GOOD, "imported"),
    };
    output.say(verb + format!(": {}", summary(branch, import)));
    for revision in import.lacking_git.iter().take(shown) {
        output.say(styled(CHANGED, "missing") + format!(": none of the folders has {revision}, which a lock pins"));
    }
    if !import.lacking.is_empty() {
        let more = import.lacking.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named = import.lacking.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        output.say(
            styled(CHANGED, "not fresh") + format!(": {branch} lacks {named}{more}; `git hexmirror update` fetches it"),
        );
    }
    Ok(())
}

/// Returns one line per imported release and git revision.
fn lines(import: &Import) -> Vec<Text> {
    let line = |name: String, evidence: Evidence| {
        let by = match evidence {
            Evidence::Lock => "verified by the lock",
            Evidence::Registry => "verified by the registry",
            Evidence::Tarball => "verified only by its own checksum",
        };
        Text::from("  ") + styled(GOOD, "+") + format!(" {name}") + styled(DIM, format!(" ({by})"))
    };
    let releases = import.added.iter().map(|release| line(release.added.id.to_string(), release.evidence));
    let git =
        import.added_git.iter().map(|git| line(format!("{} {}", git.address, git.revision.short()), Evidence::Lock));
    releases.chain(git).collect()
}

fn summary(branch: &str, import: &Import) -> String {
    let mut parts = Vec::new();
    for (evidence, by) in [
        (Evidence::Lock, "verified by the locks"),
        (Evidence::Registry, "verified by the registry"),
        (Evidence::Tarball, "verified only by their own checksums"),
    ] {
        let number = import.added.iter().filter(|release| release.evidence == evidence).count();
        if number > 0 {
            parts.push(format!("{} {by}", count(number, "package", "packages")));
        }
    }
    if !import.added_git.is_empty() {
        parts.push(count(import.added_git.len(), "git revision", "git revisions"));
    }
    if import.entries > 0 {
        parts.push(count(import.entries, "registry entry", "registry entries"));
    }
    if import.present > 0 {
        parts.push(format!("{} already there", import.present));
    }
    if !import.unpinned.is_empty() {
        parts.push(format!("{} left out because no lock pins them", count(import.unpinned.len(), "file", "files")));
    }
    if !import.unused_git.is_empty() {
        let number = count(import.unused_git.len(), "git repository", "git repositories");
        parts.push(format!("{number} left out because the locks pin nothing in them"));
    }
    if import.stored_bytes > 0 {
        parts.push(format!("repository grew by {}", bytes(import.stored_bytes)));
        parts.push(format!("{:.1} s", import.elapsed.as_secs_f64()));
    }
    let commit = import.commit.map_or_else(String::new, |commit| format!(" at {}", short(commit)));
    format!("{branch}{commit}: {}", if parts.is_empty() { "nothing new".to_owned() } else { parts.join(", ") })
}
