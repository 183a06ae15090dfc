//! What an update learns about the pinned releases: retirements and security advisories.

use super::stored_entry::read_entry;
use crate::model::ReleaseId;
use crate::ops::Result;
use crate::plan::ReleaseFlags;
use crate::store::Snapshot;

/// A pinned release that is retired or vulnerable.
#[derive(Debug, Clone, PartialEq)]
pub struct FlaggedRelease {
    /// The release.
    pub id: ReleaseId,
    /// Its retirement and its advisories.
    pub flags: ReleaseFlags,
}

/// Returns what a snapshot says against pinned releases and the previous one did not. Everything counts as new for a
/// release that the previous one did not have.
pub(super) fn learned<'a>(
    pinned: impl IntoIterator<Item = &'a ReleaseId>,
    before: Option<&Snapshot>,
    after: &Snapshot,
) -> Result<Vec<FlaggedRelease>> {
    let mut learned = Vec::new();
    for id in pinned {
        let (entry, manifest) = (id.entry(), after.manifest_of(&id.package)?);
        let mut known = None;
        if let Some(before) = before
            && let known_manifest = before.manifest_of(&id.package)?
            && known_manifest.releases.contains_key(id)
        {
            if known_manifest.entries.get(&entry) == manifest.entries.get(&entry) {
                continue;
            }
            known = read_entry(before, &entry)?;
        }
        let Some(package) = read_entry(after, &entry)? else { continue };
        let known = known.map_or_else(ReleaseFlags::default, |known| ReleaseFlags::of(&known, &id.version));
        let flags = ReleaseFlags::of(&package, &id.version).beyond(&known);
        if !flags.is_empty() {
            learned.push(FlaggedRelease { id: id.clone(), flags });
        }
    }
    Ok(learned)
}
