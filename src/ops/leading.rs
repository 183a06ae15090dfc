//! What git clients are led to, by the locks in force and the project's remotes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

use super::project::{LockFile, read_locks};
use super::repositories::fetching_git;
use super::{OpError, Project, Result};
use crate::git::Git;
use crate::model::{AddressRule, AddressRules, GitAddress, GitUrl, Remotes, Revision};
use crate::plan::{Leading, Led};
use crate::serve::environment::{Access, Redirects, is_of_server};
use crate::store::{Checkout, Objects, Repository, Snapshot, StoreError, layout};

/// How many submodules of one revision are looked at, and how deep in its tree.
const MAX_SUBMODULES: usize = 1000;
const MAX_DEPTH: usize = 64;

/// Returns the locks that decide what git clients are led to; `None` if there are none.
///
/// The mirror branch itself is no place for locks: whoever checks it out, or has nothing else, has none.
pub(super) fn leading_locks(project: &Project) -> Result<Option<Vec<LockFile>>> {
    let repository = &project.repository;
    if let Some(head) = repository.head()
        && repository.blob_at(head, layout::MIRROR).is_ok_and(|mirror| mirror.is_some())
    {
        return Ok(None);
    }
    match project.present_locks() {
        Ok(locks) => Ok(Some(locks)),
        // Whoever names locks does not mean that anything goes without them.
        Err(OpError::NoLock { .. }) if project.config.locks.is_some() => Ok(Some(Vec::new())),
        Err(OpError::NoLock { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns whether there is any lock that git clients are led by.
///
/// # Errors
/// Fails if a lock cannot be read.
pub fn has_leading_lock(project: &Project) -> Result<bool> {
    Ok(leading_locks(project)?.is_some())
}

/// Returns the addresses of the project's remotes, and the rules that the user has for addresses.
pub(super) fn remotes(repository: &Repository) -> Remotes {
    let named = |name, is_for_push| {
        let settings = repository.all_settings_by_subsection("url", name).into_iter();
        settings.map(move |(base, prefix)| AddressRule { base, prefix, is_for_push })
    };
    // Where the program runs within `run`, an outer server's rules are there too.
    let fetching = named("insteadOf", false).filter(|rule| !is_of_server(&rule.base));
    let rules = AddressRules::new(fetching.chain(named("pushInsteadOf", true)));
    // Branches may name an address instead of a remote.
    let settings = [("remote", "url"), ("remote", "pushurl"), ("branch", "remote"), ("branch", "pushRemote")];
    let named = settings.into_iter().flat_map(|(section, name)| repository.all_settings_by_subsection(section, name));
    let default = repository.setting("remote.pushDefault");
    Remotes::new(named.map(|(_, url)| url).chain(default), rules)
}

/// Finds out what git clients are led to at a snapshot. `checkout` writes out a repository of it; that is asked only of those
/// that have submodules.
pub(super) fn led(
    project: &Project,
    snapshot: &Snapshot,
    locks: &[LockFile],
    checkout: impl Fn(&GitAddress) -> Result<Option<Checkout>, StoreError>,
) -> Result<Led> {
    let (pins, remotes) = (read_locks(&project.repository, locks)?.git, remotes(&project.repository));
    let mut leading = Leading::new(&pins, snapshot.manifest()?, &remotes);
    let (mut git, mut checkouts) = (None::<Git>, BTreeMap::<GitAddress, Checkout>::new());
    loop {
        let unread = leading.unread();
        if unread.is_empty() {
            return Ok(leading.finish());
        }
        for (url, _) in &unread {
            let address = url.address();
            if !checkouts.contains_key(address) {
                checkouts.extend(checkout(address)?.map(|checkout| (address.clone(), checkout)));
            }
        }
        let git = match &git {
            Some(git) => git,
            None => git.insert(fetching_git(project, false)?),
        };
        let folders: Vec<PathBuf> = checkouts.values().map(|checkout| checkout.folder().to_owned()).collect();
        leading.learn(submodules(git, &folders, &unread)?);
    }
}

/// Reads the submodules of some revisions. What is not there, or not what its id promises, has none.
fn submodules(git: &Git, folders: &[PathBuf], of: &[(GitUrl, Revision)]) -> Result<Vec<(GitUrl, Revision)>> {
    let mut objects = Objects::default();
    let names = of.iter().flat_map(|(_, id)| [id.to_string(), format!("{id}^{{tree}}"), format!("{id}:.gitmodules")]);
    read(git, folders, names.collect(), &mut objects)?;
    let mut named = Vec::new();
    for (url, revision) in of {
        // An address that cannot be mirrored is not in the mirror either.
        let modules = objects.gitmodules(*revision).into_iter().take(MAX_SUBMODULES);
        named.extend(modules.filter_map(|(path, address)| Some((url.submodule(&address).ok()?, *revision, path))));
    }
    named.retain(|(_, _, path)| path.matches('/').count() < MAX_DEPTH && !path.contains(char::is_control));
    let folders_on_the_way = named.iter().flat_map(|(_, revision, path)| {
        path.match_indices('/').map(move |(end, _)| format!("{revision}:{}", &path[..end]))
    });
    read(git, folders, folders_on_the_way.collect(), &mut objects)?;
    let pinned = named.into_iter().filter_map(|(url, revision, path)| Some((url, objects.gitlink(revision, &path)?)));
    Ok(pinned.collect())
}

fn read(git: &Git, folders: &[PathBuf], names: BTreeSet<String>, objects: &mut Objects) -> Result<()> {
    let printed = git.objects(folders, &names.into_iter().collect::<Vec<_>>())?;
    printed.into_iter().for_each(|object| objects.add(&object.kind, object.bytes));
    Ok(())
}

/// Returns what clients need to know to ask a server of the project's mirror at `base_url`; `authority` is the file with what
/// its certificate is to be checked with, if that is one of its own.
///
/// git is led to the server for repositories that the locks in force pin, in all usual forms of address and as the locks have
/// it; if there is no lock, for none. Addresses with a password in them are left out unless `with_secrets`, since what this
/// returns may be printed.
///
/// # Errors
/// Fails if the mirror or a lock cannot be read.
pub fn access(project: &Project, base_url: &str, authority: Option<&Path>, with_secrets: bool) -> Result<Access> {
    let mut redirects = Redirects::new(remotes(&project.repository), with_secrets);
    if let Some(snapshot) = project.readable()?
        && let Some(locks) = leading_locks(project)?
    {
        let temporary = OwnCache::default();
        let led = led(project, &snapshot, &locks, |address| temporary.checkout(&snapshot, address))?;
        for (address, repository) in led.iter() {
            redirects.add(address);
            repository.urls.iter().for_each(|url| redirects.add_url(url));
        }
    }
    let authority = authority.map(|path| path.to_string_lossy().into_owned());
    Ok(Access { base_url: base_url.to_owned(), redirects, authority })
}

/// A cache of git repositories in a temporary folder, for when that beside the project's repository cannot be written. Goes
/// when it is dropped.
#[derive(Debug, Default)]
pub(super) struct OwnCache(OnceLock<TempDir>);

impl OwnCache {
    /// Returns the folder, and makes it if it is not there.
    pub fn folder(&self) -> Result<&Path, StoreError> {
        if let Some(folder) = self.0.get() {
            return Ok(folder.path());
        }
        let made = tempfile::Builder::new().prefix("git-hexmirror-").tempdir();
        let made = made.map_err(StoreError::io("create a folder in", "the folder for temporary files"))?;
        Ok(self.0.get_or_init(|| made).path())
    }

    /// Writes out a git repository of a snapshot, beside the project's repository or else here.
    pub fn checkout(&self, snapshot: &Snapshot, address: &GitAddress) -> Result<Option<Checkout>, StoreError> {
        match snapshot.checkout(address) {
            Err(error) if error.is_unwritable() => snapshot.checkout_in(self.folder()?, address),
            checkout => checkout,
        }
    }
}
