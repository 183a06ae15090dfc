//! How a git process failed.

use super::GitError;

/// The failure of a git process.
#[derive(Debug)]
pub(super) enum Unsuccessful {
    /// Git printed an error that is not about this machine. `text` is one line without passwords. `printed` is git's
    /// standard output.
    Reported { text: String, printed: Vec<u8> },
    /// Git was silent for too long.
    Stalled { seconds: u64 },
    /// Git could not be run, or this machine is to blame.
    Error(GitError),
}

impl Unsuccessful {
    /// Returns the line that git printed about the error.
    pub fn reported(&self) -> Option<&str> {
        match self {
            Self::Reported { text, .. } => Some(text),
            Self::Stalled { .. } | Self::Error(_) => None,
        }
    }

    /// Returns git's standard output and removes it from the error.
    pub fn take_printed(&mut self) -> Vec<u8> {
        match self {
            Self::Reported { printed, .. } => std::mem::take(printed),
            Self::Stalled { .. } | Self::Error(_) => Vec::new(),
        }
    }
}
