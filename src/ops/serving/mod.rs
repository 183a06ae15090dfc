//! Serves the current mirror branch.

pub(in crate::ops) mod artefact_cache;
pub(in crate::ops) mod follow;
pub(in crate::ops) mod gleam_cache;
pub(in crate::ops) mod hex_home;
pub(in crate::ops) mod kept_folder;
pub(in crate::ops) mod redirected;
mod served_tip;
pub(in crate::ops) mod visible;
pub(in crate::ops) mod waiting;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::hex::registry::{PublicKey, check_policy};
use crate::model::{
    EntryId, FileId, FilePath, GitAddress, Manifest, ManifestPart, PackageName, PolicyId, Remotes, RepositoryName,
};
use crate::ops::export::registry::check_registry;
use crate::ops::index::check;
use crate::ops::pages::Pages;
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::reading::accept;
use crate::ops::sync::signers::verified;
use crate::ops::{OpError, Project, Result, mirror};
use crate::page::{Address, Page};
use crate::plan::newest_file;
use crate::progress::Silent;
use crate::serve::environment::InsteadOfRules;
use crate::serve::{
    Contents, ContentsError, Following, Found, Git, GitRepository, Handle, HostName, Options, Registry, Resource,
    Server, Tip, Tls, Visit,
};
use crate::store::{Snapshot, StoreError, TipReader};
use follow::FollowState;
use served_tip::ServedTip;
use visible::{Visible, VisibleRepositories, id_of, unavailable};

/// The maximum delay until a changed lock affects which host names are served. Every request checks them.
const HOSTS_KNOWN: Duration = Duration::from_secs(1);

/// The contents to serve: those of the mirror that is read. Each request uses its current tip.
pub struct MirrorContents {
    branch: TipReader,
    tip: ServedTip,
    /// The snapshot of the most recently requested tip, so that each part of its manifest is read once.
    snapshot: Mutex<Option<(Tip, Snapshot)>>,
    visible: VisibleRepositories,
    pages: Pages,
    /// The known public keys. The branch may have arrived by a plain `git fetch`, which does not verify its entries.
    keys: BTreeMap<RepositoryName, Option<PublicKey>>,
    /// Whether registry entries may name another repository.
    any_origin: bool,
    /// Set if the mirror follows a remote's.
    followed: Option<FollowState>,
}

impl MirrorContents {
    /// Creates the contents of a project's mirror branch, which may not exist yet.
    pub fn new(project: &Project) -> Self {
        let known = HexRepositories::new(project, &Silent);
        Self {
            branch: TipReader::new(&project.repository, &project.branch),
            tip: ServedTip::new(project),
            snapshot: Mutex::new(None),
            visible: VisibleRepositories::new(project),
            pages: Pages::new(project),
            keys: known.as_ref().map(HexRepositories::known_keys).unwrap_or_default(),
            any_origin: known.is_ok_and(|known| known.accepts_any_origin()),
            followed: None,
        }
    }

    /// Adds how following a remote goes to what health checks see.
    pub fn following(mut self, followed: Option<FollowState>) -> Self {
        self.followed = followed;
        self
    }

    /// Reads a registry entry and verifies its signature if the repository's key is known.
    fn entry(&self, snapshot: &Snapshot, id: &EntryId) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(signed) = snapshot.entry(id)? else { return Ok(None) };
        let item = format!("the registry entry of {id}");
        if let Some(key) = self.key(&id.repository, &item)? {
            verified(id, &signed, key).map_err(StoreError::damaged(item))?;
        }
        Ok(Some(signed))
    }

    /// Reads a policy and verifies its signature if the repository's key is known.
    fn policy(&self, snapshot: &Snapshot, id: &PolicyId) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(signed) = snapshot.policy(id)? else { return Ok(None) };
        let item = format!("the policy {id}");
        let key = self.key(&id.repository, &item)?;
        check_policy(&signed, key, id).map_err(StoreError::damaged(item))?;
        Ok(Some(signed))
    }

    /// Returns the key that verifies an item of a repository, or `None` if it is not known.
    fn key(&self, repository: &RepositoryName, item: &str) -> Result<Option<&PublicKey>, StoreError> {
        let source = repository.organization().and_then(|_| repository.source().parse().ok());
        match [Some(repository), source.as_ref()].into_iter().flatten().find_map(|name| self.keys.get(name)) {
            None => Ok(None),
            Some(None) => Err(StoreError::damaged(item)("the key of its repository cannot be used")),
            Some(Some(key)) => Ok(Some(key)),
        }
    }

    /// Returns the content that clients get at a path: what the locks pin, or the newest one.
    pub(in crate::ops) fn file_id(&self, manifest: &Manifest, path: &FilePath) -> Option<FileId> {
        let pinned = self.visible.pinned_file(path).filter(|id| manifest.files.contains_key(id));
        pinned.or_else(|| newest_file(manifest, path).cloned())
    }

    /// Loads and verifies a resource of a snapshot, as [`Contents::load`] does.
    pub(in crate::ops) fn bytes(
        &self,
        snapshot: &Snapshot,
        resource: &Resource,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        match resource {
            Resource::Tarball(id) => snapshot.tarball(id),
            Resource::RegistryEntry(repository, package) => {
                self.entry(snapshot, &EntryId { repository: repository.clone(), package: package.clone() })
            }
            Resource::Policy(id) => self.policy(snapshot, id),
            Resource::File(path) => match self.file_id(&*snapshot.part(ManifestPart::Files)?, path) {
                Some(id) => snapshot.file(&id),
                None => Ok(None),
            },
            Resource::Pinned(repository, file) => check::verified_file(snapshot, repository, file),
            Resource::PublicKey(_) | Resource::Names(_) | Resource::Versions(_) => Ok(None),
        }
    }

    fn snapshot(&self, tip: &Tip) -> Result<Snapshot, StoreError> {
        self.branch.snapshot(id_of(tip)?)
    }

    /// Returns what the manifest says about a package.
    fn manifest(&self, tip: &Tip, package: &PackageName) -> Result<Arc<Manifest>, StoreError> {
        self.part(tip, ManifestPart::of(package))
    }

    fn part(&self, tip: &Tip, part: ManifestPart) -> Result<Arc<Manifest>, StoreError> {
        let mut last = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last.take().filter(|(at, _)| at == tip).map(|(_, snapshot)| snapshot);
        let snapshot = known.map_or_else(|| self.snapshot(tip), Ok)?;
        let manifest = snapshot.part(part)?;
        *last = Some((tip.clone(), snapshot));
        Ok(manifest)
    }
}

impl Contents for MirrorContents {
    fn tip(&self) -> Result<Tip, ContentsError> {
        let local = self.branch.local_tip().map_err(unavailable)?;
        let tip = self.tip.commit(local).map_err(|error| match error {
            OpError::Store(error) => unavailable(error),
            error => ContentsError::Locks { source: error.into() },
        })?;
        let missing = || unavailable(self.branch.no_mirror());
        tip.map(|tip| Tip(tip.to_string())).ok_or_else(missing)
    }

    fn refresh(&self) {
        self.branch.refresh();
    }

    fn following(&self) -> Option<Following> {
        self.followed.as_ref().map(FollowState::describe)
    }

    fn find(&self, tip: &Tip, resource: &Resource) -> Result<Option<Found>, ContentsError> {
        let manifest = |package| self.manifest(tip, package).map_err(unavailable);
        Ok(match resource {
            Resource::Tarball(id) => manifest(&id.package)?.releases.get(id).map(|stored| stored.outer.to_string()),
            Resource::RegistryEntry(repository, package) => {
                let id = EntryId { repository: repository.clone(), package: package.clone() };
                manifest(package)?.entries.get(&id).map(|stored| stored.checksum.to_string())
            }
            Resource::Policy(id) => {
                let manifest = self.part(tip, ManifestPart::Policies).map_err(unavailable)?;
                manifest.policies.get(id).map(|stored| stored.checksum.to_string())
            }
            Resource::File(path) => {
                let manifest = self.part(tip, ManifestPart::Files).map_err(unavailable)?;
                self.file_id(&manifest, path).map(|id| id.checksum.to_string())
            }
            // Entries are served with upstream's signatures, so only upstream can sign a matching index.
            Resource::PublicKey(_) | Resource::Names(_) | Resource::Versions(_) => None,
            Resource::Pinned(repository, file) => {
                let manifest = self.part(tip, ManifestPart::Index).map_err(unavailable)?;
                if !manifest.index_signers.contains_key(repository) {
                    return Ok(None);
                }
                let snapshot = self.snapshot(tip).map_err(unavailable)?;
                let found = snapshot.index_file_id(repository, file);
                found.map_err(|error| failed(resource.to_string(), error))?.map(|blob| blob.to_string())
            }
        }
        .map(|key| Found { key }))
    }

    fn is_absent(&self, tip: &Tip, resource: &Resource) -> Result<bool, ContentsError> {
        let Resource::RegistryEntry(repository, package) = resource else { return Ok(false) };
        let id = EntryId { repository: repository.clone(), package: package.clone() };
        Ok(self.manifest(tip, package).map_err(unavailable)?.absent.contains(&id))
    }

    fn has_index(&self, tip: &Tip) -> Result<bool, ContentsError> {
        Ok(!self.part(tip, ManifestPart::Index).map_err(unavailable)?.index_signers.is_empty())
    }

    fn load(&self, tip: &Tip, resource: &Resource, _found: &Found) -> Result<Bytes, ContentsError> {
        let snapshot = self.snapshot(tip).map_err(unavailable)?;
        match self.bytes(&snapshot, resource) {
            Ok(Some(bytes)) => Ok(bytes.into()),
            Ok(None) => {
                Err(ContentsError::Damaged { item: resource.to_string(), source: "it was found and is gone".into() })
            }
            Err(error) => Err(failed(resource.to_string(), error)),
        }
    }

    fn is_beside(&self, tip: &Tip, address: &GitAddress) -> Result<bool, ContentsError> {
        Ok(match self.visible.at(tip, &self.branch, Duration::ZERO)? {
            Visible::All(_) => false,
            Visible::Pinned(pinned) => pinned.is_prefix_of(address),
        })
    }

    fn instead_of(&self, tip: &Tip) -> Result<InsteadOfRules, ContentsError> {
        Ok(match self.visible.at(tip, &self.branch, Duration::ZERO)? {
            Visible::All(_) => InsteadOfRules::default(),
            Visible::Pinned(pinned) => redirected::rules(&pinned, Remotes::default(), false),
        })
    }

    fn tools(&self) -> String {
        let pairs: Vec<String> = self.visible.tools().iter().map(|pair| format!("Elixir {pair}")).collect();
        if pairs.is_empty() { "no version of Elixir".to_owned() } else { pairs.join(", ") }
    }

    fn accepts_any_origin(&self) -> bool {
        self.any_origin
    }

    fn has_host(&self, tip: &Tip, host: &str) -> Result<bool, ContentsError> {
        Ok(match self.visible.at(tip, &self.branch, HOSTS_KNOWN) {
            // Hex clients are still answered.
            Ok(Visible::All(_)) | Err(ContentsError::Locks { .. }) => false,
            Ok(Visible::Pinned(pinned)) => pinned.has_host(host),
            Err(error) => return Err(error),
        })
    }

    fn page(&self, tip: &Tip, address: &Address, visit: &Visit) -> Result<Page, ContentsError> {
        let snapshot = self.snapshot(tip).map_err(unavailable)?;
        self.pages
            .page(&snapshot, address, visit)
            .map_err(|source| ContentsError::NotPrepared { item: "this page".to_owned(), source })
    }

    fn download(&self, tip: &Tip, address: &Address) -> Result<Option<Vec<u8>>, ContentsError> {
        let snapshot = self.snapshot(tip).map_err(unavailable)?;
        self.pages
            .download(&snapshot, address)
            .map_err(|source| ContentsError::NotPrepared { item: "this file".to_owned(), source })
    }

    fn git_repository(&self, tip: &Tip, address: &GitAddress) -> Result<Option<GitRepository>, ContentsError> {
        let files = match self.visible.at(tip, &self.branch, Duration::ZERO)? {
            Visible::All(remotes) if remotes.has(address) => return Ok(None),
            Visible::All(_) => None,
            Visible::Pinned(pinned) => match pinned.get(address) {
                Some(repository) => Some(repository.visible.files()),
                None => return Ok(None),
            },
        };
        let snapshot = self.snapshot(tip).map_err(unavailable)?;
        let view = self.visible.view(&snapshot, address, files.as_deref());
        let view = view.map_err(|error| failed(format!("the git repository {address}"), error))?;
        Ok(view.map(|view| GitRepository {
            path: view.folder().to_owned(),
            objects: view.objects().to_owned(),
            key: view.key().to_owned(),
            held: Box::new(view),
        }))
    }
}

/// Distinguishes a damaged item from one that could not be prepared for other reasons.
fn failed(item: String, error: StoreError) -> ContentsError {
    match error {
        StoreError::Damaged { .. } => ContentsError::Damaged { item, source: error.into() },
        error => ContentsError::NotPrepared { item, source: error.into() },
    }
}

/// Returns the git that answers git clients: the first one on the user's `PATH`.
pub fn system_git(project: &Project) -> Git {
    Git { search_path: project.environment.get("PATH").map(OsString::from), ..Git::default() }
}

/// Creates or reads the certificates that the project's server needs for HTTPS under these names. They are stored in a
/// folder, by default beside the repository.
///
/// # Errors
/// Fails if the authority is damaged, or if the files cannot be read or written.
pub fn tls(project: &Project, folder: Option<&Path>, names: &[HostName]) -> Result<Tls> {
    if let Some(folder) = folder {
        return Ok(Tls::issue(folder, names)?);
    }
    // A read-only repository may have certificates.
    drop(project.repository.make_own_dir());
    Ok(Tls::issue(&tls_folder(project), names)?)
}

/// Returns the file with the CA certificate that [`tls`] signs with by default. It does not exist before the first HTTPS server.
pub fn authority(project: &Project) -> PathBuf {
    Tls::authority_in(&tls_folder(project))
}

fn tls_folder(project: &Project) -> PathBuf {
    project.repository.own_dir().join("tls")
}

/// Returns the mirror for a server or for a caller that starts one.
///
/// # Errors
/// Fails if there is no mirror, if it records another signer than the keys that are known here, or if its pinned index has a
/// private key.
pub fn served_mirror(project: &Project) -> Result<Snapshot> {
    let (source, snapshot) = mirror(project)?;
    accept(project, &snapshot, source.remote.as_ref())?;
    Ok(snapshot)
}

/// As [`served_mirror`], for a server with this registry at its root.
///
/// # Errors
/// Fails also if the mirror does not have the registry.
pub fn served_registry(project: &Project, registry: Registry) -> Result<Snapshot> {
    let snapshot = served_mirror(project)?;
    check_registry(project, &snapshot, registry)?;
    Ok(snapshot)
}

/// Starts a server for the project's mirror on a separate thread.
///
/// # Errors
/// Fails if the server cannot listen on the address.
pub fn start_server(project: &Project, address: impl ToSocketAddrs + Display, options: Options) -> Result<Handle> {
    let options = Options { git: system_git(project), ..options };
    Ok(Server::bind(address, Arc::new(MirrorContents::new(project)), options)?.start()?)
}
