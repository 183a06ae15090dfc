//! What a pinned index consists of, and what of it must be built.
//!
//! A pinned index is a Hex registry over the stored releases, signed with the mirror's own key. It is a function of the
//! manifest, the metadata of the releases and upstream's registry entries: the same contents give the same bytes.

mod lists;
mod package;
#[cfg(test)]
mod tests;

pub use lists::IndexLists;
pub use package::{Rejection, StoredMetadata, UnlistedRelease, indexed_package};

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::model::{EntryId, Fingerprint, IndexSource, Manifest, ReleaseId, RepositoryName};

/// Distinguishes the digests of different ways to build entries. Changing it builds all entries again.
pub const INDEX_METHOD: &str = "git-hexmirror index 2";

/// What must be built, written and removed so that the pinned index matches the stored releases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexPlan {
    /// The packages whose entries must be built, with the digest of what they are built from.
    pub build: BTreeMap<EntryId, IndexSource>,
    /// The packages that the index lists and that are neither stored nor mentioned any more.
    pub remove: BTreeSet<EntryId>,
    /// The repositories whose index is new, incomplete or signed by another key, and must be built completely.
    pub whole: BTreeSet<RepositoryName>,
    /// The repositories whose index is removed, because the mirror has nothing of them any more.
    pub dropped: BTreeSet<RepositoryName>,
}

impl IndexPlan {
    /// Compares the pinned index that a manifest records with what it stores. `mentioned` are packages that stored
    /// releases depend on, in addition to those that the manifest names. `signer` is the key that signs the index; if
    /// it is unknown, the recorded ones are.
    pub fn new(manifest: &Manifest, mentioned: &BTreeSet<EntryId>, signer: Option<Fingerprint>) -> Self {
        let mut sources = sources(manifest, mentioned);
        let is_imported = |repository: &RepositoryName| has_imported_index(manifest, repository);
        let imported: BTreeSet<&RepositoryName> =
            manifest.index_signers.keys().filter(|name| is_imported(name)).collect();
        if signer.is_none() {
            // An imported index stays as it is until someone builds another one.
            sources.retain(|id, _| !imported.contains(&id.repository));
        }
        let repositories: BTreeSet<&RepositoryName> = sources.keys().map(|id| &id.repository).collect();
        let is_whole = |repository: &&&RepositoryName| {
            let recorded = manifest.index_signers.get(**repository);
            recorded.is_none()
                || imported.contains(**repository)
                || signer.is_some_and(|signer| recorded != Some(&signer))
        };
        let whole: BTreeSet<RepositoryName> =
            repositories.iter().filter(is_whole).map(|repository| (*repository).clone()).collect();
        let is_kept = |repository: &RepositoryName| signer.is_none() && imported.contains(repository);
        let dropped = manifest.index_signers.keys().filter(|name| !repositories.contains(name) && !is_kept(name));
        let dropped = dropped.cloned().collect();
        let remove = manifest.index.keys().filter(|id| !sources.contains_key(id) && !is_kept(&id.repository));
        let remove = remove.cloned().collect();
        let build = sources.into_iter();
        let build = build.filter(|(id, source)| {
            whole.contains(&id.repository) || manifest.index.get(id).is_none_or(|known| known != source)
        });
        Self { build: build.collect(), remove, whole, dropped }
    }

    /// Returns the number of packages whose entries differ.
    pub fn packages(&self) -> usize {
        self.build.len() + self.remove.len()
    }

    /// Adds all packages of a repository whose lists cannot be read.
    pub fn rebuild(&mut self, manifest: &Manifest, mentioned: &BTreeSet<EntryId>, repository: &RepositoryName) {
        self.whole.insert(repository.clone());
        let sources = sources(manifest, mentioned).into_iter();
        self.build.extend(sources.filter(|(id, _)| id.repository == *repository));
    }
}

/// Returns whether the index is up to date for all packages of a part of the manifest, whatever the other parts contain.
/// `signers` are those of the pinned indexes.
///
/// It is not if the part has releases that may depend on packages of other parts, or if the index lists packages that
/// only releases of other parts may depend on.
pub fn is_settled(part: &Manifest, signers: &BTreeMap<RepositoryName, Fingerprint>) -> bool {
    part.releases.keys().all(|id| !may_depend_on_unknown(part, &id.entry()))
        && part.index == sources(part, &BTreeSet::new())
        && part.index.keys().all(|id| signers.contains_key(&id.repository))
}

/// Returns the repositories whose pinned index a merge of two mirrors takes from the second one: those that the first one
/// has no index of, and those of which the second one's index fits the merged contents better. Both must be signed with
/// the same key.
pub fn better_indexes([ours, theirs]: [&Manifest; 2], merged: &Manifest) -> Vec<RepositoryName> {
    let is_better = |(repository, signer): &(&RepositoryName, &Fingerprint)| match ours.index_signers.get(*repository) {
        None => true,
        Some(own) => own == *signer && differences(theirs, merged, repository) < differences(ours, merged, repository),
    };
    let is_superseded =
        |repository: &RepositoryName| has_imported_index(theirs, repository) && is_superseded_index(merged, repository);
    let offered = theirs.index_signers.iter().filter(|(repository, _)| !is_superseded(repository));
    offered.filter(is_better).map(|(repository, _)| repository.clone()).collect()
}

/// Returns whether the pinned index of a repository was imported as another program signed it. The manifest must have all
/// packages.
pub fn has_imported_index(manifest: &Manifest, repository: &RepositoryName) -> bool {
    let is_imported =
        |(id, source): (&EntryId, &IndexSource)| id.repository == *repository && *source == IndexSource::IMPORTED;
    manifest.index_signers.contains_key(repository) && manifest.index.iter().any(is_imported)
}

/// Returns whether a manifest has a registry entry for each package of a repository of which it has releases, or the record
/// that upstream has none. An imported index of the repository is then no longer needed.
pub fn is_superseded_index(manifest: &Manifest, repository: &RepositoryName) -> bool {
    let releases = manifest.releases.keys().filter(|id| id.repository == *repository);
    let mut packages = releases.map(ReleaseId::entry);
    packages.all(|id| manifest.entries.contains_key(&id) || manifest.absent.contains(&id))
}

/// Returns the number of packages of a repository whose entries in the index of one manifest do not match the contents
/// of another.
fn differences(index: &Manifest, contents: &Manifest, repository: &RepositoryName) -> usize {
    let sources = sources(contents, &BTreeSet::new());
    let of_repository = |id: &&EntryId| id.repository == *repository;
    let differs = |id: &&EntryId| index.index.get(*id) != sources.get(*id);
    let missing = index.index.keys().filter(|id| !sources.contains_key(*id));
    sources.keys().chain(missing).filter(of_repository).filter(differs).count()
}

/// Returns whether a release's dependencies may be packages that the manifest does not name: it has no registry entry,
/// with which those of all dependencies are stored.
pub fn may_depend_on_unknown(manifest: &Manifest, id: &EntryId) -> bool {
    !manifest.entries.contains_key(id)
}

/// Returns the packages that the index of a manifest lists, with the digest of what their entries are built from.
///
/// Packages that are only mentioned are listed without releases, because clients ask for every dependency, including
/// optional ones.
fn sources(manifest: &Manifest, mentioned: &BTreeSet<EntryId>) -> BTreeMap<EntryId, IndexSource> {
    let mut digests: BTreeMap<EntryId, Sha256> = BTreeMap::new();
    let begin = || Sha256::new_with_prefix(INDEX_METHOD);
    for id in manifest.absent.iter().chain(manifest.entries.keys()).chain(mentioned) {
        digests.entry(id.clone()).or_insert_with(begin);
    }
    for (id, stored) in &manifest.releases {
        let digest = digests.entry(id.entry()).or_insert_with(begin);
        digest.update(format!("\n{} {} {}", id.version, stored.outer, stored.inner));
    }
    let with_releases = |(id, mut digest): (EntryId, Sha256)| {
        // An entry adds facts about the stored releases only.
        let has_releases = manifest.releases_of(&id.repository, &id.package).next().is_some();
        if let Some(entry) = manifest.entries.get(&id).filter(|_| has_releases) {
            digest.update(format!("\n{}", entry.checksum));
        }
        (id, IndexSource::from_bytes(digest.finalize().into()))
    };
    digests.into_iter().map(with_releases).collect()
}
