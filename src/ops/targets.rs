//! The machines that precompiled files of packages and asset tools are needed for: lists them, and changes the locks that name them.

use std::collections::BTreeSet;

use super::artefacts::{machine, needed};
use super::update::pinning::{ASSET_TOOL, ComposedLock, NewPins, TARGET, pin_files, write_lock};
use super::{Project, Result, mirror_source};
use crate::lock::{HexmirrorText, LockKind};
use crate::model::{Manifest, ManifestPart, Target};
use crate::plan::{StoredArtefacts, Wanted, asset_tools_for, builds_of_removed};

/// A machine with the files that the pinned packages need on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTarget {
    /// The machine.
    pub target: Target,
    /// Whether a lock names it. Otherwise, it is this machine.
    pub is_locked: bool,
    /// Whether this is the machine that the program runs on.
    pub is_this: bool,
    /// The number of files in the mirror.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// The number of files that the mirror lacks.
    pub lacking: usize,
}

/// Lists the machines that the locks in force name, and this one.
///
/// # Errors
/// Fails if a lock, the mirror or a list of checksums cannot be read.
pub fn targets(project: &Project) -> Result<Vec<ListedTarget>> {
    let locks = project.locks()?;
    let wanted = project.wanted(&locks)?;
    let snapshot = match mirror_source(project)? {
        Some(source) => Some(project.snapshot_of(source.remote.as_ref(), source.commit)?),
        None => None,
    };
    let manifest = snapshot.as_ref().map(|snapshot| snapshot.part(ManifestPart::Files)).transpose()?;
    let empty = Manifest::default();
    let manifest = manifest.as_deref().unwrap_or(&empty);
    let stored = StoredArtefacts::of(manifest);
    let this = machine::this_machine(project)?;
    let config = project.asset_config(&locks)?;
    let all: BTreeSet<&Target> = wanted.targets.iter().chain(&this).collect();
    let list = |target: &Target| {
        let of_one = Wanted { targets: [target.clone()].into(), ..Wanted::clone(&wanted) };
        let pins = needed(project, &of_one, snapshot.as_ref())?;
        let mut found: BTreeSet<_> = pins.iter().filter_map(|pin| stored.find(&pin.artefact)).collect();
        let mut lacking = pins.iter().filter(|pin| stored.find(&pin.artefact).is_none()).count();
        for id in asset_tools_for(&config, &of_one.targets, &wanted) {
            match wanted.asset_tools.get(&id).map(|pin| pin.file.as_ref().map(|file| &file.pin.id)) {
                Some(None) => {}
                Some(Some(file)) if manifest.files.contains_key(file) => drop(found.insert(file)),
                _ => lacking += 1,
            }
        }
        Ok(ListedTarget {
            target: target.clone(),
            is_locked: wanted.targets.contains(target),
            is_this: this.as_ref() == Some(target),
            files: found.len(),
            bytes: found.iter().filter_map(|id| manifest.files.get(id)).map(|stored| stored.bytes).sum(),
            lacking,
        })
    };
    all.into_iter().map(list).collect()
}

/// Adds a machine to the hexmirror.lock that is nearest to the root, and returns its path. `None` if a lock names the
/// machine already.
///
/// # Errors
/// Fails if there is no lock or no worktree, or if the file cannot be written.
pub fn add_target(project: &Project, target: &Target) -> Result<Option<String>> {
    let locks = project.locks()?;
    if project.wanted(&locks)?.targets.contains(target) {
        return Ok(None);
    }
    pin_files(project, &locks, NewPins { target: Some(target), ..NewPins::default() })
}

/// Removes a machine from all locks in force, with the builds of asset tools that only this machine needs. Returns the paths of the
/// locks that changed.
///
/// # Errors
/// Fails if a lock or the configuration cannot be read, or a lock cannot be written.
pub fn remove_target(project: &Project, target: &Target) -> Result<Vec<String>> {
    let locks = project.locks()?;
    let wanted = project.wanted(&locks)?;
    if !wanted.targets.contains(target) {
        return Ok(Vec::new());
    }
    let (config, all_read) = (project.asset_config(&locks)?, project.unread_configs(&locks)?.is_empty());
    let builds = builds_of_removed(target, &config, all_read, &wanted);
    let keeps = |line: &str| match line.split_once(' ') {
        Some((TARGET, named)) => named.parse::<Target>().ok().as_ref() != Some(target),
        Some((ASSET_TOOL, _)) => !builds.iter().any(|id| line.starts_with(&format!("{ASSET_TOOL} {id} "))),
        _ => true,
    };
    let mut changed = Vec::new();
    for lock in locks.into_iter().filter(|lock| LockKind::of(&lock.file) == LockKind::Hexmirror) {
        let known = lock.bytes(&project.repository)?.into_owned();
        let mut text = HexmirrorText::read(&String::from_utf8_lossy(&known));
        if text.retain(keeps) {
            let text = (!text.is_empty()).then(|| text.text());
            write_lock(project, &ComposedLock { file: lock.file.clone(), text })?;
            changed.push(lock.file);
        }
    }
    Ok(changed)
}
