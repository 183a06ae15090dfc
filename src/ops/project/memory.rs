//! What was read of a project so far. A command asks for the same locks and the same mirror several times.

use std::sync::{Arc, Mutex, PoisonError};

use super::lock_file::LockFile;
use crate::model::PolicyId;
use crate::ops::Result;
use crate::plan::Wanted;
use crate::store::{ObjectId, Snapshot};

/// The locks and the snapshot that were read last. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Read>>);

#[derive(Debug, Default)]
struct Read {
    /// The paths, blob ids and policies of locks, and what they pin.
    locks: Option<(Vec<KnownLock>, Arc<Wanted>)>,
    snapshot: Option<Snapshot>,
}

/// The path and the blob id of a lock, and the policy that its project names.
type KnownLock = (String, ObjectId, Option<PolicyId>);

impl Memory {
    /// Returns what locks pin. Calls `read` if these are not the same locks as last time.
    pub fn wanted(&self, locks: &[LockFile], read: impl FnOnce() -> Result<Wanted>) -> Result<Arc<Wanted>> {
        let ids: Vec<_> = locks.iter().map(|lock| (lock.file.clone(), lock.blob, lock.policy.clone())).collect();
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
}
