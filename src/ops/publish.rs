//! Publishes the mirror: its files, and a bundle of the mirror branch.

use super::export::contents::Contents;
use super::export::{Export, check_registry, export_to};
use super::{ExportOptions, Project, Result, served_mirror};
use crate::model::{Destination, StaticPath};
use crate::progress::{Event, Progress};

/// Writes the files of the mirror to a destination. Changes only what differs, and never files that this program did not
/// write there. If this is interrupted, the next publication continues.
///
/// # Errors
/// Fails if there is no mirror, if it is damaged, if files of others are in the way, or if the destination cannot be
/// written.
pub fn publish(
    project: &Project,
    destination: &Destination,
    options: ExportOptions,
    progress: &dyn Progress,
) -> Result<Export> {
    let snapshot = served_mirror(project)?;
    check_registry(project, &snapshot, options.registry)?;
    let contents = Contents::of(project, &snapshot, options.registry)?;
    let (contents, no_bundle) = contents.with_bundle(project, &snapshot)?;
    if let Some(reason) = no_bundle {
        progress.report(Event::Warning { message: format!("{reason}, so no {} was made", StaticPath::bundle()) });
    }
    match destination {
        Destination::Folder(folder) => export_to(folder, &snapshot, &contents, options, progress),
    }
}
