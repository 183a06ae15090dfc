//! Determines what a damaged mirror must contain, and where each part is still readable on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::hex::metadata::Metadata;
use crate::hex::registry::{Package, Signed, check_policy};
use crate::hex::tarball::{Tarball, TarballLimits};
use crate::model::{
    EntryChecksum, EntryId, FileId, GitAddress, Manifest, PolicyId, ReleaseId, StoredEntry, StoredFile, StoredRelease,
};
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::project::{Project, read_locks};
use crate::ops::update::git_fetcher::fetching_git;
use crate::ops::{OpError, Result, verify};
use crate::plan::Wanted;
use crate::progress::Progress;
use crate::store::{ObjectId, Snapshot, StoredItem};

/// The number of commits to search for what the tip lacks.
const COMMITS: usize = 24;

/// The items that a mirror must contain, each with the snapshot that it is readable from, if any.
pub(in crate::ops) struct Sources {
    /// The available snapshots, beginning with the tip's if its commit is readable. [`Self::manifest`] takes the tip's
    /// from there.
    pub snapshots: Vec<Snapshot>,
    /// The branch's tip.
    pub tip: ObjectId,
    pub manifest: Manifest,
    /// Whether the manifest is the tip's own, apart from restored lines.
    pub is_own: bool,
    pub wanted: Wanted,
    pub releases: BTreeMap<ReleaseId, Option<usize>>,
    pub entries: BTreeMap<EntryId, Option<usize>>,
    pub policies: BTreeMap<PolicyId, Option<usize>>,
    pub files: BTreeMap<FileId, Option<usize>>,
    pub git: BTreeMap<GitAddress, Option<usize>>,
}

impl Sources {
    /// Searches for all items.
    ///
    /// # Errors
    /// Fails if a lock or a setting is invalid.
    pub fn find(project: &Project, tip: ObjectId, progress: &Arc<dyn Progress>) -> Result<Self> {
        let repository = &project.repository;
        let mut others = repository.reflog(&project.branch.full_name()).unwrap_or_default();
        others.extend(repository.remote_tips(&project.branch).unwrap_or_default().into_iter().map(|(_, tip)| tip));
        let commits = repository.related(tip, others, COMMITS);
        let opened = commits.into_iter().filter_map(|commit| Snapshot::unchecked(repository, commit).ok());
        let mut snapshots: Vec<Snapshot> = opened.collect();
        let wanted = match project.locks() {
            Ok(locks) => read_locks(repository, &locks)?,
            Err(OpError::NoLock { .. }) if project.config.locks.is_none() => Wanted::default(),
            Err(error) => return Err(error),
        };
        let repositories = HexRepositories::new(project, progress.as_ref())?;
        let is_own = snapshots.first().is_some_and(|first| first.commit() == tip && first.manifest().is_ok());
        let manifest = manifest(&snapshots, tip, &wanted, &repositories);
        if let Some(first) = snapshots.first_mut().filter(|first| first.commit() == tip) {
            *first = first.with_manifest(manifest.clone());
        }
        let (releases, entries, policies, files, git) = Default::default();
        let mut sources = Self { snapshots, tip, manifest, is_own, wanted, releases, entries, policies, files, git };
        sources.releases =
            sources.places(sources.manifest.releases.keys(), |id, from| sources.release(id, from).is_some());
        sources.entries = sources.places(sources.manifest.entries.keys(), |id, from| {
            sources.entry(id, from).is_some_and(|signed| is_signed(&repositories, id, &signed))
        });
        sources.policies = sources.places(sources.manifest.policies.keys(), |id, from| {
            let key = repositories.public_key(&id.repository).ok();
            sources.policy(id, from).is_some_and(|signed| check_policy(&signed, key.as_ref(), id).is_ok())
        });
        sources.files = sources.places(sources.manifest.files.keys(), |id, from| sources.file(id, from).is_some());
        if !sources.manifest.git.is_empty() {
            let git = fetching_git(project, false)?;
            sources.git = sources.places(sources.manifest.git.keys(), |address, from| {
                let (snapshot, stored) = (&sources.snapshots[from], &sources.manifest.git[address]);
                snapshot.holds_git(address, stored)
                    && verify::repository(&git, snapshot, address, stored).is_ok_and(|damages| damages.is_empty())
            });
        }
        Ok(sources)
    }

    /// Returns, for each item, the index of the first snapshot that contains it.
    fn places<'a, T: Ord + Clone + 'a>(
        &self,
        items: impl Iterator<Item = &'a T>,
        has: impl Fn(&T, usize) -> bool,
    ) -> BTreeMap<T, Option<usize>> {
        items.map(|item| (item.clone(), (0..self.snapshots.len()).find(|from| has(item, *from)))).collect()
    }

    /// Returns the tip's snapshot, if its commit is readable.
    pub fn of_tip(&self) -> Option<&Snapshot> {
        self.snapshots.first().filter(|first| first.commit() == self.tip)
    }

    /// Reads a release from a snapshot, if it matches the manifest.
    pub fn release(&self, id: &ReleaseId, from: usize) -> Option<Vec<u8>> {
        let snapshot = &self.snapshots[from];
        let stored = snapshot.manifest().ok()?.releases.get(id)?;
        let same = stored.outer == self.manifest.releases.get(id)?.outer;
        same.then(|| snapshot.tarball(id).ok().flatten()).flatten()
    }

    /// Reads a registry entry from a snapshot, if it matches the manifest.
    pub fn entry(&self, id: &EntryId, from: usize) -> Option<Vec<u8>> {
        let snapshot = &self.snapshots[from];
        let same = snapshot.manifest().ok()?.entries.get(id)? == self.manifest.entries.get(id)?;
        same.then(|| snapshot.entry(id).ok().flatten()).flatten()
    }

    /// Reads a policy from a snapshot, if it matches the manifest.
    pub fn policy(&self, id: &PolicyId, from: usize) -> Option<Vec<u8>> {
        let snapshot = &self.snapshots[from];
        let same = snapshot.manifest().ok()?.policies.get(id)? == self.manifest.policies.get(id)?;
        same.then(|| snapshot.policy(id).ok().flatten()).flatten()
    }

    /// Reads a file from a snapshot, with the manifest's record of it.
    pub fn file(&self, id: &FileId, from: usize) -> Option<(Vec<u8>, &StoredFile)> {
        let stored = self.manifest.files.get(id)?;
        self.snapshots[from].file(id).ok().flatten().map(|content| (content, stored))
    }

    /// Returns the items that no snapshot contains.
    pub fn lacking(&self) -> BTreeSet<StoredItem> {
        self.items(|from| from.is_none())
    }

    /// Returns the items that the tip lacks but another snapshot contains.
    pub fn elsewhere(&self) -> BTreeSet<StoredItem> {
        let own = self.of_tip().map(|_| 0);
        self.items(|from| from.is_some() && from != own)
    }

    fn items(&self, which: impl Fn(Option<usize>) -> bool) -> BTreeSet<StoredItem> {
        let releases =
            self.releases.iter().filter(|(_, from)| which(**from)).map(|(id, _)| StoredItem::Release(id.clone()));
        let entries =
            self.entries.iter().filter(|(_, from)| which(**from)).map(|(id, _)| StoredItem::Entry(id.clone()));
        let git =
            self.git.iter().filter(|(_, from)| which(**from)).map(|(address, _)| StoredItem::Git(address.clone()));
        let policies =
            self.policies.iter().filter(|(_, from)| which(**from)).map(|(id, _)| StoredItem::Policy(id.clone()));
        let files = self.files.iter().filter(|(_, from)| which(**from)).map(|(id, _)| StoredItem::File(id.clone()));
        releases.chain(entries).chain(policies).chain(files).chain(git).collect()
    }
}

/// Determines the manifest that the tip must have: its own, or else that of the nearest commit. Adds files that are in
/// the tip's tree but not in the manifest, if a signed registry entry or a lock confirms them.
fn manifest(snapshots: &[Snapshot], tip: ObjectId, wanted: &Wanted, repositories: &HexRepositories<'_>) -> Manifest {
    let readable = || snapshots.iter().filter_map(|snapshot| snapshot.manifest().ok());
    let mut manifest = readable().next().cloned().unwrap_or_default();
    let Some(tip) = snapshots.first().filter(|first| first.commit() == tip) else { return manifest };
    let (releases, entries) = tip.stored_paths();
    for id in entries {
        if !manifest.entries.contains_key(&id)
            && let Ok(Some(signed)) = tip.entry_file(&id)
            && is_signed(repositories, &id, &signed)
        {
            manifest.absent.remove(&id);
            let checksum = EntryChecksum::from_bytes(Sha256::digest(&signed).into());
            manifest.entries.insert(id, StoredEntry { checksum, bytes: signed.len() as u64 });
        }
    }
    let claimed: BTreeSet<String> = manifest.releases.keys().map(|id| tip.release_path(&manifest, id)).collect();
    let unclaimed = releases.iter().filter(|(.., path)| !claimed.contains(path));
    // Versions other than a package's highest are stored in another place. If the highest version's line is missing
    // from the manifest, the remaining versions would seem to be in the wrong place.
    let packages: BTreeSet<_> =
        unclaimed.map(|(repository, package, _)| (repository.clone(), package.clone())).collect();
    for (repository, package, path) in releases {
        if !packages.contains(&(repository.clone(), package.clone())) {
            continue;
        }
        let Ok((bytes, storage)) = tip.tarball_in(&path) else { continue };
        let Ok(tarball) = Tarball::open(&bytes, &TarballLimits::default()) else { continue };
        let Ok(metadata) = Metadata::parse(tarball.metadata()) else { continue };
        let id = ReleaseId { repository, package, version: metadata.version };
        let stored = StoredRelease {
            outer: tarball.outer_checksum(),
            inner: tarball.inner_checksum(),
            storage,
            bytes: bytes.len() as u64,
        };
        let entry = tip.entry_file(&id.entry()).ok().flatten();
        let package = entry.and_then(|signed| verified(repositories, &id.entry(), &signed));
        if metadata.name == id.package && is_vouched(&id, &stored, package.as_ref(), wanted) {
            manifest.releases.entry(id).or_insert(stored);
        }
    }
    for (address, stored) in readable().flat_map(|manifest| &manifest.git) {
        let fits = |stored| tip.holds_git(address, stored);
        if !manifest.git.get(address).is_some_and(fits) && fits(stored) {
            manifest.git.insert(address.clone(), stored.clone());
        }
    }
    manifest
}

/// Returns whether a lock or a signed registry entry confirms the checksums of a release.
fn is_vouched(id: &ReleaseId, stored: &StoredRelease, package: Option<&Package>, wanted: &Wanted) -> bool {
    let pin = wanted.releases.get(id);
    let pinned = pin.is_some_and(|pin| (pin.outer.is_some() || pin.inner.is_some()) && pin.accepts(stored));
    let listed = package.and_then(|package| package.release(&id.version)).is_some_and(|listed| {
        listed.inner_checksum == stored.inner && listed.outer_checksum.is_none_or(|outer| outer == stored.outer)
    });
    pinned || listed && pin.is_none_or(|pin| pin.accepts(stored))
}

/// Returns whether a registry entry is signed by its repository. If the repository's key is unknown, any entry that can
/// be decoded is accepted.
fn is_signed(repositories: &HexRepositories<'_>, id: &EntryId, signed: &[u8]) -> bool {
    match repositories.public_key(&id.repository) {
        Err(OpError::NoPublicKey { .. }) => Signed::decode(signed).is_ok(),
        _ => verified(repositories, id, signed).is_some(),
    }
}

fn verified(repositories: &HexRepositories<'_>, id: &EntryId, signed: &[u8]) -> Option<Package> {
    let key = repositories.public_key(&id.repository).ok()?;
    Package::decode_verified(signed, &key, &id.repository, &id.package).ok()
}
