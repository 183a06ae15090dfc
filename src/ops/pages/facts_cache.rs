//! Keeps the facts of the last commit and locks that a page was made from, and reads those of others in the background.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::facts::Facts;
use crate::ops::{LockFile, OpError, Project};
use crate::store::{ObjectId, Snapshot};

/// How long a request waits for facts. A mirror of a hundred packages is read in less.
const PATIENCE: Duration = Duration::from_millis(100);

/// The maximum delay until a changed lock is noticed. Reading a lock with thousands of entries takes longer than a page.
const LOCKS_KNOWN: Duration = Duration::from_secs(1);

/// The facts of the last commit and locks.
#[derive(Default)]
pub(super) struct FactsCache(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The facts that were read last, which may be incomplete.
    known: Option<(Key, Arc<Facts>)>,
    /// What is being read.
    reading: Option<Key>,
    /// What could not be read, and why.
    failed: Option<(Key, String)>,
    /// The locks in force, and when they were read.
    locks: Option<(Arc<[LockFile]>, Instant)>,
}

/// What facts depend on.
#[derive(Clone, PartialEq)]
struct Key {
    commit: ObjectId,
    locks: Arc<[LockFile]>,
}

impl State {
    /// Returns the locks in force, as they were not long ago.
    fn locks(&self) -> Option<Arc<[LockFile]>> {
        self.locks.as_ref().filter(|(_, read)| read.elapsed() < LOCKS_KNOWN).map(|(locks, _)| locks.clone())
    }

    fn facts(&self, key: &Key) -> Option<&Arc<Facts>> {
        self.known.as_ref().filter(|(known, _)| known == key).map(|(_, facts)| facts)
    }

    fn is_complete(&self, key: &Key) -> bool {
        self.facts(key).is_some_and(|facts| facts.is_judged)
    }
}

impl FactsCache {
    /// Returns the facts of a snapshot and the locks in force. They may be incomplete, or `None`, if reading them takes longer
    /// than a browser should wait; it then goes on in the background.
    ///
    /// # Errors
    /// Returns the reason if the mirror cannot be read.
    pub fn get(&self, project: &Project, snapshot: &Snapshot) -> Result<Option<Arc<Facts>>, String> {
        let key = Key { commit: snapshot.commit(), locks: self.locks(project)? };
        let mut state = self.0.state();
        if state.is_complete(&key) {
            return Ok(state.facts(&key).cloned());
        }
        // A failure may have been temporary, so each request tries again.
        if state.reading.is_none() {
            state.failed = None;
            state.reading = Some(key.clone());
            let known = state.known.as_ref().map(|(_, facts)| facts.clone());
            let reading = Reading { shared: self.0.clone(), key: key.clone() };
            let (project, snapshot) = (project.clone(), snapshot.clone());
            let started =
                thread::Builder::new().name("pages".into()).spawn(move || reading.run(&project, &snapshot, known));
            if let Err(error) = started {
                return Err(format!("cannot start a thread: {error}"));
            }
        }
        let waits = |state: &mut State| state.reading.is_some() && !state.is_complete(&key);
        let waited = self.0.changed.wait_timeout_while(state, PATIENCE, waits);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match &state.failed {
            Some((failed, problem)) if *failed == key => Err(problem.clone()),
            _ => Ok(state.facts(&key).cloned()),
        }
    }
}

impl FactsCache {
    /// Returns the locks in force. There are none in a replica, which has the mirror branch only.
    fn locks(&self, project: &Project) -> Result<Arc<[LockFile]>, String> {
        if let Some(locks) = self.0.state().locks() {
            return Ok(locks);
        }
        let locks: Arc<[LockFile]> = match project.present_locks() {
            Ok(locks) => locks.into(),
            Err(OpError::NoLock { .. }) => Arc::default(),
            Err(error) => return Err(error.with_causes()),
        };
        self.0.state().locks = Some((locks.clone(), Instant::now()));
        Ok(locks)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Facts that are being read. Dropping it lets others be read, even after a panic.
struct Reading {
    shared: Arc<Shared>,
    key: Key,
}

impl Reading {
    fn run(self, project: &Project, snapshot: &Snapshot, known: Option<Arc<Facts>>) {
        if let Err(error) = self.read(project, snapshot, known.as_deref()) {
            self.shared.state().failed = Some((self.key.clone(), error.with_causes()));
        }
    }

    fn read(&self, project: &Project, snapshot: &Snapshot, known: Option<&Facts>) -> Result<(), OpError> {
        let mut facts = Facts::listed(project, snapshot, &self.key.locks)?;
        self.publish(facts.clone());
        facts.judge(project, snapshot, known)?;
        self.publish(facts);
        Ok(())
    }

    fn publish(&self, facts: Facts) {
        self.shared.state().known = Some((self.key.clone(), Arc::new(facts)));
        self.shared.changed.notify_all();
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.shared.state().reading = None;
        self.shared.changed.notify_all();
    }
}
