//! Determines what clients of a running server see of git repositories while the branch moves and the locks change.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::redirected::{OwnCache, pinned_repositories, redirecting_locks, remotes};
use crate::model::{FileId, FilePath, GitAddress, Remotes, ToolsPair};
use crate::ops::{LockFile, OpError, Project};
use crate::plan::PinnedRepositories;
use crate::serve::{ContentsError, Tip};
use crate::store::{ObjectId, Snapshot, StoreError, TipReader, View};

/// What git clients see, according to the project's locks.
pub(in crate::ops) struct VisibleRepositories {
    project: Mutex<Project>,
    known: Mutex<Option<Known>>,
    own_cache: OwnCache,
}

/// The repositories and revisions that git clients may see.
#[derive(Clone)]
pub(in crate::ops) enum Visible {
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
    visible: Visible,
    checked: Instant,
}

impl VisibleRepositories {
    /// Starts with a project whose mirror branch may not exist yet.
    pub fn new(project: &Project) -> Self {
        Self { project: Mutex::new(project.clone()), known: Mutex::new(None), own_cache: OwnCache::default() }
    }

    /// Returns what git clients may see at a tip, according to the locks as they were at most `age` ago. While the
    /// locks cannot be read, the last successfully read locks count.
    pub fn at(&self, tip: &Tip, branch: &TipReader, age: Duration) -> Result<Visible, ContentsError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| known.tip == *tip && known.checked.elapsed() < age) {
            return Ok(known.visible.clone());
        }
        let project = self.project.lock().unwrap_or_else(PoisonError::into_inner);
        let visible = redirecting_locks(&project).and_then(|locks| {
            if let Some(known) = known.as_ref().filter(|known| known.tip == *tip && known.locks == locks) {
                return Ok((known.visible.clone(), locks));
            }
            let snapshot = branch.snapshot(id_of(tip)?)?;
            let checkout = |address: &GitAddress| self.own_cache.checkout(&snapshot, address);
            let visible = match &locks {
                None => Visible::All(Arc::new(remotes(&project))),
                Some(locks) => Visible::Pinned(Arc::new(pinned_repositories(&project, &snapshot, locks, checkout)?)),
            };
            Ok((visible, locks))
        });
        match (visible, known.as_ref().filter(|known| known.tip == *tip)) {
            (Ok((visible, locks)), _) => {
                *known = Some(Known { tip: tip.clone(), locks, visible: visible.clone(), checked: Instant::now() });
                Ok(visible)
            }
            (Err(_), Some(known)) => Ok(known.visible.clone()),
            (Err(OpError::Store(error)), None) => Err(unavailable(error)),
            (Err(error), None) => Err(ContentsError::Locks { source: error.into() }),
        }
    }

    /// Returns the content that the project's locks pin for a path.
    pub fn pinned_file(&self, path: &FilePath) -> Option<FileId> {
        let project = self.project.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = project.wanted(&redirecting_locks(&project).ok()??).ok()?;
        wanted.all_files().map(|pin| &pin.id).find(|id| id.path == *path).cloned()
    }

    /// Returns the versions of Elixir whose Hex and rebar3 the project's locks pin. None if they cannot be read.
    pub fn tools(&self) -> BTreeSet<ToolsPair> {
        let project = self.project.lock().unwrap_or_else(PoisonError::into_inner);
        let locks = redirecting_locks(&project).ok().flatten();
        let wanted = locks.and_then(|locks| project.wanted(&locks).ok());
        wanted.map(|wanted| wanted.tools.clone()).unwrap_or_default()
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

/// Returns the commit of a tip.
pub(in crate::ops) fn id_of(tip: &Tip) -> Result<ObjectId, StoreError> {
    ObjectId::from_hex(tip.0.as_bytes()).map_err(StoreError::damaged(format!("commit {tip}")))
}

/// Reports that the branch cannot be read.
pub(in crate::ops) fn unavailable(error: StoreError) -> ContentsError {
    ContentsError::Unavailable { source: error.into() }
}
