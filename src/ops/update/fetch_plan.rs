//! What a fetch needs, and the items that it delivers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::git_fetcher::{FetchedRepository, GitFetcher};
use crate::fetch::{Download, Downloads};
use crate::hex::artefacts::PackageTexts;
use crate::hex::registry::Release;
use crate::model::{
    Day, EntryId, FileAddress, FileChecksum, FileId, FilePath, FileTrust, PolicyId, RepositoryName, StoredFile,
};
use crate::ops::OpError;
use crate::ops::artefacts::package::ChecksumLists;
use crate::ops::plugins::config::BuildConfig;
use crate::ops::project::asset_tools::NpmClaim;
use crate::ops::project::hex_repositories::HexRepositories;
use crate::plan::{FilePin, GitPlan, Pin};
use crate::store::{EncodedRelease, ReleaseEncoder, Snapshot};

/// What is to be fetched.
#[derive(Debug, Default)]
pub(in crate::ops) struct FetchPlan {
    /// The releases, with the checksums that the lock requires.
    pub releases: Vec<Pin>,
    /// The required registry entries. It is an error if upstream does not have one of them.
    pub entries: BTreeSet<EntryId>,
    /// The releases that the mirror has without the registry entry of their package, which is fetched. It must list
    /// them as they are.
    pub unlisted: Vec<Pin>,
    /// The registry entries that are not fetched if a release depends on them, in addition to those of the base.
    pub known: BTreeSet<EntryId>,
    /// The policies.
    pub policies: BTreeSet<PolicyId>,
    /// The files.
    pub files: Vec<FileAsk>,
    /// The revisions of git repositories.
    pub git: GitPlan,
    /// The registry entries that upstream did not have at the last fetch and that are requested again.
    pub absent: BTreeSet<EntryId>,
    /// Registry entries that are available locally as signed messages. They are not fetched for their releases.
    pub at_hand: BTreeMap<EntryId, Vec<u8>>,
    /// Whether to request everything from upstream anew.
    pub refresh: bool,
}

impl FetchPlan {
    /// Returns the Hex repositories to fetch from. hexpm is always among them, because any release may depend on its
    /// packages.
    pub fn repositories(&self) -> BTreeSet<RepositoryName> {
        let of_entries = self.entries.iter().map(|id| &id.repository);
        let of_releases = self.releases.iter().map(|pin| &pin.id.repository);
        let of_policies = self.policies.iter().map(|id| &id.repository);
        let of_docs = self.files.iter().filter_map(|ask| Some(ask.path.docs_release()?.repository));
        let named = of_entries.chain(of_releases).chain(of_policies).cloned().chain(of_docs);
        named.chain([RepositoryName::hexpm()]).collect()
    }

    /// Returns what is required of each package. A package of which only the entry is required has no releases.
    pub fn by_package(&mut self) -> BTreeMap<EntryId, PackagePins> {
        let entries = std::mem::take(&mut self.entries).into_iter();
        let mut by_package: BTreeMap<EntryId, PackagePins> = entries.map(|id| (id, PackagePins::default())).collect();
        for pin in std::mem::take(&mut self.releases) {
            by_package.entry(pin.id.entry()).or_default().releases.push(pin);
        }
        for pin in std::mem::take(&mut self.unlisted) {
            by_package.entry(pin.id.entry()).or_default().stored.push(pin);
        }
        by_package
    }
}

/// A file to fetch.
#[derive(Debug, Clone)]
pub(in crate::ops) struct FileAsk {
    pub path: FilePath,
    pub address: FileAddress,
    /// The checksum that it must have. Without one, any content is accepted.
    pub expected: Option<FileChecksum>,
    /// Why the content is then trusted.
    pub trust: FileTrust,
    /// What npm says about the content, if a lock says so.
    pub npm: Option<NpmClaim>,
}

impl FileAsk {
    /// Asks for a file that a lock pins.
    pub fn of_pin(FilePin { id, trust, address, .. }: &FilePin, npm: Option<NpmClaim>) -> Self {
        Self { path: id.path.clone(), address: address.clone(), expected: Some(id.checksum), trust: *trust, npm }
    }

    /// Asks for a file that the settings name and no lock pins.
    pub fn first(address: &FileAddress, today: Day) -> Self {
        let (path, address) = (address.download_path(), address.clone());
        Self { path, address, expected: None, trust: FileTrust::FirstUse(today), npm: None }
    }

    /// Asks for a file that is stored but damaged.
    pub fn of(id: &FileId, StoredFile { trust, address, .. }: &StoredFile) -> Self {
        let (path, address) = (id.path.clone(), address.clone());
        Self { path, address, expected: Some(id.checksum), trust: *trust, npm: None }
    }
}

/// The releases of a package that its registry entry must list.
#[derive(Debug, Default)]
pub(in crate::ops) struct PackagePins {
    /// The releases to fetch.
    pub releases: Vec<Pin>,
    /// The releases that the mirror has already.
    pub stored: Vec<Pin>,
}

/// Everything that a fetch depends on.
pub(in crate::ops) struct FetchContext<'a> {
    pub repositories: &'a HexRepositories<'a>,
    /// The number of concurrent requests, overriding the setting.
    pub jobs: Option<usize>,
    pub downloads: &'a Arc<Downloads>,
    pub encoder: &'a ReleaseEncoder,
    /// The fetcher for git repositories, if the plan has any.
    pub git: Option<GitFetcher>,
    /// The snapshot that the transaction is based on.
    pub base: Option<&'a Snapshot>,
    /// Snapshots whose signed entries must not be replaced by older ones either.
    pub history: &'a [Snapshot],
    /// The packages whose registry entries may be replaced by older ones.
    pub accept_older: &'a BTreeSet<EntryId>,
    /// Whether to keep what was fetched even if some fetches failed.
    pub keep_going: bool,
}

/// A fetched item, ready for the transaction.
pub(in crate::ops) enum Arrival {
    Entry {
        id: EntryId,
        signed: Vec<u8>,
    },
    /// Upstream has no entry for a package that only appears as a dependency.
    Absent(EntryId),
    Policy {
        id: PolicyId,
        signed: Vec<u8>,
    },
    File {
        ask: Box<FileAsk>,
        download: Download,
    },
    /// A release, and what its files say.
    Release(Box<EncodedRelease>, Box<PackageFacts>),
    Git(Box<FetchedRepository>),
    Failed(OpError),
}

/// What the files of a release say.
pub(in crate::ops) struct PackageFacts {
    /// About plugins.
    pub config: BuildConfig,
    /// About precompiled files.
    pub artefacts: (ChecksumLists, PackageTexts),
}

/// A downloaded tarball and the checksums to verify it against.
pub(in crate::ops) struct Job {
    pub pin: Pin,
    pub listed: Release,
    pub download: Download,
}
