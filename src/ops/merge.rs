//! Merges two mirrors by union: nothing that either has is lost.

use std::collections::BTreeSet;

use super::upstream::Repositories;
use super::{OpError, Project, Result};
use crate::hex::registry::{Package, Release, Signed};
use crate::model::{EntryId, Manifest, ReleaseId, StoredRelease};
use crate::progress::Progress;
use crate::store::{Draft, ObjectId, Snapshot};

/// What a merge brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    /// The branch's tip now.
    pub commit: ObjectId,
    /// How many releases came from the other mirror.
    pub releases: usize,
    /// How many registry entries came from the other mirror.
    pub entries: usize,
}

/// Merges another snapshot into the branch: of releases the union; of each registry entry the one that knows more; whatever
/// is derived is derived again. The commit has both parents.
///
/// # Errors
/// Fails where a registry entry of the other mirror is not signed by its repository, where both have a release with
/// different checksums and no registry entry says which is right, and with [`crate::store::StoreError::Moved`] where the
/// branch moved meanwhile.
pub(super) fn merge(
    project: &Project,
    ours: &Snapshot,
    theirs: &Snapshot,
    origin: &str,
    progress: &dyn Progress,
) -> Result<Merged> {
    let union = Union { ours, theirs, repositories: Repositories::new(project, progress)? };
    let mut draft = Draft::begin(&project.repository, &project.branch, Some(ours))?;
    draft.merge(theirs);
    let entries = union.entries(&mut draft)?;
    let releases = union.releases(&mut draft)?;
    for id in &theirs.manifest()?.absent {
        draft.note_absent(id.clone());
    }
    let message = format!("Merge the mirror of {origin}: {releases} releases, {entries} registry entries\n");
    let published = draft.publish(&message)?;
    Ok(Merged { commit: published.commit, releases, entries })
}

struct Union<'a> {
    ours: &'a Snapshot,
    theirs: &'a Snapshot,
    repositories: Repositories<'a>,
}

impl Union<'_> {
    /// Takes over the registry entries of the other mirror that know more.
    fn entries(&self, draft: &mut Draft<'_>) -> Result<usize> {
        let (ours, theirs) = (self.ours.manifest()?, self.theirs.manifest()?);
        let mut taken = 0;
        for (id, stored) in &theirs.entries {
            if ours.entries.get(id) == Some(stored) {
                continue;
            }
            let Some(signed) = self.theirs.entry(id)? else { continue };
            // Whatever comes from elsewhere is checked again before it is taken over.
            let other = self.verified(id, &signed)?;
            let own = self.ours.entry(id)?.map(|own| self.verified(id, &own)).transpose()?;
            if own.is_none_or(|own| knows_more(&other, &own)) {
                draft.put_entry(id.clone(), &signed)?;
                taken += 1;
            }
        }
        Ok(taken)
    }

    /// Takes over the releases that only the other mirror has.
    fn releases(&self, draft: &mut Draft<'_>) -> Result<usize> {
        let (ours, theirs) = (self.ours.manifest()?, self.theirs.manifest()?);
        let mut taken = 0;
        for (id, stored) in &theirs.releases {
            let take = match ours.releases.get(id) {
                None => true,
                Some(own) if own.outer == stored.outer => false,
                Some(own) => self.other_is_right(id, own, stored)?,
            };
            if take {
                draft.take_release(self.theirs, id)?;
                taken += 1;
            }
        }
        Ok(taken)
    }

    /// Decides between two tarballs of one version: the signed registry entry says which was published.
    fn other_is_right(&self, id: &ReleaseId, own: &StoredRelease, other: &StoredRelease) -> Result<bool> {
        let entry = EntryId { repository: id.repository.clone(), package: id.package.clone() };
        for snapshot in [self.ours, self.theirs] {
            let Some(signed) = snapshot.entry(&entry)? else { continue };
            let package = self.verified(&entry, &signed)?;
            let listed = package.release(&id.version).and_then(|release| release.outer_checksum);
            if listed == Some(own.outer) || listed == Some(other.outer) {
                return Ok(listed == Some(other.outer));
            }
        }
        Err(OpError::RegistryDisagrees { release: id.clone(), expected: own.outer, got: other.outer })
    }

    fn verified(&self, id: &EntryId, signed: &[u8]) -> Result<Package> {
        let refused = |source| OpError::Entry { entry: id.clone(), source };
        let key = self.repositories.public_key(&id.repository)?;
        let signed = Signed::decode(signed).map_err(refused)?;
        let payload = signed.verify(&key).map_err(refused)?;
        Package::decode(payload, &id.repository, &id.package).map_err(refused)
    }
}

/// Tells which of two entries of one package, both signed, is the later: it has releases, retirements or advisories that the
/// other lacks. Upstream takes nothing back but a release within its first day, so one of them has it all; where each has
/// something, the one with more.
fn knows_more(one: &Package, other: &Package) -> bool {
    facts(one).difference(&facts(other)).count() > facts(other).difference(&facts(one)).count()
}

fn facts(package: &Package) -> BTreeSet<String> {
    let of_release = |release: &Release| {
        let version = &release.version;
        let retired = release.retired.as_ref().map(|retired| format!("{version} retired {:?}", retired));
        [format!("{version} {}", release.inner_checksum)].into_iter().chain(retired).collect::<Vec<_>>()
    };
    let advisories = package.advisories.iter().map(|advisory| format!("advisory {}", advisory.id));
    package.releases.iter().flat_map(of_release).chain(advisories).collect()
}

/// Tells whether a mirror has everything that another one has.
pub(super) fn has_all(ours: &Manifest, theirs: &Manifest) -> bool {
    theirs.releases.iter().all(|(id, stored)| ours.releases.get(id).is_some_and(|own| own.outer == stored.outer))
        && theirs.entries.iter().all(|(id, stored)| ours.entries.get(id) == Some(stored))
}
