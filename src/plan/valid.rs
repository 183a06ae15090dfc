//! Converts the texts of a lock to validated types, with errors that point into the lock.

use std::fmt::Display;
use std::str::FromStr;

use crate::lock::{Located, LockError};

/// Parses a text of a lock. `label` says what it should be.
pub(super) fn valid<T: FromStr<Err: Display>>(located: &Located, label: &str) -> Result<T, LockError> {
    located.text.parse().map_err(|error: T::Err| LockError {
        message: error.to_string(),
        label: label.to_owned(),
        span: located.span,
    })
}
