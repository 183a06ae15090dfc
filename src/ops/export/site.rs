//! Exports the web pages as files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::contents::Content;
use super::files::Files;
use super::folder::{Folder, Kind};
use super::{Export, ExportOptions, planned, unchanged, write};
use crate::model::{Revision, StaticPath, hex_digits};
use crate::ops::pages::SitePages;
use crate::ops::parallel::{cores, in_parallel_with};
use crate::ops::{OpError, Project, Result, served_mirror};
use crate::page::Address;
use crate::plan::FileList;
use crate::progress::{Event, Progress};
use crate::serve::Registry;
use crate::store::{Snapshot, StoreError};

/// How many pages are made before a problem is noticed.
const BATCH: usize = 256;

/// The result of an export of a site.
#[derive(Debug)]
pub struct SiteExport {
    /// What was changed.
    pub export: Export,
    /// The number of files that the site has.
    pub files: usize,
    /// The size of all of them together in bytes.
    pub bytes: u64,
}

/// Writes the web pages to a folder, as [`super::export`] writes the registry. All pages are made before the first file of the
/// folder changes.
///
/// # Errors
/// Fails as [`super::export`] does, and if the locks cannot be read.
pub fn export_site(
    project: &Project,
    folder: &Path,
    options: ExportOptions,
    progress: &dyn Progress,
) -> Result<SiteExport> {
    let snapshot = served_mirror(project)?;
    let mut site = Site::of(project, &snapshot)?;
    for lock in site.pages.unreadable_locks() {
        let message =
            format!("{lock} cannot be read; the site's first page says so instead of what the mirror lacks for it");
        progress.report(Event::Warning { message });
    }
    // A folder of others is refused before all pages are made, and has nothing of this program then.
    site.make_found(&snapshot, None, progress)?;
    let inspected = Folder::inspect(folder, Kind::Site)?;
    planned(&inspected, &snapshot, &site, options)?;
    if options.dry_run {
        site.make_all(&snapshot, None, progress)?;
        let (_, plan) = planned(&inspected, &snapshot, &site, options)?;
        return Ok(site.result(unchanged(plan, &snapshot, &site, options)));
    }
    let folder = Folder::open(folder, Kind::Site, progress)?;
    let list = folder.list()?;
    let stage = Stage { folder: &folder, list: &list, check: options.check };
    let made = site.make_all(&snapshot, Some(&stage), progress);
    let export = made.and_then(|()| write(&folder, &snapshot, &site, options, progress));
    if export.is_err() {
        folder.abandon();
    }
    Ok(site.result(export?))
}

/// The files of a site.
struct Site {
    pages: SitePages,
    project: Mutex<Project>,
    mirror: BTreeSet<Revision>,
    files: BTreeMap<StaticPath, SiteFile>,
}

struct SiteFile {
    address: Address,
    /// The checksum.
    key: String,
    bytes: u64,
    /// The complete file, if it has to be moved to its place.
    prepared: Option<PathBuf>,
}

/// Where files are prepared, if they are not there yet.
struct Stage<'a> {
    folder: &'a Folder,
    list: &'a FileList,
    check: bool,
}

impl Site {
    fn of(project: &Project, snapshot: &Snapshot) -> Result<Self> {
        snapshot.check_manifest()?;
        let first = project.repository.first_commits(snapshot.commit())?;
        let mirror = first.into_iter().filter_map(|commit| commit.to_string().parse().ok()).collect();
        let (pages, project) = (SitePages::of(project, snapshot)?, Mutex::new(project.clone()));
        Ok(Self { pages, project, mirror, files: BTreeMap::new() })
    }

    /// Makes all pages that can be reached.
    fn make_all(&mut self, snapshot: &Snapshot, stage: Option<&Stage<'_>>, progress: &dyn Progress) -> Result<()> {
        while self.make_found(snapshot, stage, progress)? {}
        Ok(())
    }

    /// Makes the pages that those which were made so far link to. Returns whether there were any.
    fn make_found(&mut self, snapshot: &Snapshot, stage: Option<&Stage<'_>>, progress: &dyn Progress) -> Result<bool> {
        let found = self.pages.take_found();
        progress.report(Event::Planned { items: found.len() as u64 });
        let is_any = !found.is_empty();
        let files = found.into_iter().map(|(name, address)| {
            let invalid = || StoreError::damaged(name.clone())("it cannot be the name of a page");
            Ok((StaticPath::page(&name).ok_or_else(invalid)?, address))
        });
        let files = files.collect::<Result<Vec<_>>>()?;
        for batch in files.chunks(BATCH) {
            let state = || (self.project(), snapshot.clone());
            let made = in_parallel_with(cores(), batch, state, |(project, snapshot), (path, address)| {
                let made = self.made(project, snapshot, (path, address), stage);
                progress.report(Event::Finished { item: path.to_string() });
                made
            });
            for ((path, _), made) in batch.iter().zip(made) {
                self.files.insert(path.clone(), made?);
            }
        }
        Ok(is_any)
    }

    fn made(
        &self,
        project: &Project,
        snapshot: &Snapshot,
        (path, address): (&StaticPath, &Address),
        stage: Option<&Stage<'_>>,
    ) -> Result<SiteFile> {
        let content = self.pages.file(project, snapshot, address)?;
        let key = hex_digits(&Sha256::digest(&content));
        let is_new = |stage: &&Stage<'_>| stage.check || stage.list.key(path) != Some(&key);
        let prepared = stage.filter(is_new).map(|stage| stage.folder.prepare(path, &content)).transpose()?;
        Ok(SiteFile { address: address.clone(), key, bytes: content.len() as u64, prepared })
    }

    fn result(&self, export: Export) -> SiteExport {
        SiteExport { export, files: self.files.len(), bytes: self.files.values().map(|file| file.bytes).sum() }
    }

    fn project(&self) -> Project {
        self.project.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Files for Site {
    fn mirror(&self) -> &BTreeSet<Revision> {
        &self.mirror
    }

    fn registry(&self) -> Option<Registry> {
        None
    }

    fn keys(&self) -> BTreeMap<StaticPath, &str> {
        self.files.iter().map(|(path, file)| (path.clone(), file.key.as_str())).collect()
    }

    fn key(&self, path: &StaticPath) -> String {
        self.files.get(path).map(|file| file.key.clone()).unwrap_or_default()
    }

    fn load(&self, snapshot: &Snapshot, path: &StaticPath) -> Result<Content> {
        let file = self.files.get(path).ok_or_else(|| StoreError::damaged(path.to_string())("it is missing"))?;
        Ok(Content::Bytes(match &file.prepared {
            Some(prepared) => fs::read(prepared).map_err(OpError::machine("read", prepared))?,
            None => self.pages.file(&self.project(), snapshot, &file.address)?,
        }))
    }

    fn prepared(&self, path: &StaticPath) -> Option<&Path> {
        self.files.get(path)?.prepared.as_deref()
    }
}
