//! Asks the contents on a thread of its own, because they block.

use tokio::task;

use super::contents::ContentsError;

/// Runs `ask`. A panic in it is an error about the item.
pub(super) async fn blocking<T: Send + 'static>(
    item: impl FnOnce() -> String,
    ask: impl FnOnce() -> Result<T, ContentsError> + Send + 'static,
) -> Result<T, ContentsError> {
    let answer = task::spawn_blocking(ask).await;
    answer.unwrap_or_else(|error| Err(ContentsError::Damaged { item: item(), source: error.into() }))
}
