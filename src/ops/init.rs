//! Creates the mirror branch, or adopts a remote's.

use super::sync::fast_forward;
use super::sync::remote_mirror::{RemoteAccess, RemoteMirror, RemoteTip, complete};
use super::{Project, Result};
use crate::model::Remote;
use crate::progress::{Event, Progress};
use crate::store::{Lock, ObjectId, Snapshot, Transaction};

/// The result of `init`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Initialised {
    /// The branch already existed.
    Present {
        /// Its tip.
        commit: ObjectId,
    },
    /// The local branch was created from a remote's branch.
    Adopted {
        /// The remote.
        remote: Remote,
        /// The branch's tip.
        commit: ObjectId,
    },
    /// An empty branch was created.
    Made {
        /// Its only commit.
        commit: ObjectId,
    },
}

/// Creates the mirror branch if it does not exist: from a remote's branch, otherwise empty. Running it again changes
/// nothing.
///
/// If no remote is known to have the branch, asks the default remote, because a single-branch clone does not know about
/// it. If that remote is unreachable, reports a warning and creates the branch. Git may ask for a password if
/// `may_ask`.
///
/// # Errors
/// Fails if the branch exists but is not a mirror, or if the repository cannot be written.
pub fn init(project: &Project, may_ask: bool, progress: &dyn Progress) -> Result<Initialised> {
    if let Some(snapshot) = project.snapshot()? {
        return Ok(Initialised::Present { commit: snapshot.commit() });
    }
    ask(project, may_ask, progress)?;
    let _lock = Lock::acquire(&project.repository, || {})?;
    match adopt(project, progress)? {
        Some((remote, snapshot)) => Ok(Initialised::Adopted { remote, commit: snapshot.commit() }),
        None => {
            let transaction = Transaction::begin(&project.repository, &project.branch, None)?;
            let published = transaction.publish("Create the mirror\n")?;
            Ok(Initialised::Made { commit: published.commit })
        }
    }
}

/// Returns whether the repository or one of its remotes, when last fetched, has a mirror branch, even a damaged one.
pub fn is_mirrored(project: &Project) -> bool {
    !matches!(project.repository.mirror_tip(&project.branch), Ok(None))
}

/// Returns the local mirror for modification. Creates it first in a fresh clone.
pub(super) fn own_mirror(project: &Project, progress: &dyn Progress) -> Result<Snapshot> {
    if let Some(snapshot) = project.snapshot()? {
        return Ok(snapshot);
    }
    let adopted = adopt(project, progress)?.map(|(_, snapshot)| snapshot);
    Ok(adopted.ok_or_else(|| project.repository.no_mirror(&project.branch))?)
}

/// Asks the default remote for its mirror, if neither a local nor a remote-tracking branch exists.
pub(super) fn ask(project: &Project, may_ask: bool, progress: &dyn Progress) -> Result<()> {
    if project.repository.mirror_tip(&project.branch)?.is_some() {
        return Ok(());
    }
    let Some(remote) = project.repository.default_remote() else { return Ok(()) };
    let access = RemoteAccess { remote: Some(&remote), may_ask };
    let asked = RemoteMirror::of(project, access).and_then(|mirror| mirror.fetch());
    if let Err(error) = asked {
        let message = format!(
            "cannot check whether {remote} has a mirror ({error}); if it has one, run `git hexmirror pull` later to merge it"
        );
        progress.report(Event::Warning { message });
    }
    Ok(())
}

/// Fetches objects of the remote's mirror that a partial clone lacks, so that the mirror can be adopted.
pub(super) fn complete_known(project: &Project) -> Result<()> {
    let (repository, branch) = (&project.repository, &project.branch);
    if !repository.is_partial() || repository.tip(branch)?.is_some() {
        return Ok(());
    }
    let known = repository.remote_tips(branch)?.into_iter().next();
    known.map_or(Ok(()), |(remote, tip)| complete(project, &remote, tip))
}

/// Creates the local branch from the first remote that has one, if it does not exist. Returns the remote.
///
/// # Errors
/// Fails if the remote's mirror is rejected by the checks that a pull makes.
pub(super) fn adopt(project: &Project, progress: &dyn Progress) -> Result<Option<(Remote, Snapshot)>> {
    let Some((remote, tip)) = project.repository.remote_tips(&project.branch)?.into_iter().next() else {
        return Ok(None);
    };
    complete(project, &remote, tip)?;
    fast_forward::adopt(project, RemoteTip { remote: &remote, tip }, progress)?;
    let snapshot = project.snapshot_of(None, tip)?;
    Ok(Some((remote, snapshot)))
}
