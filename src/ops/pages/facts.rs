//! What the pages show of a mirror: derived once for a commit and the locks, because reading every registry entry and all
//! metadata takes longer than a browser should wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::words;
use crate::model::{
    EntryChecksum, EntryId, Manifest, PackageName, ReleaseId, RepositoryName, Storage, StoredGit, Version, bytes, count,
};
use crate::ops::log::log_from;
use crate::ops::release_reader::ReleaseReader;
use crate::ops::status::{compare_at, compared_pins};
use crate::ops::{LockFile, LogOptions, MirrorSource, Project, Result};
use crate::page::{LockState, Update};
use crate::plan::{Concern, ReleaseFacts, Wanted, concerns};
use crate::progress::Silent;
use crate::store::Snapshot;

/// How many locks are compared and shown.
const LOCKS: usize = 50;
/// How many things that the mirror lacks are shown for a lock.
const LACKS: usize = 20;
/// How many commits are shown.
const UPDATES: usize = 5;

/// What the pages show of a mirror.
#[derive(Clone)]
pub(super) struct Facts {
    /// The locks in force, of which the first ones are compared.
    pub locks: Vec<LockState>,
    /// The number of further locks.
    pub more_locks: usize,
    /// The packages of which the mirror has a release, sorted.
    pub packages: Vec<PackageFacts>,
    /// Which stored releases require a package.
    pub needed_by: BTreeMap<EntryId, Vec<ReleaseId>>,
    /// The newest commits.
    pub updates: Vec<Update>,
    /// What is stored, in numbers.
    pub contents: Vec<(&'static str, String)>,
    /// Whether the registry entries and the metadata were read.
    pub is_judged: bool,
}

/// What the pages show of a package.
#[derive(Clone)]
pub(super) struct PackageFacts {
    /// The package.
    pub id: EntryId,
    /// The checksum of its registry entry.
    pub entry: Option<EntryChecksum>,
    /// The newest version in its registry entry that is neither retired nor a pre-release.
    pub newest: Option<Version>,
    /// The stored releases, lowest version first.
    pub releases: Vec<StoredFacts>,
}

/// What the pages show of a stored release.
#[derive(Clone)]
pub(super) struct StoredFacts {
    /// The version.
    pub version: Version,
    /// The size of the tarball in bytes.
    pub bytes: u64,
    /// How it is stored.
    pub storage: Storage,
    /// The locks that pin it, as indexes of [`Facts::locks`].
    pub locks: Vec<usize>,
    /// Its licenses.
    pub licenses: Arc<[String]>,
    /// What it requires.
    pub requires: Arc<[EntryId]>,
    /// What people should know about it.
    pub concerns: Arc<[Concern]>,
}

impl PackageFacts {
    /// Returns the newest version, if the mirror knows a newer one than the newest that is pinned, or stored if none is.
    pub fn newer(&self) -> Option<&Version> {
        let pinned = self.releases.iter().rev().find(|release| !release.locks.is_empty());
        let own = pinned.or(self.releases.last())?;
        self.newest.as_ref().filter(|newest| **newest > own.version)
    }
}

impl Facts {
    /// Reads what the manifest and the locks say.
    ///
    /// # Errors
    /// Fails if the mirror cannot be read. A lock that cannot be read is shown as such.
    pub fn listed(project: &Project, snapshot: &Snapshot, locks: &[LockFile]) -> Result<Self> {
        let manifest = snapshot.manifest()?;
        let shown = &locks[..locks.len().min(LOCKS)];
        let mut states: Vec<(LockState, Option<Arc<Wanted>>)> =
            shown.iter().map(|lock| lock_state(project, snapshot, lock)).collect();
        let besides = lacking_besides(project, snapshot, (locks, shown), &states);
        if let Some((first, _)) = states.first_mut() {
            first.lacks.extend(besides);
        }
        for (state, _) in &mut states {
            state.more = state.lacks.len().saturating_sub(LACKS);
            state.lacks.truncate(LACKS);
        }
        let pins: Vec<Option<Arc<Wanted>>> = states.iter().map(|(_, wanted)| wanted.clone()).collect();
        let source = MirrorSource { remote: None, commit: snapshot.commit() };
        let options = LogOptions { limit: Some(UPDATES), max_read: Some(UPDATES), ..LogOptions::default() };
        Ok(Self {
            more_locks: locks.len() - shown.len(),
            locks: states.into_iter().map(|(state, _)| state).collect(),
            packages: packages(manifest, &pins),
            needed_by: BTreeMap::new(),
            updates: log_from(project, source, &options)?.commits.iter().map(words::update).collect(),
            contents: contents(manifest),
            is_judged: false,
        })
    }

    /// Reads the registry entries and the metadata. What did not change since `known` is taken from there.
    ///
    /// # Errors
    /// Fails if the keys of the repositories cannot be read. An entry or a release that cannot be read has no facts, and
    /// `verify` reports it.
    pub fn judge(&mut self, project: &Project, snapshot: &Snapshot, known: Option<&Self>) -> Result<()> {
        let repositories: BTreeSet<_> = self.packages.iter().map(|package| package.id.repository.clone()).collect();
        let reader = ReleaseReader::new(project, repositories.iter(), snapshot, &Silent)?;
        let known: BTreeMap<&EntryId, &PackageFacts> = known
            .filter(|known| known.is_judged)
            .into_iter()
            .flat_map(|known| &known.packages)
            .map(|known| (&known.id, known))
            .collect();
        for package in &mut self.packages {
            let known = known.get(&package.id).filter(|known| known.entry == package.entry && known.entry.is_some());
            package.judge(&reader, known.copied());
        }
        self.needed_by = BTreeMap::new();
        for package in &self.packages {
            for release in &package.releases {
                for required in release.requires.iter() {
                    let EntryId { repository, package } = package.id.clone();
                    let id = ReleaseId { repository, package, version: release.version.clone() };
                    self.needed_by.entry(required.clone()).or_default().push(id);
                }
            }
        }
        self.is_judged = true;
        Ok(())
    }

    /// Returns the package of a name: that of hexpm, or the first of another repository.
    pub fn named(&self, name: &PackageName) -> Option<&EntryId> {
        let named = self.packages.iter().map(|package| &package.id).filter(|id| id.package == *name);
        named.min_by_key(|id| id.repository != RepositoryName::hexpm())
    }

    /// Returns what is known about a package. `None` if the mirror has no release of it.
    pub fn package(&self, id: &EntryId) -> Option<&PackageFacts> {
        let at = self.packages.binary_search_by(|package| package.id.cmp(id)).ok()?;
        self.packages.get(at)
    }
}

impl PackageFacts {
    /// Reads the registry entry and the metadata of the stored releases that are not known.
    fn judge(&mut self, reader: &ReleaseReader<'_>, known: Option<&Self>) {
        let is_known = |release: &StoredFacts| known.and_then(|known| known.release(&release.version)).is_some();
        if let Some(known) = known.filter(|_| self.releases.iter().all(is_known)) {
            self.newest.clone_from(&known.newest);
            for release in &mut self.releases {
                let Some(known) = known.release(&release.version) else { continue };
                release.licenses = known.licenses.clone();
                release.requires = known.requires.clone();
                release.concerns = known.concerns.clone();
            }
            return;
        }
        let entry = reader.entry(&self.id).ok().flatten();
        self.newest = entry.as_ref().and_then(|entry| {
            let releases = entry.releases.iter().filter(|release| release.retired.is_none());
            releases.map(|release| &release.version).filter(|version| !version.is_pre_release()).max().cloned()
        });
        for release in &mut self.releases {
            let EntryId { repository, package } = self.id.clone();
            let id = ReleaseId { repository, package, version: release.version.clone() };
            let metadata = reader.metadata(&id).ok().flatten().and_then(Result::ok);
            let licenses = metadata.as_ref().map(|metadata| metadata.licenses.clone()).unwrap_or_default();
            let is_absent = reader.is_absent(&self.id).unwrap_or_default();
            let facts = ReleaseFacts { entry: entry.as_ref(), is_absent, licenses: Some(&licenses) };
            release.concerns = concerns(&id, facts, &[]).into();
            release.licenses = licenses.into();
            let required = metadata.iter().flat_map(|metadata| &metadata.requirements);
            release.requires = required
                .map(|required| EntryId {
                    repository: required.repository.as_ref().unwrap_or(&id.repository).clone(),
                    package: required.package.clone(),
                })
                .collect();
        }
    }

    /// Returns a stored release.
    pub fn release(&self, version: &Version) -> Option<&StoredFacts> {
        self.releases.iter().find(|release| release.version == *version)
    }
}

/// Returns what the mirror lacks that no lock alone decides: what the settings, the packages and this machine ask for, and what
/// locks pin together. A lock that cannot be read is shown as such.
fn lacking_besides(
    project: &Project,
    snapshot: &Snapshot,
    (locks, shown): (&[LockFile], &[LockFile]),
    states: &[(LockState, Option<Arc<Wanted>>)],
) -> Vec<String> {
    let mut known: BTreeSet<String> = states.iter().flat_map(|(state, _)| state.lacks.iter().cloned()).collect();
    if locks.len() > shown.len() {
        let pinned = project.pinned(locks).and_then(|all| compared_pins(project, Some(snapshot), Arc::new(all)));
        known.extend(pinned.map(|pinned| pinned.comparison.lacking()).unwrap_or_default());
    }
    let all = compare_at(project, Some(snapshot.commit()), locks, true).ok().and_then(|status| status.comparison);
    let lacking = all.map(|all| all.lacking()).unwrap_or_default();
    lacking.into_iter().filter(|item| !known.contains(item)).collect()
}

/// Compares what a lock pins with the mirror. Also returns what it pins, if it can be read.
fn lock_state(project: &Project, snapshot: &Snapshot, lock: &LockFile) -> (LockState, Option<Arc<Wanted>>) {
    let file = lock.file.clone();
    let none = || LockState {
        file: file.clone(),
        pins: String::new(),
        lacks: Vec::new(),
        more: 0,
        not_mirrored: Vec::new(),
        problem: None,
    };
    let pinned = project.pinned(std::slice::from_ref(lock));
    let compared = match pinned.and_then(|wanted| compared_pins(project, Some(snapshot), Arc::new(wanted))) {
        Ok(compared) => compared,
        Err(error) => return (LockState { problem: Some(error.with_causes()), ..none() }, None),
    };
    let not_mirrored = compared.comparison.not_mirrored();
    let not_mirrored = not_mirrored.iter().take(LACKS).map(|(app, reason)| format!("{app} ({reason})")).collect();
    let pins = words::pins(&compared.wanted);
    let lacks = compared.comparison.lacking();
    (LockState { pins, lacks, not_mirrored, ..none() }, Some(compared.wanted))
}

/// Lists the packages of a manifest, with the locks that pin their releases.
fn packages(manifest: &Manifest, pins: &[Option<Arc<Wanted>>]) -> Vec<PackageFacts> {
    let mut packages: BTreeMap<EntryId, PackageFacts> = BTreeMap::new();
    for (id, stored) in &manifest.releases {
        let has = |wanted: &Option<Arc<Wanted>>| wanted.as_ref().is_some_and(|wanted| wanted.releases.contains_key(id));
        let release = StoredFacts {
            version: id.version.clone(),
            bytes: stored.bytes,
            storage: stored.storage,
            locks: pins.iter().enumerate().filter(|(_, wanted)| has(wanted)).map(|(index, _)| index).collect(),
            licenses: Arc::default(),
            requires: Arc::default(),
            concerns: Arc::default(),
        };
        let package = packages.entry(id.entry()).or_insert_with_key(|id| PackageFacts {
            id: id.clone(),
            entry: manifest.entries.get(id).map(|entry| entry.checksum),
            newest: None,
            releases: Vec::new(),
        });
        package.releases.push(release);
    }
    packages.into_values().collect()
}

/// Describes what is stored, in numbers. Leaves out what few mirrors have if this one has none.
fn contents(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let Manifest { releases, files, policies, git, .. } = manifest;
    let sized = |number: usize, size: u64| format!("{number} ({})", bytes(size));
    let packages: BTreeSet<EntryId> = releases.keys().map(ReleaseId::entry).collect();
    let tarballs = releases.values().filter(|stored| stored.storage == Storage::Tarball).count();
    let revisions = git.values().map(|stored| stored.revisions.len()).sum();
    let mut contents = vec![
        ("Packages", packages.len().to_string()),
        ("Releases", sized(releases.len(), releases.values().map(|stored| stored.bytes).sum())),
    ];
    let mut add = |name, number, text: String| {
        if number > 0 {
            contents.push((name, text));
        }
    };
    add("Stored as tarball", tarballs, count(tarballs, "release", "releases"));
    let repositories = sized(git.len(), git.values().map(StoredGit::bytes).sum());
    add("Git repositories", git.len(), format!("{repositories}, {}", count(revisions, "revision", "revisions")));
    add("Other files", files.len(), sized(files.len(), files.values().map(|stored| stored.bytes).sum()));
    add("Policies", policies.len(), policies.len().to_string());
    contents
}
