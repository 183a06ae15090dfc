//! One attempt at an update: plans, fetches into a transaction, and publishes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::added::{Added, AddedGit};
use super::artefacts::{ArtefactUpdate, NeededArtefacts};
use super::as_set::to_store_otherwise;
use super::asset_tools::AssetToolUpdate;
use super::branches::new_tips;
use super::docs::DocsUpdate;
use super::fetch_plan::{FetchContext, FetchPlan, FileAsk};
use super::fetching::{self, Fetched, Stored};
use super::git_fetcher::GitFetcher;
use super::learned::{FlaggedRelease, learned};
use super::leftovers::{downloads_dir, remove_fetched};
use super::message::message;
use super::new_machine::adds_machine;
use super::outcome::{Update, UpdateOptions};
use super::pinning::{ComposedLock, NewPins, pinned_lock, with_composed, write_lock};
use super::plugins::PluginUpdate;
use super::tools::ToolsFetcher;
use crate::fetch::Downloads;
use crate::hex::tarball::{Tarball, TarballLimits};
use crate::lock::OWN_LOCK;
use crate::model::{EntryId, Fingerprint, Manifest, PolicyId, ReleaseId, RepositoryName, ToolsPair};
use crate::ops::index::imported::imported_indexes;
use crate::ops::index::refresh::{RefreshCommit, refresh};
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::project::{LockFile, Project};
use crate::ops::status::{self, Status};
use crate::ops::sync::signers::{Signers, report_unverified};
use crate::ops::today::today;
use crate::ops::{OpError, Result};
use crate::plan::{ArtefactPin, Comparison, DocsPin, FilePin, GitPlan, Pin, Wanted, is_superseded_index};
use crate::progress::Progress;
use crate::store::{ObjectId, ReleaseEncoder, Snapshot, Transaction};

/// One attempt at an update, based on the branch's current tip.
pub(super) struct Attempt<'a> {
    project: &'a Project,
    options: &'a UpdateOptions,
    locks: Vec<LockFile>,
    wanted: Arc<Wanted>,
    base: Option<Snapshot>,
}

impl<'a> Attempt<'a> {
    pub fn new(project: &'a Project, options: &'a UpdateOptions) -> Result<Self> {
        let locks = project.locks()?;
        let wanted = project.wanted(&locks)?;
        Ok(Self { project, options, locks, wanted, base: project.snapshot()? })
    }

    /// Fetches what the mirror lacks and publishes it. `before` is the status before the update.
    pub fn run(mut self, before: Status, progress: &Arc<dyn Progress>) -> Result<Update> {
        let Project { repository, branch, config, .. } = self.project;
        let repositories = HexRepositories::new(self.project, progress.as_ref())?;
        let mut branches = new_tips(self.project, &self.locks, &self.wanted, self.options)?;
        if !branches.is_empty() {
            self.wanted = Arc::new(Wanted::clone(&self.wanted).with_branches(&branches));
        }
        let (plan, keep_going) = self.plan(&repositories, progress.as_ref())?;
        let downloads = Arc::new(Downloads::open(downloads_dir(repository))?);
        let base = self.base.as_ref();
        let encoder = ReleaseEncoder::new(repository, TarballLimits::default())?;
        let encoder = encoder.opaque(config.opaque.clone()).on(base);
        let mut transaction = Transaction::begin(repository, branch, base)?;
        let UpdateOptions { jobs, may_ask, ref accept_older, .. } = *self.options;
        let context = FetchContext {
            git: GitFetcher::of_plan(&plan.git, self.project, base, jobs, may_ask, progress)?,
            repositories: &repositories,
            downloads: &downloads,
            encoder: &encoder,
            history: &[],
            jobs,
            base,
            accept_older,
            keep_going,
        };
        let mut fetched = fetching::fetch(plan, context, &mut transaction, progress)?;
        let plugins = PluginUpdate {
            project: self.project,
            repositories: &repositories,
            downloads: &downloads,
            encoder: &encoder,
            base,
            wanted: &self.wanted,
            accept_older,
            jobs,
            may_ask,
            refresh: self.options.refresh,
            keep_going,
            progress,
        };
        let composed = self.composed_locks(&plugins, &mut fetched, &mut transaction)?;
        let locks = with_composed(&self.locks, &composed)?;
        self.record_refresh(&fetched, &mut transaction)?;
        self.store_otherwise(&encoder, &mut transaction, &mut fetched)?;
        let signers = self.record_signers(&repositories, &mut transaction)?;
        let is_first = |pin: &&FilePin| self.wanted.unpinned.contains(&pin.address);
        let first_used: Vec<FilePin> = fetched.files.iter().filter(is_first).cloned().collect();
        let Wanted { unpinned_tools, unpinned_docs, unpinned_asset_tools, .. } = &*self.wanted;
        let is_pinned = first_used.is_empty() && unpinned_tools.is_empty() && unpinned_docs.is_empty();
        // If the locks name no machine, the comparison knows of this one.
        let compared = before.comparison.iter().flat_map(|comparison| &comparison.unpinned_asset_tools);
        let are_tools_pinned = unpinned_asset_tools.iter().chain(compared).next().is_none();
        if self.options.locked && !(is_pinned && are_tools_pinned) {
            return Err(OpError::LockWouldChange { file: OWN_LOCK.to_owned(), is_bare: false });
        }
        let tools = self.pin_tools(&repositories, &downloads, &mut transaction, &mut fetched, progress)?;
        let wanted = self.project.wanted(&locks)?;
        let artefacts = ArtefactUpdate {
            project: self.project,
            repositories: &repositories,
            downloads: &downloads,
            base,
            wanted: &wanted,
            jobs,
            adds_machine: adds_machine(self.project, self.options),
            locked: self.options.locked,
            progress,
        };
        let artefacts = match fetched.failed {
            // Their packages may be missing.
            Some(_) => NeededArtefacts::default(),
            None => match artefacts.fetch(&mut fetched, &mut transaction) {
                Err(error) if keep_going && !fetched.is_empty() => {
                    fetched.failed = Some(error);
                    NeededArtefacts::default()
                }
                fetched => fetched?,
            },
        };
        if fetched.failed.is_some() {
            // What was not fetched must not be pinned.
            branches.clear();
        }
        let docs = self.pin_docs(&wanted, &repositories, &downloads, (&mut fetched, &mut transaction), progress)?;
        let assets = AssetToolUpdate {
            project: self.project,
            repositories: &repositories,
            downloads: &downloads,
            locks: &self.locks,
            wanted: &wanted,
            jobs,
            refresh: self.options.refresh,
            keep_going,
            adds_machine: adds_machine(self.project, self.options),
            new_target: artefacts.new_target.clone(),
            progress,
        };
        let assets = assets.run(&mut fetched, &mut transaction)?;
        let wanted = Wanted::clone(&wanted).with_files(first_used.iter().cloned()).with_branches(&branches);
        self.wanted = Arc::new(wanted.with_tools(&tools).with_docs(&docs).with_asset_tools(assets.pins));
        let unanswered = std::mem::take(&mut fetched.unanswered);
        let update = self.outcome(before, fetched, signers)?;
        let drops_unused = !self.options.locked && self.reads_all_locks()?;
        let pins = NewPins {
            downloads: &first_used,
            tools: Some(&tools),
            docs: Some(&docs),
            asset_tools: assets.lines.as_ref().filter(|_| !self.options.locked),
            target: assets.new_target.as_ref(),
            branches: &branches,
            asked: Some(&*self.wanted).filter(|_| drops_unused),
        };
        let pinned = pinned_lock(self.project, (&self.locks, &composed), pins)?;
        // The commit names the locks as they are after the update.
        let locks = with_composed(&locks, pinned.as_slice())?;
        let update = self.publish(transaction, update, (&locks, &artefacts.pins), progress.as_ref())?;
        self.remove_stored(&downloads, &update);
        composed.iter().chain(&pinned).try_for_each(|lock| write_lock(self.project, lock))?;
        let all = composed.iter().chain(&pinned).map(|lock| (&lock.file, lock.text.is_none()));
        let is_removed: BTreeMap<&String, bool> = all.collect();
        let removed_locks = is_removed.iter().filter(|(_, is_removed)| **is_removed).map(|(file, _)| (*file).clone());
        let removed_locks: Vec<String> = removed_locks.collect();
        let pinned_in = pinned.filter(|lock| lock.text.is_some()).map(|lock| lock.file);
        let written_locks = composed.into_iter().map(|lock| lock.file).collect();
        let failed = OpError::several(update.failed.into_iter().chain(unanswered).collect());
        Ok(Update { pinned_in, written_locks, removed_locks, failed, ..update })
    }

    /// Returns whether every lock of the commit that is checked out was read from the worktree. One that is not there may pin
    /// more.
    fn reads_all_locks(&self) -> Result<bool> {
        let Some(head) = self.project.repository.head()? else { return Ok(true) };
        let committed = self.project.locks_at(head)?;
        Ok(committed.iter().all(|lock| self.locks.iter().any(|read| read.file == lock.file)))
    }

    /// Fetches the plugins that nothing pins yet, and returns the hexmirror.lock files that must change. After a failed
    /// fetch, nothing is pinned: what asks for plugins may be missing.
    fn composed_locks(
        &self,
        plugins: &PluginUpdate<'_>,
        fetched: &mut Fetched,
        transaction: &mut Transaction<'_>,
    ) -> Result<Vec<ComposedLock>> {
        if fetched.failed.is_some() {
            return Ok(Vec::new());
        }
        let composed = plugins.pin(&self.locks, fetched, transaction)?;
        let is_bare = self.project.repository.worktree().is_none();
        match composed.first().filter(|_| is_bare || self.options.locked) {
            Some(lock) => Err(OpError::LockWouldChange { file: lock.file.clone(), is_bare }),
            None => Ok(composed),
        }
    }

    /// Fetches Hex and rebar3 for the versions of Elixir that need them, if nothing pins those of one of them yet.
    /// Returns the pins of all versions: clients get one list.
    fn pin_tools(
        &self,
        repositories: &HexRepositories<'_>,
        downloads: &Arc<Downloads>,
        transaction: &mut Transaction<'_>,
        fetched: &mut Fetched,
        progress: &Arc<dyn Progress>,
    ) -> Result<BTreeMap<ToolsPair, Vec<FilePin>>> {
        let pairs: BTreeSet<ToolsPair> = self.wanted.tools.union(&self.wanted.unpinned_tools).cloned().collect();
        let is_due = !self.wanted.unpinned_tools.is_empty() || (self.options.refresh && !self.options.locked);
        if !is_due || pairs.is_empty() {
            return Ok(BTreeMap::new());
        }
        let base = repositories.builds_url()?;
        let upstream = repositories.upstream([].into_iter(), self.options.jobs, Arc::clone(progress))?;
        let fetcher = ToolsFetcher { project: self.project, base, upstream, downloads };
        match fetcher.pin(&pairs, transaction) {
            Err(error) if self.options.keep_going && !fetched.is_empty() => {
                fetched.failed = Some(error);
                Ok(BTreeMap::new())
            }
            pinned => pinned.map(|(pins, new)| {
                fetched.files.extend(new);
                pins
            }),
        }
    }

    /// Fetches the documentation that nothing pins yet, unless something else failed: a release may be missing. Returns the
    /// pins of all documentation if any of them is new.
    fn pin_docs(
        &self,
        wanted: &Wanted,
        repositories: &HexRepositories<'_>,
        downloads: &Arc<Downloads>,
        (fetched, transaction): (&mut Fetched, &mut Transaction<'_>),
        progress: &Arc<dyn Progress>,
    ) -> Result<BTreeMap<ReleaseId, DocsPin>> {
        if fetched.failed.is_some() {
            return Ok(BTreeMap::new());
        }
        let refresh = self.options.refresh && !self.options.locked && self.project.config.docs;
        let docs = DocsUpdate { repositories, downloads, wanted, jobs: self.options.jobs, refresh, progress };
        match docs.pin(fetched, transaction) {
            Err(error) if self.options.keep_going && !fetched.is_empty() => {
                fetched.failed = Some(error);
                Ok(BTreeMap::new())
            }
            pins => pins,
        }
    }

    /// Returns what a transaction adds to the mirror, before it is published.
    fn outcome(
        &self,
        before: Status,
        fetched: Fetched,
        signers: BTreeMap<RepositoryName, Fingerprint>,
    ) -> Result<Update> {
        let base = self.base.as_ref();
        Ok(Update {
            added: fetched.releases.iter().map(|stored| Added::of(stored, base)).collect::<Result<_>>()?,
            added_git: fetched.git.iter().flat_map(AddedGit::of).collect(),
            repositories: fetched.git.len(),
            entries: fetched.entries,
            changed_entries: fetched.changed_entries,
            policies: fetched.policies,
            files: fetched.files,
            signers,
            migrated: base.is_some_and(Snapshot::is_of_older_format),
            downloaded_bytes: fetched.downloaded_bytes,
            failed: fetched.failed,
            ..Update::unchanged(before)
        })
    }

    /// Plans what to fetch. Returns also whether the update may continue if a fetch fails.
    fn plan(&self, repositories: &HexRepositories<'_>, progress: &dyn Progress) -> Result<(FetchPlan, bool)> {
        let mut plan = self.fetch_plan()?;
        self.leave_unverifiable(&mut plan, repositories, progress)?;
        let of_policies = plan.policies.iter().map(|id| &id.repository);
        let of_plan = plan.entries.iter().map(|id| &id.repository).chain(of_policies);
        let signers = Signers::on(repositories, self.base.as_ref(), of_plan)?;
        let base = self.base.as_ref();
        let to_replace = base.map(|base| signers.to_replace(base)).transpose()?.unwrap_or_default();
        let policies = base.map(|base| signers.policies_to_replace(base)).transpose()?.unwrap_or_default();
        // A mix of entries of two signers in one repository would be unusable.
        let keep_going = self.options.keep_going && to_replace.is_empty() && policies.is_empty();
        plan.entries.extend(to_replace);
        plan.policies.extend(policies);
        Ok((plan, keep_going))
    }

    fn fetch_plan(&self) -> Result<FetchPlan> {
        let refresh = self.options.refresh;
        let imported = self.base.as_ref().map(|base| imported_indexes(self.project, base)).transpose()?;
        let is_imported = imported.is_some_and(|imported| !imported.is_empty());
        let manifest = match &self.base {
            Some(base) if refresh || is_imported => base.manifest()?.clone(),
            Some(base) => base.excerpt(&self.wanted.packages())?,
            None => Manifest::default(),
        };
        let comparison = Comparison::new(&self.wanted, &manifest);
        let releases: Vec<_> = comparison.to_fetch().cloned().collect();
        let git = GitPlan::new(&self.wanted.git, &manifest);
        let unlisted = unlisted(&comparison, &releases, &manifest);
        let mut entries: BTreeSet<EntryId> = releases.iter().map(|pin| pin.id.entry()).collect();
        entries.extend(comparison.entries);
        let mut policies: BTreeSet<PolicyId> = comparison.policies.into_iter().collect();
        let mut claims = self.project.npm_claims(&self.wanted)?;
        let ask = |pin| FileAsk::of_pin(pin, claims.remove(&pin.id));
        let mut files: Vec<FileAsk> = comparison.files.iter().map(ask).collect();
        files.extend(comparison.unpinned.iter().map(|address| FileAsk::first(address, today())));
        let mut absent = BTreeSet::new();
        if refresh || is_imported {
            // Of releases that no lock pins, which an import may have stored, upstream need not have entries.
            absent = manifest.releases.keys().map(ReleaseId::entry).collect();
            absent.retain(|id| !manifest.entries.contains_key(id) && !entries.contains(id));
        }
        if refresh {
            policies.extend(self.wanted.policies.iter().cloned());
            entries.extend(manifest.entries.into_keys());
            absent.extend(manifest.absent);
        }
        Ok(FetchPlan { releases, entries, policies, files, unlisted, git, absent, refresh, ..FetchPlan::default() })
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
            fetched.releases.push(Stored {
                id,
                stored: encoded.stored,
                fallback: encoded.fallback.clone(),
                config: None,
                artefacts: None,
            });
            transaction.add_release(encoded)?;
        }
        Ok(())
    }

    /// Records today as the day of the last refresh if all registry entries were fetched.
    fn record_refresh(&self, fetched: &Fetched, transaction: &mut Transaction<'_>) -> Result<()> {
        let is_first = match &self.base {
            Some(base) => base.repositories_with_entries()?.is_empty(),
            None => true,
        };
        let has_all = fetched.failed.is_none() && (is_first || self.options.refresh);
        if has_all && !transaction.repositories_with_entries()?.is_empty() {
            transaction.record_refresh(Some(today()));
        }
        Ok(())
    }

    /// Records the signers of all repositories with entries. Returns the new or changed ones.
    fn record_signers(
        &self,
        repositories: &HexRepositories<'_>,
        transaction: &mut Transaction<'_>,
    ) -> Result<BTreeMap<RepositoryName, Fingerprint>> {
        let names = transaction.repositories_with_entries()?;
        Signers::on(repositories, self.base.as_ref(), &names)?.record(transaction)
    }

    /// Publishes the transaction, unless the mirror would not be fresh although nothing failed. Brings the pinned index
    /// up to date.
    fn publish(
        &self,
        mut transaction: Transaction<'_>,
        mut update: Update,
        (locks, artefacts): (&[LockFile], &BTreeSet<ArtefactPin>),
        progress: &dyn Progress,
    ) -> Result<Update> {
        let excerpt = transaction.excerpt(&self.wanted.packages())?;
        let after = Comparison::new(&self.wanted, excerpt).with_artefacts(artefacts, excerpt);
        if update.failed.is_none() && !after.is_fresh() {
            return Err(OpError::StillLacking { lacking: after.lacking() });
        }
        if update.failed.is_none() {
            update.superseded_indexes = self.drop_imported_indexes(&mut transaction)?;
        }
        let has_index = !transaction.excerpt([])?.index_signers.is_empty();
        let published = transaction.publish(&message(&update, self.project, locks)?)?;
        let refreshed = refresh(self.project, published.commit, RefreshCommit::Amended, progress);
        let commit = refreshed.map_or(published.commit, |refreshed| refreshed.commit);
        if !has_index || refreshed.is_some() {
            status::remember(self.project, commit, locks);
        }
        update.commit = Some(commit);
        update.flagged = self.learned(commit);
        update.stored_bytes = published.pack_bytes + refreshed.map_or(0, |refreshed| refreshed.pack_bytes);
        // That a new repository has a signer is only news in the commit message.
        let before = self.base.as_ref().map(Snapshot::repositories_with_entries).transpose()?.unwrap_or_default();
        update.signers.retain(|name, _| before.contains(name));
        Ok(update)
    }

    /// Returns what the update learned about the pinned releases. The update is published, so it does not fail if an entry
    /// cannot be read; `verify` reports that.
    fn learned(&self, commit: ObjectId) -> Vec<FlaggedRelease> {
        let base = self.base.as_ref();
        if base.is_some_and(|base| base.commit() == commit) {
            return Vec::new();
        }
        let updated = self.project.snapshot_of(None, commit);
        updated.and_then(|updated| learned(self.wanted.releases.keys(), base, &updated)).unwrap_or_default()
    }

    /// Removes the imported indexes of repositories whose own entries the mirror has now. Returns the repositories.
    fn drop_imported_indexes(&self, transaction: &mut Transaction<'_>) -> Result<Vec<RepositoryName>> {
        let imported = self.base.as_ref().map(|base| imported_indexes(self.project, base)).transpose()?;
        let mut dropped = Vec::new();
        for repository in imported.unwrap_or_default() {
            if is_superseded_index(transaction.manifest()?, &repository) {
                transaction.remove_index(&repository)?;
                dropped.push(repository);
            }
        }
        Ok(dropped)
    }

    /// Removes fetched files that the mirror now has. If a file cannot be removed, it does no harm.
    fn remove_stored(&self, downloads: &Downloads, update: &Update) {
        if update.failed.is_none() {
            return remove_fetched(&self.project.repository);
        }
        for release in &update.added {
            let _ = downloads.remove(&release.stored.outer);
        }
    }
}

/// Returns the releases that the mirror has, with the given manifest, without the entry of their package, which is fetched.
/// An import stored them. Those that are replaced are not among them.
fn unlisted(comparison: &Comparison, replaced: &[Pin], manifest: &Manifest) -> Vec<Pin> {
    let of_entries = comparison.entries.iter().flat_map(|id| manifest.releases_of(&id.repository, &id.package));
    let kept = of_entries.filter(|(id, _)| !replaced.iter().any(|pin| pin.id == **id));
    kept.map(|(id, stored)| Pin { id: id.clone(), inner: Some(stored.inner), outer: Some(stored.outer) }).collect()
}
