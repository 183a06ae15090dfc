//! The precompiled files that the pinned packages download while they are compiled: which of them the machines need that
//! hexmirror.lock names, and which machine this is.

pub(super) mod machine;
pub(super) mod package;

use std::collections::{BTreeMap, BTreeSet};

use super::{FileError, Project, Result};
use crate::model::{FileChecksum, ReleaseId, Target};
use crate::plan::{ArtefactPin, Needed, Pin, StoredArtefacts, TooManyArtefacts, Wanted, artefact_pins};
use crate::store::Snapshot;
use package::ChecksumLists;

/// The lists of checksums of the releases that have some.
pub(super) type ReleaseLists = BTreeMap<ReleaseId, ChecksumLists>;

/// Returns the files that some machines need of releases. None if the settings say so.
///
/// # Errors
/// Fails if a list of checksums cannot be read, or if a package has too many files for one machine.
pub(super) fn needed_by(
    project: &Project,
    lists: &ReleaseLists,
    targets: &BTreeSet<Target>,
) -> Result<BTreeSet<ArtefactPin>> {
    let mut needed = BTreeSet::new();
    if project.config.artefacts.is_some() {
        for (id, lists) in lists {
            needed.extend(needed_of(id, lists, targets)?);
        }
    }
    Ok(needed)
}

/// Returns the files that some machines need of a release.
fn needed_of(id: &ReleaseId, lists: &ChecksumLists, targets: &BTreeSet<Target>) -> Result<BTreeSet<ArtefactPin>> {
    if targets.is_empty() {
        return Ok(BTreeSet::new());
    }
    artefact_pins(id, &lists.maps(id)?, targets).map_err(|TooManyArtefacts { target, files }| {
        FileError::TooManyArtefacts { release: id.clone(), target, files }.into()
    })
}

/// Returns the files that the machines that locks name need of the pinned releases in a snapshot.
///
/// # Errors
/// Fails as [`needed_by`] does, and if the snapshot is damaged.
pub(super) fn needed(project: &Project, wanted: &Wanted, snapshot: Option<&Snapshot>) -> Result<BTreeSet<ArtefactPin>> {
    match snapshot.filter(|_| !wanted.targets.is_empty()) {
        Some(snapshot) => needed_by(project, &stored_lists(wanted.releases.values(), snapshot)?, &wanted.targets),
        None => Ok(BTreeSet::new()),
    }
}

/// Returns the lists of pinned releases, as far as a snapshot has them.
///
/// # Errors
/// Fails if the snapshot is damaged.
pub(super) fn stored_lists<'p>(pins: impl IntoIterator<Item = &'p Pin>, snapshot: &Snapshot) -> Result<ReleaseLists> {
    let mut found = ReleaseLists::new();
    for pin in pins {
        let manifest = snapshot.manifest_of(&pin.id.package)?;
        if manifest.releases.get(&pin.id).is_some_and(|stored| pin.accepts(stored)) {
            let lists = ChecksumLists::stored(snapshot, &pin.id)?;
            found.extend((!lists.is_empty()).then(|| (pin.id.clone(), lists)));
        }
    }
    Ok(found)
}

/// Adds the files of a snapshot that the required machines need of the required releases. A list that cannot be read needs
/// nothing, because nothing was ever fetched for it.
///
/// # Errors
/// Fails if the snapshot is damaged.
pub(super) fn add_needed(needed: &mut Needed, snapshot: &Snapshot) -> Result<()> {
    let manifest = snapshot.manifest()?;
    let stored = StoredArtefacts::of(manifest);
    for id in manifest.releases.keys().filter(|id| needed.releases.contains(*id)) {
        let pins = needed_of(id, &ChecksumLists::stored(snapshot, id)?, &needed.targets).unwrap_or_default();
        needed.files.extend(pins.iter().filter_map(|pin| stored.find(&pin.artefact)).cloned());
    }
    Ok(())
}

/// Returns the checksums of all files that the releases of a snapshot list. Releases and lists that cannot be
/// read have none.
///
/// # Errors
/// Fails if the manifest is damaged.
pub(super) fn listed(snapshot: &Snapshot) -> Result<BTreeSet<FileChecksum>> {
    let mut listed = BTreeSet::new();
    for id in snapshot.manifest()?.releases.keys() {
        let maps = ChecksumLists::stored(snapshot, id).and_then(|lists| lists.maps(id)).unwrap_or_default();
        listed.extend(maps.into_iter().flat_map(|map| map.artefacts).map(|artefact| artefact.checksum));
    }
    Ok(listed)
}
