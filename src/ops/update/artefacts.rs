//! Fetches the precompiled files that the pinned packages need, each checked against the list of checksums in its package.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::concurrent::fetch_all;
use super::fetching::Fetched;
use crate::fetch::{Download, Downloads, FetchError, Upstream};
use crate::hex::artefacts::{Artefact, PackageTexts, addresses};
use crate::hex::tarball::{Tarball, TarballLimits};
use crate::lock::OWN_LOCK;
use crate::model::{FileAddress, FileId, FileTrust, ReleaseId, Target, count};
use crate::ops::artefacts::machine::new_target;
use crate::ops::artefacts::package::texts;
use crate::ops::artefacts::{ReleaseLists, needed_by, stored_lists};
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::{FileError, OpError, Project, Result};
use crate::plan::{ArtefactPin, FilePin, StoredArtefacts, Wanted};
use crate::progress::{Download as Shown, Event, Progress};
use crate::store::{Snapshot, Transaction};

/// The part of an update that stores precompiled files.
pub(super) struct ArtefactUpdate<'a> {
    pub project: &'a Project,
    pub repositories: &'a HexRepositories<'a>,
    pub downloads: &'a Arc<Downloads>,
    pub base: Option<&'a Snapshot>,
    pub wanted: &'a Wanted,
    pub jobs: Option<usize>,
    /// Whether this machine may be added to the locks.
    pub adds_machine: bool,
    /// Whether the locks must not change.
    pub locked: bool,
    pub progress: &'a Arc<dyn Progress>,
}

/// What an update needs of precompiled files.
#[derive(Debug, Default)]
pub(super) struct NeededArtefacts {
    /// This machine, if no lock names it yet.
    pub new_target: Option<Target>,
    /// The files.
    pub pins: BTreeSet<ArtefactPin>,
}

/// Where a file was found.
type Found = (Artefact, FileAddress, Download);

impl ArtefactUpdate<'_> {
    /// Fetches the files that the mirror lacks into a transaction.
    ///
    /// # Errors
    /// Fails if a list of checksums cannot be read, if a file is found nowhere, or if it has another checksum than its list
    /// says.
    pub fn fetch(&self, fetched: &mut Fetched, transaction: &mut Transaction<'_>) -> Result<NeededArtefacts> {
        let lists = self.lists(fetched)?;
        let must_have_machine = self.locked && self.wanted.targets.is_empty();
        let target = match self.adds_machine || must_have_machine {
            true => new_target(self.project, &lists, &self.wanted.targets)?,
            false => None,
        };
        if must_have_machine && target.is_some() {
            return Err(OpError::LockWouldChange { file: OWN_LOCK.to_owned(), is_bare: false });
        }
        let targets = self.wanted.targets.iter().cloned().chain(target.clone()).collect();
        let pins = needed_by(self.project, &lists, &targets)?;
        if self.project.config.artefacts.is_some() {
            self.warn(targets.is_empty() && self.adds_machine, &lists)?;
        }
        let lacking = lacking(&pins, StoredArtefacts::of(transaction.excerpt([])?));
        let found = self.download(lacking, fetched)?;
        for (artefact, address, download) in found {
            let content = download.read()?;
            fetched.downloaded_bytes += download.downloaded_bytes;
            let id = FileId { path: address.download_path(), checksum: artefact.checksum };
            let (path, trust) = (id.path.clone(), FileTrust::Package);
            transaction.put_file(path, &content, trust, address.clone())?;
            fetched.files.push(FilePin { id, bytes: Some(content.len() as u64), trust, address });
        }
        Ok(NeededArtefacts { new_target: target, pins })
    }

    /// Returns the lists of the pinned releases: as they were just fetched, or as they are stored.
    fn lists(&self, fetched: &Fetched) -> Result<ReleaseLists> {
        let new = fetched.releases.iter().filter_map(|stored| Some((&stored.id, (stored, stored.artefacts.as_ref()?))));
        let new: BTreeMap<&ReleaseId, _> = new.collect();
        let (mut lists, mut others) = (ReleaseLists::new(), Vec::new());
        for pin in self.wanted.releases.values() {
            match new.get(&pin.id) {
                Some((stored, (of_release, _))) if pin.accepts(&stored.stored) => {
                    lists.extend((!of_release.is_empty()).then(|| (pin.id.clone(), of_release.clone())));
                }
                _ => others.push(pin),
            }
        }
        let stored = self.base.map(|base| stored_lists(others, base)).transpose()?;
        lists.extend(stored.unwrap_or_default());
        Ok(lists)
    }

    /// Returns what a release says about where its files are published.
    fn texts(&self, id: &ReleaseId, fetched: &Fetched) -> Result<PackageTexts> {
        let new = fetched.releases.iter().rfind(|stored| stored.id == *id).and_then(|stored| stored.artefacts.as_ref());
        if let Some((_, texts)) = new {
            return Ok(texts.clone());
        }
        let bytes = self.base.map(|base| base.tarball(id)).transpose()?.flatten().unwrap_or_default();
        let refused = |source| OpError::Tarball { release: id.clone(), source };
        let tarball = Tarball::open(&bytes, &TarballLimits::default()).map_err(refused)?;
        texts(&tarball).map_err(refused)
    }

    /// Names the packages with files whose names say nothing, and one with files for machines, if none is known.
    fn warn(&self, needs_machine: bool, lists: &ReleaseLists) -> Result<()> {
        let mut without_machine = None;
        for (id, lists) in lists {
            let maps = lists.maps(id)?;
            let unknown: usize = maps.iter().map(|map| map.unknown).sum();
            if unknown > 0 {
                let files = count(unknown, "precompiled file", "precompiled files");
                let message = format!("{id} lists {files} with names of an unknown form, which are not mirrored");
                self.progress.report(Event::Warning { message });
            }
            if needs_machine && maps.iter().any(|map| !map.artefacts.is_empty()) {
                without_machine.get_or_insert(id);
            }
        }
        if let Some(id) = without_machine {
            let how = "name one with `git hexmirror targets add`";
            let message = format!("{id} downloads precompiled files, and no machine is known that needs them; {how}");
            self.progress.report(Event::Warning { message });
        }
        Ok(())
    }

    /// Downloads files concurrently.
    fn download(&self, lacking: BTreeMap<Artefact, ReleaseId>, fetched: &Fetched) -> Result<Vec<Found>> {
        if lacking.is_empty() {
            return Ok(Vec::new());
        }
        self.progress.report(Event::Planned { items: lacking.len() as u64 });
        let upstream = Arc::new(self.repositories.upstream([].into_iter(), self.jobs, Arc::clone(self.progress))?);
        let mut texts: BTreeMap<ReleaseId, PackageTexts> = BTreeMap::new();
        let urls = self.project.config.artefacts.clone().unwrap_or_default();
        let mut tasks = Vec::new();
        for (artefact, release) in lacking {
            if !texts.contains_key(&release) {
                texts.insert(release.clone(), self.texts(&release, fetched)?);
            }
            let own = urls.get(&release.package).map(String::as_str);
            let versions = [&release.version, &artefact.name.version];
            let tried = addresses(&texts[&release], own, &versions, artefact.name.as_str());
            let task = FileSearch { artefact, release, tried, progress: Arc::clone(self.progress) };
            tasks.push(task.run(Arc::clone(&upstream), Arc::clone(self.downloads)));
        }
        let mut found = fetch_all(self.downloads.folder(), tasks)?;
        found.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        Ok(found)
    }
}

/// Returns the files that are not stored, each with one of the releases that need it.
fn lacking(pins: &BTreeSet<ArtefactPin>, stored: StoredArtefacts<'_>) -> BTreeMap<Artefact, ReleaseId> {
    let lacking = pins.iter().filter(|pin| stored.find(&pin.artefact).is_none());
    lacking.map(|pin| (pin.artefact.clone(), pin.release.clone())).collect()
}

/// The search for a file at the addresses where it may be.
struct FileSearch {
    artefact: Artefact,
    release: ReleaseId,
    tried: Vec<FileAddress>,
    progress: Arc<dyn Progress>,
}

impl FileSearch {
    /// Tries the addresses in order. One that has no such file is no error, as long as another one has it.
    async fn run(self, upstream: Arc<Upstream>, downloads: Arc<Downloads>) -> Result<Found> {
        let Self { artefact, release, tried, progress } = self;
        let _shown = Shown::begin(progress.as_ref(), artefact.name.to_string());
        let mut first_error = None;
        for address in &tried {
            match upstream.file(address, Some(&artefact.checksum), &downloads).await {
                Ok(download) => {
                    progress.report(Event::Finished { item: artefact.name.to_string() });
                    return Ok((artefact, address.clone(), download));
                }
                Err(error) if error.is_not_found() => {}
                // What has another checksum is worse than what does not answer.
                Err(error) if first_error.as_ref().is_none_or(|first: &FetchError| !first.is_integrity()) => {
                    first_error = Some(error);
                }
                Err(_) => {}
            }
        }
        let artefact = ArtefactPin { release, artefact }.to_string();
        Err(first_error.map_or_else(|| FileError::NoArtefact { artefact, tried }.into(), OpError::from))
    }
}
