//! Removes from the mirror what no lock of a live branch needs.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::artefacts;
use super::index::refresh::{RefreshCommit, refresh};
use super::init::own_mirror;
use super::plugins;
use super::project::needed::{self, LockScope, LockedNeeds};
use super::update::git_fetcher::GitFetcher;
use super::update::stored_entry::read_entry;
use super::update_lock::lock;
use super::{OpError, Project, Result, mirror};
use crate::model::{EntryId, Manifest, StoredGit, count};
use crate::plan::{Needed, Pruning, needed_entries};
use crate::progress::Progress;
use crate::store::{ObjectId, Snapshot, StoreError, Temporary, Transaction};

/// The number of attempts if other processes keep moving the branch.
const ATTEMPTS: usize = 5;
/// The maximum number of releases that a commit's subject names.
const MAX_NAMED: usize = 3;
const SECONDS_A_DAY: i64 = 24 * 60 * 60;

/// Options for pruning.
#[derive(Debug, Clone, Default)]
pub struct PruneOptions {
    /// Whether to only report what would be removed.
    pub dry_run: bool,
    /// The number of days to keep everything, overriding the setting.
    pub keep_days: Option<usize>,
    /// Globs for tags whose locks count, in addition to the configured ones.
    pub keep_tags: Vec<String>,
}

/// What pruning removed, or would remove.
#[derive(Debug)]
pub struct Prune {
    /// The removed items.
    pub pruning: Pruning,
    /// The size of the removed tarballs, registry entries, policies, files and packs, in bytes.
    pub bytes: u64,
    /// The size of the mirror before, measured in the same way.
    pub of_bytes: u64,
    /// The number of distinct locks that were read.
    pub locks: usize,
    /// The number of days for which everything is kept.
    pub keep_days: usize,
    /// The tip before pruning.
    pub before: ObjectId,
    /// The tip now. The same as `before` if nothing was removed.
    pub commit: ObjectId,
}

/// Removes what no lock needs. The locks that count are those of local and remote-tracking branches, selected tags,
/// worktrees and stashes, and of commits that are recent or not pushed yet. What was recently added to the mirror is
/// kept too, because another user may need it.
///
/// # Errors
/// Fails if there is no mirror, or if the mirror or the project cannot be read. The branch is then unchanged.
pub fn prune(project: &Project, options: &PruneOptions, progress: &Arc<dyn Progress>) -> Result<Prune> {
    let _lock = (!options.dry_run).then(|| lock(project, progress.as_ref())).transpose()?;
    let keep_days = options.keep_days.unwrap_or(project.config.keep_days);
    let since = since(keep_days);
    let tags = project.config.keep_tags.iter().chain(&options.keep_tags).cloned().collect();
    let scope = LockScope { tags, since, strict: true };
    let LockedNeeds { needed, locks } = needed::needed(project, &scope, progress.as_ref())?;
    for _ in 0..ATTEMPTS {
        let snapshot = if options.dry_run { mirror(project)?.1 } else { own_mirror(project, progress.as_ref())? };
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

/// Returns the time since which everything is kept, in seconds since 1970. With zero days, nothing is kept.
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
    // A compacted history begins late, but the history that it replaced may still be available.
    let repository = &project.repository;
    let mut older = Vec::new();
    for tip in [snapshot.commit()].into_iter().chain(repository.replaced_by(snapshot.commit())?) {
        if repository.has(tip) {
            older.extend(repository.newest_before(tip, since)?);
        }
    }
    let older = older.into_iter().map(|commit| Snapshot::at(&project.repository, &project.branch, commit));
    let older = older.collect::<Result<Vec<_>, _>>()?;
    let older = older.iter().map(Snapshot::manifest).collect::<Result<Vec<_>, _>>()?;
    needed.add_recent(manifest, &older);
    plugins::add_listed(&mut needed, snapshot)?;
    artefacts::add_needed(&mut needed, snapshot)?;
    let mut pruning = Pruning::new(manifest, needed);
    // Registry entries are removed with their releases. They are no reason to prune by themselves.
    if !pruning.releases.is_empty() {
        let stays = manifest.releases.keys().filter(|id| !pruning.releases.contains_key(*id));
        let needed: BTreeSet<EntryId> = needed_entries(stays, |id| read_entry(snapshot, id))?;
        pruning.drop_entries(manifest, &needed);
    }
    Ok(pruning)
}

/// Creates the commit without the removed items, unless this is a dry run. Returns the tip and the size of the mirror
/// afterwards.
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
    let mut transaction = Transaction::begin(&project.repository, &project.branch, Some(snapshot))?;
    pruning.releases.keys().try_for_each(|id| transaction.remove_release(id))?;
    pruning.policies.keys().for_each(|id| transaction.remove_policy(id));
    pruning.files.keys().for_each(|id| transaction.remove_file(id));
    pruning.entries.keys().try_for_each(|id| transaction.remove_entry(id))?;
    // Use a separate folder rather than the one where updates keep what they fetched, because this one is deleted
    // afterwards.
    let mut folder = None;
    let mut fetcher = None;
    for (address, gone) in &pruning.revisions {
        let stays = |stored: &StoredGit| stored.revisions.keys().any(|revision| !gone.contains(revision));
        if !manifest.git.get(address).is_some_and(stays) {
            transaction.remove_git(address);
            continue;
        }
        let fetcher = match &mut fetcher {
            Some(known) => known,
            none => {
                let folder = folder.insert(Temporary::make(&project.repository)?).path();
                none.insert(GitFetcher::new(folder, project, Some(snapshot), None, false, Arc::clone(progress))?)
            }
        };
        let (mut stored, new) = fetcher.without(snapshot, address, gone)?;
        needed.name(address, &mut stored);
        let files = new.filter(|_| !dry_run).map(|new| fetcher.files(&new)).transpose()?.unwrap_or_default();
        transaction.put_git(address.clone(), stored, files)?;
    }
    let left = bytes(transaction.manifest()?);
    if dry_run {
        return Ok((snapshot.commit(), left));
    }
    let published = transaction.publish(&message(pruning))?.commit;
    let refreshed = refresh(project, published, RefreshCommit::Amended, progress.as_ref());
    Ok((refreshed.map_or(published, |refreshed| refreshed.commit), left))
}

/// Returns the size of a mirror's tarballs, registry entries, policies, files and packs, in bytes.
fn bytes(manifest: &Manifest) -> u64 {
    let releases = manifest.releases.values().map(|stored| stored.bytes);
    let entries = manifest.entries.values().chain(manifest.policies.values()).map(|stored| stored.bytes);
    let files = manifest.files.values().map(|stored| stored.bytes);
    releases.chain(entries).chain(files).chain(manifest.git.values().map(StoredGit::bytes)).sum()
}

fn message(pruning: &Pruning) -> String {
    let releases = pruning.releases.keys().map(ToString::to_string);
    let revisions = pruning
        .revisions
        .iter()
        .flat_map(|(address, gone)| gone.iter().map(move |revision| format!("{address} {}", revision.short())));
    let policies = pruning.policies.keys().map(|policy| format!("the policy {policy}"));
    let files = pruning.files.keys().map(ToString::to_string);
    let gone: Vec<String> = releases.chain(policies).chain(files).chain(revisions).collect();
    let what = if gone.is_empty() {
        count(pruning.entries.len(), "registry entry", "registry entries")
    } else {
        let more = if gone.len() > MAX_NAMED { ", …" } else { "" };
        format!("{}{more}", gone[..gone.len().min(MAX_NAMED)].join(", "))
    };
    let mut message = format!("Prune {what}\n\nNo lock of a live branch needs this.\n\n");
    for gone in gone {
        let _ = writeln!(message, "{gone}");
    }
    message
}
