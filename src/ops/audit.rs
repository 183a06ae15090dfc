//! Judges what the locks pin by what the mirror knows about them. Contacts no other machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use super::entry_age::age_at;
use super::project::revisions::ComparedStates;
use super::release_reader::ReleaseReader;
use super::today::today;
use super::{LockFile, Project, Result, artefacts, mirror};
use crate::lock::{DocsFile, Entry, Lock, Source};
use crate::model::{Day, FileId, FileTrust, ReleaseId, Remote};
use crate::plan::{Concern, EntryAge, FilePin, GitPin, ReleaseFacts, Wanted, concerns, known_day};
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
    /// The concerns that were accepted: ids of advisories, `RULE:PACKAGE`; of what is not about releases, `RULE` or
    /// `RULE:ADDRESS`.
    pub ignored: Vec<String>,
    /// The age in days that the registry entries may have.
    pub max_age: Option<u64>,
}

/// Something that people should know.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditFinding {
    /// What it is about.
    pub subject: AuditSubject,
    /// What it is.
    pub concern: Concern,
    /// The first lock that pins the subject, and the line.
    pub place: Option<(String, usize)>,
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditSubject {
    /// A pinned release.
    Release(ReleaseId),
    /// The address of a pinned file, or of a pinned branch of a git repository.
    Address(String),
    /// The registry entries of the mirror.
    Entries,
}

impl Display for AuditSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(id) => id.fmt(f),
            Self::Address(address) => f.write_str(address),
            Self::Entries => f.write_str("registry entries"),
        }
    }
}

impl AuditFinding {
    /// Returns whether an id to ignore names it.
    fn is_named(&self, id: &str) -> bool {
        match &self.subject {
            AuditSubject::Release(release) => self.concern.is_named(release, id),
            subject => {
                let (rule, of) = id.split_once(':').map_or((id, None), |(rule, of)| (rule, Some(of)));
                rule == self.concern.rule() && of.is_none_or(|of| of == subject.to_string())
            }
        }
    }
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
    /// What was found: about all entries, about releases, and about everything else.
    pub findings: Vec<AuditFinding>,
    /// The number of findings that were ignored.
    pub ignored: usize,
    /// The ids to ignore that name nothing.
    pub unused: Vec<String>,
    /// The recorded day when upstream was last asked for all registry entries.
    pub refreshed: Option<Day>,
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
    let files: Vec<&FilePin> = wanted.all_files().filter(|pin| !known.contains(&pin.id)).collect();
    let git: Vec<&GitPin> = wanted.git.iter().filter(|pin| !before.git.contains(pin)).collect();
    let artefacts = artefacts::needed(project, &wanted, Some(&snapshot))?;
    let artefacts = artefacts.iter().filter(|pin| !before.releases.contains_key(&pin.release)).count();
    let places = places(project, &locks)?;
    let reader = ReleaseReader::new(project, pinned.iter().map(|id| &id.repository), &snapshot, progress)?;
    let refreshed = known_day(snapshot.refreshed(), today());
    let age = age_at(project, refreshed, source.commit)?;
    let mut found: Vec<_> = old_entries(refreshed, age, options.max_age).into_iter().collect();
    for id in &pinned {
        let (entry, licenses) = (reader.entry(&id.entry())?, reader.licenses(id)?);
        let is_absent = reader.is_absent(&id.entry())?;
        let facts = ReleaseFacts { entry: entry.as_ref(), is_absent, licenses: licenses.as_deref() };
        let place = places.get(&id.to_string());
        found.extend(concerns(id, facts, &options.licenses).into_iter().map(|concern| AuditFinding {
            subject: AuditSubject::Release((*id).clone()),
            concern,
            place: place.cloned(),
        }));
    }
    found.extend(first_use(&files, &git, &places));
    let unused = options.ignored.iter().filter(|name| !found.iter().any(|finding| finding.is_named(name)));
    let unused = unused.cloned().collect();
    let (ignored, findings): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|finding| options.ignored.iter().any(|name| finding.is_named(name)));
    Ok(Audit {
        refreshed,
        age,
        remote: source.remote,
        commit: source.commit,
        locks: locks.into_iter().map(|lock| lock.file).collect(),
        releases: pinned.len(),
        git: git.iter().filter(|pin| pin.as_of.is_none()).count(),
        files: files.len() + artefacts,
        first_use: files.iter().filter(|pin| matches!(pin.trust, FileTrust::FirstUse(_))).count(),
        findings,
        ignored: ignored.len(),
        unused,
    })
}

/// Judges the age of the registry entries. One that the mirror does not record may exceed any limit.
fn old_entries(refreshed: Option<Day>, age: EntryAge, limit: Option<u64>) -> Option<AuditFinding> {
    let limit = limit.filter(|limit| age.at_least || age.exceeds(Some(*limit)))?;
    let concern = Concern::OldEntries { refreshed, days: age.days, limit };
    Some(AuditFinding { subject: AuditSubject::Entries, concern, place: None })
}

/// Where locks pin things, by [`key`].
type Places = BTreeMap<String, (String, usize)>;

/// Returns a finding for each file and each branch that is trusted because it was fetched first.
fn first_use(files: &[&FilePin], git: &[&GitPin], places: &Places) -> Vec<AuditFinding> {
    let finding = |day: Day, address: String, key: String| AuditFinding {
        subject: AuditSubject::Address(address),
        concern: Concern::FirstUse(day),
        place: places.get(&key).cloned(),
    };
    let files = files.iter().filter_map(|pin| match pin.trust {
        FileTrust::FirstUse(day) => Some(finding(day, pin.address.to_string(), pin.id.checksum.to_string())),
        FileTrust::Lock | FileTrust::Package | FileTrust::Signed | FileTrust::Npm => None,
    });
    let branches =
        git.iter().filter_map(|pin| Some(finding(pin.as_of?, pin.url.to_string(), pin.revision.to_string())));
    files.chain(branches).collect()
}

/// Finds the first line that pins each release, file and git revision.
fn places(project: &Project, locks: &[LockFile]) -> Result<Places> {
    let mut places = BTreeMap::new();
    for lock in locks {
        let bytes = lock.bytes(&project.repository)?;
        let Ok(parsed) = Lock::parse(&lock.file, &bytes) else { continue };
        let lines = Lines::of(&bytes);
        for entry in &parsed.entries {
            let Some(key) = key(entry) else { continue };
            places.entry(key).or_insert_with(|| (lock.file.clone(), lines.line_of(entry.span)));
        }
    }
    Ok(places)
}

/// Returns what identifies the thing that an entry pins: a release, the checksum of a file, or a revision.
fn key(entry: &Entry) -> Option<String> {
    let release = |repository: &str, package: &str, version: &str| {
        let (repository, package) = (repository.parse().ok()?, package.parse().ok()?);
        Some(ReleaseId { repository, package, version: version.parse().ok()? }.to_string())
    };
    match &entry.source {
        Source::Hex(source) => release(&source.repository.text, &source.package.text, &source.version.text),
        Source::Package { version } => release("hexpm", &entry.app.text, &version.text),
        Source::Download(source) => Some(source.checksum.text.clone()),
        Source::AssetTool(source) => Some(source.file.as_ref()?.checksum.text.clone()),
        Source::Docs(source) => match &source.file {
            DocsFile::Pinned { checksum, .. } => Some(checksum.text.clone()),
            DocsFile::Absent(_) => None,
        },
        Source::Git(source) => Some(source.revision.as_ref()?.text.clone()),
        Source::Tools(_) | Source::Target(_) | Source::Unknown { .. } => None,
    }
}
