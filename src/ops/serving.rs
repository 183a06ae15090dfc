//! Serves the mirror branch as it stands.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::fmt::Display;
use std::net::ToSocketAddrs;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::{Project, Result};
use crate::model::{EntryId, GitAddress, Manifest};
use crate::serve::{Contents, ContentsError, Found, Git, GitRepository, Handle, Options, Resource, Server, Tip};
use crate::store::{ObjectId, Snapshot, StoreError, TipReader};

/// The mirror branch as what is served. Every request sees the branch as it stands then.
pub struct MirrorContents {
    branch: TipReader,
    /// The manifest of the tip that was asked for last: it is read once for each commit.
    manifest: Mutex<Option<(Tip, Arc<Manifest>)>>,
    /// The trees of the git repositories that were asked for at one tip.
    trees: Mutex<(Tip, BTreeMap<GitAddress, ObjectId>)>,
}

impl MirrorContents {
    /// Makes the contents of a project's mirror branch, which need not exist yet.
    pub fn new(project: &Project) -> Self {
        Self {
            branch: TipReader::new(&project.repository, &project.branch),
            manifest: Mutex::new(None),
            trees: Mutex::new((Tip(String::new()), BTreeMap::new())),
        }
    }

    fn snapshot(&self, tip: &Tip) -> Result<Snapshot, StoreError> {
        let commit = ObjectId::from_hex(tip.0.as_bytes()).map_err(StoreError::damaged(format!("commit {tip}")))?;
        self.branch.snapshot(commit)
    }

    fn git_tree(&self, tip: &Tip, address: &GitAddress) -> Result<Option<ObjectId>, StoreError> {
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        if trees.0 != *tip {
            *trees = (tip.clone(), BTreeMap::new());
        }
        if let Some(tree) = trees.1.get(address) {
            return Ok(Some(*tree));
        }
        let tree = self.snapshot(tip)?.git_repository(address)?;
        trees.1.extend(tree.map(|tree| (address.clone(), tree)));
        Ok(tree)
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
        let missing = || unavailable(StoreError::NoMirror { branch: self.branch.branch().to_string() });
        tip.map(|tip| Tip(tip.to_string())).ok_or_else(missing)
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
                snapshot.entry(&EntryId { repository: repository.clone(), package: package.clone() })
            }
            Resource::PublicKey(_) | Resource::Names(_) | Resource::Versions(_) => Ok(None),
        };
        let damaged =
            |source: Box<dyn Error + Send + Sync>| ContentsError::Damaged { item: resource.to_string(), source };
        match bytes {
            Ok(Some(bytes)) => Ok(bytes.into()),
            Ok(None) => Err(damaged("it was found and is gone".into())),
            Err(error) => Err(damaged(error.into())),
        }
    }

    fn git_repository(&self, tip: &Tip, address: &GitAddress) -> Result<Option<GitRepository>, ContentsError> {
        let Some(tree) = self.git_tree(tip, address).map_err(unavailable)? else { return Ok(None) };
        let checkout = self.branch.repository().checkout(tree).map_err(|error| ContentsError::Damaged {
            item: format!("the git repository {address}"),
            source: error.into(),
        })?;
        let path = checkout.folder().to_owned();
        Ok(Some(GitRepository { path, key: tree.to_string(), held: Box::new(checkout) }))
    }
}

fn unavailable(error: StoreError) -> ContentsError {
    ContentsError::Unavailable { source: error.into() }
}

/// Returns the git that answers git clients: the one that the user's `PATH` has.
pub fn system_git(project: &Project) -> Git {
    Git { search_path: project.environment.get("PATH").map(OsString::from), ..Git::default() }
}

/// Starts a server for the project's mirror on a thread of its own.
///
/// # Errors
/// Fails where the address cannot be listened on.
pub fn start_server(project: &Project, address: impl ToSocketAddrs + Display, options: Options) -> Result<Handle> {
    let options = Options { git: system_git(project), ..options };
    Ok(Server::bind(address, Arc::new(MirrorContents::new(project)), options)?.start()?)
}
