//! Makes the mirror branch, or adopts the one that a remote has.

use super::{Project, Result};
use crate::store::{Draft, Lock, ObjectId, Snapshot, StoreError};

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
        remote: String,
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
/// # Errors
/// Fails where the branch exists and is not a mirror, or nothing can be written.
pub fn init(project: &Project) -> Result<Initialised> {
    if let Some(snapshot) = project.snapshot()? {
        return Ok(Initialised::Present { commit: snapshot.commit() });
    }
    let _lock = Lock::acquire(&project.repository, || {})?;
    match adopt(project)? {
        Some((remote, snapshot)) => Ok(Initialised::Adopted { remote, commit: snapshot.commit() }),
        None => {
            let draft = Draft::begin(&project.repository, &project.branch, None)?;
            let published = draft.publish("Begin the mirror\n")?;
            Ok(Initialised::Made { commit: published.commit })
        }
    }
}

/// Returns what the mirror holds. In a fresh clone, which has the branch of its remote only, the local one is made first.
///
/// # Errors
/// Fails where there is no mirror, or it cannot be read.
pub fn mirror(project: &Project) -> Result<Snapshot> {
    if let Some(snapshot) = project.snapshot()? {
        return Ok(snapshot);
    }
    let adopted = adopt(project)?.map(|(_, snapshot)| snapshot);
    Ok(adopted.ok_or_else(|| StoreError::NoMirror { branch: project.branch.to_string() })?)
}

/// Makes the local branch from the first remote that has one, where there is none. Returns the remote.
pub(super) fn adopt(project: &Project) -> Result<Option<(String, Snapshot)>> {
    let Some((remote, tip)) = project.repository.remote_tips(&project.branch)?.into_iter().next() else {
        return Ok(None);
    };
    let snapshot = Snapshot::at(&project.repository, &project.branch, tip)?;
    project.repository.create(&project.branch, tip, &format!("adopted from {remote}"))?;
    Ok(Some((remote, snapshot)))
}
