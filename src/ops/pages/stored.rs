//! What the page about everything but packages and git repositories shows.

use super::context::Mirrored;
use crate::lock::LockKind;
use crate::model::{FileTrust, ManifestPart};
use crate::ops::{LockFile, Result, read_locks};
use crate::page::{StoredThing, StoredThings};
use crate::plan::Wanted;

/// Returns what the page shows.
pub(super) fn stored(mirror: &Mirrored<'_>) -> Result<StoredThings> {
    let locks = Locks::of(mirror);
    let mut things = StoredThings::default();
    for (id, stored) in &mirror.snapshot.part(ManifestPart::Files)?.files {
        let thing = StoredThing {
            name: id.path.to_string(),
            wanted_by: locks.naming(|wanted| wanted.files.contains_key(id)),
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
