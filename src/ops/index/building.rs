//! Builds what the pinned index lacks.

use std::collections::{BTreeMap, BTreeSet};

use super::imported::{imported_signers, other_signer};
use super::unsettled::Unsettled;
use crate::hex::metadata::Metadata;
use crate::hex::registry::{Names, Package, PrivateKey, PublicKey, Signed, Versions};
use crate::model::{EntryId, IndexFile, ManifestPart, RepositoryName};
use crate::ops::parallel::{cores, in_parallel_with};
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::sync::signers::verified;
use crate::ops::{OpError, Project, Result};
use crate::plan::{IndexLists, IndexPlan, StoredMetadata, UnlistedRelease, indexed_package};
use crate::progress::{Event, Progress};
use crate::store::{Snapshot, StoreError, Transaction};

/// The lists of the index of each repository.
type Lists = BTreeMap<RepositoryName, IndexLists>;

/// What was built.
#[derive(Debug, Default)]
pub(in crate::ops) struct Build {
    /// The repositories that have an index.
    pub repositories: BTreeSet<RepositoryName>,
    /// The number of packages whose entries were built or removed.
    pub changed: usize,
    /// The number of files that differ from the existing ones.
    pub written: usize,
    /// The stored releases that the index does not list, among those of changed packages.
    pub left_out: Vec<UnlistedRelease>,
    /// The changed packages with releases that no registry entry vouches for.
    pub unverified: BTreeSet<EntryId>,
}

/// Builds what the pinned index of a snapshot lacks, and adds it to a transaction on top of that snapshot. Files that
/// would be the same are neither signed nor written again.
///
/// # Errors
/// Fails if a release cannot be read, if a registry entry is not signed by its repository, or if the transaction cannot
/// be written.
pub(in crate::ops) fn build(
    project: &Project,
    snapshot: &Snapshot,
    key: &PrivateKey,
    transaction: &mut Transaction<'_>,
    progress: &dyn Progress,
) -> Result<Build> {
    let public_key = key.public_key();
    let (plan, mut lists) = plan(project, snapshot, &public_key)?;
    let reader = Reader::new(project, plan.build.keys().map(|id| &id.repository), progress)?;
    let ids: Vec<EntryId> = plan.build.keys().cloned().collect();
    let built = in_parallel_with(
        cores(),
        &ids,
        || snapshot.clone(),
        |snapshot, id| {
            let entry = reader.build(snapshot, id)?;
            let file = IndexFile::Package(id.package.clone());
            let payload = entry.package.encode(&id.repository);
            let signed = sign_if_new(snapshot, &id.repository, &file, payload, (key, &public_key))?;
            Ok::<_, OpError>((entry, signed))
        },
    );
    let mut build = Build { changed: plan.packages(), ..Build::default() };
    for (id, built) in ids.iter().zip(built) {
        let (entry, signed) = built?;
        lists.entry(id.repository.clone()).or_default().put(&entry.package);
        build.left_out.extend(entry.left_out);
        if !entry.is_verified {
            build.unverified.insert(id.clone());
        }
        build.put(transaction, &id.repository, &IndexFile::Package(id.package.clone()), signed)?;
        transaction.record_index_source(id.clone(), plan.build[id])?;
    }
    for id in &plan.remove {
        transaction.remove_from_index(id)?;
        lists.entry(id.repository.clone()).or_default().remove(&id.package);
    }
    for (repository, lists) in lists.iter().filter(|(name, _)| !plan.dropped.contains(*name)) {
        for (file, payload) in [
            (IndexFile::Names, lists.names().encode(repository)),
            (IndexFile::Versions, lists.versions().encode(repository)),
        ] {
            let signed = sign_if_new(snapshot, repository, &file, payload, (key, &public_key))?;
            build.put(transaction, repository, &file, signed)?;
        }
        let pem = public_key.to_pem().into_bytes();
        let is_new = snapshot.index_file(repository, &IndexFile::PublicKey)?.as_ref() != Some(&pem);
        build.put(transaction, repository, &IndexFile::PublicKey, is_new.then_some(pem))?;
        transaction.record_index_signer(repository.clone(), public_key.fingerprint());
    }
    plan.dropped.iter().try_for_each(|repository| transaction.remove_index(repository))?;
    let signer = public_key.fingerprint();
    for (repository, before) in imported_signers(project, snapshot)? {
        if before != signer && transaction.index_signers().get(&repository) == Some(&signer) {
            progress.report(Event::Warning { message: other_signer(&repository, "the index", before) });
        }
    }
    build.repositories = transaction.index_signers().keys().cloned().collect();
    Ok(build)
}

/// Returns what to build, and the lists of the repositories concerned, as far as they can be used.
fn plan(project: &Project, snapshot: &Snapshot, key: &PublicKey) -> Result<(IndexPlan, Lists)> {
    let signer = key.fingerprint();
    let signers = snapshot.part(ManifestPart::Index)?;
    let is_signed = !signers.index_signers.is_empty() && signers.index_signers.values().all(|known| *known == signer);
    let unsettled = if is_signed { Unsettled::of(project, snapshot)? } else { Unsettled::whole(snapshot)? };
    let mut plan = unsettled.plan(Some(signer));
    let mut lists = Lists::new();
    for repository in changed_repositories(&plan) {
        let existing = match plan.whole.contains(&repository) {
            true => None,
            false => existing_lists(snapshot, &repository, key)?,
        };
        if existing.is_none() {
            Unsettled::whole(snapshot)?.rebuild(&mut plan, &repository);
        }
        lists.insert(repository, existing.unwrap_or_default());
    }
    Ok((plan, lists))
}

impl Build {
    fn put(
        &mut self,
        transaction: &mut Transaction<'_>,
        repository: &RepositoryName,
        file: &IndexFile,
        bytes: Option<Vec<u8>>,
    ) -> Result<()> {
        if let Some(bytes) = bytes {
            transaction.put_index_file(repository, file, &bytes)?;
            self.written += 1;
        }
        Ok(())
    }
}

fn changed_repositories(plan: &IndexPlan) -> BTreeSet<RepositoryName> {
    let packages = plan.build.keys().chain(&plan.remove).map(|id| id.repository.clone());
    packages.chain(plan.whole.iter().cloned()).filter(|name| !plan.dropped.contains(name)).collect()
}

/// Reads the lists of names and versions that the key signed. `None` if there are none that can be used.
fn existing_lists(snapshot: &Snapshot, repository: &RepositoryName, key: &PublicKey) -> Result<Option<IndexLists>> {
    let payload = |file: IndexFile| {
        let signed = snapshot.index_file(repository, &file)?;
        Ok::<_, StoreError>(signed.and_then(|bytes| Signed::verified_payload(&bytes, key).ok()))
    };
    let (Some(names), Some(versions)) = (payload(IndexFile::Names)?, payload(IndexFile::Versions)?) else {
        return Ok(None);
    };
    let lists = Names::decode(&names, repository).ok().zip(Versions::decode(&versions, repository).ok());
    Ok(lists.and_then(|(names, versions)| IndexLists::of(names, versions)))
}

/// Signs a payload, unless the existing file has the same payload, signed with the same key.
fn sign_if_new(
    snapshot: &Snapshot,
    repository: &RepositoryName,
    file: &IndexFile,
    payload: Vec<u8>,
    (key, public_key): (&PrivateKey, &PublicKey),
) -> Result<Option<Vec<u8>>> {
    let existing = snapshot.index_file(repository, file)?;
    let is_same = |bytes: &[u8]| Signed::verified_payload(bytes, public_key).is_ok_and(|known| known == payload);
    Ok(if existing.as_deref().is_some_and(is_same) { None } else { Some(Signed::sign(payload, key).encode()) })
}

/// Builds the entries of packages.
pub(super) struct Reader {
    /// The public keys of the repositories whose registry entries the manifest has, if they are known.
    keys: BTreeMap<RepositoryName, PublicKey>,
}

/// A package's entry in the pinned index.
pub(super) struct BuiltEntry {
    pub package: Package,
    pub left_out: Vec<UnlistedRelease>,
    /// Whether a registry entry that its repository signed lists all releases.
    pub is_verified: bool,
}

impl Reader {
    /// Finds the keys that registry entries of these repositories are verified with.
    pub fn new<'r>(
        project: &Project,
        of: impl Iterator<Item = &'r RepositoryName>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let keys = HexRepositories::new(project, progress)?.known_keys_of(of)?;
        Ok(Self { keys })
    }

    /// Builds a package's entry from the releases that are stored.
    pub fn build(&self, snapshot: &Snapshot, id: &EntryId) -> Result<BuiltEntry> {
        let mut releases = Vec::new();
        for (release, stored) in snapshot.manifest_of(&id.package)?.releases_of(&id.repository, &id.package) {
            let text = snapshot.metadata(release)?.unwrap_or_default();
            let metadata = Metadata::parse(&text);
            releases.push(StoredMetadata { id: release.clone(), stored: *stored, metadata });
        }
        let upstream = if releases.is_empty() { None } else { self.upstream(snapshot, id)? };
        let is_verified = releases.is_empty() || upstream.is_some();
        let (package, left_out) = indexed_package(id, releases, upstream.as_ref());
        Ok(BuiltEntry { package, left_out, is_verified })
    }

    /// Reads and verifies a package's registry entry. `None` if there is none or the key of its repository is unknown.
    fn upstream(&self, snapshot: &Snapshot, id: &EntryId) -> Result<Option<Package>> {
        let Some(key) = self.keys.get(&id.repository) else { return Ok(None) };
        snapshot.entry(id)?.map(|signed| verified(id, &signed, key)).transpose()
    }
}
