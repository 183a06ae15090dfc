//! Moves the mirror branch between this clone and a remote, with git.

use crate::git::{FetchOutcome, FetchTarget, Lease, ProjectGit, PushStatus};
use crate::model::Remote;
use crate::ops::{OpError, Project, Result};
use crate::store::{Incoming, ObjectId, RefMarker, Repository};

/// How to access a remote.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoteAccess<'a> {
    /// The remote's name or address. `None` for git's default remote.
    pub remote: Option<&'a Remote>,
    /// Whether git may ask for a password.
    pub may_ask: bool,
}

/// The mirror of a remote as last fetched.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct RemoteTip<'a> {
    /// The remote.
    pub remote: &'a Remote,
    /// The tip of its mirror branch.
    pub tip: ObjectId,
}

/// The mirror branch of a remote.
pub(in crate::ops) struct RemoteMirror<'a> {
    pub project: &'a Project,
    pub remote: Remote,
    git: ProjectGit,
}

impl<'a> RemoteMirror<'a> {
    /// Finds git and the remote. Does not contact the remote.
    ///
    /// # Errors
    /// Fails if no remote is given and there is no default one, or if git is not installed.
    pub fn of(project: &'a Project, access: RemoteAccess<'_>) -> Result<Self> {
        let remote = access.remote.cloned().or_else(|| project.repository.default_remote());
        Ok(Self { project, remote: remote.ok_or(OpError::NoRemote)?, git: project.git(access.may_ask)? })
    }

    /// Fetches the mirror and returns its tip, or `None` if the remote has none.
    ///
    /// # Errors
    /// Fails if the remote is unreachable or the repository cannot be written.
    pub fn fetch(&self) -> Result<Option<ObjectId>> {
        let Project { repository, branch, .. } = self.project;
        repository.forget_broken_remote(&self.remote, branch)?;
        let incoming = repository.begin_incoming()?;
        let target = target(repository, &incoming);
        let tip = match self.git.fetch(&self.remote, &branch.full_name(), &target).map_err(OpError::Remote)? {
            FetchOutcome::Fetched { commit } => {
                if repository.is_partial() {
                    self.git.complete(&self.remote, &commit, &target).map_err(OpError::Remote)?;
                }
                incoming.keep()?;
                // Git writes nothing else to that file.
                Some(ObjectId::from_hex(commit.as_bytes()).map_err(|_| repository.no_mirror(branch))?)
            }
            FetchOutcome::Absent => None,
        };
        repository.record_remote_tip(&self.remote, branch, tip, "pull")?;
        Ok(tip)
    }

    /// Pushes a commit to the mirror branch, and records that the remote has it. A marker protects the update of the
    /// remote-tracking branch by git, because git may be killed in the middle of it.
    ///
    /// # Errors
    /// Fails if the remote is unreachable or rejects the push.
    pub fn push(&self, commit: ObjectId, lease: Option<Lease<'_>>) -> Result<PushStatus> {
        let Project { repository, branch, .. } = self.project;
        let marker = RefMarker::for_git(repository, &repository.tracking_ref(&self.remote, branch), commit);
        let status = self.git.push(&self.remote, &commit.to_string(), &branch.full_name(), lease, marker.file());
        marker.clear_after_git(repository);
        let status = status.map_err(OpError::Remote)?;
        if status != PushStatus::Moved {
            repository.record_remote_tip(&self.remote, branch, Some(commit), "push")?;
        }
        Ok(status)
    }
}

/// Fetches objects of a remote's mirror that a partial clone lacks. Git fetches such objects on access, but other
/// readers do not.
pub(in crate::ops) fn complete(project: &Project, remote: &Remote, tip: ObjectId) -> Result<()> {
    let repository = &project.repository;
    if !repository.is_partial() {
        return Ok(());
    }
    let (git, incoming) = (project.git(false)?, repository.begin_incoming()?);
    git.complete(remote, &tip.to_string(), &target(repository, &incoming)).map_err(OpError::Remote)?;
    Ok(incoming.keep()?)
}

/// Returns where git writes objects that are moved into the repository later.
pub(in crate::ops) fn target<'a>(repository: &'a Repository, incoming: &'a Incoming) -> FetchTarget<'a> {
    let (objects, git_dir, alive) = (incoming.objects(), incoming.git_dir(), incoming.alive());
    FetchTarget { objects, git_dir, common_dir: repository.common_dir(), alive }
}
