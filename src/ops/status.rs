//! Compares locks with a mirror: is the mirror fresh?
//!
//! A positive answer is cached beside the repository, under the digest of everything that it depends on. The next
//! check, usually by a hook, then reads neither the locks nor the manifest. A lock contributes its path and its blob id
//! to the digest. For a lock in a commit, this id is known without reading the lock. A lock in the worktree is hashed,
//! which gives the same id unless git converts line endings.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::artefacts::{self, machine};
use super::index::refresh;
use super::plugins::facts::MirrorFacts;
use super::plugins::unpinned;
use super::project::{LockFile, Project};
use super::update::asset_tools::asset_target;
use super::update::stored_entry::read_entry;
use super::{Result, own_file};
use crate::config::Config;
use crate::model::{Day, Manifest, Remote, hex_digits};
use crate::plan::{Comparison, Extra, ReleaseFlags, Wanted, asset_tools_for};
use crate::store::{ObjectId, Snapshot};

/// The name of the file with cached answers.
const REMEMBERED_IN: &str = "fresh";
/// The maximum number of cached answers: one for each branch that users switch between.
const REMEMBERED: usize = 32;

/// What stands for the day of the last refresh in a cached answer if the mirror does not record it.
const UNKNOWN: &str = "-";
/// The numbers of a cached answer, without those of [`FlaggedPins`], which follow if they are known.
const NUMBERS: usize = 6;

/// The mirror's status, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Whether the mirror contains everything that the locks pin and that can be mirrored.
    pub fresh: bool,
    /// The number of pinned releases in the mirror.
    pub present: usize,
    /// The number of releases and revisions in the mirror that no lock pins. Zero if it is not fresh.
    pub extra: usize,
    /// The number of pinned git revisions in the mirror.
    pub git: usize,
    /// The number of git dependencies that cannot be mirrored.
    pub unmirrored: usize,
    /// The number of dependencies of an unknown kind.
    pub ignored: usize,
    /// The number of packages whose entries in the pinned index are behind. This does not make the mirror stale.
    pub index_behind: usize,
    /// The recorded day when upstream was last asked for all registry entries.
    pub refreshed: Option<Day>,
    /// What the mirror's entries say against the pinned releases. `None` if they were not read.
    pub flagged: Option<FlaggedPins>,
}

/// The number of pinned releases that the mirror's registry entries say something against.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlaggedPins {
    /// The number of retired releases.
    pub retired: usize,
    /// The number of releases with a security advisory.
    pub vulnerable: usize,
}

/// The result of comparing locks with the mirror.
#[derive(Debug, Clone)]
pub struct Status {
    /// The locks that were read.
    pub locks: Vec<String>,
    /// The remote whose mirror was compared, as last fetched. `None` for the local mirror.
    pub remote: Option<Remote>,
    /// The mirror's tip, if there is one.
    pub commit: Option<ObjectId>,
    /// The digest of everything that the answer depends on.
    pub(super) digest: Option<String>,
    /// The status in numbers.
    pub summary: Summary,
    /// The detailed comparison. `None` if the answer was cached.
    pub comparison: Option<Comparison>,
    /// What the mirror has beyond the locks. `None` unless particulars were asked for, because this requires reading the
    /// whole manifest.
    pub extra: Option<Extra>,
}

/// Compares locks with the mirror at a commit, which may belong to a remote's mirror.
pub(super) fn compare_at(
    project: &Project,
    tip: Option<ObjectId>,
    locks: &[LockFile],
    particulars: bool,
) -> Result<Status> {
    compare_with(project, None, tip, locks, particulars)
}

/// Compares locks with a remote's mirror at a commit, or with the local one.
pub(super) fn compare_with(
    project: &Project,
    remote: Option<&Remote>,
    tip: Option<ObjectId>,
    locks: &[LockFile],
    particulars: bool,
) -> Result<Status> {
    let files = locks.iter().map(|lock| lock.file.clone()).collect();
    let memory = tip.map(|tip| Memory::new(project, tip, locks)).transpose()?;
    let status = Status {
        locks: files,
        remote: remote.cloned(),
        commit: tip,
        digest: memory.as_ref().map(|memory| memory.key.clone()),
        summary: Summary::default(),
        comparison: None,
        extra: None,
    };
    if !particulars && let Some(summary) = memory.as_ref().and_then(Memory::recall) {
        return Ok(Status { summary, ..status });
    }
    let snapshot = tip.map(|tip| project.snapshot_of(remote, tip)).transpose()?;
    let Compared { wanted, excerpt, mut comparison } = compared(project, snapshot.as_ref(), locks)?;
    let mut depends_on_machine = false;
    if wanted.targets.is_empty() && needs_machines(project) {
        (comparison, depends_on_machine) = with_this_machine(project, comparison, snapshot.as_ref(), &wanted, locks)?;
    }
    let extra = match &snapshot {
        Some(snapshot) if particulars => Some(Extra::new(&wanted, snapshot.manifest()?)),
        _ => particulars.then(Extra::default),
    };
    let mut summary = Summary::of(&comparison);
    if let Some(snapshot) = &snapshot {
        // An index that cannot be read is reported by `verify`.
        summary.index_behind = refresh::behind(project, snapshot).unwrap_or_default();
        summary.count_extra(snapshot, &wanted, &excerpt);
        summary.refreshed = snapshot.refreshed();
    }
    if summary.fresh
        && let Some(memory) = memory
    {
        memory.remember(&summary, depends_on_machine);
    }
    Ok(Status { summary, comparison: Some(comparison), extra, ..status })
}

/// What locks pin, and what a snapshot has of it.
pub(super) struct Compared {
    /// What the locks pin.
    pub wanted: Arc<Wanted>,
    /// What the snapshot has of the pinned packages.
    pub excerpt: Manifest,
    /// The comparison.
    pub comparison: Comparison,
}

/// Compares locks with a snapshot, without cached answers.
pub(super) fn compared(project: &Project, snapshot: Option<&Snapshot>, locks: &[LockFile]) -> Result<Compared> {
    let mut compared = compared_pins(project, snapshot, project.wanted(locks)?)?;
    compared.comparison.unpinned_plugins = unpinned(project, locks, &mut MirrorFacts::new(project, snapshot))?;
    Ok(compared)
}

/// Compares what locks pin with a snapshot.
pub(super) fn compared_pins(project: &Project, snapshot: Option<&Snapshot>, wanted: Arc<Wanted>) -> Result<Compared> {
    let excerpt = snapshot.map(|snapshot| snapshot.excerpt(&wanted.packages())).transpose()?.unwrap_or_default();
    let needed = artefacts::needed(project, &wanted, snapshot)?;
    let comparison = Comparison::new(&wanted, &excerpt).with_artefacts(&needed, &excerpt);
    Ok(Compared { wanted, excerpt, comparison })
}

/// Adds what this machine needs and the mirror lacks to a comparison with locks that name no machine: an update adds this one.
/// Returns also whether another machine could need something else.
fn with_this_machine(
    project: &Project,
    mut comparison: Comparison,
    snapshot: Option<&Snapshot>,
    wanted: &Wanted,
    locks: &[LockFile],
) -> Result<(Comparison, bool)> {
    let lists = snapshot.map(|snapshot| artefacts::stored_lists(wanted.releases.values(), snapshot)).transpose()?;
    let lists = lists.unwrap_or_default();
    let machine = machine::new_target(project, &lists, &wanted.targets)?.into_iter().collect();
    // Even if they are there: as long as no lock names a machine, no command knows that they are needed.
    comparison.artefacts = artefacts::needed_by(project, &lists, &machine)?.into_iter().collect();
    let config = project.asset_config(locks)?;
    let machine = asset_target(project, &config, wanted)?.into_iter().collect();
    let tools = asset_tools_for(&config, &machine, wanted).into_iter();
    comparison.unpinned_asset_tools.extend(tools.filter(|id| !wanted.asset_tools.contains_key(id)));
    Ok((comparison, !(lists.is_empty() && config.versions.is_empty())))
}

/// Returns whether an update may add this machine to locks.
pub(super) fn needs_machines(project: &Project) -> bool {
    let needs = project.config.artefacts.is_some() || project.config.asset_tools.is_some();
    needs && project.repository.worktree().is_some()
}

/// Returns whether it is known, without reading the mirror or the locks, that the mirror at `tip` is fresh for these locks.
pub(super) fn is_known_to_be_fresh(project: &Project, tip: ObjectId, locks: &[LockFile]) -> bool {
    Memory::new(project, tip, locks).is_ok_and(|memory| memory.recall().is_some())
}

/// Counts the retired and vulnerable releases among those that the locks pin. Every pinned package's entry is read for
/// that, so hooks do not ask, and the answer is cached. An entry that cannot be read is reported by `verify`.
///
/// # Errors
/// Fails if the mirror or a lock cannot be read.
pub(super) fn count_flagged(project: &Project, status: &mut Status, locks: &[LockFile]) -> Result<()> {
    let Some(tip) = status.commit.filter(|_| status.summary.fresh && status.summary.flagged.is_none()) else {
        return Ok(());
    };
    let snapshot = project.snapshot_of(status.remote.as_ref(), tip)?;
    let mut flagged = FlaggedPins::default();
    for id in project.wanted(locks)?.releases.keys() {
        let Ok(Some(package)) = read_entry(&snapshot, &id.entry()) else { continue };
        let flags = ReleaseFlags::of(&package, &id.version);
        flagged.retired += usize::from(flags.retired.is_some());
        flagged.vulnerable += usize::from(!flags.advisories.is_empty());
    }
    status.summary.flagged = Some(flagged);
    let memory = Memory::new(project, tip, locks)?;
    let depends_on_machine = !memory.has(&memory.key);
    memory.remember(&status.summary, depends_on_machine);
    Ok(())
}

/// Caches the answer that the mirror at `tip` is fresh for these locks, after an update. If this fails, the next check
/// merely takes longer.
pub(super) fn remember(project: &Project, tip: ObjectId, locks: &[LockFile]) {
    let _ = compare_with(project, None, Some(tip), locks, false);
}

impl Summary {
    fn of(comparison: &Comparison) -> Self {
        Self {
            fresh: comparison.is_fresh(),
            present: comparison.present,
            extra: 0,
            git: comparison.git.iter().map(|pin| (pin.url.address(), pin.revision)).collect::<BTreeSet<_>>().len(),
            unmirrored: comparison.unmirrored.len(),
            ignored: comparison.ignored.len(),
            index_behind: 0,
            refreshed: None,
            flagged: None,
        }
    }

    /// Counts what a fresh mirror has beyond the locks, by its folders: the manifest would have to be read completely.
    /// Folders that cannot be read are reported by `verify`.
    fn count_extra(&mut self, snapshot: &Snapshot, wanted: &Wanted, excerpt: &Manifest) {
        if self.fresh {
            let releases = snapshot.count_releases().unwrap_or_default().saturating_sub(self.present);
            self.extra = releases + Extra::revisions(wanted, excerpt).len();
        }
    }
}

/// The file with cached answers. Each line has one answer and the digest of what it depends on, the newest first.
struct Memory<'r> {
    project: &'r Project,
    path: PathBuf,
    /// The digest, without this machine.
    key: String,
}

impl<'r> Memory<'r> {
    fn new(project: &'r Project, tip: ObjectId, locks: &[LockFile]) -> Result<Self> {
        let mut digest = Sha256::new();
        // Another version of this program may give another answer.
        digest.update(concat!(env!("CARGO_PKG_VERSION"), "\0"));
        digest.update(tip.as_bytes());
        let Config { shallow, docs, artefacts, .. } = &project.config;
        digest.update([u8::from(*shallow), u8::from(artefacts.is_some()), u8::from(*docs)]);
        for app in &project.config.submodules {
            digest.update(app);
            digest.update("\0");
        }
        for lock in locks {
            digest.update((lock.file.len() as u64).to_le_bytes());
            digest.update(&lock.file);
            digest.update(lock.blob.as_bytes());
            for config in &lock.configs {
                digest.update(&config.file);
                digest.update(config.blob.as_bytes());
            }
            if let Some(build) = &lock.build {
                digest.update(format!("{build:?}\0"));
            }
        }
        for plugin in &project.config.extra {
            digest.update(plugin);
            digest.update("\0");
        }
        for pair in project.tools_pairs()? {
            digest.update(pair.to_string());
            digest.update("\0");
        }
        for address in &project.config.downloads {
            digest.update(address.as_str());
            digest.update("\0");
        }
        for branch in &project.config.git {
            digest.update(branch.to_string());
            digest.update("\0");
        }
        digest.update(format!("{:?}\0", project.config.asset_tools));
        for policy in project.policies(locks)? {
            digest.update(policy.to_string());
            digest.update("\0");
        }
        let key = hex_digits(&digest.finalize());
        Ok(Self { project, path: project.repository.own_dir().join(REMEMBERED_IN), key })
    }

    /// Returns the digest with this machine, for an answer that depends on it. It is not always part of the digest, because
    /// most answers do not, and finding out takes longer than recalling.
    fn key_of_machine(&self) -> String {
        let machine = machine::identity(self.project).unwrap_or_default();
        hex_digits(&Sha256::digest(format!("{} {machine}", self.key)))
    }

    /// Returns whether there is an answer for a digest.
    fn has(&self, key: &str) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|text| text.lines().any(|line| line.starts_with(key)))
    }

    fn recall(&self) -> Option<Summary> {
        let text = fs::read_to_string(&self.path).ok()?;
        let answer = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
        let line = answer(&self.key).or_else(|| answer(&self.key_of_machine()))?;
        let (day, numbers) = line.trim_start().split_once(' ')?;
        let refreshed = if day == UNKNOWN { None } else { Some(day.parse().ok()?) };
        let numbers: Vec<usize> =
            numbers.split_whitespace().map(|number| number.parse().ok()).collect::<Option<_>>()?;
        let (flagged, numbers) = match numbers[..] {
            [.., retired, vulnerable] if numbers.len() == NUMBERS + 2 => {
                (Some(FlaggedPins { retired, vulnerable }), &numbers[..NUMBERS])
            }
            _ => (None, &numbers[..]),
        };
        let [present, extra, git, unmirrored, ignored, index_behind] = *numbers else { return None };
        Some(Summary { fresh: true, present, extra, git, unmirrored, ignored, index_behind, refreshed, flagged })
    }

    /// Saves the answer. If this fails, the next check merely takes longer.
    fn remember(&self, summary: &Summary, depends_on_machine: bool) {
        let key = if depends_on_machine { self.key_of_machine() } else { self.key.clone() };
        let Summary { fresh: _, present, extra, git, unmirrored, ignored, index_behind, refreshed, flagged } = summary;
        let day = refreshed.map_or(UNKNOWN.to_owned(), |day| day.to_string());
        let flagged = flagged.map(|FlaggedPins { retired, vulnerable }| format!(" {retired} {vulnerable}"));
        let flagged = flagged.unwrap_or_default();
        let numbers = format!("{present} {extra} {git} {unmirrored} {ignored} {index_behind}{flagged}");
        let mut text = format!("{key} {day} {numbers}\n");
        let known = fs::read_to_string(&self.path).unwrap_or_default();
        for line in known.lines().filter(|line| !line.starts_with(&key)).take(REMEMBERED - 1) {
            text += line;
            text.push('\n');
        }
        own_file::write(&self.project.repository, REMEMBERED_IN, &text);
    }
}
