//! Fetches files concurrently.

use std::path::Path;

use tokio::task::{JoinError, JoinSet};

use crate::ops::{OpError, Result};

/// Runs tasks that fetch files into a folder, and returns their results in any order. How many requests run at once is up to
/// what the tasks share.
///
/// # Errors
/// Fails with all errors of the tasks, after all of them have ended.
pub(super) fn fetch_all<T: Send + 'static>(
    folder: &Path,
    tasks: impl IntoIterator<Item = impl Future<Output = Result<T>> + Send + 'static>,
) -> Result<Vec<T>> {
    let runtime = crate::runtime::current_thread().map_err(OpError::machine("fetch into", folder))?;
    let failed = |error: JoinError| OpError::machine("continue to fetch into", folder)(error.into());
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        let mut running = JoinSet::new();
        tasks.into_iter().for_each(|task| drop(running.spawn(task)));
        while let Some(outcome) = running.join_next().await {
            match outcome.map_err(failed).flatten() {
                Ok(one) => found.push(one),
                Err(error) => errors.push(error),
            }
        }
    });
    errors.sort_by_key(ToString::to_string);
    OpError::several(errors).map_or(Ok(found), Err)
}
