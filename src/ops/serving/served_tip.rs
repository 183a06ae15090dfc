//! The commit that a server reads: the tip of the local mirror, or of a remote's as last fetched.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::Remote;
use crate::ops::reading::mirror_source_for;
use crate::ops::{LockFile, Project, Result};
use crate::store::ObjectId;

/// The maximum delay until a changed lock or a fetch determines which mirror is served. A local mirror that moves is
/// noticed at once.
const CHOSEN_FOR: Duration = Duration::from_secs(1);

/// Chooses the mirror to serve, again if anything changes that the choice depends on.
pub(in crate::ops) struct ServedTip {
    project: Mutex<Project>,
    chosen: Mutex<Option<Chosen>>,
}

/// A choice.
struct Chosen {
    by: Basis,
    commit: Option<ObjectId>,
    checked: Instant,
}

/// What a choice depends on.
#[derive(PartialEq)]
struct Basis {
    local: Option<ObjectId>,
    remotes: Vec<(Remote, ObjectId)>,
    locks: Vec<LockFile>,
}

impl ServedTip {
    pub fn new(project: &Project) -> Self {
        Self { project: Mutex::new(project.clone()), chosen: Mutex::new(None) }
    }

    /// Returns the commit to read if the local mirror is at `local`. `None` if there is no mirror.
    pub fn commit(&self, local: Option<ObjectId>) -> Result<Option<ObjectId>> {
        let mut chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(chosen) = &*chosen
            && chosen.by.local == local
            && chosen.checked.elapsed() < CHOSEN_FOR
        {
            return Ok(chosen.commit);
        }
        let project = self.project.lock().unwrap_or_else(PoisonError::into_inner);
        let by = Basis {
            local,
            remotes: project.repository.remote_tips(&project.branch).unwrap_or_default(),
            locks: project.present_locks().unwrap_or_default(),
        };
        let commit = match &*chosen {
            Some(chosen) if chosen.by == by => chosen.commit,
            _ => match mirror_source_for(&project.reopened()?, &by.locks) {
                Ok(source) => source.map(|source| source.commit),
                // Requests report what is wrong with the local mirror.
                Err(_) if local.is_some() => local,
                Err(error) => return Err(error),
            },
        };
        *chosen = Some(Chosen { by, commit, checked: Instant::now() });
        Ok(commit)
    }
}
