//! What the pages about git repositories show.

use std::sync::Arc;

use super::context::Mirrored;
use super::sources::{Sources, wanted};
use crate::model::{GitAddress, ManifestPart, Revision, StoredGit};
use crate::ops::Result;
use crate::page::{RepositoryDetails, RepositoryRevision, SourceId};
use crate::plan::Wanted;

/// Returns all git repositories, without their revisions in history.
pub(super) fn repositories(mirror: &Mirrored<'_>) -> Result<Vec<RepositoryDetails>> {
    let (git, wanted) = (mirror.snapshot.part(ManifestPart::Git)?, wanted(mirror.project));
    Ok(git.git.iter().map(|(address, stored)| details(address, stored, wanted.as_ref(), Vec::new())).collect())
}

/// Returns a git repository, or `None` if neither the mirror nor its history has it.
pub(super) fn repository(
    mirror: &Mirrored<'_>,
    sources: &Sources,
    address: &GitAddress,
) -> Result<Option<RepositoryDetails>> {
    let git = mirror.snapshot.part(ManifestPart::Git)?;
    let nothing = StoredGit::default();
    let stored = git.git.get(address).unwrap_or(&nothing);
    let known = sources.revisions(mirror, address)?;
    let older = known.iter().filter_map(|id| match id {
        SourceId::Revision(_, revision) if !stored.revisions.contains_key(revision) => Some(*revision),
        _ => None,
    });
    let details = details(address, stored, wanted(mirror.project).as_ref(), older.collect());
    Ok(Some(details).filter(|details| !details.revisions.is_empty() || !details.older.is_empty()))
}

fn details(
    address: &GitAddress,
    stored: &StoredGit,
    wanted: Option<&Arc<Wanted>>,
    older: Vec<Revision>,
) -> RepositoryDetails {
    let revisions = stored.revisions.iter().map(|(revision, known)| {
        let pins = wanted.iter().flat_map(|wanted| &wanted.git);
        let pins = pins.filter(|pin| pin.url.address() == address && pin.revision == *revision);
        RepositoryRevision {
            revision: *revision,
            depth: known.depth.map(Into::into),
            wanted_by: pins.map(|pin| pin.app.clone()).collect(),
            submodules: known.submodules.iter().flatten().cloned().collect(),
        }
    });
    RepositoryDetails {
        address: address.clone(),
        bytes: stored.bytes(),
        revisions: revisions.collect(),
        older,
        refs: stored.refs().into_iter().collect(),
    }
}
