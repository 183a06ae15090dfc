//! Which mirror is read, and its status: the local branch, or a remote's as last fetched. [`mirror_to_read`] decides.

use super::project::{LockFile, Project};
use super::status::{self, Status};
use super::sync::history::covers;
use super::{OpError, Result};
use crate::model::Remote;
use crate::plan::{MirrorFacts, mirror_to_read};
use crate::store::{ObjectId, Snapshot, StoreError};

/// The mirror that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorSource {
    /// The remote whose mirror this is, as last fetched. `None` for the local branch.
    pub remote: Option<Remote>,
    /// The commit.
    pub commit: ObjectId,
}

/// Compares the locks in force with the mirror that is read. With `particulars`, does not use cached answers.
///
/// # Errors
/// Fails if there is no lock, a lock is invalid, or the mirror cannot be read.
pub fn status(project: &Project, particulars: bool) -> Result<Status> {
    compare(project, &project.locks()?, particulars)
}

/// Returns the same as [`status`], and counts the retired and vulnerable releases among the pinned ones if the mirror is
/// fresh.
///
/// # Errors
/// As for [`status`].
pub fn status_with_flags(project: &Project, particulars: bool) -> Result<Status> {
    let locks = project.locks()?;
    let mut status = compare(project, &locks, particulars)?;
    status::count_flagged(project, &mut status, &locks)?;
    Ok(status)
}

/// Compares locks from any source with the mirror that is read.
pub(super) fn compare(project: &Project, locks: &[LockFile], particulars: bool) -> Result<Status> {
    let mut candidates = Candidates { project, locks, particulars, known: Vec::new() };
    match choose(project, &mut candidates)? {
        None => status::compare_with(project, None, None, locks, particulars),
        Some(source) => candidates.status(&source),
    }
}

/// Returns which mirror is read, or `None` if there is none. Locks that do not exist or cannot be read need nothing. If
/// a mirror is damaged, it is the local one, so that its damage is reported.
///
/// # Errors
/// Fails if the branch cannot be read.
pub fn mirror_source(project: &Project) -> Result<Option<MirrorSource>> {
    let locks = project.present_locks().ok().filter(|locks| project.lock_summary(locks).is_ok()).unwrap_or_default();
    let mut candidates = Candidates { project, locks: &locks, particulars: false, known: Vec::new() };
    choose(project, &mut candidates).or_else(|error| match (&error, local_mirror(project)?) {
        (OpError::Store(StoreError::Damaged { .. }), Some(local)) => Ok(Some(local)),
        _ => Err(error),
    })
}

fn local_mirror(project: &Project) -> Result<Option<MirrorSource>> {
    Ok(project.repository.tip(&project.branch)?.map(|commit| MirrorSource { remote: None, commit }))
}

/// Returns the mirror that is read.
///
/// # Errors
/// Fails if there is no mirror, or it cannot be read.
pub fn mirror(project: &Project) -> Result<(MirrorSource, Snapshot)> {
    let source = mirror_source(project)?.ok_or_else(|| project.repository.no_mirror(&project.branch))?;
    let snapshot = project.snapshot_of(source.remote.as_ref(), source.commit)?;
    Ok((source, snapshot))
}

fn choose(project: &Project, candidates: &mut Candidates<'_>) -> Result<Option<MirrorSource>> {
    let repository = &project.repository;
    let local = local_mirror(project)?;
    let remotes = || {
        let mut tips = repository.remote_tips(&project.branch)?;
        let default = repository.default_remote();
        tips.sort_by_key(|(remote, _)| Some(remote) != default.as_ref());
        tips.retain(|(_, tip)| local.as_ref().is_none_or(|local| local.commit != *tip));
        Ok(tips.into_iter().map(|(remote, commit)| MirrorSource { remote: Some(remote), commit }).collect())
    };
    mirror_to_read(local.clone(), remotes, candidates)
}

/// The mirrors that this clone knows, and what was found out about them.
struct Candidates<'a> {
    project: &'a Project,
    locks: &'a [LockFile],
    particulars: bool,
    known: Vec<(MirrorSource, Status)>,
}

impl Candidates<'_> {
    fn status(&mut self, source: &MirrorSource) -> Result<Status> {
        if let Some((_, known)) = self.known.iter().find(|(known, _)| known == source) {
            return Ok(known.clone());
        }
        let status = status::compare_with(
            self.project,
            source.remote.as_ref(),
            Some(source.commit),
            self.locks,
            self.particulars,
        )?;
        self.known.push((source.clone(), status.clone()));
        Ok(status)
    }
}

impl MirrorFacts for Candidates<'_> {
    type Mirror = MirrorSource;
    type Error = OpError;

    fn is_fresh(&mut self, mirror: &MirrorSource) -> Result<bool> {
        // Without a lock, nothing is needed, and the mirror is not read.
        Ok(self.locks.is_empty() || self.status(mirror)?.summary.fresh)
    }

    fn is_newer(&mut self, mirror: &MirrorSource, than: &MirrorSource) -> Result<bool> {
        let (project, mirror, than) = (self.project, mirror.commit, than.commit);
        Ok(covers(project, mirror, than)?
            || !covers(project, than, mirror)?
                && project.repository.commit_seconds(mirror)? > project.repository.commit_seconds(than)?)
    }
}
