//! Collects what a reviewer of changed locks should know: the size of each change of code, files that deserve a look,
//! changelogs, advisories, licenses and signers. Contacts no other machine.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::project::revisions::ComparedStates;
use super::release_reader::{ReleaseReader, licenses};
use super::source_diff::{holds, line, make_side, sides};
use super::{OpError, Project, Result, lock_diff, mirror};
use crate::git::{FileChange, FileChangeKind, ProjectGit};
use crate::hex::registry::{Advisory, Retirement};
use crate::model::{Day, Fingerprint, Manifest, ManifestPart, ReleaseId, RepositoryName};
use crate::plan::{ChangelogExcerpt, FileRole, LockChange, Locked, ReleaseFlags, changelog_between, is_changelog};
use crate::progress::Progress;
use crate::store::{DiffRepository, ObjectId, ScratchObjects, Snapshot, StoreError};

/// The maximum size of a changelog that is read, in bytes.
const MAX_CHANGELOG: usize = 4 << 20;
/// How long the code of one change is compared.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the code of all changes is compared.
const ALL_PATIENCE: Duration = Duration::from_secs(60);
/// What code calls to load native code into the virtual machine.
const LOADS_NATIVE_CODE: &str = "load_nif";

/// What a reviewer of changed locks should know.
#[derive(Debug)]
pub struct Review {
    /// The two states.
    pub between: ComparedStates,
    /// The changes, sorted by name.
    pub changes: Vec<ReviewedChange>,
    /// The repositories whose registry entries have another signer since the old releases were stored.
    pub signers: Vec<SignerChange>,
    /// The mirror that was read. `None` if this clone has none; then only the locks were compared.
    pub mirror: Option<ReviewedMirror>,
}

/// The mirror that a review is based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReviewedMirror {
    /// Its commit.
    pub commit: ObjectId,
    /// The recorded day when upstream was last asked for all registry entries.
    pub refreshed: Option<Day>,
}

/// A changed dependency.
#[derive(Debug)]
pub struct ReviewedChange {
    /// The change.
    pub change: LockChange,
    /// How the code changed. `None` if the mirror and its history lack a side of it, or if it has no code.
    pub code: Option<CodeChange>,
    /// What the changelog of the new version says.
    pub changelog: Option<ChangelogExcerpt>,
    /// The licenses of the old and the new release, if they are known.
    pub licenses: [Option<Vec<String>>; 2],
    /// The advisories that applied to the old release and do not apply to the new one.
    pub fixed: Vec<Advisory>,
    /// The advisories that apply to the new release and did not apply to the old one.
    pub brought: Vec<Advisory>,
    /// The retirement of the new release, if the old one was not retired for this reason.
    pub retired: Option<Retirement>,
    /// What applies to both releases, so that the change does not help.
    pub still: ReleaseFlags,
    /// Whether the new revision of a git dependency is in the history of the old one.
    pub is_older: bool,
    /// Whether the code was not compared, or not completely, because it took too long.
    pub is_cut: bool,
    /// Whether neither the mirror nor its history has a side of the change that could be mirrored.
    pub is_lacking: bool,
}

/// The difference between two source trees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeChange {
    /// The number of changed files.
    pub files: usize,
    /// The number of added lines.
    pub added: u64,
    /// The number of removed lines.
    pub removed: u64,
    /// The changed files that deserve a look, by role, kind of change and path.
    pub notable: BTreeSet<(FileRole, FileChangeKind, String)>,
    /// The changed files in which a line about loading native code was added or removed.
    pub loads_native_code: Vec<String>,
}

/// A repository whose registry entries have another signer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerChange {
    /// The repository.
    pub repository: RepositoryName,
    /// The signer of the old entries.
    pub before: Fingerprint,
    /// The signer of the new entries.
    pub after: Fingerprint,
}

/// The stored sides of a change.
struct Sides {
    snapshots: [Option<Snapshot>; 2],
    trees: Option<[ObjectId; 2]>,
}

/// Reviews the changes between two states of the project.
///
/// # Errors
/// Fails if neither state has a lock, if a lock is invalid, if what the mirror has is damaged, or if a registry entry is not
/// signed by its repository.
pub fn review(project: &Project, between: ComparedStates, progress: &dyn Progress) -> Result<Review> {
    let changes = lock_diff(project, between.clone())?.changes;
    let (source, snapshot) = match mirror(project) {
        Err(OpError::Store(StoreError::NoMirror { .. })) => return Ok(Review::of_locks(between, changes)),
        found => found?,
    };
    let git = project.git(false)?;
    let mut scratch = ScratchObjects::begin(&project.repository)?;
    let stored = stored_sides(project, &changes, &git, &mut scratch)?;
    let trees = scratch.finish()?;
    let releases: Vec<&ReleaseId> = changes.iter().flat_map(sides).filter_map(release).collect();
    let reader = ReleaseReader::new(project, releases.iter().map(|id| &id.repository), &snapshot, progress)?;
    let signers = signer_changes(&changes, &stored)?;
    let deadline = Instant::now() + ALL_PATIENCE;
    let reviewed = changes.into_iter().zip(&stored).map(|(change, sides)| {
        let mut reviewed = ReviewedChange::of(change);
        reviewed.add_flags(&reader)?;
        reviewed.add_stored(sides, &git, &trees, deadline)?;
        Ok(reviewed)
    });
    Ok(Review {
        between,
        changes: reviewed.collect::<Result<_>>()?,
        signers,
        mirror: Some(ReviewedMirror { commit: source.commit, refreshed: snapshot.refreshed() }),
    })
}

/// Finds both sides of each change in the mirror or its history, and builds trees of them.
fn stored_sides(
    project: &Project,
    changes: &[LockChange],
    git: &ProjectGit,
    scratch: &mut ScratchObjects,
) -> Result<Vec<Sides>> {
    let wanted: Vec<&Locked> = changes.iter().flat_map(sides).filter(|locked| line(locked).is_some()).collect();
    let lines: Vec<_> = wanted.iter().filter_map(|locked| line(locked)).collect();
    let has = |index: usize, manifest: &Manifest| holds(manifest, wanted[index]);
    let mut found = project.repository.find_in_history(&project.branch, &lines, has)?.into_iter();
    let mut all = Vec::new();
    for change in changes {
        let mut find = |locked: Option<&Locked>| -> Result<Option<(Snapshot, ObjectId)>> {
            let Some(locked) = locked.filter(|locked| line(locked).is_some()) else { return Ok(None) };
            let Some(snapshot) = found.next().flatten() else { return Ok(None) };
            let tree = make_side(git, scratch, &snapshot, locked)?.tree;
            Ok(Some((snapshot, tree)))
        };
        let found = [find(change.before())?, find(change.after())?];
        let trees = match (change.before().is_some(), change.after().is_some(), &found) {
            (true, true, [Some((_, before)), Some((_, after))]) => Some([*before, *after]),
            (true, false, [Some((_, before)), None]) => Some([*before, ObjectId::empty_tree(before.kind())]),
            (false, true, [None, Some((_, after))]) => Some([ObjectId::empty_tree(after.kind()), *after]),
            _ => None,
        };
        let snapshots = found.map(|side| side.map(|(snapshot, _)| snapshot));
        all.push(Sides { snapshots, trees });
    }
    Ok(all)
}

/// Returns the repositories that another key signs since the old releases were stored.
fn signer_changes(changes: &[LockChange], stored: &[Sides]) -> Result<Vec<SignerChange>> {
    let mut signers = Vec::new();
    for (change, sides) in changes.iter().zip(stored) {
        let (Some(id), [Some(before), Some(after)]) = (change.after().and_then(release), &sides.snapshots) else {
            continue;
        };
        let signer = |snapshot: &Snapshot| -> Result<Option<Fingerprint>> {
            Ok(snapshot.part(ManifestPart::Signers)?.signers.get(&id.repository).copied())
        };
        if let (Some(before), Some(after)) = (signer(before)?, signer(after)?)
            && before != after
        {
            signers.push(SignerChange { repository: id.repository.clone(), before, after });
        }
    }
    signers.sort_by(|one, other| one.repository.cmp(&other.repository));
    signers.dedup();
    Ok(signers)
}

fn release(locked: &Locked) -> Option<&ReleaseId> {
    if let Locked::Release(pin) = locked { Some(&pin.id) } else { None }
}

impl Review {
    /// Returns what follows from the locks alone.
    fn of_locks(between: ComparedStates, changes: Vec<LockChange>) -> Self {
        let changes = changes.into_iter().map(ReviewedChange::of).collect();
        Self { between, changes, signers: Vec::new(), mirror: None }
    }
}

impl ReviewedChange {
    fn of(change: LockChange) -> Self {
        Self {
            change,
            code: None,
            changelog: None,
            licenses: [None, None],
            fixed: Vec::new(),
            brought: Vec::new(),
            retired: None,
            still: ReleaseFlags::default(),
            is_older: false,
            is_cut: false,
            is_lacking: false,
        }
    }

    /// Adds what the registry entries say against the releases.
    fn add_flags(&mut self, reader: &ReleaseReader<'_>) -> Result<()> {
        let flags = |locked: Option<&Locked>| -> Result<ReleaseFlags> {
            let Some(id) = locked.and_then(release) else { return Ok(ReleaseFlags::default()) };
            Ok(reader.entry(&id.entry())?.map(|entry| ReleaseFlags::of(&entry, &id.version)).unwrap_or_default())
        };
        let (before, after) = (flags(self.change.before())?, flags(self.change.after())?);
        self.fixed = before.clone().beyond(&after).advisories;
        self.still = after.clone().within(&before);
        let ReleaseFlags { retired, advisories } = after.beyond(&before);
        (self.retired, self.brought) = (retired, advisories);
        Ok(())
    }

    /// Adds what the stored sides show.
    fn add_stored(
        &mut self,
        stored: &Sides,
        git: &ProjectGit,
        repository: &DiffRepository,
        deadline: Instant,
    ) -> Result<()> {
        let both = [self.change.before(), self.change.after()];
        for (index, locked) in both.into_iter().enumerate() {
            if let (Some(id), Some(snapshot)) = (locked.and_then(release), &stored.snapshots[index]) {
                self.licenses[index] = licenses(snapshot, id)?;
            }
        }
        if let ([Some(Locked::Revision(old)), Some(Locked::Revision(new))], [Some(snapshot), _]) =
            (both, &stored.snapshots)
            && old.url.address() == new.url.address()
            && old.revision != new.revision
            && let Some(checkout) = snapshot.checkout(old.url.address())?
        {
            self.is_older = checkout.is_ancestor(new.revision, old.revision)?;
        }
        let Some(trees) = stored.trees else {
            self.is_lacking = both.into_iter().flatten().all(|locked| line(locked).is_some());
            return Ok(());
        };
        let [before, after] = trees.map(|tree| tree.to_string());
        let between = [&*before, &*after];
        let deadline = deadline.min(Instant::now() + PATIENCE);
        let left = || deadline.saturating_duration_since(Instant::now());
        let Some(files) = git.numstat(repository.git_dir(), between, left())? else {
            self.is_cut = true;
            return Ok(());
        };
        let mut code = CodeChange::of(&files);
        let native = git.changed_with(repository.git_dir(), between, LOADS_NATIVE_CODE, left())?;
        self.is_cut = native.is_none();
        code.loads_native_code = native.unwrap_or_default();
        self.code = Some(code);
        if let (Some(Locked::Release(old)), Some(Locked::Release(new))) = (self.change.before(), self.change.after())
            && let Some(file) = files.iter().find(|file| file.lines.is_some() && is_changelog(&file.path))
        {
            let read = git.files(repository.git_dir(), &[format!("{after}:{}", file.path)])?;
            let text = read.into_iter().flatten().next().filter(|text| text.len() <= MAX_CHANGELOG);
            let text = text.map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
            self.changelog = changelog_between(&text, &old.id.version, &new.id.version);
        }
        Ok(())
    }
}

impl CodeChange {
    fn of(files: &[FileChange]) -> Self {
        let lines = files.iter().filter_map(|file| file.lines);
        // What is gone can neither run nor hide anything. A build script that is gone may have been one that others need.
        let is_dead = |role: &FileRole, file: &FileChange| {
            file.kind == FileChangeKind::Removed && matches!(role, FileRole::Binary | FileRole::Executable)
        };
        let role = |file: &FileChange| {
            let role = FileRole::of(&file.path, file.lines.is_none(), file.is_executable);
            role.filter(|role| !is_dead(role, file))
        };
        Self {
            files: files.len(),
            added: lines.clone().map(|(added, _)| added).sum(),
            removed: lines.map(|(_, removed)| removed).sum(),
            notable: files.iter().filter_map(|file| Some((role(file)?, file.kind, file.path.clone()))).collect(),
            loads_native_code: Vec::new(),
        }
    }
}
