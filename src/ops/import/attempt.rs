//! One attempt at an import: reads, plans, stores into a transaction, and publishes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::error::ImportError;
use super::folders::Contents;
use super::git::{self, ImportedGit, Workspace};
use super::indexes::put_indexes;
use super::message;
use super::outcome::{Import, ImportOptions, ImportedTarball, listed};
use super::registries::Registries;
use super::tarballs::{self, Chosen, Inspected};
use crate::hex::registry::Package;
use crate::hex::tarball::TarballLimits;
use crate::model::{EntryId, Manifest, ManifestPart, ReleaseId, RepositoryName};
use crate::ops::artefacts;
use crate::ops::index::refresh::{RefreshCommit, refresh};
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::sync::signers::Signers;
use crate::ops::update::fetching::Stored;
use crate::ops::update::stored_entry::read_entry;
use crate::ops::{Added, AddedGit, LockFile, OpError, Project, Result, status};
use crate::plan::{Comparison, ImportInput, ImportPlan, Relation, Wanted, needed_entries, relation};
use crate::progress::Progress;
use crate::store::{ObjectId, ReleaseEncoder, Snapshot, Transaction};

/// One attempt at an import, on top of the branch's current tip.
pub(super) struct Attempt<'a> {
    project: &'a Project,
    options: &'a ImportOptions,
    locks: Vec<LockFile>,
    wanted: Arc<Wanted>,
    base: Option<Snapshot>,
}

impl<'a> Attempt<'a> {
    pub fn new(project: &'a Project, options: &'a ImportOptions, base: Option<Snapshot>) -> Result<Self> {
        let locks = if options.all { project.present_locks()? } else { project.locks()? };
        let wanted = project.wanted(&locks)?;
        Ok(Self { project, options, locks, wanted, base })
    }

    pub fn run(self, contents: &Contents, progress: &Arc<dyn Progress>) -> Result<Import> {
        let Project { repository, branch, config, .. } = self.project;
        let (all, base) = (self.options.all, self.base.as_ref());
        let repositories = HexRepositories::new(self.project, progress.as_ref())?;
        let registries = Registries::read(&contents.registries, &self.wanted, &repositories, progress.as_ref())?;
        let of_registry = |folder: &Path| registries.repository(folder);
        let inspected = Inspected::read(&contents.tarballs, &self.wanted, all, of_registry)?;
        let plan = self.plan(&inspected, &registries)?;
        let encoder = ReleaseEncoder::new(repository, TarballLimits::default())?;
        let encoder = encoder.opaque(config.opaque.clone()).on(base);
        let mut transaction = Transaction::begin(repository, branch, base)?;
        let chosen: Vec<Chosen<'_>> = plan
            .store
            .iter()
            .map(|(id, release)| {
                let (file, found) = (inspected.paths[release.found].as_path(), &inspected.found[release.found]);
                (id.clone(), file, found.outer)
            })
            .collect();
        let stored = tarballs::store(&chosen, &encoder, &mut transaction, progress.as_ref())?;
        let workspace = Workspace::make(repository)?;
        let sources = (&self.wanted.git[..], &contents.git[..]);
        let git = git::store(self.project, base, sources, &workspace, &mut transaction, progress)?;
        self.refuse_unpinned(contents, &plan, &git)?;
        let entries = self.put_entries(&registries, &plan, &mut transaction)?;
        let imported: BTreeSet<&ReleaseId> = plan.store.keys().chain(&plan.present).collect();
        let indexes = put_indexes(&registries.others, &imported, base, &mut transaction, progress.as_ref())?;
        Signers::on(&repositories, base, &transaction.repositories_with_entries()?)?.record(&mut transaction)?;
        let unpinned = plan.unpinned.iter().map(|found| inspected.paths[*found].clone());
        let import = Import {
            added: self.added(&stored, &plan)?,
            entries,
            indexes,
            added_git: git.stored.iter().flat_map(AddedGit::of).collect(),
            unused_git: git.unused,
            present: plan.present.len() + git.present,
            unpinned: unpinned.chain(inspected.unusable.iter().cloned()).collect(),
            before: base.map(Snapshot::commit),
            commit: base.map(Snapshot::commit),
            ..Import::default()
        };
        self.publish(transaction, import, progress.as_ref())
    }

    /// Plans which tarballs to store.
    fn plan(&self, inspected: &Inspected, registries: &Registries) -> Result<ImportPlan> {
        let mut packages: BTreeSet<EntryId> = self.wanted.packages();
        for found in &inspected.found {
            let repository = found.repository.clone().unwrap_or_else(RepositoryName::hexpm);
            packages.insert(EntryId { repository, package: found.package.clone() });
        }
        let manifest = self.excerpt(&packages)?;
        let mut registry: BTreeMap<EntryId, Package> = BTreeMap::new();
        for id in packages {
            if let Some((_, package)) = registries.verified.get(&id) {
                registry.insert(id, package.clone());
            } else if let Some(base) = &self.base
                && let Some(package) = read_entry(base, &id)?
            {
                registry.insert(id, package);
            }
        }
        let (found, wanted, all) = (&inspected.found[..], &*self.wanted, self.options.all);
        let plan = ImportPlan::new(ImportInput { found, wanted, manifest: &manifest, registry: &registry, all });
        let refused = plan.refused.iter().cloned().map(|refused| ImportError::Refused(refused).into());
        OpError::several(refused.collect()).map_or(Ok(plan), Err)
    }

    fn excerpt(&self, packages: &BTreeSet<EntryId>) -> Result<Manifest> {
        Ok(self.base.as_ref().map(|base| base.excerpt(packages)).transpose()?.unwrap_or_default())
    }

    /// Refuses folders in which nothing is pinned.
    fn refuse_unpinned(&self, contents: &Contents, plan: &ImportPlan, git: &ImportedGit) -> Result<()> {
        let has_releases = !plan.store.is_empty() || !plan.present.is_empty();
        if has_releases || !git.stored.is_empty() || git.present > 0 || self.options.all {
            return Ok(());
        }
        let (found, folders) = (contents.tarballs.len() + contents.git.len(), listed(&self.options.folders));
        if let Some((address, _)) = git.cut_off.first() {
            return Err(ImportError::CutOff { address: address.clone(), folders }.into());
        }
        Err(ImportError::NothingPinned { found, folders }.into())
    }

    /// Adds the registry entries that their repositories signed, as far as the mirror needs them and has no newer ones.
    fn put_entries(
        &self,
        registries: &Registries,
        plan: &ImportPlan,
        transaction: &mut Transaction<'_>,
    ) -> Result<usize> {
        let releases: BTreeSet<&ReleaseId> =
            plan.store.keys().chain(&plan.present).chain(self.wanted.releases.keys()).collect();
        let package = |id: &EntryId| Ok::<_, OpError>(registries.verified.get(id).map(|(_, package)| package.clone()));
        let mut entries = 0;
        for id in needed_entries(releases, package)? {
            let Some((signed, package)) = registries.verified.get(&id) else { continue };
            let stored = self.base.as_ref().map(|base| base.entry(&id)).transpose()?.flatten();
            let known = self.base.as_ref().map(|base| read_entry(base, &id)).transpose()?.flatten();
            let is_newer = known
                .zip(stored)
                .is_none_or(|(known, bytes)| relation((package, signed), (&known, &bytes)) == Relation::Newer);
            if is_newer {
                transaction.put_entry(id, signed)?;
                entries += 1;
            }
        }
        Ok(entries)
    }

    fn added(&self, stored: &[Stored], plan: &ImportPlan) -> Result<Vec<ImportedTarball>> {
        let added = |stored: &Stored| {
            let added = Added::of(stored, self.base.as_ref())?;
            Ok(ImportedTarball { evidence: plan.store[&stored.id].evidence, added })
        };
        stored.iter().map(added).collect()
    }

    /// Returns the precompiled files that the mirror at a commit lacks. What cannot be read is reported by the next update.
    fn lacking_artefacts(&self, commit: ObjectId) -> Result<Vec<String>> {
        let snapshot = self.project.snapshot_of(None, commit)?;
        let needed = artefacts::needed(self.project, &self.wanted, Some(&snapshot))?;
        Ok(Comparison::default().with_artefacts(&needed, &*snapshot.part(ManifestPart::Files)?).lacking())
    }

    /// Publishes the transaction, unless this is a dry run. Brings the pinned index up to date.
    fn publish(&self, mut transaction: Transaction<'_>, mut import: Import, progress: &dyn Progress) -> Result<Import> {
        let comparison = Comparison::new(&self.wanted, transaction.excerpt(&self.wanted.packages())?);
        let revisions = comparison.revisions_to_fetch().into_iter();
        import.lacking_git = revisions.map(|(address, revision)| format!("{address} {}", revision.short())).collect();
        import.lacking = comparison.lacking();
        import.lacking.sort_by_key(|lacking| !import.lacking_git.contains(lacking));
        if self.options.dry_run || import.is_empty() {
            return Ok(import);
        }
        let published = transaction.publish(&message::message(&import, self.project, &self.locks)?)?;
        let refreshed = refresh(self.project, published.commit, RefreshCommit::Amended, progress);
        let commit = refreshed.map_or(published.commit, |refreshed| refreshed.commit);
        if import.lacking.is_empty() && !self.locks.is_empty() {
            status::remember(self.project, commit, &self.locks);
        }
        import.lacking.extend(self.lacking_artefacts(commit).unwrap_or_default());
        import.commit = Some(commit);
        import.stored_bytes = published.pack_bytes + refreshed.map_or(0, |refreshed| refreshed.pack_bytes);
        Ok(import)
    }
}
