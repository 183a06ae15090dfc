//! Exports the mirror as the files that any web server can serve.

pub(in crate::ops) mod content_check;
pub(in crate::ops) mod contents;
pub(in crate::ops) mod error;
mod files;
mod folder;
pub(in crate::ops) mod registry;
pub(in crate::ops) mod site;

use std::collections::BTreeMap;
use std::path::Path;

use super::parallel::{cores, in_parallel_with};
use super::{Project, Result, served_mirror};
use crate::model::{StaticPath, StaticStage};
use crate::plan::{Doubt, FileList, Publication, WrittenFile};
use crate::progress::{Event, Progress};
use crate::serve::Registry;
use crate::store::{ObjectId, Snapshot};
use contents::Contents;
use error::ExportError;
use files::Files;
use folder::{Folder, Kind, Put};
use registry::choose_registry;

/// What to export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportOptions {
    /// The registry at the root. `None` chooses the one that the destination has, or the signed one.
    pub registry: Option<Registry>,
    /// Whether to only determine what would change.
    pub dry_run: bool,
    /// Whether to compare the contents of all files, and not only their sizes.
    pub check: bool,
    /// Whether to remove files that this program wrote and that the mirror no longer has.
    pub delete: bool,
}

/// The result of an export.
#[derive(Debug)]
pub struct Export {
    /// The exported commit of the mirror branch.
    pub commit: ObjectId,
    /// The exported registry. `None` for a site.
    pub registry: Option<Registry>,
    /// The files that were written because they are new or changed.
    pub written: Vec<StaticPath>,
    /// The files that were removed.
    pub removed: Vec<StaticPath>,
    /// The files that the mirror no longer has and that were left there.
    pub kept: Vec<StaticPath>,
    /// The number of files that were already there.
    pub unchanged: usize,
    /// The size of the written files in bytes; 0 in a dry run.
    pub bytes: u64,
}

/// Writes the files of the mirror to a folder. Changes only what differs, and never files that this program did not
/// write there. If this is interrupted, the next export to the folder continues.
///
/// # Errors
/// Fails if there is no mirror, if it is damaged, if another mirror wrote to the folder, if files of others are in the way, or if
/// the folder cannot be written.
pub fn export(project: &Project, folder: &Path, options: ExportOptions, progress: &dyn Progress) -> Result<Export> {
    let snapshot = served_mirror(project)?;
    let registry = folder_registry(project, &snapshot, (folder, options), progress)?;
    let contents = Contents::of(project, &snapshot, registry)?;
    export_to(folder, &snapshot, &contents, options, progress)
}

/// Chooses the registry for a folder.
///
/// # Errors
/// Fails as [`choose_registry`] does, and if the list of what the folder has cannot be read.
pub(in crate::ops) fn folder_registry(
    project: &Project,
    snapshot: &Snapshot,
    (folder, options): (&Path, ExportOptions),
    progress: &dyn Progress,
) -> Result<Registry> {
    let list = Folder::inspect(folder, Kind::Registry)?.list()?;
    choose_registry(project, snapshot, options.registry, (&folder.display().to_string(), &list), progress)
}

/// Writes files to a folder, as [`export`] does.
///
/// # Errors
/// Fails as [`export`] does.
pub(in crate::ops) fn export_to(
    folder: &Path,
    snapshot: &Snapshot,
    contents: &Contents,
    options: ExportOptions,
    progress: &dyn Progress,
) -> Result<Export> {
    // A refused export leaves nothing behind.
    let (_, plan) = planned(&Folder::inspect(folder, Kind::Registry)?, snapshot, contents, options)?;
    if options.dry_run || plan.is_done(options.delete) {
        return Ok(unchanged(plan, snapshot, contents, options));
    }
    // Another export may have changed the folder meanwhile.
    write(&Folder::open(folder, Kind::Registry, progress)?, snapshot, contents, options, progress)
}

/// Returns the result of an export that carries out nothing of a plan.
fn unchanged(plan: Publication, snapshot: &Snapshot, files: &dyn Files, options: ExportOptions) -> Export {
    let (removed, kept) = plan.removals(options.delete);
    let (commit, registry, unchanged) = (snapshot.commit(), files.registry(), plan.unchanged.len());
    Export { commit, registry, written: plan.write, removed, kept, unchanged, bytes: 0 }
}

/// Changes what differs in a folder that is open for changes.
fn write(
    folder: &Folder,
    snapshot: &Snapshot,
    files: &dyn Files,
    options: ExportOptions,
    progress: &dyn Progress,
) -> Result<Export> {
    let (list, plan) = planned(folder, snapshot, files, options)?;
    if plan.is_done(options.delete) {
        return Ok(unchanged(plan, snapshot, files, options));
    }
    let (remove, kept) = plan.removals(options.delete);
    let steps = Steps { files, folder, progress };
    let begun = plan.begun(&list, files.mirror());
    let mut export = steps.carry_out(snapshot, &plan, &remove, begun)?;
    export.kept = kept;
    Ok(export)
}

/// Refuses files of which one would be a file and a folder.
///
/// # Errors
/// Fails if there are any. Branches can pin such files, each one of them, and a server can have both.
fn refuse_nested(files: &dyn Files) -> Result<()> {
    let keys = files.keys();
    let paths: BTreeMap<&str, &StaticPath> = keys.keys().map(|path| (path.as_str(), path)).collect();
    for (text, below) in &paths {
        if let Some(file) = text.match_indices('/').find_map(|(end, _)| paths.get(&text[..end])) {
            return Err(ExportError::Nested { file: (*file).clone(), below: (*below).clone() }.into());
        }
    }
    Ok(())
}

/// Determines what to change in a folder. Also returns the list of what it has.
fn planned(
    folder: &Folder,
    snapshot: &Snapshot,
    files: &dyn Files,
    options: ExportOptions,
) -> Result<(FileList, Publication)> {
    refuse_nested(files)?;
    let list = folder.list()?;
    if !list.may_be_of(files.mirror()) {
        return Err(folder.of_other_mirror().into());
    }
    let mut plan = Publication::new(&files.keys(), &list, options.check, |path| folder.presence(path));
    let is_identical =
        |snapshot: &Snapshot, doubt: &Doubt| folder.has(&doubt.path, files.load(snapshot, &doubt.path)?, doubt.bytes());
    let are_identical = in_parallel_with(cores(), &plan.doubtful, || snapshot.clone(), is_identical);
    plan.settle(&are_identical.into_iter().collect::<Result<Vec<_>>>()?);
    match plan.foreign.as_slice() {
        [] => Ok((list, plan)),
        [path, more @ ..] => Err(folder.obstacle(path, more.len()).into()),
    }
}

/// Carries out a plan.
struct Steps<'a> {
    files: &'a dyn Files,
    folder: &'a Folder,
    progress: &'a dyn Progress,
}

impl Steps<'_> {
    fn carry_out(
        &self,
        snapshot: &Snapshot,
        plan: &Publication,
        remove: &[StaticPath],
        mut list: FileList,
    ) -> Result<Export> {
        self.progress.report(Event::Planned { items: plan.write.len() as u64 });
        self.folder.save(&list)?;
        let (mut written, mut unchanged, mut bytes) = (Vec::new(), plan.unchanged.len(), 0);
        for stage in StaticStage::ALL {
            let paths: Vec<&StaticPath> = plan.write.iter().filter(|path| path.stage() == stage).collect();
            if paths.is_empty() {
                continue;
            }
            let put = |snapshot: &Snapshot, path: &&StaticPath| self.put(snapshot, path);
            let results = in_parallel_with(cores(), &paths, || snapshot.clone(), put);
            let mut failed = None;
            for (path, result) in paths.into_iter().zip(results) {
                match result {
                    Ok((key, put)) => {
                        list.record(path.clone(), WrittenFile { key, bytes: put.bytes });
                        if put.changed {
                            bytes += put.bytes;
                            written.push(path.clone());
                        } else {
                            unchanged += 1;
                        }
                    }
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            // What is complete need not be written again.
            let saved = self.folder.save(&list);
            failed.map_or(Ok(()), Err)?;
            saved?;
        }
        for path in remove {
            self.folder.remove(path)?;
            list.forget(path);
        }
        self.folder.save(&list)?;
        let (commit, registry, removed) = (snapshot.commit(), self.files.registry(), remove.to_vec());
        Ok(Export { commit, registry, written, removed, kept: Vec::new(), unchanged, bytes })
    }

    fn put(&self, snapshot: &Snapshot, path: &StaticPath) -> Result<(String, Put)> {
        let put = match self.files.prepared(path) {
            Some(prepared) => self.folder.place(prepared, path)?,
            None => self.folder.put(snapshot, path, &self.files.load(snapshot, path)?)?,
        };
        self.progress.report(Event::Finished { item: path.to_string() });
        Ok((self.files.key(path), put))
    }
}
