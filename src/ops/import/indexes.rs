//! Keeps registries that another key than their repository's signed.
//!
//! No client that trusts the repository's own key accepts such entries, so they cannot take the place of its entries. They
//! become the pinned index, as they are: clients that were given the key go on as before. An update replaces them by the
//! entries of the repository.

use std::collections::{BTreeMap, BTreeSet};

use super::error::ImportError;
use super::outcome::ImportedIndex;
use super::registries::OtherRegistry;
use crate::model::{EntryId, IndexFile, IndexSource, Manifest, ReleaseId, RepositoryName};
use crate::ops::index::imported::other_signer;
use crate::ops::{OpError, Result};
use crate::plan::{has_imported_index, is_superseded_index};
use crate::progress::{Event, Progress};
use crate::store::{Snapshot, Transaction};

/// Keeps registries as the pinned indexes of their repositories, unless the mirror has the entries of the repositories
/// themselves. `imported` are the releases that the import found. Returns the new ones.
///
/// # Errors
/// Fails if a registry lists other checksums than those of the stored releases.
pub(super) fn put_indexes(
    others: &BTreeMap<RepositoryName, OtherRegistry>,
    imported: &BTreeSet<&ReleaseId>,
    base: Option<&Snapshot>,
    transaction: &mut Transaction<'_>,
    progress: &dyn Progress,
) -> Result<Vec<ImportedIndex>> {
    let mut kept = Vec::new();
    for (repository, other) in others {
        let lists = |id: &&ReleaseId| id.repository == *repository && other.entries.contains_key(&id.package);
        let manifest = transaction.manifest()?;
        let left_out = |reason: &str| {
            let folder = other.folder.display();
            let message = format!("left out the registry in {folder}, which {repository} did not sign: {reason}");
            progress.report(Event::Warning { message });
        };
        if !imported.iter().any(lists) {
            left_out(&format!("no release of {repository} was imported"));
            continue;
        }
        if is_superseded_index(manifest, repository) {
            continue;
        }
        let signer = other.key.fingerprint();
        let existing = manifest.index_signers.get(repository).copied();
        let has_own = existing.is_some() && !has_imported_index(manifest, repository);
        let reason = match has_own {
            true => Some("the mirror has a pinned index of its own"),
            false if other.lists.is_none() => Some("its lists of names and versions are missing"),
            false => None,
        };
        if let Some(reason) = reason {
            left_out(reason);
            continue;
        }
        other.check(repository, manifest)?;
        if existing != Some(signer) || !other.is_stored(repository, base)? {
            if let Some(before) = existing.filter(|before| *before != signer) {
                let replacement = format!("the registry in {}", other.folder.display());
                progress.report(Event::Warning { message: other_signer(repository, &replacement, before) });
            }
            other.put(repository, transaction)?;
            kept.push(ImportedIndex { repository: repository.clone(), signer });
        }
    }
    Ok(kept)
}

impl OtherRegistry {
    /// Checks that the entries list the stored releases with the same checksums.
    fn check(&self, repository: &RepositoryName, manifest: &Manifest) -> Result<()> {
        let mut errors = Vec::new();
        for (name, (_, package)) in &self.entries {
            for (id, stored) in manifest.releases_of(repository, name) {
                let Some(listed) = package.release(&id.version) else { continue };
                if listed.inner_checksum != stored.inner || listed.outer_checksum.is_some_and(|sum| sum != stored.outer)
                {
                    let file = self.folder.join("packages").join(name.as_str());
                    let problem = format!("it lists {id} with other checksums than those of the tarball");
                    errors.push(ImportError::Registry { file, problem }.into());
                }
            }
        }
        OpError::several(errors).map_or(Ok(()), Err)
    }

    /// Returns whether a snapshot has exactly these files.
    fn is_stored(&self, repository: &RepositoryName, snapshot: Option<&Snapshot>) -> Result<bool> {
        let Some(snapshot) = snapshot else { return Ok(false) };
        let listed = snapshot.manifest()?.index.keys().filter(|id| id.repository == *repository).count();
        if listed != self.entries.len() {
            return Ok(false);
        }
        for (file, bytes) in self.files() {
            if snapshot.index_file(repository, &file)?.as_deref() != Some(bytes) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Puts the files in the place of the repository's pinned index.
    fn put(&self, repository: &RepositoryName, transaction: &mut Transaction<'_>) -> Result<()> {
        transaction.remove_index(repository)?;
        for (file, bytes) in self.files() {
            transaction.put_index_file(repository, &file, bytes)?;
        }
        for package in self.entries.keys() {
            let id = EntryId { repository: repository.clone(), package: package.clone() };
            transaction.record_index_source(id, IndexSource::IMPORTED)?;
        }
        transaction.record_index_signer(repository.clone(), self.key.fingerprint());
        Ok(())
    }

    fn files(&self) -> impl Iterator<Item = (IndexFile, &[u8])> {
        let packages = self.entries.iter().map(|(name, (signed, _))| (IndexFile::Package(name.clone()), &signed[..]));
        let names = [IndexFile::Names, IndexFile::Versions];
        let lists =
            self.lists.iter().flat_map(move |lists| names.clone().into_iter().zip(lists.iter().map(|list| &list[..])));
        packages.chain(lists).chain([(IndexFile::PublicKey, &self.pem[..])])
    }
}
