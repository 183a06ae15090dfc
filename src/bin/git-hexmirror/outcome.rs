//! How a command ends.

use std::io;

use git_hexmirror::ops::OpError;

/// The result of a command: its exit code.
pub type Outcome = Result<u8, CommandError>;

/// Why a command failed.
#[derive(Debug)]
pub enum CommandError {
    /// The operation failed.
    Op(OpError),
    /// Its result could not be printed.
    Print(io::Error),
    /// The command line cannot be used.
    Usage { message: String, hint: &'static str },
}

impl<E: Into<OpError>> From<E> for CommandError {
    fn from(error: E) -> Self {
        Self::Op(error.into())
    }
}
