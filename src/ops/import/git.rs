//! Imports the pinned revisions of git repositories that were found in folders.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::ImportError;
use super::outcome::listed;
use crate::git::{Available, Git, GitError, LocalSource};
use crate::model::{GitAddress, Manifest, Revision};
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
    /// The pinned repositories and revisions that were found without their ancestry.
    pub cut_off: Vec<(GitAddress, Revision)>,
    /// The repositories that have nothing of what the locks pin.
    pub unused: Vec<PathBuf>,
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
        return Ok(ImportedGit { unused: repositories.to_vec(), ..ImportedGit::default() });
    }
    let git = fetching_git(project, false)?;
    let found = Found { git: &git, workspace, pins, repositories };
    let source = LocalSource::make(&git, &workspace.0.join("source"), repositories);
    let source = source.map_err(|error| found.damaged(error))?;
    let Available { complete: available, cut_off } =
        source.available(&git, &wanted(pins)).map_err(|error| found.damaged(error))?;
    let manifest = base.map(Snapshot::manifest).transpose()?.cloned().unwrap_or_default();
    let cut_off = pins.iter().filter(|pin| cut_off.contains(&pin.revision) && !is_stored(pin, &manifest));
    let cut_off: Vec<_> = cut_off.map(|pin| (pin.url.address().clone(), pin.revision)).collect();
    for (address, revision) in &cut_off {
        let holders = found.holders(&BTreeSet::from([*revision]));
        let message = format!(
            "left out {address} at {}: {} has it without its history; fetch that there with `git fetch --unshallow`",
            revision.short(),
            listed(&holders)
        );
        progress.report(Event::Warning { message });
    }
    let present = pins.iter().filter(|pin| is_stored(pin, &manifest));
    let present = present.filter(|pin| available.contains(&pin.revision)).count();
    let pins: Vec<GitPin> =
        pins.iter().filter(|pin| available.contains(&pin.revision) || is_stored(pin, &manifest)).cloned().collect();
    let plan = GitPlan::new(&pins, &manifest);
    if plan.is_empty() {
        let unused = found.unused(&manifest, &[]);
        return Ok(ImportedGit { stored: Vec::new(), present, cut_off, unused });
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
            Err(OpError::Git(error)) => errors.push(found.damaged(error)),
            Err(error) => errors.push(error),
        }
    }
    stored.sort_by(|a, b| a.address.cmp(&b.address));
    let unused = found.unused(&manifest, &stored);
    OpError::several(errors).map_or(Ok(ImportedGit { stored, present, cut_off, unused }), Err)
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

/// The repositories that were found, to say which one an error is about.
struct Found<'a> {
    git: &'a Git,
    workspace: &'a Workspace,
    pins: &'a [GitPin],
    repositories: &'a [PathBuf],
}

impl Found<'_> {
    /// An error of reading from a folder, unless this machine is to blame, is a fault of the folder. No server was asked,
    /// although git's error names the address that the lock has.
    fn damaged(&self, error: GitError) -> OpError {
        if error.is_local() {
            return error.into();
        }
        let (url, problem) = match error {
            GitError::Refused { url, message }
            | GitError::Unreachable { url, message }
            | GitError::NoRepository { url, message }
            | GitError::AccessRefused { url, message } => (Some(url), message),
            GitError::Incomplete { address, message } => (Some(address.to_string()), message),
            error => (None, error.to_string()),
        };
        let is_meant = |pin: &&GitPin| {
            url.as_ref().is_none_or(|url| pin.url.to_string() == *url || pin.url.address().to_string() == *url)
        };
        let folders = self.holders(&self.pins.iter().filter(is_meant).map(|pin| pin.revision).collect());
        ImportError::Git { folders: listed(&folders), problem }.into()
    }

    /// Returns the repositories that have some of the revisions, or all repositories if that cannot be found out.
    fn holders(&self, revisions: &BTreeSet<Revision>) -> Vec<PathBuf> {
        let has = |repository: &&PathBuf| self.has_one_of(repository, revisions) == Some(true);
        let holders: Vec<PathBuf> = self.repositories.iter().filter(has).cloned().collect();
        if holders.is_empty() { self.repositories.to_vec() } else { holders }
    }

    /// Returns the repositories that have none of the pinned revisions and of those that the mirror had or received, such as
    /// submodules.
    fn unused(&self, manifest: &Manifest, stored: &[StoredRepository]) -> Vec<PathBuf> {
        let known = manifest.git.values().flat_map(|stored| stored.revisions.keys().copied());
        let received = stored.iter().flat_map(|stored| stored.added.iter().map(|(revision, _)| *revision));
        let revisions = self.pins.iter().map(|pin| pin.revision).chain(known).chain(received).collect();
        let has_none = |repository: &&PathBuf| self.has_one_of(repository, &revisions) == Some(false);
        self.repositories.iter().filter(has_none).cloned().collect()
    }

    /// Returns whether a repository has some of the revisions, if that can be found out.
    fn has_one_of(&self, repository: &PathBuf, revisions: &BTreeSet<Revision>) -> Option<bool> {
        let wanted = revisions.iter().map(|revision| (*revision, None)).collect();
        let folder = self.workspace.0.join("source-alone");
        let source = LocalSource::make(self.git, &folder, std::slice::from_ref(repository));
        let available = source.and_then(|source| source.available(self.git, &wanted));
        let _ = fs::remove_dir_all(&folder);
        available.ok().map(|found| !found.complete.is_empty() || !found.cut_off.is_empty())
    }
}
