//! Whether the mirror stores what it has as the settings demand.

use crate::model::{Fingerprint, ManifestPart, ReleaseId, RepositoryName, Storage};
use crate::ops::Result;
use crate::ops::project::Project;
use crate::ops::project::hex_repositories::HexRepositories;
use crate::progress::Silent;
use crate::store::Snapshot;

/// Returns whether the local mirror stores everything as the settings demand.
pub(super) fn is_as_set(project: &Project) -> Result<bool> {
    let own = project.snapshot()?;
    Ok(to_store_otherwise(project, own.as_ref())?.is_empty() && !needs_signers(project, own.as_ref())?)
}

/// Returns whether an update must record signers: in a mirror of an older format, or for a repository whose new signer
/// the user allowed.
fn needs_signers(project: &Project, own: Option<&Snapshot>) -> Result<bool> {
    let Some(own) = own else { return Ok(false) };
    let mut set = project.config.repositories.values().filter(|config| config.signer.is_some());
    if own.is_of_older_format() || set.next().is_none() {
        return Ok(own.is_of_older_format());
    }
    let repositories = HexRepositories::new(project, &Silent)?;
    let differs = |(name, recorded): (&RepositoryName, &Fingerprint)| {
        repositories.signer(name).is_some_and(|signer| signer != *recorded)
    };
    Ok(own.part(ManifestPart::Signers)?.signers.iter().any(differs))
}

/// Returns the releases that are stored unpacked although the setting `opaque` matches their packages.
pub(super) fn to_store_otherwise(project: &Project, base: Option<&Snapshot>) -> Result<Vec<ReleaseId>> {
    let opaque = &project.config.opaque;
    let Some(base) = base.filter(|_| !opaque.is_empty()) else { return Ok(Vec::new()) };
    let unpacked = base.manifest()?.releases.iter().filter(|(_, stored)| stored.storage == Storage::Unpacked);
    Ok(unpacked.map(|(id, _)| id).filter(|id| opaque.contains(&id.entry())).cloned().collect())
}
