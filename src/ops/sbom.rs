//! The bill of materials of what the locks in force pin, from the mirror that is read. Contacts no other machine.

use std::collections::{BTreeMap, BTreeSet};

use super::project::LockFile;
use super::project::hex_repositories::HexRepositories;
use super::release_reader::ReleaseReader;
use super::{OpError, Project, Result, artefacts, reading};
use crate::hex::license::License;
use crate::lock::{Lock, OWN_LOCK, own_lock_beside};
use crate::model::{Day, Manifest, ReleaseId, RepositoryName, redacted_address};
use crate::plan::{Comparison, Listing, LockedEntries, Pin, ReleaseDetails, Sbom, SbomFacts};
use crate::progress::Progress;
use crate::store::Snapshot;
use crate::term::Lines;

/// A bill of materials, and what it is known from.
#[derive(Debug)]
pub struct SbomReport {
    /// When the commit of the mirror was made, in seconds since 1970.
    pub seconds: i64,
    /// The day when upstream was last asked for all registry entries, if the mirror records it.
    pub refreshed: Option<Day>,
    /// The name of the project: the last part of its remote's address, otherwise of its folder.
    pub name: String,
    /// The bill.
    pub sbom: Sbom,
    /// What the mirror lacks.
    pub lacking: Vec<String>,
    /// The repositories whose address is not known on this machine.
    pub unknown: BTreeSet<RepositoryName>,
}

/// Makes the bill of materials of what the locks in force pin.
///
/// # Errors
/// Fails if there is no mirror or no lock, if either cannot be read, or if a stored registry entry is not signed by its
/// repository.
pub fn sbom(project: &Project, progress: &dyn Progress) -> Result<SbomReport> {
    let locks = project.locks()?;
    let status = reading::compare(project, &locks, true)?;
    let commit = status.commit.ok_or_else(|| project.repository.no_mirror(&project.branch))?;
    let snapshot = project.snapshot_of(status.remote.as_ref(), commit)?;
    snapshot.refuse_partial(&project.branch_of(status.remote.as_ref())?)?;
    let wanted = project.wanted(&locks)?;
    let manifest = snapshot.excerpt(&wanted.packages())?;
    let mut reader = DetailsReader::new(project, &snapshot, &manifest, wanted.releases.keys(), progress)?;
    let releases = wanted.releases.values().map(|pin| Ok((pin.id.clone(), reader.details(pin)?)));
    let releases = releases.collect::<Result<_>>()?;
    let facts =
        SbomFacts { releases, artefacts: artefacts::needed(project, &wanted, Some(&snapshot))?, manifest: &manifest };
    Ok(SbomReport {
        seconds: project.repository.commit_seconds(commit)?,
        refreshed: snapshot.refreshed(),
        name: name(project),
        sbom: Sbom::new(entries(project, &locks)?, &facts),
        lacking: status.comparison.as_ref().map(Comparison::lacking).unwrap_or_default(),
        unknown: reader.unknown,
    })
}

/// Reads the entries of locks, by the folders of the projects.
fn entries(project: &Project, locks: &[LockFile]) -> Result<BTreeMap<String, Vec<LockedEntries>>> {
    let mut projects = BTreeMap::<String, Vec<LockedEntries>>::new();
    for lock in locks {
        let bytes = lock.bytes(&project.repository)?;
        let read = Lock::parse(&lock.file, &bytes)
            .and_then(|parsed| LockedEntries::of(&parsed, &Lines::of(&bytes), &project.config.submodules));
        let error = |source| OpError::Lock { file: lock.file.clone(), text: bytes.to_vec(), source };
        let read = read.map_err(error)?;
        let own = own_lock_beside(&lock.file);
        let folder = own.strip_suffix(OWN_LOCK).unwrap_or_default().trim_end_matches('/');
        projects.entry(folder.to_owned()).or_default().push(read);
    }
    Ok(projects)
}

/// Returns the name of a project.
fn name(project: &Project) -> String {
    let repository = &project.repository;
    let remote = repository.default_remote();
    let address = remote.and_then(|remote| repository.setting(&format!("remote.{}.url", remote.secret_text())));
    let folder = || repository.worktree().unwrap_or(repository.common_dir()).to_string_lossy().into_owned();
    let path = address.map_or_else(folder, |address| redacted_address(&address));
    let path = path.trim_end_matches(['/', '\\']);
    let last = path.rsplit(['/', '\\', ':']).next().unwrap_or_default();
    let name = last.strip_suffix(".git").unwrap_or(last);
    if name.is_empty() { "project".to_owned() } else { name.to_owned() }
}

/// Reads what a mirror and this machine's settings know about releases.
struct DetailsReader<'a> {
    facts: ReleaseReader<'a>,
    manifest: &'a Manifest,
    repositories: HexRepositories<'a>,
    urls: BTreeMap<RepositoryName, Option<String>>,
    unknown: BTreeSet<RepositoryName>,
}

impl<'a> DetailsReader<'a> {
    fn new<'i>(
        project: &'a Project,
        snapshot: &'a Snapshot,
        manifest: &'a Manifest,
        releases: impl Iterator<Item = &'i ReleaseId>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let repositories = HexRepositories::new(project, progress)?;
        let facts = ReleaseReader::new(project, releases.map(|id| &id.repository), snapshot, progress)?;
        Ok(Self { facts, manifest, repositories, urls: BTreeMap::new(), unknown: BTreeSet::new() })
    }

    fn details(&mut self, pin: &Pin) -> Result<ReleaseDetails> {
        let id = &pin.id;
        let stored = self.manifest.releases.get(id).filter(|stored| pin.accepts(stored));
        let listing = Listing::of(self.facts.entry(&id.entry())?.as_ref(), &id.version);
        // Metadata that cannot be read says nothing.
        let metadata = if stored.is_some() { self.facts.metadata(id)?.and_then(Result::ok) } else { None };
        let licenses = metadata.as_ref().map(|metadata| License::all(&metadata.licenses));
        Ok(ReleaseDetails {
            is_stored: stored.is_some(),
            outer: stored.map(|stored| stored.outer),
            requirements: metadata.filter(|_| !matches!(listing, Listing::Listed { .. })).map(|one| one.requirements),
            listing,
            licenses,
            repository_url: self.url(&id.repository)?,
        })
    }

    /// Returns the address of a repository other than hex.pm. Its packages would be taken for those of hex.pm without it.
    fn url(&mut self, repository: &RepositoryName) -> Result<Option<String>> {
        if repository.source() == "hexpm" {
            return Ok(None);
        }
        if let Some(known) = self.urls.get(repository) {
            return Ok(known.clone());
        }
        let url = self.repositories.public_address(repository)?;
        if url.is_none() {
            self.unknown.insert(repository.clone());
        }
        self.urls.insert(repository.clone(), url.clone());
        Ok(url)
    }
}
