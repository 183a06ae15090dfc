//! Updates the mirror to match the locks: fetches what the mirror lacks and publishes at most one commit.

mod added;
pub(in crate::ops) mod fetching;
pub(in crate::ops) mod git_fetcher;
pub(in crate::ops) mod health;
pub(in crate::ops) mod kept_entries;
pub(in crate::ops) mod message;
pub(in crate::ops) mod stored_entry;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::fetch::Downloads;
use crate::hex::tarball::{Tarball, TarballLimits};
use crate::model::{EntryId, Fingerprint, Manifest, ReleaseId, Remote, RepositoryName, Storage};
use crate::ops::index::key::is_present;
use crate::ops::index::refresh::{RefreshCommit, refresh};
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::project::{LockFile, Project};
use crate::ops::status::{self, Status};
use crate::ops::sync::signers::{Signers, report_unverified};
use crate::ops::{OpError, Result, init};
use crate::plan::{Comparison, GitPlan, Wanted};
use crate::progress::{Event, Progress, Silent};
use crate::store::{Lock, ObjectId, ReleaseEncoder, Repository, Snapshot, StoreError, Transaction};
pub use added::{Added, AddedGit};
use fetching::{FetchContext, FetchPlan, Fetched, Stored, StoredRepository};
use git_fetcher::GitFetcher;
use message::Changes;

/// The number of attempts if other processes keep moving the branch.
const ATTEMPTS: usize = 5;

/// Options for an update.
#[derive(Debug, Clone, Default)]
pub struct UpdateOptions {
    /// Whether to only report what would be done.
    pub dry_run: bool,
    /// Whether to fetch all registry entries again, for new retirements and advisories.
    pub refresh: bool,
    /// The packages whose registry entries may be replaced by older ones.
    pub accept_older: BTreeSet<EntryId>,
    /// The number of concurrent requests, overriding the setting.
    pub jobs: Option<usize>,
    /// Whether to publish whatever was fetched, even if some fetches failed. The mirror is then incomplete.
    pub keep_going: bool,
    /// Whether git may ask for a password on a terminal.
    pub may_ask: bool,
}

/// The result of an update or a dry run.
#[derive(Debug)]
pub struct Update {
    /// The status before the update.
    pub before: Status,
    /// The stored releases.
    pub added: Vec<Added>,
    /// The stored revisions of git repositories.
    pub added_git: Vec<AddedGit>,
    /// The number of changed git repositories, with or without new revisions.
    pub repositories: usize,
    /// The number of fetched registry entries.
    pub entries: usize,
    /// The newly recorded signers of repositories that the mirror already had entries of.
    pub signers: BTreeMap<RepositoryName, Fingerprint>,
    /// Whether the update migrated a mirror of an older format.
    pub migrated: bool,
    /// The number of bytes received over the network.
    pub downloaded_bytes: u64,
    /// The growth of the repository's object database, in bytes.
    pub stored_bytes: u64,
    /// The branch's tip after the update, if the branch exists.
    pub commit: Option<ObjectId>,
    /// The remote whose branch was adopted first, if there was no local branch.
    pub adopted: Option<Remote>,
    /// The duration of the update.
    pub elapsed: Duration,
    /// The error, if the update continued in spite of it. The mirror is then incomplete.
    pub failed: Option<OpError>,
}

/// Updates the mirror.
///
/// # Errors
/// Fails with everything that went wrong. The branch is then unchanged, and what was fetched and verified is kept for
/// the next update.
pub fn update(project: &Project, options: UpdateOptions, progress: &Arc<dyn Progress>) -> Result<Update> {
    let start = Instant::now();
    if !options.dry_run {
        recover(project, progress.as_ref())?;
        init::complete_known(project)?;
    }
    let mut before = status::status(project, false)?;
    if before.comparison.is_none() && before.summary.unmirrored + before.summary.ignored > 0 {
        // A cached answer contains only numbers, but the report names what cannot be mirrored.
        before = status::status(project, true)?;
    }
    warn_of_scripts(project, &before.locks, progress.as_ref());
    let done = |before: Status, adopted| Update {
        commit: before.commit,
        before,
        added: Vec::new(),
        added_git: Vec::new(),
        repositories: 0,
        entries: 0,
        signers: BTreeMap::new(),
        migrated: false,
        downloaded_bytes: 0,
        stored_bytes: 0,
        adopted,
        elapsed: start.elapsed(),
        failed: None,
    };
    // Adopt a mirror that only a remote has, so that it survives if the remote's branch is deleted.
    let is_as_set = || {
        let own = project.snapshot()?;
        Ok::<_, OpError>(
            to_store_otherwise(project, own.as_ref())?.is_empty() && !needs_signers(project, own.as_ref())?,
        )
    };
    if options.dry_run || (before.summary.fresh && !options.refresh && before.remote.is_none() && is_as_set()?) {
        if !options.dry_run {
            tidy(&project.repository);
            if before.summary.index_behind > 0 && is_present(project) {
                let waits = || progress.report(Event::Waiting { reason: "another update of this repository".into() });
                let _lock = Lock::acquire(&project.repository, waits)?;
                refresh_index(project, &mut before, progress.as_ref());
            }
        }
        return Ok(done(before, None));
    }
    init::ask(project, options.may_ask, progress.as_ref())?;
    let waits = || progress.report(Event::Waiting { reason: "another update of this repository".into() });
    let _lock = Lock::acquire(&project.repository, waits)?;
    for _ in 0..ATTEMPTS {
        let adopted = if project.snapshot()?.is_none() {
            init::adopt(project, progress.as_ref())?.map(|(remote, _)| remote)
        } else {
            None
        };
        // Another process may have fetched what this one was about to fetch.
        let mut before = status::status(project, false)?;
        if before.summary.fresh && !options.refresh && is_as_set()? {
            remove_fetched(&project.repository);
            refresh_index(project, &mut before, progress.as_ref());
            return Ok(done(before, adopted));
        }
        match Attempt::new(project, options.clone())?.run(progress) {
            Err(OpError::Store(StoreError::Moved { .. })) => {}
            Err(error) => return Err(error),
            Ok(Outcome { added, added_git, fetched, signers, migrated, commit, stored_bytes }) => {
                return Ok(Update {
                    added,
                    added_git,
                    repositories: fetched.git.len(),
                    entries: fetched.entries,
                    signers,
                    migrated,
                    downloaded_bytes: fetched.downloaded_bytes,
                    stored_bytes,
                    commit: Some(commit),
                    failed: fetched.failed,
                    ..done(before, adopted)
                });
            }
        }
    }
    Err(OpError::KeptMoving { branch: project.branch.to_string() })
}

/// Brings the pinned index of a fresh mirror up to date. The caller holds the lock.
fn refresh_index(project: &Project, status: &mut Status, progress: &dyn Progress) {
    if status.summary.index_behind > 0
        && let Some(tip) = status.commit
        && let Some(refreshed) = refresh(project, tip, RefreshCommit::New, progress)
    {
        status.commit = Some(refreshed.commit);
        status.summary.index_behind = 0;
    }
}

/// Warns about scripts beside locks: rebar3 evaluates such a script and uses its result as the lock
/// (`rebar_config:consult_file_/1`).
fn warn_of_scripts(project: &Project, locks: &[String], progress: &dyn Progress) {
    let Some(root) = project.repository.worktree() else { return };
    for lock in locks.iter().filter(|lock| lock.rsplit('/').next() == Some("rebar.lock")) {
        let script = format!("{lock}.script");
        if root.join(&script).exists() {
            let message = format!("{script} is not evaluated, so its changes to {lock} are not mirrored");
            progress.report(Event::Warning { message });
        }
    }
}

/// Resets a branch that a system crash damaged to its last known good commit.
fn recover(project: &Project, progress: &dyn Progress) -> Result<()> {
    let Project { repository, branch, .. } = project;
    let Err(StoreError::BrokenRef { .. }) = repository.mirror_tip(branch) else { return Ok(()) };
    let waits = || progress.report(Event::Waiting { reason: "another update of this repository".into() });
    let _lock = Lock::acquire(repository, waits)?;
    if let Some(recovered) = repository.recover(branch)? {
        progress.report(Event::Warning { message: recovered.to_string() });
    }
    for remote in repository.remote_names() {
        if let Some(broken) = repository.forget_broken_remote(&remote, branch)? {
            progress.report(Event::Warning {
                message: format!("{broken}; removed the ref, the next fetch creates it again"),
            });
        }
    }
    Ok(())
}

/// Removes files that earlier updates left behind, after the mirror has become fresh. Keeps them if the repository is
/// not writable or while another process uses them.
fn tidy(repository: &Repository) {
    let fetched = [downloads_dir(repository), git_fetcher::scratch_dir(repository)];
    if (repository.has_leftovers() || fetched.iter().any(|folder| folder.exists()))
        && let Ok(Some(_lock)) = Lock::try_acquire(repository)
    {
        remove_fetched(repository);
    }
}

/// Removes files that were kept for the next attempt. Files that cannot be removed do no harm.
fn remove_fetched(repository: &Repository) {
    for folder in [downloads_dir(repository), git_fetcher::scratch_dir(repository)] {
        let _ = std::fs::remove_dir_all(folder);
    }
}

struct Outcome {
    added: Vec<Added>,
    added_git: Vec<AddedGit>,
    fetched: Fetched,
    signers: BTreeMap<RepositoryName, Fingerprint>,
    migrated: bool,
    commit: ObjectId,
    stored_bytes: u64,
}

/// One attempt at an update, based on the branch's current tip.
struct Attempt<'a> {
    project: &'a Project,
    options: UpdateOptions,
    locks: Vec<LockFile>,
    wanted: Wanted,
    base: Option<Snapshot>,
}

impl<'a> Attempt<'a> {
    fn new(project: &'a Project, options: UpdateOptions) -> Result<Self> {
        let locks = project.locks()?;
        let wanted = project.wanted(&locks)?;
        Ok(Self { project, options, locks, wanted, base: project.snapshot()? })
    }

    fn run(self, progress: &Arc<dyn Progress>) -> Result<Outcome> {
        let Project { repository, branch, .. } = self.project;
        let nothing = Manifest::default();
        let manifest = self.base.as_ref().map(Snapshot::manifest).transpose()?.unwrap_or(&nothing);
        let mut plan = self.fetch_plan(manifest);
        let repositories = HexRepositories::new(self.project, progress.as_ref())?;
        self.leave_unverifiable(&mut plan, &repositories, progress.as_ref())?;
        let of_plan = plan.entries.iter().map(|id| &id.repository);
        let signers = Signers::new(&repositories, Some(manifest), None, of_plan)?;
        let to_replace = self.base.as_ref().map(|base| signers.to_replace(base)).transpose()?.unwrap_or_default();
        plan.entries.extend(to_replace.iter().cloned());
        let downloads = Arc::new(Downloads::open(downloads_dir(repository))?);
        let encoder = ReleaseEncoder::new(repository, TarballLimits::default())?;
        let encoder = encoder.opaque(self.project.config.opaque.clone()).on(self.base.as_ref());
        let mut transaction = Transaction::begin(repository, branch, self.base.as_ref())?;
        let UpdateOptions { jobs, may_ask, .. } = self.options;
        // A mix of entries of two signers in one repository would be unusable.
        let keep_going = self.options.keep_going && to_replace.is_empty();
        let base = self.base.as_ref();
        let fetcher = || {
            let folder = git_fetcher::make_scratch_dir(&self.project.repository)?;
            GitFetcher::new(&folder, self.project, base, jobs, may_ask, Arc::clone(progress))
        };
        let git = (!plan.git.is_empty()).then(fetcher).transpose()?;
        let (repositories, downloads, encoder) = (&repositories, &downloads, &encoder);
        let accept_older = &self.options.accept_older;
        let history = &[];
        let context =
            FetchContext { repositories, jobs, downloads, encoder, git, base, history, accept_older, keep_going };
        let mut fetched = fetching::fetch(plan, context, &mut transaction, progress)?;
        self.store_otherwise(encoder, &mut transaction, &mut fetched)?;
        let names = transaction.manifest().entries.keys().map(|id| id.repository.clone()).collect::<BTreeSet<_>>();
        let signers = Signers::new(repositories, Some(manifest), None, &names)?.record(&mut transaction);
        let added: Vec<Added> = fetched.releases.iter().map(|stored| added(stored, manifest)).collect();
        let added_git: Vec<AddedGit> = fetched.git.iter().flat_map(added_git).collect();
        let after = Comparison::new(&self.wanted, transaction.manifest());
        if fetched.failed.is_none() && !after.is_fresh() {
            return Err(OpError::StillLacking { lacking: after.lacking() });
        }
        let migrated = base.is_some_and(Snapshot::is_of_older_format);
        let changes = Changes { added: &added, added_git: &added_git, fetched: &fetched, signers: &signers, migrated };
        let has_index = !transaction.manifest().index_signers.is_empty();
        let published = transaction.publish(&changes.message(self.project, &self.locks)?)?;
        let refreshed = refresh(self.project, published.commit, RefreshCommit::Amended, progress.as_ref());
        let commit = refreshed.map_or(published.commit, |refreshed| refreshed.commit);
        if !has_index || refreshed.is_some() {
            status::remember(self.project, commit, &self.locks, &after);
        }
        if fetched.failed.is_none() {
            remove_fetched(repository);
        } else {
            for release in &added {
                // A stored tarball is not needed any more. If its file cannot be removed, it does no harm.
                let _ = downloads.remove(&release.stored.outer);
            }
        }
        let stored_bytes = published.pack_bytes + refreshed.map_or(0, |refreshed| refreshed.pack_bytes);
        let had_entries = |name: &RepositoryName| manifest.entries.keys().any(|id| id.repository == *name);
        let signers = signers.into_iter().filter(|(name, _)| had_entries(name)).collect();
        Ok(Outcome { added, added_git, fetched, signers, migrated, commit, stored_bytes })
    }

    /// Stores releases as tarballs that are stored unpacked but must not be any more.
    fn store_otherwise(
        &self,
        encoder: &ReleaseEncoder,
        transaction: &mut Transaction<'_>,
        fetched: &mut Fetched,
    ) -> Result<()> {
        let Some(base) = &self.base else { return Ok(()) };
        for id in to_store_otherwise(self.project, Some(base))? {
            let Some(bytes) = base.tarball(&id)? else { continue };
            let tarball = Tarball::open(&bytes, &TarballLimits::default());
            let tarball = tarball.map_err(|source| OpError::Tarball { release: id.clone(), source })?;
            let encoded = encoder.encode(id.clone(), &tarball).map_err(OpError::encode(&id))?;
            fetched.releases.push(Stored { id, stored: encoded.stored, fallback: encoded.fallback.clone() });
            transaction.add_release(encoded)?;
        }
        Ok(())
    }

    /// Removes the stored entries of repositories with an unknown key from a plan, unless a lock needs one of their
    /// releases.
    fn leave_unverifiable(
        &self,
        plan: &mut FetchPlan,
        repositories: &HexRepositories<'_>,
        progress: &dyn Progress,
    ) -> Result<()> {
        let names: BTreeSet<RepositoryName> = plan.entries.iter().map(|id| id.repository.clone()).collect();
        let mut left = BTreeSet::new();
        for name in names {
            let is_locked = self.wanted.releases.keys().any(|id| id.repository == name);
            match repositories.public_key(&name) {
                Err(OpError::NoPublicKey { .. }) if !is_locked => left.insert(name),
                Err(OpError::NoPublicKey { .. }) | Ok(_) => false,
                Err(error) => return Err(error),
            };
        }
        let (unverified, entries): (BTreeSet<EntryId>, BTreeSet<EntryId>) =
            std::mem::take(&mut plan.entries).into_iter().partition(|id| left.contains(&id.repository));
        plan.entries = entries;
        plan.absent.retain(|id| !left.contains(&id.repository));
        report_unverified(&unverified, progress);
        Ok(())
    }

    fn fetch_plan(&self, manifest: &Manifest) -> FetchPlan {
        let comparison = Comparison::new(&self.wanted, manifest);
        let releases: Vec<_> = comparison.to_fetch().cloned().collect();
        let git = GitPlan::new(&self.wanted.git, manifest);
        let mut entries: BTreeSet<EntryId> = releases.iter().map(|pin| pin.id.entry()).collect();
        entries.extend(comparison.entries);
        if self.options.refresh {
            entries.extend(manifest.entries.keys().cloned());
        }
        let (mut known, mut absent) = (BTreeSet::from_iter(manifest.entries.keys().cloned()), manifest.absent.clone());
        if !self.options.refresh {
            known.append(&mut absent);
        }
        FetchPlan { releases, entries, known, git, absent, refresh: self.options.refresh, ..FetchPlan::default() }
    }
}

/// Returns whether an update must record signers: in a mirror of an older format, or for a repository whose new signer
/// the user allowed.
fn needs_signers(project: &Project, own: Option<&Snapshot>) -> Result<bool> {
    let Some(own) = own else { return Ok(false) };
    let mut set = project.config.repositories.values().filter(|config| config.signer.is_some());
    if own.is_of_older_format() || set.next().is_none() {
        return Ok(own.is_of_older_format());
    }
    let repositories = HexRepositories::new(project, &Silent)?;
    let differs = |(name, recorded): (&RepositoryName, &Fingerprint)| {
        repositories.signer(name).is_some_and(|signer| signer != *recorded)
    };
    Ok(own.manifest()?.signers.iter().any(differs))
}

/// Returns the releases that are stored unpacked although the setting `opaque` matches their packages.
fn to_store_otherwise(project: &Project, base: Option<&Snapshot>) -> Result<Vec<ReleaseId>> {
    let opaque = &project.config.opaque;
    let Some(base) = base.filter(|_| !opaque.is_empty()) else { return Ok(Vec::new()) };
    let unpacked = base.manifest()?.releases.iter().filter(|(_, stored)| stored.storage == Storage::Unpacked);
    Ok(unpacked.map(|(id, _)| id).filter(|id| opaque.contains(&id.entry())).cloned().collect())
}

/// Returns the folder where unfinished updates keep what they fetched.
pub(in crate::ops) fn downloads_dir(repository: &Repository) -> std::path::PathBuf {
    repository.own_dir().join("downloads")
}

fn added(stored: &Stored, before: &Manifest) -> Added {
    let Stored { id, stored, fallback } = stored;
    let highest = before.releases_of(&id.repository, &id.package).next_back().map(|(id, _)| id.version.clone());
    let replaced = if before.releases.contains_key(id) { Some(id.version.clone()) } else { highest };
    Added { id: id.clone(), stored: *stored, fallback: fallback.clone(), replaced }
}

fn added_git(stored: &StoredRepository) -> Vec<AddedGit> {
    let added = stored.added.iter();
    added.map(|&(revision, replaced)| AddedGit { address: stored.address.clone(), revision, replaced }).collect()
}
