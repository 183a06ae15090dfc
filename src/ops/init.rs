//! Makes the mirror branch, or adopts the one that a remote has.

use super::integrate::whose;
use super::sync::{bring, complete};
use super::{Project, Result, merge};
use crate::model::Remote;
use crate::progress::{Event, Progress};
use crate::store::{Draft, Lock, ObjectId, Snapshot};

/// What `init` found or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Initialised {
    /// The branch was there.
    Present {
        /// Its tip.
        commit: ObjectId,
    },
    /// A remote had it, and the local branch now stands where the remote's does.
    Adopted {
        /// The remote.
        remote: Remote,
        /// The branch's tip.
        commit: ObjectId,
    },
    /// It was made, and holds nothing yet.
    Made {
        /// Its only commit.
        commit: ObjectId,
    },
}

/// Makes the mirror branch where there is none: from a remote's, else an empty one. Repeating it changes nothing.
///
/// Where no remote is known to have it, the default one is asked: a clone of a single branch knows nothing of it. One that
/// cannot be reached is reported, and the branch is made. Git may ask for a password if `may_ask`.
///
/// # Errors
/// Fails where the branch exists and is not a mirror, or nothing can be written.
pub fn init(project: &Project, may_ask: bool, progress: &dyn Progress) -> Result<Initialised> {
    if let Some(snapshot) = project.snapshot()? {
        return Ok(Initialised::Present { commit: snapshot.commit() });
    }
    ask(project, may_ask, progress)?;
    let _lock = Lock::acquire(&project.repository, || {})?;
    match adopt(project, progress)? {
        Some((remote, snapshot)) => Ok(Initialised::Adopted { remote, commit: snapshot.commit() }),
        None => {
            let draft = Draft::begin(&project.repository, &project.branch, None)?;
            let published = draft.publish("Begin the mirror\n")?;
            Ok(Initialised::Made { commit: published.commit })
        }
    }
}

/// Returns what the mirror holds, for reading. In a fresh clone, which has the branch of its remote only, that is what counts.
///
/// # Errors
/// Fails where there is no mirror, or it cannot be read.
pub fn mirror(project: &Project) -> Result<Snapshot> {
    Ok(project.readable()?.ok_or_else(|| project.repository.no_mirror(&project.branch))?)
}

/// Returns what the local mirror holds, for changing it. In a fresh clone it is made first.
pub(super) fn own_mirror(project: &Project, progress: &dyn Progress) -> Result<Snapshot> {
    if let Some(snapshot) = project.snapshot()? {
        return Ok(snapshot);
    }
    let adopted = adopt(project, progress)?.map(|(_, snapshot)| snapshot);
    Ok(adopted.ok_or_else(|| project.repository.no_mirror(&project.branch))?)
}

/// Asks the default remote for its mirror, where there is none here and none is known of.
pub(super) fn ask(project: &Project, may_ask: bool, progress: &dyn Progress) -> Result<()> {
    if project.repository.mirror_tip(&project.branch)?.is_some() {
        return Ok(());
    }
    let Some(remote) = project.repository.default_remote() else { return Ok(()) };
    let asked = project.git(may_ask).and_then(|git| bring(project, &git, &remote));
    if let Err(error) = asked {
        let message = format!(
            "whether {remote} has a mirror could not be found out ({error}); if it has, `git hexmirror pull` merges it"
        );
        progress.report(Event::Warning { message });
    }
    Ok(())
}

/// Fetches what a partial clone lacks of the remote's mirror that is to be adopted, so that it can be read.
pub(super) fn complete_known(project: &Project) -> Result<()> {
    let (repository, branch) = (&project.repository, &project.branch);
    if !repository.is_partial() || repository.tip(branch)?.is_some() {
        return Ok(());
    }
    let known = repository.remote_tips(branch)?.into_iter().next();
    known.map_or(Ok(()), |(remote, tip)| complete(project, &remote, tip))
}

/// Makes the local branch from the first remote that has one, where there is none. Returns the remote.
///
/// # Errors
/// Fails if what the remote has is refused, as by a pull.
pub(super) fn adopt(project: &Project, progress: &dyn Progress) -> Result<Option<(Remote, Snapshot)>> {
    let Some((remote, tip)) = project.repository.remote_tips(&project.branch)?.into_iter().next() else {
        return Ok(None);
    };
    complete(project, &remote, tip)?;
    let snapshot = project.snapshot_of(Some(&remote), tip)?;
    merge::check(project, None, &snapshot, &whose(&remote), progress)?;
    project.repository.create(&project.branch, tip, &format!("adopted from {remote}"))?;
    Ok(Some((remote, snapshot)))
}
