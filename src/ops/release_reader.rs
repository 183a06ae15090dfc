//! Reads what a mirror knows about releases: verified registry entries, and metadata.

use std::collections::BTreeMap;

use super::project::hex_repositories::HexRepositories;
use super::sync::signers::verified;
use super::{Project, Result};
use crate::hex::metadata::{Metadata, MetadataError};
use crate::hex::registry::{Package, PublicKey};
use crate::model::{EntryId, ReleaseId, RepositoryName};
use crate::progress::Progress;
use crate::store::Snapshot;

/// Reads what a mirror knows about releases.
pub(super) struct ReleaseReader<'s> {
    snapshot: &'s Snapshot,
    keys: BTreeMap<RepositoryName, PublicKey>,
}

impl<'s> ReleaseReader<'s> {
    /// Creates a reader of a snapshot, with the known keys of these repositories.
    pub fn new<'r>(
        project: &Project,
        repositories: impl Iterator<Item = &'r RepositoryName>,
        snapshot: &'s Snapshot,
        progress: &dyn Progress,
    ) -> Result<Self> {
        Ok(Self { snapshot, keys: HexRepositories::new(project, progress)?.known_keys_of(repositories)? })
    }

    /// Reads and verifies the registry entry of a package. `None` if there is none or the key is unknown.
    pub fn entry(&self, id: &EntryId) -> Result<Option<Package>> {
        let Some(key) = self.keys.get(&id.repository) else { return Ok(None) };
        self.snapshot.entry(id)?.map(|signed| verified(id, &signed, key)).transpose()
    }

    /// Returns whether the mirror records that upstream has no entry of a package.
    pub fn is_absent(&self, id: &EntryId) -> Result<bool> {
        Ok(self.snapshot.manifest_of(&id.package)?.absent.contains(id))
    }

    /// Reads the metadata of a release. `None` if it is not stored.
    pub fn metadata(&self, id: &ReleaseId) -> Result<Option<Result<Metadata, MetadataError>>> {
        Ok(self.snapshot.metadata(id)?.map(|text| Metadata::parse(&text)))
    }

    /// Reads the licenses of a release. `None` if it is not stored; none if its metadata cannot be read.
    pub fn licenses(&self, id: &ReleaseId) -> Result<Option<Vec<String>>> {
        licenses(self.snapshot, id)
    }
}

/// Reads the licenses of a release, as [`ReleaseReader::licenses`] does.
pub(super) fn licenses(snapshot: &Snapshot, id: &ReleaseId) -> Result<Option<Vec<String>>> {
    let Some(text) = snapshot.metadata(id)? else { return Ok(None) };
    Ok(Some(Metadata::parse(&text).map(|metadata| metadata.licenses).unwrap_or_default()))
}
