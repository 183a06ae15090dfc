//! What checks of the mirror find, and how they run.

use std::error::Error;

use super::parallel::{cores, in_parallel_with};
use super::{OpError, Result};
use crate::git::GitError;
use crate::model::local_cause;
use crate::store::{Damage, Snapshot};

/// Why a stored file is refused, although its content is the one that its checksum names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unvouched {
    /// npm's keys did not make the signature that a lock has.
    Npm,
    /// No known key signed a list of installers.
    List,
    /// No signed list has the checksum of an installer.
    Installer,
    /// No stored package lists the checksum of a precompiled file.
    Unlisted,
}

impl Unvouched {
    /// Returns whether a signature or a checksum contradicts the file, and not only nothing confirms it.
    pub(super) fn is_foreign(self) -> bool {
        self != Self::Unlisted
    }
}

/// Checks every item on all cores.
///
/// # Errors
/// Fails if a local problem prevents the check, because the result would then be unknown.
pub(super) fn check_all<T: Sync, D: Send>(
    snapshot: &Snapshot,
    items: &[T],
    check: impl Fn(&Snapshot, &T) -> Result<Vec<D>> + Sync,
) -> Result<Vec<D>> {
    let found = in_parallel_with(cores(), items, || snapshot.clone(), check);
    Ok(found.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Returns the damage that an error describes.
///
/// # Errors
/// Fails if a local problem caused the error, because it is then unknown whether anything is damaged.
pub(super) fn damages_of(path: &str, error: &(dyn Error + 'static)) -> Result<Vec<Damage>> {
    let damage = damage(path, error);
    let of_git = error.downcast_ref::<GitError>().is_some_and(GitError::is_local);
    if of_git || local_cause(error).is_some() {
        return Err(OpError::machine("check", path)(std::io::Error::other(damage.problem)));
    }
    Ok(vec![damage])
}

/// Describes an error with its causes in one line.
pub(super) fn damage(path: &str, error: &dyn Error) -> Damage {
    let (mut problem, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        problem += &format!(": {error}");
        cause = error.source();
    }
    Damage { path: path.to_owned(), problem }
}
