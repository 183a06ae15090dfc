//! The files of an export and where their contents come from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::git::{BundleSource, ProjectGit};
use crate::hex::gzip::gzip;
use crate::model::{
    EntryId, GitAddress, IndexFile, Manifest, PolicyId, ReleaseId, RepositoryName, Revision, StaticPath, hex_digits,
};
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::serving::MirrorContents;
use crate::ops::serving::redirected::{OwnCache, pinned_repositories, redirecting_locks, remotes};
use crate::ops::sync::checks::refuse_private_keys;
use crate::ops::{OpError, Project, Result};
use crate::progress::Silent;
use crate::serve::{Registry, Resource};
use crate::store::{ObjectId, Snapshot, StoreError};

/// The file that permits git-http-backend to serve a repository (git-http-backend(1)).
const EXPORT_OK: &str = "git-daemon-export-ok";

/// The files of an export.
pub(in crate::ops) struct Contents {
    served: MirrorContents,
    registry: Registry,
    /// The first commits of the mirror, which identify it. Empty if they are not known.
    mirror: BTreeSet<Revision>,
    files: BTreeMap<StaticPath, StaticFile>,
}

/// A file of an export.
#[derive(Clone)]
struct StaticFile {
    /// Identifies the content: equal keys mean equal contents.
    key: String,
    source: Source,
}

/// Where the content of a file comes from.
#[derive(Clone)]
enum Source {
    Served(Resource),
    GitFile(ObjectId, String),
    Text(String),
    Bundle(Bundle),
}

/// The bundle of the mirror branch.
#[derive(Clone)]
pub(in crate::ops) struct Bundle {
    git: ProjectGit,
    source: BundleSource,
}

/// The content of a file.
pub(in crate::ops) enum Content {
    Bytes(Vec<u8>),
    Large(Large),
}

/// A content that is not read into memory.
pub(in crate::ops) enum Large {
    Blob { id: ObjectId, name: String },
    Bundle(Bundle),
}

impl Bundle {
    /// Returns how the bundle begins.
    pub fn header(&self) -> String {
        self.source.header()
    }
}

impl Large {
    /// Writes the content to a file.
    ///
    /// # Errors
    /// Fails if the content is damaged, if the branch contains a private key, or if the file cannot be written.
    pub fn write_to(&self, snapshot: &Snapshot, file: &Path) -> Result<()> {
        match self {
            Self::Blob { id, name } => Ok(snapshot.write_blob(*id, name, file)?),
            Self::Bundle(Bundle { git, source }) => {
                refuse_private_keys(snapshot, None)?;
                let parent = file.parent().unwrap_or(file);
                let folder = tempfile::tempdir_in(parent).map_err(OpError::machine("create a folder in", parent))?;
                Ok(git.bundle(source, folder.path(), file)?)
            }
        }
    }
}

impl Contents {
    /// Determines the files of a snapshot. For git repositories, as the server does, only the refs of the revisions that
    /// the project's locks pin, or all of them if there is no lock.
    ///
    /// # Errors
    /// Fails if the mirror or a lock cannot be read.
    pub fn of(project: &Project, snapshot: &Snapshot, registry: Registry) -> Result<Self> {
        let first = project.repository.first_commits(snapshot.commit())?;
        let mirror = first.into_iter().filter_map(|commit| commit.to_string().parse().ok()).collect();
        let mut contents = Self { served: MirrorContents::new(project), registry, mirror, files: BTreeMap::new() };
        // Files of an earlier export that the manifest lacks would be removed.
        snapshot.check_manifest()?;
        let manifest = snapshot.manifest()?;
        for (id, stored) in &manifest.releases {
            contents.add_served(StaticPath::tarball(id), stored.outer.to_string(), Resource::Tarball(id.clone()));
        }
        for (id, stored) in &manifest.policies {
            contents.add_served(StaticPath::policy(id), stored.checksum.to_string(), Resource::Policy(id.clone()));
        }
        for path in manifest.files.keys().map(|id| &id.path) {
            if let Some(newest) = contents.served.file_id(manifest, path) {
                let key = newest.checksum.to_string();
                contents.files.insert(
                    StaticPath::file(path),
                    StaticFile { key, source: Source::Served(Resource::File(path.clone())) },
                );
            }
        }
        match registry {
            Registry::Signed => contents.add_signed(project, manifest)?,
            Registry::Pinned => contents.add_pinned(snapshot, manifest)?,
        }
        // As in the server: without an answer, Hex warns.
        if !contents.files.contains_key(&StaticPath::update_check()) {
            contents.add_text(Some(StaticPath::update_check()), String::new());
        }
        contents.add_git(project, snapshot, manifest)?;
        Ok(contents)
    }

    /// Adds a bundle of the mirror branch. A clone without the whole history cannot make one: the result says why.
    ///
    /// # Errors
    /// Fails if git is not installed.
    pub fn with_bundle(mut self, project: &Project, snapshot: &Snapshot) -> Result<(Self, Option<&'static str>)> {
        let repository = &project.repository;
        if repository.common_dir().join("shallow").exists() {
            return Ok((self, Some("this clone is shallow")));
        } else if repository.is_partial() {
            return Ok((self, Some("this clone is partial")));
        }
        let commit = snapshot.commit().to_string();
        let source = BundleSource { objects: repository.objects_dir(), commit: commit.clone() };
        let bundle = Bundle { git: project.git(false)?, source };
        self.files.insert(StaticPath::bundle(), StaticFile { key: commit, source: Source::Bundle(bundle) });
        Ok((self, None))
    }

    /// Adds each file by its second spelling, if it has one, for object stores ([`StaticPath::second_spelling`]).
    pub fn with_second_spellings(mut self) -> Self {
        let twice = self.files.iter().filter_map(|(path, file)| Some((path.second_spelling()?, file.clone())));
        let twice: Vec<_> = twice.collect();
        self.files.extend(twice);
        self
    }

    /// Returns the first commits of the mirror, which identify it. Empty if they are not known.
    pub fn mirror(&self) -> &BTreeSet<Revision> {
        &self.mirror
    }

    /// Returns the registry that the files are of.
    pub fn registry(&self) -> Registry {
        self.registry
    }

    /// Returns the key of each file.
    pub fn keys(&self) -> BTreeMap<StaticPath, &str> {
        self.files.iter().map(|(path, file)| (path.clone(), file.key.as_str())).collect()
    }

    /// Returns the key of a file, or an empty text if the export does not have the file.
    pub fn key(&self, path: &StaticPath) -> String {
        self.files.get(path).map(|file| file.key.clone()).unwrap_or_default()
    }

    /// Loads and verifies the content of a file.
    ///
    /// # Errors
    /// Fails if it is damaged.
    pub fn load(&self, snapshot: &Snapshot, path: &StaticPath) -> Result<Content> {
        let missing = || StoreError::damaged(path.to_string())("it is missing");
        match &self.files.get(path).ok_or_else(missing)?.source {
            Source::Served(resource) => {
                let bytes = self.served.bytes(snapshot, resource)?.ok_or_else(missing)?;
                Ok(Content::Bytes(if resource.is_gzipped() { gzip(&bytes) } else { bytes }))
            }
            Source::GitFile(id, name) => Ok(Content::Large(Large::Blob { id: *id, name: name.clone() })),
            Source::Bundle(bundle) => Ok(Content::Large(Large::Bundle(bundle.clone()))),
            Source::Text(text) => Ok(Content::Bytes(text.clone().into_bytes())),
        }
    }

    /// Adds a resource. If an organisation of hex.pm and a self-hosted repository have the same name, the organisation's
    /// file counts, as in the server.
    fn add_served(&mut self, path: StaticPath, key: String, resource: Resource) {
        let is_of_organisation = resource_repository(&resource).is_some_and(|name| name.organization().is_some());
        if is_of_organisation || !self.files.contains_key(&path) {
            self.files.insert(path, StaticFile { key, source: Source::Served(resource) });
        }
    }

    fn add_text(&mut self, path: Option<StaticPath>, text: String) {
        if let Some(path) = path {
            let key = hex_digits(&Sha256::digest(text.as_bytes()));
            self.files.insert(path, StaticFile { key, source: Source::Text(text) });
        }
    }

    fn add_signed(&mut self, project: &Project, manifest: &Manifest) -> Result<()> {
        for (id, stored) in &manifest.entries {
            let path = StaticPath::registry(&id.repository, &IndexFile::Package(id.package.clone()));
            let resource = Resource::RegistryEntry(id.repository.clone(), id.package.clone());
            self.add_served(path, stored.checksum.to_string(), resource);
        }
        let repositories = HexRepositories::new(project, &Silent)?;
        let keys = repositories.known_keys_of(manifest.signed_repositories())?;
        for (repository, key) in keys {
            self.add_text(Some(StaticPath::registry(&repository, &IndexFile::PublicKey)), key.to_pem());
        }
        Ok(())
    }

    fn add_pinned(&mut self, snapshot: &Snapshot, manifest: &Manifest) -> Result<()> {
        let package = |id: &EntryId| (id.repository.clone(), IndexFile::Package(id.package.clone()));
        let lists = [IndexFile::PublicKey, IndexFile::Names, IndexFile::Versions];
        let lists = manifest.index_signers.keys().flat_map(|name| lists.clone().map(|file| (name.clone(), file)));
        for (repository, file) in manifest.index.keys().map(package).chain(lists) {
            if let Some(blob) = snapshot.index_file_id(&repository, &file)? {
                let path = StaticPath::registry(&repository, &file);
                self.add_served(path, blob.to_string(), Resource::Pinned(repository, file));
            }
        }
        Ok(())
    }

    fn add_git(&mut self, project: &Project, snapshot: &Snapshot, manifest: &Manifest) -> Result<()> {
        let Some(locks) = redirecting_locks(project)? else {
            let own = remotes(project);
            for (address, stored) in manifest.git.iter().filter(|(address, _)| !own.has(address)) {
                self.add_repository(snapshot, address, stored.files())?;
            }
            return Ok(());
        };
        let cache = OwnCache::default();
        let checkout = |address: &GitAddress| cache.checkout(snapshot, address);
        for (address, pinned) in pinned_repositories(project, snapshot, &locks, checkout)?.iter() {
            self.add_repository(snapshot, address, pinned.visible.files())?;
        }
        Ok(())
    }

    /// Adds a bare repository with these files beside its packs.
    fn add_repository(
        &mut self,
        snapshot: &Snapshot,
        address: &GitAddress,
        files: Vec<(&'static str, String)>,
    ) -> Result<()> {
        for (name, blob) in snapshot.git_files(address)?.unwrap_or_default() {
            if let Some(path) = StaticPath::git(address, &name).filter(|_| name.starts_with("objects/pack/")) {
                self.files.insert(path, StaticFile { key: blob.to_string(), source: Source::GitFile(blob, name) });
            }
        }
        for (name, text) in files.into_iter().chain([(EXPORT_OK, String::new())]) {
            self.add_text(StaticPath::git(address, name), text);
        }
        Ok(())
    }
}

/// Returns the Hex repository of a resource, if it belongs to one.
fn resource_repository(resource: &Resource) -> Option<&RepositoryName> {
    match resource {
        Resource::File(_) => None,
        Resource::PublicKey(repository)
        | Resource::Names(repository)
        | Resource::Versions(repository)
        | Resource::RegistryEntry(repository, _)
        | Resource::Pinned(repository, _)
        | Resource::Policy(PolicyId { repository, .. })
        | Resource::Tarball(ReleaseId { repository, .. }) => Some(repository),
    }
}
