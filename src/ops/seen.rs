//! What clients of a running server see of git repositories, as the branch moves and the locks change.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::leading::{OwnCache, leading_locks, led, remotes};
use super::serving::{id_of, unavailable};
use super::{LockFile, OpError, Project};
use crate::model::{GitAddress, Remotes};
use crate::plan::Led;
use crate::serve::{ContentsError, Tip};
use crate::store::{Checkout, Snapshot, StoreError, TipReader, View};

/// What git clients see, by the project's locks.
pub(super) struct Seen {
    project: Mutex<Project>,
    known: Mutex<Option<Known>>,
    own_cache: OwnCache,
}

/// What git clients may see.
#[derive(Clone)]
pub(super) enum Shown {
    /// Everything but the project's remotes: there is no lock, and clients that name this server are led by nobody.
    All(Arc<Remotes>),
    /// What the locks in force pin.
    Led(Arc<Led>),
}

/// What git clients may see at a tip, by some locks.
struct Known {
    tip: Tip,
    locks: Option<Vec<LockFile>>,
    shown: Shown,
    checked: Instant,
}

impl Seen {
    /// Begins with a project whose mirror branch need not exist yet.
    pub fn new(project: &Project) -> Self {
        Self { project: Mutex::new(project.clone()), known: Mutex::new(None), own_cache: OwnCache::default() }
    }

    /// Returns what git clients may see at a tip by the locks as they were at most `age` ago. While they cannot be read, those
    /// that were read last count.
    pub fn at(&self, tip: &Tip, branch: &TipReader, age: Duration) -> Result<Shown, ContentsError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| known.tip == *tip && known.checked.elapsed() < age) {
            return Ok(known.shown.clone());
        }
        let project = self.project.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = leading_locks(&project).and_then(|locks| {
            if let Some(known) = known.as_ref().filter(|known| known.tip == *tip && known.locks == locks) {
                return Ok((known.shown.clone(), locks));
            }
            let snapshot = branch.snapshot(id_of(tip)?)?;
            let checkout = |address: &GitAddress| self.own_cache.checkout(&snapshot, address);
            let shown = match &locks {
                None => Shown::All(Arc::new(remotes(&project.repository))),
                Some(locks) => Shown::Led(Arc::new(led(&project, &snapshot, locks, checkout)?)),
            };
            Ok((shown, locks))
        });
        match (shown, known.as_ref().filter(|known| known.tip == *tip)) {
            (Ok((shown, locks)), _) => {
                *known = Some(Known { tip: tip.clone(), locks, shown: shown.clone(), checked: Instant::now() });
                Ok(shown)
            }
            (Err(_), Some(known)) => Ok(known.shown.clone()),
            (Err(OpError::Store(error)), None) => Err(unavailable(error)),
            (Err(error), None) => Err(ContentsError::Locks { source: error.into() }),
        }
    }

    /// Writes out a git repository with the references that clients may see; all that it has, if there are no `files`.
    pub fn view(
        &self,
        snapshot: &Snapshot,
        address: &GitAddress,
        files: Option<&[(&'static str, String)]>,
    ) -> Result<Option<View>, StoreError> {
        let checkout = || self.own_cache.checkout(snapshot, address);
        let (Some(found), Some(files)) = (checkout()?, files) else { return Ok(checkout()?.map(Checkout::as_stored)) };
        match snapshot.view(found, files, None) {
            Err(error) if error.is_unwritable() => {
                let again = checkout()?;
                again.map(|found| snapshot.view(found, files, Some(self.own_cache.folder()?))).transpose()
            }
            view => view.map(Some),
        }
    }
}
