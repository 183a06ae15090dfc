//! Imports the pinned revisions of git repositories that were found in folders.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::ImportError;
use crate::git::{GitError, LocalSource};
use crate::model::{Manifest, Revision};
use crate::ops::update::fetching::StoredRepository;
use crate::ops::update::git_fetcher::{FetchedRepository, GitFetcher, fetching_git};
use crate::ops::update::leftovers::import_dir;
use crate::ops::{OpError, Project, Result};
use crate::plan::{GitPin, GitPlan};
use crate::progress::{Event, Progress};
use crate::store::{Repository, Snapshot, Transaction};

/// The folder for the packs of an import. It is removed on drop, after the packs were stored or given up.
pub(super) struct Workspace(PathBuf);

impl Workspace {
    /// Creates the folder. The caller holds the lock of the mirror.
    ///
    /// # Errors
    /// Fails if the folder cannot be written.
    pub fn make(repository: &Repository) -> Result<Self> {
        repository.make_own_dir()?;
        let folder = import_dir(repository);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(OpError::machine("remove", &folder))?;
        }
        fs::create_dir_all(&folder).map_err(OpError::machine("create", &folder))?;
        Ok(Self(folder))
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What was done with the git repositories.
#[derive(Debug, Default)]
pub(super) struct ImportedGit {
    /// The repositories that were added to the transaction.
    pub stored: Vec<StoredRepository>,
    /// The number of pinned revisions that were found and that the mirror had already.
    pub present: usize,
}

/// Adds the pinned revisions that the repositories have to a transaction, with their ancestry and their submodules, as an
/// update would. Which repository has a revision does not matter, because its id is a checksum of all its content.
///
/// # Errors
/// Fails if a repository is damaged or cannot be read.
pub(super) fn store(
    project: &Project,
    base: Option<&Snapshot>,
    (pins, repositories): (&[GitPin], &[PathBuf]),
    workspace: &Workspace,
    transaction: &mut Transaction<'_>,
    progress: &Arc<dyn Progress>,
) -> Result<ImportedGit> {
    if pins.is_empty() || repositories.is_empty() {
        return Ok(ImportedGit::default());
    }
    let git = fetching_git(project, false)?;
    let source = LocalSource::make(&git, &workspace.0.join("source"), repositories).map_err(damaged)?;
    let available = source.available(&git, &wanted(pins)).map_err(damaged)?;
    let manifest = base.map(Snapshot::manifest).transpose()?.cloned().unwrap_or_default();
    let present = pins.iter().filter(|pin| is_stored(pin, &manifest));
    let present = present.filter(|pin| available.contains(&pin.revision)).count();
    let pins: Vec<GitPin> =
        pins.iter().filter(|pin| available.contains(&pin.revision) || is_stored(pin, &manifest)).cloned().collect();
    let plan = GitPlan::new(&pins, &manifest);
    if plan.is_empty() {
        return Ok(ImportedGit { stored: Vec::new(), present });
    }
    let fetcher = GitFetcher::new(&workspace.0, project, base, None, false, Arc::clone(progress))?;
    let delivered = Mutex::new(Vec::new());
    fetcher.fetching_from(source.folder()).fetch_all(plan, base, |fetched| {
        delivered.lock().unwrap_or_else(PoisonError::into_inner).push(fetched);
    });
    let delivered = delivered.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (mut stored, mut errors) = (Vec::new(), Vec::new());
    for fetched in delivered {
        match fetched {
            Ok(FetchedRepository { address, stored: record, files, added, .. }) => {
                transaction.put_git(address.clone(), record, files)?;
                stored.push(StoredRepository { address, added });
            }
            // Its dependent is imported without it.
            Err(OpError::Git(GitError::NoRevision { url, revision, .. })) => {
                let message = format!("no folder has the submodule {url} at {}", revision.short());
                progress.report(Event::Warning { message });
            }
            Err(OpError::Git(error)) => errors.push(damaged(error)),
            Err(error) => errors.push(error),
        }
    }
    stored.sort_by(|a, b| a.address.cmp(&b.address));
    OpError::several(errors).map_or(Ok(ImportedGit { stored, present }), Err)
}

/// Returns the greatest depth at which each revision is wanted.
fn wanted(pins: &[GitPin]) -> BTreeMap<Revision, Option<NonZeroU32>> {
    let mut wanted: BTreeMap<Revision, Option<NonZeroU32>> = BTreeMap::new();
    for pin in pins {
        let depth = wanted.entry(pin.revision).or_insert(pin.depth);
        *depth = depth.zip(pin.depth).map(|(one, other)| one.max(other));
    }
    wanted
}

fn is_stored(pin: &GitPin, manifest: &Manifest) -> bool {
    let stored = manifest.git.get(pin.url.address());
    stored.is_some_and(|stored| stored.revisions.contains_key(&pin.revision))
}

/// An error of reading from a folder, unless this machine is to blame, is a fault of the folder, not of a server.
fn damaged(source: GitError) -> OpError {
    if source.is_local() { source.into() } else { ImportError::Git { source }.into() }
}
