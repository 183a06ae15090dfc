//! Determines which git repositories clients are redirected to the server for, from the current locks and the project's
//! remotes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::git::Git;
use crate::model::{AddressRule, AddressRules, GitAddress, GitUrl, ManifestPart, Remotes, Revision};
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::project::remote_files;
use crate::ops::project::{LockFile, read_locks};
use crate::ops::update::git_fetcher::fetching_git;
use crate::ops::{MirrorSource, OpError, Project, Result, mirror_source};
use crate::plan::{PinnedRepositories, SubmoduleResolver};
use crate::progress::Silent;
use crate::serve::environment::{Access, InsteadOfRules};
use crate::store::{Checkout, Objects, Snapshot, StoreError, layout};

/// The maximum number of submodules to read per revision, and their maximum depth in the tree.
const MAX_SUBMODULES: usize = 1000;
const MAX_DEPTH: usize = 64;

/// Returns the locks that determine which repositories git clients are redirected for, or `None` if there are none.
///
/// Locks in the mirror branch itself do not count, so if the mirror branch is checked out, or is the only branch, there
/// are none.
pub(in crate::ops) fn redirecting_locks(project: &Project) -> Result<Option<Vec<LockFile>>> {
    let repository = &project.repository;
    if let Some(head) = repository.head()?
        && !project.is_known_commit(head)
        && repository.blob_at(head, layout::MIRROR).is_ok_and(|mirror| mirror.is_some())
    {
        return Ok(None);
    }
    match project.present_locks() {
        Ok(locks) => Ok(Some(locks)),
        // If the user configured locks that do not exist, redirect nothing rather than everything.
        Err(OpError::NoLock { .. }) if project.config.locks.is_some() => Ok(Some(Vec::new())),
        Err(OpError::NoLock { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns whether any lock exists that restricts what git clients are redirected for.
///
/// # Errors
/// Fails if a lock cannot be read.
pub fn has_redirecting_lock(project: &Project) -> Result<bool> {
    Ok(redirecting_locks(project)?.is_some())
}

/// Returns the addresses of the project's remotes and the user's `insteadOf` and `pushInsteadOf` rules.
pub(in crate::ops) fn remotes(project: &Project) -> Remotes {
    let repository = &project.repository;
    let outer = &project.environment.outer;
    let named = |name, is_for_push| {
        let settings = repository.all_settings_by_subsection("url", name).into_iter();
        settings.map(move |(base, prefix)| AddressRule { base, prefix, is_for_push })
    };
    // If the program runs inside `git hexmirror run`, the repository's settings include the rules of the outer server.
    let fetching = named("insteadOf", false).filter(|rule| !outer.has(&rule.base));
    let rules = AddressRules::new(fetching.chain(named("pushInsteadOf", true)));
    // A branch's settings may contain an address instead of a remote's name.
    let settings = [("remote", "url"), ("remote", "pushurl"), ("branch", "remote"), ("branch", "pushRemote")];
    let named = settings.into_iter().flat_map(|(section, name)| repository.all_settings_by_subsection(section, name));
    let default = repository.setting("remote.pushDefault");
    let in_files = remote_files::addresses(repository.common_dir());
    Remotes::new(named.map(|(_, url)| url).chain(default).chain(in_files), rules)
}

/// Determines what git clients are redirected for at a snapshot. `checkout` writes a repository of the snapshot to disk
/// and is called only for repositories with submodules.
pub(in crate::ops) fn pinned_repositories(
    project: &Project,
    snapshot: &Snapshot,
    locks: &[LockFile],
    checkout: impl Fn(&GitAddress) -> Result<Option<Checkout>, StoreError>,
) -> Result<PinnedRepositories> {
    if !project.lock_summary(locks)?.has_git {
        return Ok(PinnedRepositories::default());
    }
    let (pins, remotes) = (read_locks(&project.repository, locks)?.git, remotes(project));
    let manifest = snapshot.part(ManifestPart::Git)?;
    let mut resolver = SubmoduleResolver::new(&pins, &manifest, &remotes);
    let (mut git, mut checkouts) = (None::<Git>, BTreeMap::<GitAddress, Checkout>::new());
    loop {
        let unresolved = resolver.take_unresolved();
        if unresolved.is_empty() {
            return Ok(resolver.finish());
        }
        for (url, _) in &unresolved {
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
        resolver.add_submodules(submodules(git, &folders, &unresolved)?);
    }
}

/// Reads the submodules of some revisions. Missing or damaged objects count as having none.
fn submodules(git: &Git, folders: &[PathBuf], of: &[(GitUrl, Revision)]) -> Result<Vec<(GitUrl, Revision)>> {
    let mut objects = Objects::default();
    let names = of.iter().flat_map(|(_, id)| [id.to_string(), format!("{id}^{{tree}}"), format!("{id}:.gitmodules")]);
    read(git, folders, names.collect(), &mut objects)?;
    let mut named = Vec::new();
    for (url, revision) in of {
        // An address that cannot be mirrored is not in the mirror.
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

/// Who uses the settings that direct clients to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// A child process of this program. Only it receives addresses that contain a password.
    Child,
    /// Processes on this machine, which receive the settings in printed form.
    Here,
    /// Processes on other machines or in containers. The user's own rules and remotes have no meaning there.
    Elsewhere,
}

/// Returns what clients need to access a server of the project's mirror at `base_url`. `authority` is the file with the
/// CA certificate, if the server uses its own.
///
/// Git is redirected to the server for the repositories that the current locks pin, in all usual forms of their
/// addresses and as written in the locks. Without a lock, nothing is redirected.
///
/// # Errors
/// Fails if the mirror or a lock cannot be read.
pub fn access(project: &Project, base_url: &str, authority: Option<&Path>, clients: Clients) -> Result<Access> {
    let with_secrets = clients == Clients::Child;
    let mut instead_of = InsteadOfRules::default();
    if let Some(MirrorSource { remote, commit }) = mirror_source(project)?
        && let snapshot = project.snapshot_of(remote.as_ref(), commit)?
        && let Some(locks) = redirecting_locks(project)?
    {
        let temporary = OwnCache::default();
        let pinned = pinned_repositories(project, &snapshot, &locks, |address| temporary.checkout(&snapshot, address))?;
        let remotes = if clients == Clients::Elsewhere { Remotes::default() } else { remotes(project) };
        instead_of = rules(&pinned, remotes, with_secrets);
    }
    let authority = authority.map(|path| path.to_string_lossy().into_owned());
    Ok(Access {
        base_url: base_url.to_owned(),
        instead_of,
        authority,
        any_origin: HexRepositories::new(project, &Silent)?.accepts_any_origin(),
        records_passwords: with_secrets,
        ..Access::default()
    })
}

/// Returns the rules that redirect git for pinned repositories, none of which is a remote of the project. `remotes` are
/// addresses to keep out of the rules.
pub(in crate::ops) fn rules(pinned: &PinnedRepositories, remotes: Remotes, with_secrets: bool) -> InsteadOfRules {
    let mut rules = InsteadOfRules::new(remotes, with_secrets);
    for (address, repository) in pinned.iter() {
        rules.add(address);
        repository.urls.iter().for_each(|url| rules.add_url(url));
    }
    rules
}

/// Creates a folder for the time of this process.
fn temporary_folder() -> Result<TempDir, StoreError> {
    let made = tempfile::Builder::new().prefix("git-hexmirror-").tempdir();
    made.map_err(StoreError::no_temporary)
}

/// Git repositories that a server cannot serve.
#[derive(Debug)]
pub struct Unservable {
    /// How many there are.
    pub count: usize,
    /// How many the mirror has.
    pub all: usize,
    /// The reason.
    pub error: StoreError,
}

/// Returns which git repositories of the mirror a server cannot serve, because there is no place to write them to, and the cache
/// does not have them.
pub fn unservable(project: &Project, mirror: &Snapshot) -> Option<Unservable> {
    let is_writable = |folder: PathBuf| tempfile::tempfile_in(folder).is_ok();
    if project.repository.make_own_dir().is_ok_and(is_writable) {
        return None;
    }
    let error = temporary_folder().err()?;
    let manifest = mirror.part(ManifestPart::Git).ok()?;
    let repositories = &manifest.git;
    let missing = repositories.keys().filter(|address| mirror.checkout(address).is_err());
    let (count, all) = (missing.count(), repositories.len());
    (count > 0).then_some(Unservable { count, all, error })
}

/// A cache of git repositories in a temporary folder, used if the cache beside the project's repository is not
/// writable. It is deleted on drop.
#[derive(Debug, Default)]
pub(in crate::ops) struct OwnCache(OnceLock<TempDir>);

impl OwnCache {
    /// Returns the folder, and creates it if necessary.
    pub fn folder(&self) -> Result<&Path, StoreError> {
        if let Some(folder) = self.0.get() {
            return Ok(folder.path());
        }
        let made = temporary_folder()?;
        Ok(self.0.get_or_init(|| made).path())
    }

    /// Writes a git repository of a snapshot to the cache beside the project's repository, or else to this one.
    pub fn checkout(&self, snapshot: &Snapshot, address: &GitAddress) -> Result<Option<Checkout>, StoreError> {
        match snapshot.checkout(address) {
            Err(error) if error.is_unwritable() => snapshot.checkout_in(self.folder()?, address),
            checkout => checkout,
        }
    }
}
