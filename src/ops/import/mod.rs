//! Imports what earlier recipes, caches and exports left in folders, without a network.

mod attempt;
pub(in crate::ops) mod error;
mod folders;
mod git;
mod indexes;
mod message;
mod outcome;
mod registries;
mod tarballs;

use std::sync::Arc;
use std::time::Instant;

use super::maintenance::maintain;
use super::update_lock::lock;
use super::{OpError, Project, Result, init};
use crate::progress::{Event, Progress};
use crate::store::StoreError;
use attempt::Attempt;
use error::ImportError;
use folders::Contents;
use outcome::listed;
pub use outcome::{Import, ImportOptions, ImportedIndex, ImportedTarball};

/// The number of attempts if other processes keep moving the branch.
const ATTEMPTS: usize = 5;

/// Imports folders in one commit, or nothing. Uses no network.
///
/// # Errors
/// Fails with everything that is wrong with what was found: it contradicts a lock, a registry, the mirror or itself. Fails
/// also if nothing was found, or nothing that a lock pins. The branch is then unchanged.
pub fn import(project: &Project, options: &ImportOptions, progress: &Arc<dyn Progress>) -> Result<Import> {
    let start = Instant::now();
    let contents = Contents::find(&options.folders)?;
    for (path, error) in &contents.unreadable {
        let message = format!("left out {}, which cannot be read: {error}", path.display());
        progress.report(Event::Warning { message });
    }
    if contents.is_empty() {
        return Err(ImportError::Nothing { folders: listed(&options.folders) }.into());
    }
    let _lock = lock(project, progress.as_ref())?;
    for _ in 0..ATTEMPTS {
        let base = match project.snapshot()? {
            Some(base) => Some(base),
            None if options.dry_run => None,
            None => init::adopt(project, progress.as_ref())?.map(|(_, base)| base),
        };
        match Attempt::new(project, options, base)?.run(&contents, progress) {
            Err(OpError::Store(StoreError::Moved { .. })) => {}
            Err(error) => return Err(error),
            Ok(import) => {
                if import.commit != import.before {
                    maintain(project);
                }
                let unreadable = contents.unreadable.into_iter().map(|(path, _)| path).collect();
                return Ok(Import { elapsed: start.elapsed(), unreadable, ..import });
            }
        }
    }
    Err(OpError::KeptMoving { branch: project.branch.to_string() })
}
