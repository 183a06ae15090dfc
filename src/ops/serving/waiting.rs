//! Waits for a mirror to serve.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use super::served_registry;
use crate::ops::export::error::ExportError;
use crate::ops::{OpError, Project, Result};
use crate::serve::Registry;
use crate::store::StoreError;

/// The time between the first two looks. Each further one takes twice as long, up to the caller's limit.
const PAUSE: Duration = Duration::from_secs(1);

/// Waits until `open` opens a project that has a mirror with the registry to serve. Calls `waiting` with the reason, and again with each other one,
/// if it has to wait. Looks each second first, and at least once in `longest_pause`. Returns whether there is a mirror;
/// there may be none if `stopped` completes first. `stopped` is polled in a tokio runtime with I/O and time enabled.
///
/// # Errors
/// Fails for any other reason than a missing folder, repository, mirror or pinned index, or a remote that does not have one.
pub fn wait_for_mirror(
    open: impl Fn() -> Result<Project>,
    registry: Registry,
    longest_pause: Duration,
    waiting: impl Fn(&OpError),
    stopped: impl Future<Output = ()>,
) -> Result<bool> {
    let (mut told, mut pause) = (String::new(), PAUSE);
    let runtime = crate::runtime::current_thread();
    let runtime = runtime.map_err(OpError::machine("wait for a mirror on", "this machine"))?;
    runtime.block_on(async {
        let mut stopped = pin!(stopped);
        loop {
            match open().and_then(|project| served_registry(&project, registry)) {
                Ok(_) => return Ok(true),
                Err(error) if !may_appear(&error) => return Err(error),
                Err(error) => {
                    let reason = error.to_string();
                    if reason != std::mem::replace(&mut told, reason.clone()) {
                        waiting(&error);
                    }
                }
            }
            tokio::select! {
                () = &mut stopped => return Ok(false),
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(longest_pause.max(PAUSE)),
            }
        }
    })
}

/// Returns whether an error only means that something does not exist yet.
fn may_appear(error: &OpError) -> bool {
    matches!(
        error,
        OpError::NoFolder { .. }
            | OpError::Store(StoreError::NotARepository { .. } | StoreError::NoMirror { .. })
            | OpError::RemoteLacks { .. }
            | OpError::Export(ExportError::NoIndex { .. })
    ) || matches!(error, OpError::Remote(error) if !error.is_local())
}
