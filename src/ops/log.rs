//! The mirror's history as a changelog: what each commit added, updated and removed, and the commit of the project that it was
//! made for.

use std::collections::{BTreeSet, HashSet};

use super::project::revisions::ProjectState;
use super::{ComparedStates, MirrorSource, Project, Result, mirror};
use crate::model::{Day, ManifestPart, PackageName};
use crate::plan::{MirrorChange, MirrorChanges, Selection};
use crate::store::{Branch, CommitSummary, ObjectId, REPLACES};

/// The trailer with the commit of the project that was checked out during an update.
pub(in crate::ops) const PROJECT_COMMIT: &str = "Project-Commit: ";
/// How many commits of the project are read to find the nearest ones by date.
const MAX_SEARCHED: usize = 100_000;

/// What the log shows.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// The packages and git repositories, or none for all.
    pub packages: Vec<String>,
    /// The maximum number of commits.
    pub limit: Option<usize>,
    /// The commits of the project or of the mirror branch.
    pub between: Option<ComparedStates>,
    /// The number of the newest commits that are passed over.
    pub skip: usize,
    /// The maximum number of commits to read, shown or not.
    pub max_read: Option<usize>,
}

/// The log of a mirror.
#[derive(Debug, Clone)]
pub struct MirrorLog {
    /// The mirror.
    pub source: MirrorSource,
    /// The commits, newest first.
    pub commits: Vec<LoggedCommit>,
    /// Whether older commits are missing from this clone, so that the changes of the oldest one are not known.
    pub is_cut: bool,
    /// Whether there are commits that were not read.
    pub is_partial: bool,
}

/// A commit of the mirror branch.
#[derive(Debug, Clone)]
pub struct LoggedCommit {
    /// The commit.
    pub commit: CommitSummary,
    /// The changes since its first parent; `None` if this clone does not have the parent.
    pub changes: Option<MirrorChanges>,
    /// Whether the commit stands for an older history that `compact` removed, so that the changes are the whole content.
    pub is_compacted: bool,
    /// The commit of the project, if there is any.
    pub project: Option<ProjectCommit>,
}

/// The commit of the project that a commit of the mirror was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectCommit {
    /// Its id.
    pub id: ObjectId,
    /// The commit, if this clone has it.
    pub known: Option<CommitSummary>,
    /// Whether the mirror recorded it. Otherwise, it is the newest commit of `HEAD` that is not younger than the mirror's.
    pub is_recorded: bool,
}

/// Returns the log of the mirror that is read. Follows only first parents, so that a merge shows what it brought in.
///
/// # Errors
/// Fails if there is no mirror, or a commit of it cannot be read.
pub fn log(project: &Project, options: &LogOptions) -> Result<MirrorLog> {
    let (source, _) = mirror(project)?;
    log_from(project, source, options)
}

/// Returns the log of a mirror, as [`log`] does.
pub(in crate::ops) fn log_from(project: &Project, source: MirrorSource, options: &LogOptions) -> Result<MirrorLog> {
    let branch = match &source.remote {
        Some(remote) => project.repository.tracking_branch(remote, &project.branch)?,
        None => project.branch.clone(),
    };
    let mut reader = Reader::new(project, branch, options)?;
    let line = project.repository.first_parents(source.commit)?;
    let max_read = options.max_read.unwrap_or(usize::MAX);
    let limit = options.limit.unwrap_or(usize::MAX);
    let (mut commits, mut is_cut) = (Vec::new(), false);
    for (index, commit) in line.iter().enumerate().skip(options.skip).take(max_read) {
        if commits.len() >= limit {
            break;
        }
        let parent = line.get(index + 1).copied();
        let cut = parent.is_none() && project.repository.is_cut(*commit)?;
        commits.extend(reader.read(*commit, parent, cut)?);
        is_cut |= cut;
    }
    Ok(MirrorLog { source, commits, is_cut, is_partial: line.len() > max_read })
}

/// Reads the commits of a mirror, newest first.
struct Reader<'a> {
    project: &'a Project,
    branch: Branch,
    packages: &'a [String],
    parts: Option<BTreeSet<ManifestPart>>,
    range: Option<HashSet<ObjectId>>,
    nearest: Nearest<'a>,
}

impl<'a> Reader<'a> {
    fn new(project: &'a Project, branch: Branch, options: &'a LogOptions) -> Result<Self> {
        let range = match options.between.as_ref().map(|between| (&between.before, &between.after)) {
            Some((ProjectState::Commit { id: from, .. }, ProjectState::Commit { id: to, .. })) => {
                Some(project.repository.commits_between(*from, *to)?)
            }
            _ => None,
        };
        let packages = &options.packages[..];
        let parts = (!packages.is_empty()).then(|| parts_of(packages));
        Ok(Self { project, branch, packages, parts, range, nearest: Nearest::new(project)? })
    }

    /// Reads a commit; `None` if it is outside of the range or changed none of the packages.
    fn read(&mut self, id: ObjectId, parent: Option<ObjectId>, is_cut: bool) -> Result<Option<LoggedCommit>> {
        let repository = &self.project.repository;
        let message = repository.message(id)?;
        let seconds = repository.commit_seconds(id)?;
        let subject = message.lines().next().unwrap_or_default().to_owned();
        let commit = CommitSummary { id, seconds, day: Day::of_seconds(seconds), subject };
        let project = match recorded(&message) {
            Some(id) => Some(ProjectCommit { id, known: repository.commit_summary(id), is_recorded: true }),
            None => self.nearest.at(seconds),
        };
        let is_named = |range: &HashSet<ObjectId>| {
            range.contains(&id) || project.as_ref().is_some_and(|project| range.contains(&project.id))
        };
        if self.range.as_ref().is_some_and(|range| !is_named(range)) {
            return Ok(None);
        }
        let changes = if is_cut { None } else { Some(self.changes(id, parent)?) };
        if !self.packages.is_empty() && changes.as_ref().is_none_or(MirrorChanges::is_empty) {
            return Ok(None);
        }
        let is_compacted = parent.is_none() && message.lines().any(|line| line.starts_with(REPLACES));
        Ok(Some(LoggedCommit { commit, changes, is_compacted, project }))
    }

    fn changes(&self, commit: ObjectId, parent: Option<ObjectId>) -> Result<MirrorChanges> {
        let repository = &self.project.repository;
        let [before, after] = repository.differing_manifests(&self.branch, commit, parent, self.parts.as_ref())?;
        let mut changes = MirrorChanges::between(&before, &after);
        if !self.packages.is_empty() {
            let selection = Selection(self.packages);
            changes.contents.retain(|change| match change {
                MirrorChange::Release { package, .. } => selection.has_package(package),
                MirrorChange::Revision { address, .. } | MirrorChange::Ref { address, .. } => {
                    selection.has_repository(address)
                }
                MirrorChange::Policy { .. } | MirrorChange::Index { .. } => false,
            });
            changes.entries.retain(|id| selection.has_package(id));
        }
        Ok(changes)
    }
}

/// Returns the parts of a manifest with the lines about some packages and git repositories.
fn parts_of(names: &[String]) -> BTreeSet<ManifestPart> {
    let package = |name: &String| name.rsplit('/').next()?.parse::<PackageName>().ok();
    names.iter().filter_map(package).map(|name| ManifestPart::of(&name)).chain([ManifestPart::Git]).collect()
}

/// Returns the commit of the project that a message records. The last trailer counts, because a message begins with names from
/// locks.
fn recorded(message: &str) -> Option<ObjectId> {
    let line = message.lines().rev().find_map(|line| line.strip_prefix(PROJECT_COMMIT))?;
    ObjectId::from_hex(line.trim().as_bytes()).ok()
}

/// Finds the commits of the project that are nearest by date, for ever older times.
struct Nearest<'a> {
    project: &'a Project,
    commits: Box<dyn Iterator<Item = ObjectId> + 'a>,
    current: Option<ObjectId>,
}

impl<'a> Nearest<'a> {
    fn new(project: &'a Project) -> Result<Self> {
        let commits: Box<dyn Iterator<Item = ObjectId>> = match project.repository.head()? {
            Some(head) => Box::new(project.repository.newest_first(vec![head])?.take(MAX_SEARCHED)),
            None => Box::new(std::iter::empty()),
        };
        Ok(Self { project, commits, current: None })
    }

    /// Returns the newest commit that is not younger than this time.
    fn at(&mut self, seconds: i64) -> Option<ProjectCommit> {
        let is_older =
            |id: &ObjectId| self.project.repository.commit_seconds(*id).is_ok_and(|committed| committed <= seconds);
        if !self.current.as_ref().is_some_and(is_older) {
            self.current = self.commits.find(is_older);
        }
        let id = self.current?;
        Some(ProjectCommit { id, known: self.project.repository.commit_summary(id), is_recorded: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_trailer_names_the_projects_commit() {
        let (one, other) = ("1".repeat(40), "2".repeat(40));
        let message = format!("Add\n\n{PROJECT_COMMIT}{one}\n\nLock: x\n{PROJECT_COMMIT}{other}\n");
        assert_eq!(recorded(&message), ObjectId::from_hex(other.as_bytes()).ok());
        for none in ["Prune 1 package\n", "Add\n\nProject-Commit: x\n", ""] {
            assert_eq!(recorded(none), None, "{none}");
        }
    }
}
