//! Which pinned indexes were imported as another program signed them, and which this program built.

use std::collections::BTreeSet;

use super::key::IndexSigners;
use super::unsettled::Unsettled;
use crate::model::{Fingerprint, ManifestPart, RepositoryName};
use crate::ops::{Project, Result};
use crate::store::Snapshot;

/// Returns the repositories whose pinned index was imported as another program signed it.
///
/// # Errors
/// Fails if the mirror is damaged.
pub(in crate::ops) fn imported_indexes(project: &Project, snapshot: &Snapshot) -> Result<BTreeSet<RepositoryName>> {
    if snapshot.part(ManifestPart::Index)?.index_signers.is_empty() {
        return Ok(BTreeSet::new());
    }
    Ok(Unsettled::of(project, snapshot)?.imported())
}

/// Returns the signers of the pinned indexes that were imported.
///
/// # Errors
/// Fails if the mirror is damaged.
pub(super) fn imported_signers(project: &Project, snapshot: &Snapshot) -> Result<IndexSigners> {
    let imported = imported_indexes(project, snapshot)?;
    let mut signers = snapshot.part(ManifestPart::Index)?.index_signers.clone();
    signers.retain(|repository, _| imported.contains(repository));
    Ok(signers)
}

/// Describes that something takes the place of an imported index that another key signed.
pub(in crate::ops) fn other_signer(repository: &RepositoryName, replacement: &str, before: Fingerprint) -> String {
    format!(
        "{replacement} replaces the imported registry of {repository}, which {before} signed; clients that have that key need the new one"
    )
}

/// Returns the signers of the pinned indexes that this program built.
///
/// # Errors
/// Fails if the mirror is damaged.
pub(super) fn own_signers(project: &Project, snapshot: &Snapshot) -> Result<IndexSigners> {
    let imported = imported_indexes(project, snapshot)?;
    let mut signers = snapshot.part(ManifestPart::Index)?.index_signers.clone();
    signers.retain(|repository, _| !imported.contains(repository));
    Ok(signers)
}
