//! Finds the sources that pages show: in the mirror, or in its history.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::context::Mirrored;
use crate::model::{EntryId, GitAddress, Manifest, ManifestPart, ReleaseId};
use crate::ops::serving::redirected::OwnCache;
use crate::ops::{Project, Result};
use crate::page::{SourceId, SourceOrigin};
use crate::plan::{GitPin, Wanted};
use crate::store::{ObjectId, Snapshot, SourceEntry, SourceKind, SourceTree, VerifiedReleases};

/// The maximum number of dependencies whose versions in history are remembered.
const REMEMBERED: usize = 256;
/// The maximum number of other versions that a page names.
const OTHERS: usize = 24;

/// Finds and remembers sources.
#[derive(Default)]
pub(super) struct Sources {
    verified: VerifiedReleases,
    cache: OwnCache,
    /// Releases that are stored as tarballs are unpacked in memory, one at a time.
    unpacking: Mutex<()>,
    versions: Mutex<HashMap<(ObjectId, String), Arc<Vec<SourceId>>>>,
}

/// Sources that were found.
pub(super) struct Found {
    /// Their files.
    pub tree: SourceTree,
    /// Where they are from.
    pub origin: SourceOrigin,
}

impl Sources {
    /// Returns sources, or `None` if neither the mirror nor its history has them.
    pub fn find(&self, mirror: &Mirrored<'_>, id: &SourceId) -> Result<Option<Found>> {
        let has = |manifest: &Manifest| match id {
            SourceId::Release(id) => manifest.releases.contains_key(id),
            SourceId::Revision(address, revision) => {
                manifest.git.get(address).is_some_and(|stored| stored.revisions.contains_key(revision))
            }
        };
        let (part, line) = match id {
            SourceId::Release(id) => (ManifestPart::of(&id.package), Manifest::release_line(id)),
            SourceId::Revision(address, revision) => (ManifestPart::Git, Manifest::revision_line(address, *revision)),
        };
        let older;
        let (snapshot, commit) = if has(&*mirror.snapshot.part(part)?) {
            (mirror.snapshot, None)
        } else {
            let project = mirror.project;
            let lines = [(part, line)];
            let found = project.repository.find_in_history(&project.branch, &lines, |_, manifest| has(manifest))?;
            let Some(found) = found.into_iter().flatten().next() else { return Ok(None) };
            older = found;
            (&older, Some(older.commit().to_hex_with_len(12).to_string()))
        };
        let opened = match id {
            SourceId::Release(id) => self.release(mirror, snapshot, id)?,
            SourceId::Revision(address, revision) => {
                let Some(checkout) = self.cache.checkout(snapshot, address)? else { return Ok(None) };
                let is_pin = |pin: &GitPin| pin.url.address() == address && pin.revision == *revision;
                let is_pinned = wanted(mirror.project).is_some_and(|wanted| wanted.git.iter().any(is_pin));
                Some((checkout.source(*revision)?, revision.to_string(), is_pinned))
            }
        };
        let Some((tree, checksum, is_pinned)) = opened else { return Ok(None) };
        let others = self.versions(mirror, id)?.iter().filter(|other| *other != id).take(OTHERS).cloned().collect();
        Ok(Some(Found { tree, origin: SourceOrigin { commit, checksum, is_pinned, others } }))
    }

    fn release(
        &self,
        mirror: &Mirrored<'_>,
        snapshot: &Snapshot,
        id: &ReleaseId,
    ) -> Result<Option<(SourceTree, String, bool)>> {
        let unpacking = self.unpacking.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(tree) = snapshot.release_source(id, &self.verified)? else { return Ok(None) };
        drop(unpacking);
        let Some(stored) = snapshot.manifest_of(&id.package)?.releases.get(id).copied() else { return Ok(None) };
        let wanted = wanted(mirror.project);
        let pin = wanted.as_ref().and_then(|wanted| wanted.releases.get(id));
        Ok(Some((tree, stored.outer.to_string(), pin.is_some_and(|pin| pin.accepts(&stored)))))
    }

    fn versions(&self, mirror: &Mirrored<'_>, id: &SourceId) -> Result<Arc<Vec<SourceId>>> {
        match id {
            SourceId::Release(id) => self.releases(mirror, &id.entry()),
            SourceId::Revision(address, _) => self.revisions(mirror, address),
        }
    }

    /// Returns the versions of a package in the mirror and its history, the highest first.
    pub fn releases(&self, mirror: &Mirrored<'_>, id: &EntryId) -> Result<Arc<Vec<SourceId>>> {
        self.remembered(mirror, id.to_string(), ManifestPart::of(&id.package), |manifest, versions| {
            let releases = manifest.releases_of(&id.repository, &id.package);
            versions.extend(releases.map(|(id, _)| SourceId::Release(id.clone())));
            versions.sort_by(|one, other| other.cmp(one));
            versions.dedup();
        })
    }

    /// Returns the revisions of a git repository in the mirror and its history, in the order in which the mirror had them, the
    /// newest first.
    pub fn revisions(&self, mirror: &Mirrored<'_>, address: &GitAddress) -> Result<Arc<Vec<SourceId>>> {
        self.remembered(mirror, address.to_string(), ManifestPart::Git, |manifest, versions| {
            let revisions = manifest.git.get(address).into_iter().flat_map(|stored| stored.revisions.keys());
            for id in revisions.map(|revision| SourceId::Revision(address.clone(), *revision)) {
                if !versions.contains(&id) {
                    versions.push(id);
                }
            }
        })
    }

    /// Collects from all contents that a part of the manifest had, or returns what was collected before.
    fn remembered(
        &self,
        mirror: &Mirrored<'_>,
        dependency: String,
        part: ManifestPart,
        collect: impl Fn(&Manifest, &mut Vec<SourceId>),
    ) -> Result<Arc<Vec<SourceId>>> {
        let key = (mirror.snapshot.commit(), dependency);
        let known = || self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(versions) = known().get(&key) {
            return Ok(Arc::clone(versions));
        }
        let (project, mut versions) = (mirror.project, Vec::new());
        let tips = [mirror.snapshot.commit()];
        project
            .repository
            .part_history(&project.branch, &tips, part, |_, manifest| collect(manifest, &mut versions))?;
        let versions = Arc::new(versions);
        let mut known = known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, Arc::clone(&versions));
        Ok(versions)
    }
}

/// Returns what the locks in force pin. `None` if there are none, or they cannot be read.
pub(super) fn wanted(project: &Project) -> Option<Arc<Wanted>> {
    project.present_locks().and_then(|locks| project.wanted(&locks)).ok()
}

/// Returns what a file is other than an ordinary file. Empty if it is one.
pub(super) fn note(entry: &SourceEntry) -> &'static str {
    match entry.kind {
        SourceKind::Folder | SourceKind::File => "",
        SourceKind::Executable => "executable",
        SourceKind::Link => "a link",
        SourceKind::Submodule => "a submodule",
    }
}

/// Says that there are no such sources.
pub(super) fn missing(id: &SourceId) -> String {
    format!("neither the mirror nor its history has {id}")
}
