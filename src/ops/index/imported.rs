//! Which pinned indexes were imported as another program signed them, and which this program built.

use std::collections::BTreeSet;

use super::key::IndexSigners;
use super::unsettled::Unsettled;
use crate::model::{ManifestPart, RepositoryName};
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
