//! Repairs a damaged mirror: restores what cannot be read from other commits, a remote, the Hex client's cache or
//! upstream.

pub(in crate::ops) mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

use crate::fetch::Downloads;
use crate::git::{FetchOutcome, FetchTarget, ProjectGit};
use crate::hex::tarball::{Tarball, TarballLimits};
use crate::model::{GitAddress, IndexFile, Manifest, ReleaseId, Remote, Revision, Storage, StoredRevision};
use crate::ops::damages::{Unvouched, damage};
use crate::ops::index::check::verified_file;
use crate::ops::index::refresh::restore;
use crate::ops::project::Project;
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::stored_files::check_files;
use crate::ops::sync::signers::Signers;
use crate::ops::update::fetch_plan::{FetchContext, FetchPlan, FileAsk};
use crate::ops::update::fetching;
use crate::ops::update::git_fetcher::GitFetcher;
use crate::ops::update::leftovers::{downloads_dir, scratch_dir};
use crate::ops::update_lock::lock;
use crate::ops::verify::{check_objects, verify};
use crate::ops::{OpError, Result, UpdateOptions};
use crate::plan::{GitPin, GitPlan, Pin};
use crate::progress::{Event, Progress, Silent};
use crate::store::{Damage, ObjectId, ReleaseEncoder, Salvage, Snapshot, StoreError, StoredItem, Transaction};
use sources::Sources;

/// The result of a repair.
#[derive(Debug, Default)]
pub struct Repair {
    /// What was done with damaged files of the object database.
    pub salvage: Salvage,
    /// The damaged items of the tip that were restored, and where each was restored from.
    pub restored: BTreeMap<StoredItem, String>,
    /// The items that could not be restored and were removed, because a new commit was necessary.
    pub dropped: BTreeSet<StoredItem>,
    /// The files with private keys that were removed.
    pub private_keys: Vec<String>,
    /// Whether the branch's own objects (commit, trees, manifest) or files of the object database were damaged.
    pub rewritten: bool,
    /// The branch's tip before.
    pub before: Option<ObjectId>,
    /// The branch's tip now. Unchanged if only objects had to be written again.
    pub commit: Option<ObjectId>,
    /// The remaining damage.
    pub left: Vec<Damage>,
    /// Why files are refused that a repair cannot change, by the paths of their damages.
    pub unvouched: BTreeMap<String, Unvouched>,
    /// Whether a signature or a checksum is still wrong.
    pub foreign: bool,
    /// Why something could not be restored.
    pub failed: Option<OpError>,
}

impl Repair {
    /// Returns whether there was nothing to repair.
    pub fn is_empty(&self) -> bool {
        self.salvage.is_empty() && self.restored.is_empty() && self.dropped.is_empty() && !self.rewritten
    }
}

/// Repairs the mirror.
///
/// Damaged files are set aside. Missing objects are then restored from other commits of the branch, from the default
/// remote, from the Hex client's cache or from upstream, and verified as an update verifies them. If the tip's contents
/// can be restored completely, the branch does not move.
///
/// # Errors
/// Fails if the repository cannot be written, or if a lock or a setting is invalid. Remaining damage is not an error.
pub fn repair(project: &Project, options: &UpdateOptions, progress: &Arc<dyn Progress>) -> Result<Repair> {
    let _lock = lock(project, progress.as_ref())?;
    match project.snapshot() {
        Ok(_) | Err(OpError::Store(StoreError::Damaged { .. })) => {}
        Err(OpError::Store(StoreError::BrokenRef { .. })) => {
            if let Some(recovered) = project.repository.recover(&project.branch)? {
                progress.report(Event::Warning { message: recovered.to_string() });
            }
        }
        Err(error) => return Err(error),
    }
    let mut repair = Repair { salvage: project.repository.salvage()?, ..Repair::default() };
    let mut project = project.reopened()?;
    let Some((_, tip)) = project.repository.mirror_tip(&project.branch)? else { return Ok(repair) };
    let mut sources = Sources::find(&project, tip, progress)?;
    repair.before = Some(tip);
    repair.commit = Some(tip);
    let is_complete = |sources: &Sources| sources.is_own && sources.lacking().is_empty();
    let mut from = "the mirror's own history".to_owned();
    if !is_complete(&sources)
        && let Some(remote) = project.repository.default_remote()
    {
        match from_remote(&project, &remote, options.may_ask) {
            Ok(false) => {}
            Ok(true) => {
                from = format!("{remote} or the mirror's own history");
                repair.rewritten = true;
                project = project.reopened()?;
                sources = Sources::find(&project, tip, progress)?;
            }
            Err(error) => {
                let message = format!("cannot fetch the mirror of {remote}: {error}");
                progress.report(Event::Warning { message });
            }
        }
    }
    let damages = tip_damages(&project, tip);
    if is_complete(&sources) && sources.elsewhere().is_empty() && damages.as_ref().is_some_and(Vec::is_empty) {
        // Whatever `verify` refuses, too.
        if let Some(tip) = sources.of_tip() {
            let files = check_files(&project, tip, (&sources.manifest, &sources.wanted), progress)?;
            repair.foreign = files.unvouched.values().any(|why| why.is_foreign());
            (repair.left, repair.unvouched) = (files.damages, files.unvouched);
        }
        return Ok(repair);
    }
    repair.private_keys = damages.into_iter().flatten().filter(Damage::is_private_key).map(|key| key.path).collect();
    if !sources.is_own {
        let message = "the manifest of the newest commit is lost; contents that only this commit has are restored as far as its folders are readable";
        progress.report(Event::Warning { message: message.into() });
    }
    repair.rewritten = true;
    repair.restored = sources.elsewhere().into_iter().map(|item| (item, from.clone())).collect();
    rebuild(&project, &sources, options, &mut repair, progress)?;
    let project = project.reopened()?;
    repair.left = match verify(&project, progress) {
        Ok(verification) => {
            (repair.unvouched, repair.foreign) = (verification.unvouched, verification.foreign);
            verification.damages
        }
        Err(OpError::Store(error)) => vec![damage("the mirror", &error)],
        Err(error) => return Err(error),
    };
    Ok(repair)
}

/// Returns what is wrong with the objects of the tip, and the differences between its manifest and its tree. `None` if the tip
/// cannot be read.
fn tip_damages(project: &Project, tip: ObjectId) -> Option<Vec<Damage>> {
    let tip = Snapshot::at(&project.repository, &project.branch, tip).ok()?;
    let mut damages = check_objects(&tip).0;
    match tip.mismatches(None) {
        Ok(mismatches) => damages.extend(mismatches),
        Err(error) => damages.push(damage("manifest", &error)),
    }
    Some(damages)
}

/// Determines what the mirror must contain, and writes all of it.
fn rebuild(
    project: &Project,
    sources: &Sources,
    options: &UpdateOptions,
    repair: &mut Repair,
    progress: &Arc<dyn Progress>,
) -> Result<()> {
    let Project { repository, branch, .. } = project;
    let own = repository.tip(branch)?;
    let encoder = ReleaseEncoder::new(repository, TarballLimits::default())?.opaque(project.config.opaque.clone());
    let mut transaction = Transaction::rebuild(repository, branch, own)?;
    transaction.record_refresh(sources.snapshots.first().and_then(Snapshot::refreshed));
    put_readable(sources, &encoder, &mut transaction)?;
    let lacking = sources.lacking();
    if !lacking.is_empty() {
        repair.failed = fetch(project, sources, &lacking, (&encoder, options), &mut transaction, progress)?;
    }
    let here = "the Hex cache or upstream";
    for item in lacking {
        let manifest = transaction.manifest()?;
        let fetched = match &item {
            StoredItem::Release(id) => manifest.releases.contains_key(id),
            StoredItem::Entry(id) => manifest.entries.contains_key(id),
            StoredItem::Policy(id) => manifest.policies.contains_key(id),
            StoredItem::File(id) => manifest.files.contains_key(id),
            StoredItem::Git(address) => manifest.git.contains_key(address),
        };
        let kept = match sources.of_tip() {
            Some(tip) if !fetched => transaction.keep_damaged(tip, &item).unwrap_or_default(),
            _ => false,
        };
        if fetched {
            repair.restored.insert(item, here.to_owned());
        } else if !kept {
            repair.dropped.insert(item);
        }
    }
    // Only entries that their repositories signed were collected. If the manifest was lost, it has no record of
    // signers.
    let repositories = HexRepositories::new(project, &Silent)?;
    let manifest = transaction.manifest()?.clone();
    Signers::new(&repositories, Some(&manifest), None, [])?.record(&mut transaction)?;
    let tip = sources.of_tip();
    let parents = tip.or(sources.snapshots.first()).map(Snapshot::commit).into_iter().collect();
    let tip = tip.map(|tip| (tip.commit(), tip.tree()));
    let (published, dropped) = transaction.publish_rebuilt(tip, parents, &message(repair))?;
    repair.dropped.extend(dropped);
    let had_index = !sources.manifest.index_signers.is_empty();
    let refreshed = restore(project, published.commit, had_index, progress.as_ref());
    repair.commit = Some(refreshed.map_or(published.commit, |refreshed| refreshed.commit));
    let _ = fs::remove_dir_all(scratch_dir(repository));
    Ok(())
}

/// Adds everything readable to a transaction.
fn put_readable(sources: &Sources, encoder: &ReleaseEncoder, transaction: &mut Transaction<'_>) -> Result<()> {
    for (id, from) in &sources.releases {
        let Some(bytes) = from.and_then(|from| sources.release(id, from)) else { continue };
        let tarball = Tarball::open(&bytes, &TarballLimits::default());
        let tarball = tarball.map_err(|source| OpError::Tarball { release: id.clone(), source })?;
        // Store the release in its previous form, regardless of the current settings.
        let encoder = match sources.manifest.releases[id].storage {
            Storage::Tarball => encoder.clone().opaque([id.entry()].into()),
            Storage::Unpacked => encoder.clone(),
        };
        transaction.add_release(encoder.encode(id.clone(), &tarball).map_err(OpError::encode(id))?)?;
    }
    for (id, from) in &sources.entries {
        if let Some(signed) = from.and_then(|from| sources.entry(id, from)) {
            transaction.put_entry(id.clone(), &signed)?;
        }
    }
    for (id, from) in &sources.policies {
        if let Some(signed) = from.and_then(|from| sources.policy(id, from)) {
            transaction.put_policy(id.clone(), &signed)?;
        }
    }
    for (id, from) in &sources.files {
        if let Some((content, stored)) = from.and_then(|from| sources.file(id, from)) {
            transaction.put_file(id.path.clone(), &content, stored.trust, stored.address.clone())?;
        }
    }
    for (address, from) in &sources.git {
        if let Some(from) = from {
            transaction.copy_git(&sources.snapshots[*from], address, sources.manifest.git[address].clone())?;
        }
    }
    for (repository, signer) in &sources.manifest.signers {
        transaction.record_signer(repository.clone(), *signer);
    }
    if let Some(tip) = sources.of_tip() {
        keep_index(tip, transaction)?;
    }
    sources.manifest.absent.iter().try_for_each(|id| transaction.record_absent(id.clone()))?;
    Ok(())
}

/// Keeps the pinned index of each repository if all of it is readable and signed. Otherwise it is built again, if its key is
/// here. Files that do not belong to the index are not kept.
fn keep_index(tip: &Snapshot, transaction: &mut Transaction<'_>) -> Result<()> {
    let manifest = tip.manifest()?;
    for (repository, signer) in &manifest.index_signers {
        let of_repository = || manifest.index.iter().filter(|(id, _)| id.repository == *repository);
        let packages = of_repository().map(|(id, _)| IndexFile::Package(id.package.clone()));
        let read = |file| Some((verified_file(tip, repository, &file).ok()??, file));
        let files = packages.chain([IndexFile::PublicKey, IndexFile::Names, IndexFile::Versions]).map(read);
        let Some(files) = files.collect::<Option<Vec<_>>>() else { continue };
        for (bytes, file) in files {
            transaction.put_index_file(repository, &file, &bytes)?;
        }
        for (id, source) in of_repository() {
            transaction.record_index_source(id.clone(), *source)?;
        }
        transaction.record_index_signer(repository.clone(), *signer);
    }
    Ok(())
}

/// Fetches what is not readable locally into a transaction. Returns the error of the fetch, if any.
fn fetch(
    project: &Project,
    sources: &Sources,
    lacking: &BTreeSet<StoredItem>,
    (encoder, options): (&ReleaseEncoder, &UpdateOptions),
    transaction: &mut Transaction<'_>,
    progress: &Arc<dyn Progress>,
) -> Result<Option<OpError>> {
    let plan = fetch_plan(sources, lacking);
    let mut opaque = project.config.opaque.clone();
    let stored = plan.releases.iter().filter_map(|pin| Some((pin.id.entry(), sources.manifest.releases.get(&pin.id)?)));
    opaque.extend(stored.filter(|(_, stored)| stored.storage == Storage::Tarball).map(|(entry, _)| entry));
    let encoder = &encoder.clone().opaque(opaque);
    let UpdateOptions { jobs, may_ask, .. } = *options;
    let downloads = Arc::new(Downloads::open(downloads_dir(&project.repository))?);
    let repositories = HexRepositories::new(project, progress.as_ref())?;
    let git = GitFetcher::of_plan(&plan.git, project, None, jobs, may_ask, progress)?;
    let context = FetchContext {
        repositories: &repositories,
        jobs,
        downloads: &downloads,
        encoder,
        git,
        base: None,
        history: &sources.snapshots,
        accept_older: &options.accept_older,
        keep_going: true,
    };
    match fetching::fetch(plan, context, transaction, progress) {
        Ok(fetched) => {
            for release in &fetched.releases {
                let _ = downloads.remove(&release.stored.outer);
            }
            Ok(fetched.failed)
        }
        Err(error) => Ok(Some(error)),
    }
}

/// Returns what to fetch, with the checksums that the locks require, or else the manifest.
fn fetch_plan(sources: &Sources, lacking: &BTreeSet<StoredItem>) -> FetchPlan {
    let mut plan = FetchPlan { known: sources.manifest.entries.keys().cloned().collect(), ..FetchPlan::default() };
    plan.known.extend(sources.manifest.absent.iter().cloned());
    let mut pins = Vec::new();
    for item in lacking {
        match item {
            StoredItem::Release(id) => plan.releases.push(pin(sources, id)),
            StoredItem::Entry(id) => drop(plan.entries.insert(id.clone())),
            StoredItem::Policy(id) => drop(plan.policies.insert(id.clone())),
            StoredItem::File(id) => {
                plan.files.extend(sources.manifest.files.get(id).map(|stored| FileAsk::of(id, stored)))
            }
            StoredItem::Git(address) => pins.extend(git_pins(sources, address)),
        }
    }
    // Intact submodules are not fetched again.
    let intact = sources.git.iter().filter(|(_, from)| from.is_some());
    let intact = intact.map(|(address, _)| (address.clone(), sources.manifest.git[address].clone()));
    plan.git = GitPlan::new(&pins, &Manifest { git: intact.collect(), ..Manifest::default() });
    for release in &plan.releases {
        let entry = release.id.entry();
        match sources.entries.get(&entry).copied().flatten().and_then(|from| sources.entry(&entry, from)) {
            Some(signed) => drop(plan.at_hand.insert(entry, signed)),
            None => drop(plan.entries.insert(entry)),
        }
    }
    plan
}

/// Pins the revisions of a repository according to the manifest, at the address in a lock if there is one.
fn git_pins(sources: &Sources, address: &GitAddress) -> Vec<GitPin> {
    let locked = sources.wanted.git.iter().find(|pin| pin.url.address() == address).map(|pin| pin.url.clone());
    let Some(url) = locked.or_else(|| format!("https://{address}").parse().ok()) else { return Vec::new() };
    let pin = |(revision, stored): (&Revision, &StoredRevision)| GitPin {
        app: address.to_string(),
        url: url.clone(),
        revision: *revision,
        depth: stored.depth,
        names: stored.names.clone(),
        submodules: stored.submodules.is_some(),
        subdir: None,
        sparse: None,
        as_of: None,
    };
    sources.manifest.git[address].revisions.iter().map(pin).collect()
}

fn pin(sources: &Sources, id: &ReleaseId) -> Pin {
    let stored = &sources.manifest.releases[id];
    let of_manifest = || Pin { id: id.clone(), inner: Some(stored.inner), outer: Some(stored.outer) };
    sources.wanted.releases.get(id).cloned().unwrap_or_else(of_manifest)
}

/// Fetches a remote's mirror into a new, empty repository and adds its packs to the project's. A plain fetch would omit
/// objects that git believes this repository has. Returns whether the remote has a mirror.
fn from_remote(project: &Project, remote: &Remote, may_ask: bool) -> Result<bool> {
    let Project { repository, branch, .. } = project;
    let folder = repository.own_dir().join("repair.git");
    let result = fetch_separately(project, remote, may_ask, &folder).and_then(|outcome| match outcome {
        FetchOutcome::Absent => Ok(false),
        FetchOutcome::Fetched { commit } => {
            repository.adopt_packs(&folder.join("objects"))?;
            let tip = ObjectId::from_hex(commit.as_bytes()).map_err(|_| repository.no_mirror(branch))?;
            repository.record_remote_tip(remote, branch, Some(tip), "pull")?;
            Ok(true)
        }
    });
    let _ = fs::remove_dir_all(&folder);
    result
}

fn fetch_separately(
    project: &Project,
    remote: &Remote,
    may_ask: bool,
    folder: &std::path::Path,
) -> Result<FetchOutcome> {
    let repository = &project.repository;
    let _ = fs::remove_dir_all(folder);
    repository.init_with_same_settings(folder)?;
    let directory = repository.worktree().unwrap_or(repository.common_dir());
    let git = ProjectGit::find(project.git_settings(may_ask), directory, folder)?;
    let (objects, alive) = (folder.join("objects"), folder.join("HEAD"));
    let alive = fs::File::open(&alive).map_err(OpError::machine("read", &alive))?;
    let target = FetchTarget { objects: &objects, git_dir: folder, common_dir: folder, alive: &alive };
    git.fetch(remote, &project.branch.full_name(), &target).map_err(OpError::Remote)
}

fn message(repair: &Repair) -> String {
    let mut message = "Repair the mirror\n\n".to_owned();
    for (item, from) in &repair.restored {
        message += &format!("{item}: from {from}\n");
    }
    for path in &repair.private_keys {
        message += &format!("{path}: removed, because it contains a private key\n");
    }
    for item in &repair.dropped {
        message += &format!("{item}: removed, because no source has it\n");
    }
    message
}
