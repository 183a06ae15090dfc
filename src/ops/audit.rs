//! Judges the pinned releases by what the mirror knows about them. Contacts no other machine.

use std::collections::{BTreeMap, BTreeSet};

use super::entry_age::age_at;
use super::project::revisions::ComparedStates;
use super::release_reader::ReleaseReader;
use super::{LockFile, Project, Result, artefacts, mirror};
use crate::lock::{Lock, Source};
use crate::model::{FileId, FileTrust, ReleaseId, Remote};
use crate::plan::{Concern, EntryAge, ReleaseFacts, Wanted, concerns};
use crate::progress::Progress;
use crate::store::ObjectId;
use crate::term::Lines;

/// What to judge, and how.
#[derive(Debug, Clone, Default)]
pub struct AuditOptions {
    /// Two states of the project: only releases that the second one pins and the first one does not are judged.
    pub between: Option<ComparedStates>,
    /// The allowed licenses. If there are none, all are allowed.
    pub licenses: Vec<String>,
    /// The concerns that were accepted: ids of advisories, or `RULE:PACKAGE`.
    pub ignored: Vec<String>,
}

/// Something that people should know about a pinned release.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditFinding {
    /// The release.
    pub id: ReleaseId,
    /// What it is.
    pub concern: Concern,
    /// The first lock that pins the release, and the line.
    pub place: Option<(String, usize)>,
}

/// The result of an audit.
#[derive(Debug)]
pub struct Audit {
    /// The remote whose mirror was read, as last fetched. `None` for the local branch.
    pub remote: Option<Remote>,
    /// The commit of the mirror.
    pub commit: ObjectId,
    /// The locks, as paths relative to the worktree's root.
    pub locks: Vec<String>,
    /// The number of releases that were judged.
    pub releases: usize,
    /// The number of pinned git revisions, which no registry judges.
    pub git: usize,
    /// The number of pinned and precompiled files, which no registry judges either.
    pub files: usize,
    /// The number of those that are trusted because they were fetched first.
    pub first_use: usize,
    /// What was found, sorted by release.
    pub findings: Vec<AuditFinding>,
    /// The number of findings that were ignored.
    pub ignored: usize,
    /// The ids to ignore that name nothing.
    pub unused: Vec<String>,
    /// How old the mirror's registry entries are.
    pub age: EntryAge,
}

/// Judges the releases that the locks in force pin.
///
/// # Errors
/// Fails if there is no mirror or no lock, if either cannot be read, or if a stored registry entry is not signed by its
/// repository.
pub fn audit(project: &Project, options: &AuditOptions, progress: &dyn Progress) -> Result<Audit> {
    let (source, snapshot) = mirror(project)?;
    let (locks, before) = match &options.between {
        Some(between) => {
            let [before, _] = between.locks(project)?;
            (project.locks_of(&between.after)?, before.wanted)
        }
        None => (project.locks()?, Wanted::default()),
    };
    let wanted = project.wanted(&locks)?;
    let pinned: Vec<&ReleaseId> = wanted.releases.keys().filter(|id| !before.releases.contains_key(*id)).collect();
    let known: BTreeSet<&FileId> = before.all_files().map(|pin| &pin.id).collect();
    let files: Vec<FileTrust> =
        wanted.all_files().filter(|pin| !known.contains(&pin.id)).map(|pin| pin.trust).collect();
    let artefacts = artefacts::needed(project, &wanted, Some(&snapshot))?;
    let artefacts = artefacts.iter().filter(|pin| !before.releases.contains_key(&pin.release)).count();
    let places = places(project, &locks)?;
    let reader = ReleaseReader::new(project, pinned.iter().map(|id| &id.repository), &snapshot, progress)?;
    let mut found = Vec::new();
    for id in &pinned {
        let (entry, licenses) = (reader.entry(&id.entry())?, reader.licenses(id)?);
        let facts = ReleaseFacts { entry: entry.as_ref(), licenses: licenses.as_deref() };
        let place = places.get(*id);
        found.extend(concerns(id, facts, &options.licenses).into_iter().map(|concern| AuditFinding {
            id: (*id).clone(),
            concern,
            place: place.cloned(),
        }));
    }
    let is_named = |finding: &AuditFinding, name: &String| finding.concern.is_named(&finding.id, name);
    let unused = options.ignored.iter().filter(|name| !found.iter().any(|finding| is_named(finding, name)));
    let unused = unused.cloned().collect();
    let (ignored, findings): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|finding| options.ignored.iter().any(|name| is_named(finding, name)));
    Ok(Audit {
        age: age_at(project, snapshot.refreshed(), source.commit)?,
        remote: source.remote,
        commit: source.commit,
        locks: locks.into_iter().map(|lock| lock.file).collect(),
        releases: pinned.len(),
        git: wanted.git.iter().filter(|pin| pin.as_of.is_none()).count(),
        files: files.len() + artefacts,
        first_use: files.iter().filter(|trust| matches!(trust, FileTrust::FirstUse(_))).count(),
        findings,
        ignored: ignored.len(),
        unused,
    })
}

/// Finds the first line that pins each release.
fn places(project: &Project, locks: &[LockFile]) -> Result<BTreeMap<ReleaseId, (String, usize)>> {
    let mut places = BTreeMap::new();
    for lock in locks {
        let bytes = lock.bytes(&project.repository)?;
        let Ok(parsed) = Lock::parse(&lock.file, &bytes) else { continue };
        let lines = Lines::of(&bytes);
        for entry in &parsed.entries {
            let (repository, package, version) = match &entry.source {
                Source::Hex(source) => (source.repository.text.as_str(), &source.package, &source.version),
                Source::Package { version } => ("hexpm", &entry.app, version),
                _ => continue,
            };
            let (Ok(repository), Ok(package), Ok(version)) =
                (repository.parse(), package.text.parse(), version.text.parse())
            else {
                continue;
            };
            let place = || (lock.file.clone(), lines.line_of(entry.span));
            places.entry(ReleaseId { repository, package, version }).or_insert_with(place);
        }
    }
    Ok(places)
}
