//! Composes the commit message of an import.

use super::outcome::{Import, ImportedIndex};
use crate::model::count;
use crate::ops::Result;
use crate::ops::project::{LockFile, Project};
use crate::ops::update::message::{contents_subject, paragraphs, trailers};

/// Composes the commit message of an import: a subject suitable for a changelog, the details, and the locks in force.
///
/// # Errors
/// Fails if a lock cannot be read.
pub(super) fn message(import: &Import, project: &Project, locks: &[LockFile]) -> Result<String> {
    let added: Vec<_> = import.added.iter().map(|release| release.added.clone()).collect();
    let (subject, changes) = contents_subject("Import", &added, &import.added_git);
    let subject = match (subject, import.entries, import.indexes.len()) {
        (Some(subject), ..) => subject,
        (None, 0, _) => "Import a registry signed with another key".to_owned(),
        (None, entries, _) => format!("Import {}", count(entries, "registry entry", "registry entries")),
    };
    let index = |index: &ImportedIndex| format!("Index of {} as imported: {}", index.repository, index.signer);
    let indexes = import.indexes.iter().map(index).collect();
    Ok(paragraphs(&[vec![subject], indexes, changes, trailers(project, locks)?]))
}
