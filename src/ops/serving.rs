//! Serves the mirror branch as it stands.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use tempfile::TempDir;

use super::project::read_locks;
use super::signers::{self, verified};
use super::upstream::Repositories;
use super::{Project, Result, mirror};
use crate::hex::registry::PublicKey;
use crate::model::{EntryId, GitAddress, Manifest, RepositoryName};
use crate::progress::Silent;
use crate::serve::environment::{Access, Redirects, Rule};
use crate::serve::{Contents, ContentsError, Found, Git, GitRepository, Handle, Options, Resource, Server, Tip, Tls};
use crate::store::{Checkout, ObjectId, Snapshot, StoreError, TipReader};

/// The mirror branch, or else a remote's as last seen, as what is served. Every request sees the branch as it stands then.
pub struct MirrorContents {
    branch: TipReader,
    /// The manifest of the tip that was asked for last: it is read once for each commit.
    manifest: Mutex<Option<(Tip, Arc<Manifest>)>>,
    /// Git repositories, where the folder beside the project's repository cannot be written. Goes with the server.
    own_cache: OnceLock<TempDir>,
    /// The keys that are known here. The branch may have come by `git fetch`, and nobody checked its entries then.
    keys: BTreeMap<RepositoryName, Option<PublicKey>>,
}

impl MirrorContents {
    /// Makes the contents of a project's mirror branch, which need not exist yet.
    pub fn new(project: &Project) -> Self {
        Self {
            branch: TipReader::new(&project.repository, &project.branch),
            manifest: Mutex::new(None),
            own_cache: OnceLock::new(),
            keys: Repositories::new(project, &Silent).map(|known| known.known_keys()).unwrap_or_default(),
        }
    }

    /// Reads a registry entry, which its repository has to have signed if its key is known.
    fn entry(&self, snapshot: &Snapshot, id: &EntryId) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(signed) = snapshot.entry(id)? else { return Ok(None) };
        let source = id.repository.organization().and_then(|_| id.repository.source().parse().ok());
        let key = [Some(&id.repository), source.as_ref()].into_iter().flatten().find_map(|name| self.keys.get(name));
        let item = format!("the registry entry of {id}");
        match key {
            None => {}
            Some(None) => return Err(StoreError::damaged(item)("the key of its repository cannot be used")),
            Some(Some(key)) => drop(verified(id, &signed, key).map_err(StoreError::damaged(item))?),
        }
        Ok(Some(signed))
    }

    /// Returns a git repository in a folder of the server's own.
    fn own_checkout(&self, snapshot: &Snapshot, address: &GitAddress) -> Result<Option<Checkout>, StoreError> {
        let cache = match self.own_cache.get() {
            Some(cache) => cache,
            None => {
                let made = tempfile::Builder::new().prefix("git-hexmirror-").tempdir();
                let made = made.map_err(StoreError::io("create a folder in", "the folder for temporary files"))?;
                self.own_cache.get_or_init(|| made)
            }
        };
        snapshot.checkout_in(cache.path(), address)
    }

    fn snapshot(&self, tip: &Tip) -> Result<Snapshot, StoreError> {
        let commit = ObjectId::from_hex(tip.0.as_bytes()).map_err(StoreError::damaged(format!("commit {tip}")))?;
        self.branch.snapshot(commit)
    }

    fn manifest(&self, tip: &Tip) -> Result<Arc<Manifest>, StoreError> {
        let mut last = self.manifest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, manifest)) = last.as_ref().filter(|(at, _)| at == tip) {
            return Ok(Arc::clone(manifest));
        }
        let manifest = Arc::new(self.snapshot(tip)?.manifest()?.clone());
        *last = Some((tip.clone(), Arc::clone(&manifest)));
        Ok(manifest)
    }
}

impl Contents for MirrorContents {
    fn tip(&self) -> Result<Tip, ContentsError> {
        let tip = self.branch.tip().map_err(unavailable)?;
        let missing = || unavailable(self.branch.no_mirror());
        tip.map(|tip| Tip(tip.to_string())).ok_or_else(missing)
    }

    fn refresh(&self) {
        self.branch.refresh();
    }

    fn find(&self, tip: &Tip, resource: &Resource) -> Result<Option<Found>, ContentsError> {
        let manifest = self.manifest(tip).map_err(unavailable)?;
        Ok(match resource {
            Resource::Tarball(id) => manifest.releases.get(id).map(|stored| stored.outer.to_string()),
            Resource::RegistryEntry(repository, package) => {
                let id = EntryId { repository: repository.clone(), package: package.clone() };
                manifest.entries.get(&id).map(|stored| stored.checksum.to_string())
            }
            // Entries are served as upstream signed them, and so only upstream could sign an index of them.
            Resource::PublicKey(_) | Resource::Names(_) | Resource::Versions(_) => None,
        }
        .map(|key| Found { key }))
    }

    fn is_absent(&self, tip: &Tip, resource: &Resource) -> Result<bool, ContentsError> {
        let Resource::RegistryEntry(repository, package) = resource else { return Ok(false) };
        let id = EntryId { repository: repository.clone(), package: package.clone() };
        Ok(self.manifest(tip).map_err(unavailable)?.absent.contains(&id))
    }

    fn load(&self, tip: &Tip, resource: &Resource, _found: &Found) -> Result<Bytes, ContentsError> {
        let snapshot = self.snapshot(tip).map_err(unavailable)?;
        let bytes = match resource {
            Resource::Tarball(id) => snapshot.tarball(id),
            Resource::RegistryEntry(repository, package) => {
                self.entry(&snapshot, &EntryId { repository: repository.clone(), package: package.clone() })
            }
            Resource::PublicKey(_) | Resource::Names(_) | Resource::Versions(_) => Ok(None),
        };
        match bytes {
            Ok(Some(bytes)) => Ok(bytes.into()),
            Ok(None) => {
                Err(ContentsError::Damaged { item: resource.to_string(), source: "it was found and is gone".into() })
            }
            Err(error) => Err(failed(resource.to_string(), error)),
        }
    }

    fn is_beside(&self, tip: &Tip, address: &GitAddress) -> Result<bool, ContentsError> {
        let manifest = self.manifest(tip).map_err(unavailable)?;
        let begins =
            |mirrored: &GitAddress| mirrored.host() == address.host() && address.path().starts_with(mirrored.path());
        Ok(!manifest.git.contains_key(address) && manifest.git.keys().any(begins))
    }

    fn has_host(&self, tip: &Tip, host: &str) -> Result<bool, ContentsError> {
        Ok(self.manifest(tip).map_err(unavailable)?.git.keys().any(|address| address.host() == host))
    }

    fn git_repository(&self, tip: &Tip, address: &GitAddress) -> Result<Option<GitRepository>, ContentsError> {
        let snapshot = self.snapshot(tip).map_err(unavailable)?;
        let item = || format!("the git repository {address}");
        let checkout = match snapshot.checkout(address) {
            Err(error) if error.is_unwritable() => self.own_checkout(&snapshot, address),
            checkout => checkout,
        };
        let checkout = checkout.map_err(|error| failed(item(), error))?;
        let repository = |checkout: Checkout| GitRepository {
            path: checkout.folder().to_owned(),
            key: checkout.tree().to_string(),
            held: Box::new(checkout),
        };
        Ok(checkout.map(repository))
    }
}

/// Tells an item that is damaged from one that only could not be made ready.
fn failed(item: String, error: StoreError) -> ContentsError {
    match error {
        StoreError::Damaged { .. } => ContentsError::Damaged { item, source: error.into() },
        error => ContentsError::NotPrepared { item, source: error.into() },
    }
}

fn unavailable(error: StoreError) -> ContentsError {
    ContentsError::Unavailable { source: error.into() }
}

/// Returns the git that answers git clients: the one that the user's `PATH` has.
pub fn system_git(project: &Project) -> Git {
    Git { search_path: project.environment.get("PATH").map(OsString::from), ..Git::default() }
}

/// Returns what clients need to know to ask a server of the project's mirror at `base_url`; `authority` is the file with what
/// its certificate is to be checked with, where that is one of its own.
///
/// Each mirrored git repository is named in all usual forms of address, and as the locks have it. Addresses with a user or a
/// password in them are left out unless `with_secrets`, since what this returns may be printed.
///
/// # Errors
/// Fails where the mirror cannot be read. A lock that cannot is passed over: its own spellings are all that is lost.
pub fn access(project: &Project, base_url: &str, authority: Option<&Path>, with_secrets: bool) -> Result<Access> {
    let mut redirects = Redirects::new(rules(project));
    if let Some(snapshot) = project.readable()? {
        let mirrored = &snapshot.manifest()?.git;
        mirrored.keys().for_each(|address| redirects.add(address));
        let wanted =
            project.present_locks().and_then(|locks| read_locks(&project.repository, &locks)).unwrap_or_default();
        let urls = wanted.git.iter().map(|pin| &pin.url).filter(|url| mirrored.contains_key(url.address()));
        urls.filter(|url| with_secrets || url.to_string() == url.secret_text()).for_each(|url| redirects.add_url(url));
    }
    let authority = authority.map(|path| path.to_string_lossy().into_owned());
    Ok(Access { base_url: base_url.to_owned(), redirects, authority })
}

/// Returns the rules for addresses that git's configuration has.
fn rules(project: &Project) -> impl Iterator<Item = Rule> {
    let named = |name, is_for_push| {
        let settings = project.repository.all_settings_by_subsection("url", name).into_iter();
        settings.map(move |(base, prefix)| Rule { base, prefix, is_for_push })
    };
    named("insteadOf", false).chain(named("pushInsteadOf", true))
}

/// Makes what a server of the project's mirror needs to speak HTTPS under these names, beside the repository.
///
/// # Errors
/// Fails where a name is not one of a host, and where the files cannot be written.
pub fn tls(project: &Project, names: &[String]) -> Result<Tls> {
    project.repository.make_own_dir()?;
    Ok(Tls::issue(&tls_folder(project), names)?)
}

/// Returns the file with the authority that [`tls`] signs with; it is not there before the first server was.
pub fn authority(project: &Project) -> PathBuf {
    Tls::authority_in(&tls_folder(project))
}

fn tls_folder(project: &Project) -> PathBuf {
    project.repository.own_dir().join("tls")
}

/// Returns what the mirror holds, for a server or whoever starts one.
///
/// # Errors
/// Fails where there is no mirror, and if it names another signer than the keys that are known here.
pub fn served_mirror(project: &Project) -> Result<Snapshot> {
    let snapshot = mirror(project)?;
    signers::of_readable(project, snapshot.manifest()?, &Silent)?;
    Ok(snapshot)
}

/// Starts a server for the project's mirror on a thread of its own.
///
/// # Errors
/// Fails where the address cannot be listened on.
pub fn start_server(project: &Project, address: impl ToSocketAddrs + Display, options: Options) -> Result<Handle> {
    let options = Options { git: system_git(project), ..options };
    Ok(Server::bind(address, Arc::new(MirrorContents::new(project)), options)?.start()?)
}
