//! Checks that something vouches for each stored file: Elixir's key, npm's, or the list of a package.
//!
//! What fails is stored as it was published or pinned, so a repair cannot change it; a key, a lock or a newer pin can.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::artefacts;
use super::damages::{Unvouched, check_all, damage, damages_of};
use super::tools::check::ToolChecks;
use super::{Project, Result};
use crate::model::{FileId, FileTrust, Manifest};
use crate::plan::{StoredArtefacts, Wanted};
use crate::progress::{Event, Progress};
use crate::store::{Damage, Snapshot};

/// What was found out about the stored files.
#[derive(Debug, Default)]
pub(super) struct FileChecks {
    /// What is wrong, also what is refused.
    pub damages: Vec<Damage>,
    /// Why files are refused, by the path of the damage.
    pub unvouched: BTreeMap<String, Unvouched>,
}

/// What is wrong with one file.
type Problem = (Damage, Option<Unvouched>);

/// Checks all stored files of a snapshot.
///
/// # Errors
/// Fails if a local problem prevents the check, or if the user's keys cannot be read.
pub(super) fn check_files(
    project: &Project,
    snapshot: &Snapshot,
    (manifest, wanted): (&Manifest, &Wanted),
    progress: &Arc<dyn Progress>,
) -> Result<FileChecks> {
    let (tools, claims) = (ToolChecks::new(project, manifest), project.npm_claims(wanted)?);
    let check = |snapshot: &Snapshot, id: &FileId| -> Result<Vec<Problem>> {
        progress.report(Event::Finished { item: id.to_string() });
        let path = format!("file {id}");
        let content = match snapshot.file(id) {
            Ok(content) => content.unwrap_or_default(),
            Err(error) => return Ok(damages_of(&path, &error)?.into_iter().map(|damage| (damage, None)).collect()),
        };
        if id.path.is_of_tools() {
            let problem = tools.check(snapshot, id, &content);
            return Ok(problem.map(|(why, problem)| (Damage { path, problem }, Some(why))).into_iter().collect());
        }
        let error = claims.get(id).and_then(|claim| claim.check(&content).err());
        Ok(error.map(|error| (damage(&path, &error), Some(Unvouched::Npm))).into_iter().collect())
    };
    let stored: Vec<FileId> = manifest.files.keys().cloned().collect();
    let mut problems = check_all(snapshot, &stored, check)?;
    if manifest.files.values().any(|stored| stored.trust == FileTrust::Package) {
        // Damaged releases are reported elsewhere, and list nothing.
        for id in StoredArtefacts::unlisted(manifest, &artefacts::listed(snapshot)?) {
            let problem = "no stored package lists its checksum, so nothing vouches for it".to_owned();
            problems.push((Damage { path: format!("file {id}"), problem }, Some(Unvouched::Unlisted)));
        }
    }
    let mut checks = FileChecks::default();
    for (damage, why) in problems {
        checks.unvouched.extend(why.map(|why| (damage.path.clone(), why)));
        checks.damages.push(damage);
    }
    Ok(checks)
}
