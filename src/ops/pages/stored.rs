//! What the page about everything but packages and git repositories shows.

use std::collections::{BTreeMap, BTreeSet};

use super::context::Mirrored;
use super::sources::wanted;
use crate::lock::LockKind;
use crate::model::{FileChecksum, FileTrust, ManifestPart, ReleaseId};
use crate::ops::artefacts::needed;
use crate::ops::{LockFile, Result, read_locks};
use crate::page::{StoredThing, StoredThings};
use crate::plan::Wanted;

/// Returns what the page shows.
pub(super) fn stored(mirror: &Mirrored<'_>) -> Result<StoredThings> {
    let locks = Locks::of(mirror);
    let mut things = StoredThings::default();
    let mut files = mirror.snapshot.part(ManifestPart::Files)?.files.clone();
    locks.0.iter().for_each(|(_, wanted)| wanted.apply_trust(&mut files));
    let has_artefacts = files.values().any(|stored| stored.trust == FileTrust::Package);
    let packages = if has_artefacts { packages_of_artefacts(mirror) } else { BTreeMap::new() };
    for (id, stored) in &files {
        let packages = packages.get(&id.checksum).into_iter().flatten();
        let thing = StoredThing {
            name: id.path.to_string(),
            wanted_by: locks
                .naming(|wanted| wanted.files.contains_key(id))
                .into_iter()
                .chain(packages.map(ToString::to_string))
                .collect(),
            bytes: stored.bytes,
            checksum: id.checksum.to_string(),
            trust: stored.trust.describe(),
            is_first_use: matches!(stored.trust, FileTrust::FirstUse(_)),
            address: Some(stored.address.to_string()),
        };
        match stored.trust {
            _ if id.path.is_of_tools() => things.tools.push(thing),
            FileTrust::Package => things.artefacts.push(thing),
            FileTrust::Signed | FileTrust::Lock | FileTrust::Npm | FileTrust::FirstUse(_) => {
                things.downloads.push(thing)
            }
        }
    }
    for (id, stored) in &mirror.snapshot.part(ManifestPart::Policies)?.policies {
        things.policies.push(StoredThing {
            name: id.to_string(),
            wanted_by: locks.naming(|wanted| wanted.policies.contains(id)),
            bytes: stored.bytes,
            checksum: stored.checksum.to_string(),
            trust: "signed by its repository's key".to_owned(),
            is_first_use: false,
            address: None,
        });
    }
    for (file, wanted) in locks.0.iter().filter(|(file, _)| LockKind::of(file) == LockKind::Hexmirror) {
        for id in wanted.releases.keys() {
            let Some(stored) = mirror.snapshot.manifest_of(&id.package)?.releases.get(id).copied() else { continue };
            things.plugins.push(StoredThing {
                name: id.to_string(),
                wanted_by: vec![file.clone()],
                bytes: stored.bytes,
                checksum: stored.outer.to_string(),
                trust: "checksum from the lock".to_owned(),
                is_first_use: false,
                address: None,
            });
        }
    }
    let signers = mirror.snapshot.part(ManifestPart::Signers)?;
    things.signers = signers.signers.iter().map(|(name, key)| (name.to_string(), key.to_string())).collect();
    Ok(things)
}

/// Returns the pinned releases that need precompiled files, by the checksums of the files. There are none if a list of a package
/// cannot be read; `update` reports it.
fn packages_of_artefacts(mirror: &Mirrored<'_>) -> BTreeMap<FileChecksum, BTreeSet<ReleaseId>> {
    let mut packages = BTreeMap::<_, BTreeSet<ReleaseId>>::new();
    let needed = wanted(mirror.project).and_then(|wanted| needed(mirror.project, &wanted, Some(mirror.snapshot)).ok());
    for pin in needed.into_iter().flatten() {
        packages.entry(pin.artefact.checksum).or_default().insert(pin.release);
    }
    packages
}

/// What each lock in force pins, as far as it can be read.
struct Locks(Vec<(String, Wanted)>);

impl Locks {
    fn of(mirror: &Mirrored<'_>) -> Self {
        let locks = mirror.project.present_locks().unwrap_or_default();
        let read = |lock: LockFile| {
            let wanted = read_locks(&mirror.project.repository, std::slice::from_ref(&lock)).ok()?;
            Some((lock.file, wanted))
        };
        Self(locks.into_iter().filter_map(read).collect())
    }

    /// Returns the locks that pin something.
    fn naming(&self, pins: impl Fn(&Wanted) -> bool) -> Vec<String> {
        self.0.iter().filter(|(_, wanted)| pins(wanted)).map(|(file, _)| file.clone()).collect()
    }
}
