//! What was read of a project so far. A command asks for the same locks and the same mirror several times.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::lock_file::LockFile;
use crate::model::PolicyId;
use crate::ops::Result;
use crate::ops::plugins::config::BuildConfig;
use crate::plan::Wanted;
use crate::store::{ObjectId, Snapshot};

/// The locks and the snapshot that were read last, and the configurations of all git revisions. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Read>>);

#[derive(Debug, Default)]
struct Read {
    /// The paths, blob ids, policies and configurations of locks, and what they pin.
    locks: Option<(Vec<KnownLock>, Arc<Wanted>)>,
    snapshot: Option<Snapshot>,
    /// By the first name of the files, as in gitrevisions(7). A revision always has the same files.
    configurations: BTreeMap<String, BuildConfig>,
}

/// The path and the blob id of a lock, the policy that its project names, and the blob ids of its configuration.
type KnownLock = (String, ObjectId, Option<PolicyId>, Vec<ObjectId>);

impl Memory {
    /// Returns what locks pin. Calls `read` if these are not the same locks as last time.
    pub fn wanted(&self, locks: &[LockFile], read: impl FnOnce() -> Result<Wanted>) -> Result<Arc<Wanted>> {
        let known = |lock: &LockFile| {
            let configs = lock.configs.iter().map(|config| config.blob).collect();
            (lock.file.clone(), lock.blob, lock.policy.clone(), configs)
        };
        let ids: Vec<KnownLock> = locks.iter().map(known).collect();
        let mut memory = self.read();
        match &memory.locks {
            Some((known, wanted)) if *known == ids => Ok(Arc::clone(wanted)),
            _ => {
                let wanted = Arc::new(read()?);
                memory.locks = Some((ids, Arc::clone(&wanted)));
                Ok(wanted)
            }
        }
    }

    /// Returns the snapshot of a commit. Calls `open` if it is not the same commit as last time; then, parts of the
    /// manifest that have not changed are not read again.
    pub fn snapshot(&self, commit: ObjectId, open: impl FnOnce() -> Result<Snapshot>) -> Result<Snapshot> {
        let mut memory = self.read();
        match &memory.snapshot {
            Some(known) if known.commit() == commit => Ok(known.clone()),
            known => {
                let snapshot = open()?;
                known.iter().for_each(|known| snapshot.reuse(known));
                memory.snapshot = Some(snapshot.clone());
                Ok(snapshot)
            }
        }
    }

    /// Returns the configuration of a git revision. Calls `read` if it was not read before.
    pub fn configuration(
        &self,
        name: &str,
        read: impl FnOnce() -> Result<Option<BuildConfig>>,
    ) -> Result<Option<BuildConfig>> {
        if let Some(known) = self.read().configurations.get(name) {
            return Ok(Some(known.clone()));
        }
        let configuration = read()?;
        if let Some(configuration) = &configuration {
            self.read().configurations.insert(name.to_owned(), configuration.clone());
        }
        Ok(configuration)
    }

    fn read(&self) -> MutexGuard<'_, Read> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
