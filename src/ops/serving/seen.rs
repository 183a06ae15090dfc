//! Determines what clients of a running server see of git repositories while the branch moves and the locks change.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::leading::{OwnCache, leading_locks, pinned_repositories, remotes};
use super::{id_of, unavailable};
use crate::model::{GitAddress, Remotes};
use crate::ops::{LockFile, OpError, Project};
use crate::plan::PinnedRepositories;
use crate::serve::{ContentsError, Tip};
use crate::store::{Snapshot, StoreError, TipReader, View};

/// What git clients see, according to the project's locks.
pub(in crate::ops) struct Seen {
    project: Mutex<Project>,
    known: Mutex<Option<Known>>,
    own_cache: OwnCache,
}

/// The repositories and revisions that git clients may see.
#[derive(Clone)]
pub(in crate::ops) enum Shown {
    /// Everything except the project's remotes. There is no lock, so nothing is redirected, and clients only arrive if
    /// they use the server's address.
    All(Arc<Remotes>),
    /// Only what the current locks pin.
    Pinned(Arc<PinnedRepositories>),
}

/// What git clients may see at a tip, according to some locks.
struct Known {
    tip: Tip,
    locks: Option<Vec<LockFile>>,
    shown: Shown,
    checked: Instant,
}

impl Seen {
    /// Starts with a project whose mirror branch may not exist yet.
    pub fn new(project: &Project) -> Self {
        Self { project: Mutex::new(project.clone()), known: Mutex::new(None), own_cache: OwnCache::default() }
    }

    /// Returns what git clients may see at a tip, according to the locks as they were at most `age` ago. While the
    /// locks cannot be read, the last successfully read locks count.
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
                None => Shown::All(Arc::new(remotes(&project))),
                Some(locks) => Shown::Pinned(Arc::new(pinned_repositories(&project, &snapshot, locks, checkout)?)),
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

    /// Writes a git repository to disk with the refs that clients may see. Without `files`, this includes all stored
    /// revisions.
    pub fn view(
        &self,
        snapshot: &Snapshot,
        address: &GitAddress,
        files: Option<&[(&'static str, String)]>,
    ) -> Result<Option<View>, StoreError> {
        let checkout = || self.own_cache.checkout(snapshot, address);
        let Some(found) = checkout()? else { return Ok(None) };
        let Some(files) = files else { return Ok(Some(found.as_stored())) };
        match snapshot.view(found, files, None) {
            Err(error) if error.is_unwritable() => {
                let again = checkout()?;
                again.map(|found| snapshot.view(found, files, Some(self.own_cache.folder()?))).transpose()
            }
            view => view.map(Some),
        }
    }
}
