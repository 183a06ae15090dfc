//! Waits for a mirror to serve.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use super::served_mirror;
use crate::ops::{OpError, Project, Result};
use crate::store::StoreError;

/// The time between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Waits until `open` opens a project that has a mirror. Calls `waiting` once, with the reason, if it has to wait.
/// Returns whether there is a mirror; there may be none if `stopped` completes first. `stopped` is polled in a tokio
/// runtime with I/O and time enabled.
///
/// # Errors
/// Fails for any other reason than a missing folder, repository or mirror.
pub fn wait_for_mirror(
    open: impl Fn() -> Result<Project>,
    waiting: impl FnOnce(&OpError),
    stopped: impl Future<Output = ()>,
) -> Result<bool> {
    let mut waiting = Some(waiting);
    let runtime = crate::runtime::current_thread();
    let runtime = runtime.map_err(OpError::machine("wait for a mirror on", "this machine"))?;
    runtime.block_on(async {
        let mut stopped = pin!(stopped);
        loop {
            match open().and_then(|project| served_mirror(&project)) {
                Ok(_) => return Ok(true),
                Err(error) if !may_appear(&error) => return Err(error),
                Err(error) => waiting.take().into_iter().for_each(|waiting| waiting(&error)),
            }
            tokio::select! {
                () = &mut stopped => return Ok(false),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    })
}

/// Returns whether an error only means that something does not exist yet.
fn may_appear(error: &OpError) -> bool {
    matches!(
        error,
        OpError::NoFolder { .. } | OpError::Store(StoreError::NotARepository { .. } | StoreError::NoMirror { .. })
    )
}
