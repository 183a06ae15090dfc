//! Exports the mirror as the files that any web server can serve.

pub(in crate::ops) mod contents;
pub(in crate::ops) mod error;
mod folder;

use std::path::Path;

use super::parallel::{cores, in_parallel_with};
use super::{Project, Result, served_mirror};
use crate::model::{StaticPath, StaticStage};
use crate::plan::{FileList, Publication, WrittenFile};
use crate::progress::{Event, Progress};
use crate::serve::Registry;
use crate::store::{ObjectId, Snapshot};
use contents::Contents;
use error::ExportError;
use folder::{Folder, Put};

/// What to export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportOptions {
    /// The registry at the root.
    pub registry: Registry,
    /// Whether to only determine what would change.
    pub dry_run: bool,
    /// Whether to remove files that this program wrote and that the mirror no longer has.
    pub delete: bool,
}

/// The result of an export.
#[derive(Debug)]
pub struct Export {
    /// The exported commit of the mirror branch.
    pub commit: ObjectId,
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
/// Fails if there is no mirror, if it is damaged, if files of others are in the way, or if the folder cannot be written.
pub fn export(project: &Project, folder: &Path, options: ExportOptions, progress: &dyn Progress) -> Result<Export> {
    let snapshot = served_mirror(project)?;
    check_registry(project, &snapshot, options.registry)?;
    let contents = Contents::of(project, &snapshot, options.registry)?;
    export_to(folder, &snapshot, &contents, options, progress)
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
    let folder = if options.dry_run { Folder::inspect(folder) } else { Folder::open(folder, progress)? };
    let list = folder.list()?;
    let plan = Publication::new(&contents.keys(), &list, |path| folder.presence(path));
    if let [path, more @ ..] = plan.foreign.as_slice() {
        return Err(ExportError::Foreign { path: folder.file(path), more: more.len() }.into());
    }
    let (remove, kept) = plan.removals(options.delete);
    if options.dry_run || (plan.write.is_empty() && remove.is_empty()) {
        let (commit, unchanged) = (snapshot.commit(), plan.unchanged.len());
        return Ok(Export { commit, written: plan.write, removed: remove, kept, unchanged, bytes: 0 });
    }
    let steps = Steps { contents, folder: &folder, progress };
    let begun = plan.begun(&list);
    let mut export = steps.carry_out(snapshot, &plan, &remove, begun)?;
    export.kept = kept;
    Ok(export)
}

/// Refuses the pinned index if the mirror has none.
///
/// # Errors
/// Fails if the mirror does not have the registry or cannot be read.
pub fn check_registry(project: &Project, snapshot: &Snapshot, registry: Registry) -> Result<()> {
    let has_index = !snapshot.manifest()?.index_signers.is_empty();
    match registry {
        Registry::Pinned if !has_index => Err(ExportError::NoIndex { branch: project.branch.to_string() }.into()),
        _ => Ok(()),
    }
}

/// Carries out a plan.
struct Steps<'a> {
    contents: &'a Contents,
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
        let (commit, removed) = (snapshot.commit(), remove.to_vec());
        Ok(Export { commit, written, removed, kept: Vec::new(), unchanged, bytes })
    }

    fn put(&self, snapshot: &Snapshot, path: &StaticPath) -> Result<(String, Put)> {
        let content = self.contents.load(snapshot, path)?;
        let put = self.folder.put(snapshot, path, &content)?;
        self.progress.report(Event::Finished { item: path.to_string() });
        Ok((self.contents.key(path), put))
    }
}
