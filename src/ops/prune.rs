//! Drops from the mirror what no lock of a live branch needs.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::init::own_mirror;
use super::mentioned::{mentioned, read_entry};
use super::needed::{self, Answer, Question};
use super::repositories::Repositories;
use super::update_message::count;
use super::{OpError, Project, Result, mirror};
use crate::model::{EntryId, Manifest, StoredGit};
use crate::plan::{Needed, Pruning};
use crate::progress::{Event, Progress};
use crate::store::{Draft, Lock, ObjectId, Snapshot, StoreError, Temporary};

/// How often pruning begins anew because something else moved the branch.
const ATTEMPTS: usize = 5;
/// The most things that a commit's subject names.
const NAMED: usize = 3;
const SECONDS_A_DAY: i64 = 24 * 60 * 60;

/// How to prune.
#[derive(Debug, Clone, Default)]
pub struct PruneOptions {
    /// Only say what would go.
    pub dry_run: bool,
    /// For how many days everything is kept, if not as configured.
    pub keep_days: Option<usize>,
    /// The tags whose locks count, as globs, beside those configured.
    pub keep_tags: Vec<String>,
}

/// What pruning did, or would do.
#[derive(Debug)]
pub struct Prune {
    /// What goes.
    pub pruning: Pruning,
    /// The size of what goes, in bytes: tarballs, registry entries, packs.
    pub bytes: u64,
    /// The size of everything that was there, counted alike.
    pub of_bytes: u64,
    /// How many different locks were read.
    pub locks: usize,
    /// For how many days everything is kept.
    pub keep_days: usize,
    /// The tip before.
    pub before: ObjectId,
    /// The tip now; the same where nothing went.
    pub commit: ObjectId,
}

/// Drops what no lock needs: neither of the live branches, here and on remotes as last seen, of tags that are set to count,
/// of worktrees and stashes, nor of commits that were made lately or are not pushed yet. What came to the mirror lately
/// stays too, since somebody else may need it.
///
/// # Errors
/// Fails where there is no mirror, or it or the project cannot be read; the branch is then as it was.
pub fn prune(project: &Project, options: &PruneOptions, progress: &Arc<dyn Progress>) -> Result<Prune> {
    let waits = || progress.report(Event::Waiting { reason: "another update of this repository".into() });
    let _lock = if options.dry_run { None } else { Some(Lock::acquire(&project.repository, waits)?) };
    let keep_days = options.keep_days.unwrap_or(project.config.keep_days);
    let since = since(keep_days);
    let tags = project.config.keep_tags.iter().chain(&options.keep_tags).cloned().collect();
    let question = Question { tags, since, strict: true };
    let Answer { needed, locks } = needed::needed(project, &question, progress.as_ref())?;
    for _ in 0..ATTEMPTS {
        let snapshot = if options.dry_run { mirror(project)? } else { own_mirror(project, progress.as_ref())? };
        let pruning = plan(project, &snapshot, needed.clone(), since)?;
        let manifest = snapshot.manifest()?;
        let mut prune = Prune {
            bytes: 0,
            of_bytes: bytes(manifest),
            locks,
            keep_days,
            before: snapshot.commit(),
            commit: snapshot.commit(),
            pruning,
        };
        match carry_out(project, &snapshot, (&prune.pruning, &needed), options.dry_run, progress) {
            Err(OpError::Store(StoreError::Moved { .. })) => {}
            Err(error) => return Err(error),
            Ok((commit, bytes_after)) => {
                (prune.commit, prune.bytes) = (commit, prune.of_bytes.saturating_sub(bytes_after));
                return Ok(prune);
            }
        }
    }
    Err(OpError::KeptMoving { branch: project.branch.to_string() })
}

/// Returns the moment since which everything is kept, in seconds since 1970; with no days to keep, nothing is.
fn since(keep_days: usize) -> i64 {
    if keep_days == 0 {
        return i64::MAX;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    now.saturating_sub(i64::try_from(keep_days).unwrap_or(i64::MAX).saturating_mul(SECONDS_A_DAY))
}

fn plan(project: &Project, snapshot: &Snapshot, mut needed: Needed, since: i64) -> Result<Pruning> {
    let manifest = snapshot.manifest()?;
    // A history that was rewritten begins late; the one that it stands for may still be here.
    let repository = &project.repository;
    let mut earlier = Vec::new();
    for tip in [snapshot.commit()].into_iter().chain(repository.replaced_by(snapshot.commit())?) {
        if repository.has(tip) {
            earlier.extend(repository.newest_before(tip, since)?);
        }
    }
    let earlier = earlier.into_iter().map(|commit| Snapshot::at(&project.repository, &project.branch, commit));
    let earlier = earlier.collect::<Result<Vec<_>, _>>()?;
    let earlier = earlier.iter().map(Snapshot::manifest).collect::<Result<Vec<_>, _>>()?;
    needed.add_recent(manifest, &earlier);
    let mut pruning = Pruning::new(manifest, needed);
    // Entries go with releases; by themselves they are of no account.
    if !pruning.releases.is_empty() {
        let stays = manifest.releases.keys().filter(|id| !pruning.releases.contains_key(*id));
        let mentioned: BTreeSet<EntryId> = mentioned(stays, |id| read_entry(snapshot, id))?;
        pruning.drop_entries(manifest, &mentioned);
    }
    Ok(pruning)
}

/// Makes the commit without what goes, unless it is only to be known. Returns the tip and the size of what is there then.
fn carry_out(
    project: &Project,
    snapshot: &Snapshot,
    (pruning, needed): (&Pruning, &Needed),
    dry_run: bool,
    progress: &Arc<dyn Progress>,
) -> Result<(ObjectId, u64)> {
    let manifest = snapshot.manifest()?;
    if pruning.is_empty() {
        return Ok((snapshot.commit(), bytes(manifest)));
    }
    let mut draft = Draft::begin(&project.repository, &project.branch, Some(snapshot))?;
    pruning.releases.keys().for_each(|id| draft.remove_release(id));
    pruning.entries.keys().for_each(|id| draft.remove_entry(id));
    // Not where an update keeps what it fetched: this goes, whatever comes of it.
    let mut folder = None;
    let mut repositories = None;
    for (address, gone) in &pruning.revisions {
        let stays = |stored: &StoredGit| stored.revisions.keys().any(|revision| !gone.contains(revision));
        if !manifest.git.get(address).is_some_and(stays) {
            draft.remove_git(address);
            continue;
        }
        let repositories = match &mut repositories {
            Some(known) => known,
            none => {
                let folder = folder.insert(Temporary::make(&project.repository)?).path();
                none.insert(Repositories::at(folder, project, Some(snapshot), None, false, Arc::clone(progress))?)
            }
        };
        let (mut stored, new) = repositories.without(snapshot, address, gone)?;
        needed.name(address, &mut stored);
        let files = new.filter(|_| !dry_run).map(|new| repositories.files(&new)).transpose()?.unwrap_or_default();
        draft.put_git(address.clone(), stored, files)?;
    }
    let left = bytes(draft.manifest());
    let commit = if dry_run { snapshot.commit() } else { draft.publish(&message(pruning))?.commit };
    Ok((commit, left))
}

/// Returns the size of what a mirror holds, in bytes: tarballs, registry entries, packs.
fn bytes(manifest: &Manifest) -> u64 {
    let releases = manifest.releases.values().map(|stored| stored.bytes);
    let entries = manifest.entries.values().map(|stored| stored.bytes);
    releases.chain(entries).chain(manifest.git.values().map(StoredGit::bytes)).sum()
}

fn message(pruning: &Pruning) -> String {
    let releases = pruning.releases.keys().map(ToString::to_string);
    let revisions = pruning
        .revisions
        .iter()
        .flat_map(|(address, gone)| gone.iter().map(move |revision| format!("{address} {}", revision.short())));
    let gone: Vec<String> = releases.chain(revisions).collect();
    let what = if gone.is_empty() {
        count(pruning.entries.len(), "registry entry", "registry entries")
    } else {
        let more = if gone.len() > NAMED { ", …" } else { "" };
        format!("{}{more}", gone[..gone.len().min(NAMED)].join(", "))
    };
    let mut message = format!("Drop {what}\n\nNo lock of a live branch needs it.\n\n");
    for gone in gone {
        let _ = writeln!(message, "{gone}");
    }
    message
}
