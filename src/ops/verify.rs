//! Re-checks every byte of the mirror.

use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::project::{Project, read_locks};
use super::upstream::Repositories;
use super::{OpError, Result};
use crate::hex::registry::{Package, Signed};
use crate::hex::tarball::{Limits, Tarball};
use crate::model::{EntryId, Manifest, ReleaseId};
use crate::plan::Wanted;
use crate::progress::{Event, Progress};
use crate::store::{Damage, ObjectId, Snapshot, StoreError};

/// What was checked, and what is wrong.
#[derive(Debug, Clone)]
pub struct Verification {
    /// The commit that was checked.
    pub commit: ObjectId,
    /// How many git objects were read.
    pub objects: usize,
    /// How many releases were rebuilt.
    pub releases: usize,
    /// How many registry entries were checked.
    pub entries: usize,
    /// What is wrong, by path.
    pub damages: Vec<Damage>,
}

/// Checks every object of the mirror's tip against its id, every tarball against the manifest, the locks and the registry,
/// and every registry entry against the manifest and its repository's key.
///
/// # Errors
/// Fails where there is no mirror, or it cannot be read at all. Damage is no error here.
pub fn verify(project: &Project, progress: &Arc<dyn Progress>) -> Result<Verification> {
    let snapshot = project.snapshot()?;
    let snapshot = snapshot.ok_or_else(|| StoreError::NoMirror { branch: project.branch.to_string() })?;
    let mut objects = 0;
    let mut damages = snapshot.check_objects(|| objects += 1);
    let commit = snapshot.commit();
    let manifest = match snapshot.manifest() {
        Ok(manifest) => manifest.clone(),
        Err(error) => {
            damages.push(damage("manifest", &error));
            Manifest::default()
        }
    };
    let items = (manifest.releases.len() + manifest.entries.len()) as u64;
    progress.report(Event::Planned { items });
    let wanted = match project.locks() {
        Ok(locks) => read_locks(&locks)?,
        Err(OpError::NoLock { .. }) => Wanted::default(),
        Err(error) => return Err(error),
    };
    let checks = Checks { project, wanted: &wanted, repositories: Repositories::new(project, progress.as_ref())? };
    let entries: Vec<EntryId> = manifest.entries.keys().cloned().collect();
    let found = in_parallel(&snapshot, &entries, |snapshot, id| {
        progress.report(Event::Finished { item: format!("registry entry of {id}") });
        checks.entry(snapshot, id)
    });
    damages.extend(found);
    let releases: Vec<ReleaseId> = manifest.releases.keys().cloned().collect();
    let found = in_parallel(&snapshot, &releases, |snapshot, id| {
        progress.report(Event::Finished { item: id.to_string() });
        checks.release(snapshot, id)
    });
    damages.extend(found);
    damages.sort();
    damages.dedup();
    Ok(Verification { commit, objects, releases: releases.len(), entries: entries.len(), damages })
}

struct Checks<'a> {
    project: &'a Project,
    wanted: &'a Wanted,
    repositories: Repositories<'a>,
}
