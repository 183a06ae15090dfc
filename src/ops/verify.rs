//! Verifies every byte of the mirror.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::damages::{Unvouched, check_all, damages_of};
use super::index::check::{self, IndexCheck};
use super::index::key::warn_if_exposed;
use super::parallel::{cores, in_parallel_with};
use super::project::Project;
use super::project::hex_repositories::HexRepositories;
use super::stored_files::check_files;
use super::sync::signers;
use super::sync::signers::{report_unverified, verified};
use super::update::git_fetcher::fetching_git;
use super::update::stored_entry::read_entry;
use super::{OpError, Result, mirror};
use crate::git::Git;
use crate::hex::registry::{Package, PublicKey, RegistryError, check_policy};
use crate::hex::tarball::{Tarball, TarballLimits};
use crate::model::{EntryId, FileId, FileTrust, GitAddress, Manifest, PolicyId, ReleaseId, RepositoryName, StoredGit};
use crate::plan::Wanted;
use crate::progress::{Event, Progress};
use crate::store::{CheckedTrees, Damage, ObjectId, Snapshot, StoreError};

/// The result of a verification.
#[derive(Debug, Clone)]
pub struct Verification {
    /// The verified commit.
    pub commit: ObjectId,
    /// The number of git objects read.
    pub objects: usize,
    /// The number of releases rebuilt.
    pub releases: usize,
    /// The number of registry entries verified.
    pub entries: usize,
    /// The number of policies verified.
    pub policies: usize,
    /// The files verified, with why each is trusted.
    pub files: BTreeMap<FileId, FileTrust>,
    /// The number of git revisions verified.
    pub revisions: usize,
    /// The number of packages verified in the pinned index.
    pub indexed: usize,
    /// The number of packages whose entries in the pinned index do not match the stored releases yet.
    pub index_behind: usize,
    /// The registry entries whose signature was not verified, because their repository's key is unknown.
    pub unverified: BTreeSet<EntryId>,
    /// The damage found, sorted by path.
    pub damages: Vec<Damage>,
    /// Why files are refused that a repair cannot change, by the paths of their damages.
    pub unvouched: BTreeMap<String, Unvouched>,
    /// Whether an entry or a policy is signed by another key than its repository's, or a file is refused for a signature or a checksum.
    pub foreign: bool,
}

/// Verifies every object in the mirror's tip against its id, every tarball against the manifest, the locks and the
/// registry, and every registry entry and policy against the manifest and its repository's key, if that is known.
///
/// # Errors
/// Fails if there is no mirror, if it cannot be read at all, if a configured lock is missing, or if the mirror records
/// another signer than the keys that are known here. Damage is not an error.
pub fn verify(project: &Project, progress: &Arc<dyn Progress>) -> Result<Verification> {
    let (source, snapshot) = mirror(project)?;
    warn_if_exposed(project, progress.as_ref());
    let (mut damages, objects) = check_objects(&snapshot);
    let commit = snapshot.commit();
    // An unreadable tree has been reported already.
    damages.extend(snapshot.mismatches(None).unwrap_or_default());
    let (mut manifest, is_readable) = match snapshot.manifest() {
        Ok(manifest) => (manifest.clone(), true),
        Err(error) => {
            damages.extend(damages_of("manifest", &error)?);
            (Manifest::default(), false)
        }
    };
    let items = manifest.releases.len() + manifest.entries.len() + manifest.policies.len() + manifest.git.len();
    let items = items + manifest.files.len();
    let items = items as u64;
    progress.report(Event::Planned { items });
    let wanted = match project.locks() {
        Ok(locks) => project.wanted(&locks)?,
        Err(OpError::NoLock { .. }) if project.config.locks.is_none() => Arc::default(),
        Err(error) => return Err(error),
    };
    wanted.apply_trust(&mut manifest.files);
    let repositories = HexRepositories::new(project, progress.as_ref())?;
    let keys = repositories.known_keys_of(manifest.signed_repositories())?;
    let without_key = |id: &&EntryId| !keys.contains_key(&id.repository);
    let unverified: BTreeSet<EntryId> = manifest.entries.keys().filter(without_key).cloned().collect();
    report_unverified(&unverified, progress.as_ref());
    match signers::of_readable(project, &snapshot, source.remote.as_ref(), progress.as_ref()) {
        // Damage has been reported already.
        Err(OpError::Store(StoreError::Damaged { .. })) => {}
        signers => drop(signers?),
    }
    let checks = Checks { wanted: &wanted, keys, foreign: AtomicBool::new(false) };
    let entries: Vec<EntryId> = manifest.entries.keys().cloned().collect();
    let found = check_all(&snapshot, &entries, |snapshot, id| {
        progress.report(Event::Finished { item: format!("registry entry of {id}") });
        checks.entry(snapshot, id)
    });
    damages.extend(found?);
    for id in manifest.policies.keys() {
        progress.report(Event::Finished { item: format!("policy {id}") });
        damages.extend(checks.policy(&snapshot, id)?);
    }
    let files = check_files(project, &snapshot, (&manifest, &wanted), progress)?;
    damages.extend(files.damages);
    let releases: Vec<ReleaseId> = manifest.releases.keys().cloned().collect();
    let found = check_all(&snapshot, &releases, |snapshot, id| {
        progress.report(Event::Finished { item: id.to_string() });
        checks.release(snapshot, id)
    });
    damages.extend(found?);
    if !manifest.git.is_empty() {
        let git = fetching_git(project, false)?;
        let repositories: Vec<_> = manifest.git.iter().collect();
        let found = check_all(&snapshot, &repositories, |snapshot, (address, stored)| {
            progress.report(Event::Finished { item: format!("git {address}") });
            repository(&git, snapshot, address, stored)
        });
        damages.extend(found?);
    }
    let index = match is_readable.then(|| check::check(project, &snapshot, progress.as_ref())) {
        // Without the manifest, it is unknown whether there is an index.
        None => IndexCheck::default(),
        Some(Err(OpError::Store(error))) => {
            damages.extend(damages_of("the pinned index", &error)?);
            IndexCheck::default()
        }
        Some(index) => index?,
    };
    damages.extend(index.damages);
    damages.sort();
    damages.dedup();
    let revisions = manifest.git.values().map(|stored| stored.revisions.len()).sum();
    let policies = manifest.policies.len();
    let unvouched = files.unvouched;
    let foreign = checks.foreign.into_inner() || unvouched.values().any(|why| why.is_foreign());
    let files = manifest.files.into_iter().map(|(id, stored)| (id, stored.trust)).collect();
    let (releases, entries) = (releases.len(), entries.len());
    let (indexed, index_behind) = (index.packages, index.behind);
    Ok(Verification {
        commit,
        objects,
        releases,
        entries,
        policies,
        files,
        revisions,
        indexed,
        index_behind,
        unverified,
        damages,
        unvouched,
        foreign,
    })
}

/// Checks every object of a snapshot against its id, and the files of the object database that contain them. Also returns
/// the number of objects.
pub(super) fn check_objects(snapshot: &Snapshot) -> (Vec<Damage>, usize) {
    let CheckedTrees { mut damages, trees, files } = snapshot.check_trees();
    let check = |snapshot: &Snapshot, (id, path): &(ObjectId, String)| snapshot.check_file(*id, path);
    damages.extend(in_parallel_with(cores(), &files, || snapshot.clone(), check).into_iter().flatten());
    let ids = trees.iter().copied().chain(files.iter().map(|(id, _)| *id)).collect();
    damages.extend(snapshot.check_storage(&ids));
    (damages, trees.len() + files.len())
}

struct Checks<'a> {
    wanted: &'a Wanted,
    keys: BTreeMap<RepositoryName, PublicKey>,
    foreign: AtomicBool,
}

impl Checks<'_> {
    /// Verifies a release: its rebuilt tarball must match the checksums in the manifest, the lock and the registry
    /// entry.
    fn release(&self, snapshot: &Snapshot, id: &ReleaseId) -> Result<Vec<Damage>> {
        let path = format!("release {id}");
        let bytes = match snapshot.tarball(id) {
            Ok(bytes) => bytes.unwrap_or_default(),
            Err(error) => return damages_of(&path, &error),
        };
        let tarball = match Tarball::open(&bytes, &TarballLimits::default()) {
            Ok(tarball) => tarball,
            Err(error) => return damages_of(&path, &error),
        };
        let mut damages = Vec::new();
        let mut wrong = |problem: String| damages.push(Damage { path: path.clone(), problem });
        let (outer, inner) = (tarball.outer_checksum(), tarball.inner_checksum());
        let stored = snapshot.manifest().ok().and_then(|manifest| manifest.releases.get(id));
        if let Some(stored) = stored.filter(|stored| stored.inner != inner) {
            wrong(format!("its inner checksum is {inner}, but the manifest says {}", stored.inner));
        }
        if let Some(pin) = self.wanted.releases.get(id) {
            if let Some(expected) = pin.outer.filter(|expected| *expected != outer) {
                wrong(format!("its outer checksum is {outer}, but the lock requires {expected}"));
            }
            if let Some(expected) = pin.inner.filter(|expected| *expected != inner) {
                wrong(format!("its inner checksum is {inner}, but the lock requires {expected}"));
            }
        }
        let entry = id.entry();
        // The entry's own check verifies its signature and reports its damage.
        if let Ok(Some(package)) = read_entry(snapshot, &entry) {
            match package.release(&id.version) {
                None => wrong("the registry entry does not list it".into()),
                Some(listed) if listed.outer_checksum.is_some_and(|expected| expected != outer) => {
                    wrong(format!("its outer checksum is {outer}, but the registry entry has a different one"));
                }
                Some(listed) if listed.inner_checksum != inner => {
                    wrong(format!("its inner checksum is {inner}, but the registry entry has a different one"));
                }
                Some(_) => {}
            }
        }
        Ok(damages)
    }

    fn entry(&self, snapshot: &Snapshot, id: &EntryId) -> Result<Vec<Damage>> {
        let path = format!("registry entry of {id}");
        match self.decoded(snapshot, id) {
            Ok(Some(_)) => Ok(Vec::new()),
            Ok(None) => Ok(vec![Damage { path, problem: "it is missing".into() }]),
            Err(error) => {
                if matches!(error, OpError::Entry { source: RegistryError::BadSignature, .. }) {
                    self.foreign.store(true, Ordering::Relaxed);
                }
                damages_of(&path, &error)
            }
        }
    }

    fn policy(&self, snapshot: &Snapshot, id: &PolicyId) -> Result<Vec<Damage>> {
        let path = format!("policy {id}");
        let signed = match snapshot.policy(id) {
            Ok(signed) => signed.unwrap_or_default(),
            Err(error) => return damages_of(&path, &error),
        };
        match check_policy(&signed, self.keys.get(&id.repository), id) {
            Ok(()) => Ok(Vec::new()),
            Err(error) => {
                self.foreign.fetch_or(error == RegistryError::BadSignature, Ordering::Relaxed);
                damages_of(&path, &error)
            }
        }
    }

    fn decoded(&self, snapshot: &Snapshot, id: &EntryId) -> Result<Option<Package>> {
        let Some(key) = self.keys.get(&id.repository) else { return read_entry(snapshot, id) };
        snapshot.entry(id)?.map(|bytes| verified(id, &bytes, key)).transpose()
    }
}

/// Verifies a git repository: every object must match its id, and every object that a revision needs must exist.
pub(super) fn repository(
    git: &Git,
    snapshot: &Snapshot,
    address: &GitAddress,
    stored: &StoredGit,
) -> Result<Vec<Damage>> {
    let path = address.tree_path();
    let wrong = |problem: String| Ok(vec![Damage { path: path.clone(), problem }]);
    // Use a separate folder rather than the server's cache, which is not part of the mirror.
    let written = snapshot.write_git_to_scratch(address);
    let folder = match &written {
        Ok(folder) => folder.path().join("checked.git"),
        Err(error) => return damages_of(&path, error),
    };
    match crate::git::check(git, &folder, stored.revisions.keys()) {
        Ok(None) => Ok(Vec::new()),
        // Remove the scratch folder from the message, because it is deleted before anyone reads the message.
        Ok(Some(problem)) => wrong(problem.replace(&format!("{}/", folder.display()), "")),
        Err(error) => damages_of(&path, &error),
    }
}
