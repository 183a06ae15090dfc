//! Where the mirror is published.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::percent::percent_decoded;

/// Where the mirror is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A folder of this machine, by its absolute path.
    Folder(PathBuf),
}

/// An error for a text that does not say where to publish. It does not show the text, which may have a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// The scheme is missing or unknown.
    #[error("expected file:///FOLDER")]
    Scheme,
    /// The folder is not absolute.
    #[error("a file:// address must have an absolute path, such as file:///srv/hexmirror")]
    Folder,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
        }
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let folder = text.strip_prefix("file://").ok_or(DestinationError::Scheme)?;
        let folder = percent_decoded(folder).map(PathBuf::from).filter(|folder| folder.is_absolute());
        folder.map(Self::Folder).ok_or(DestinationError::Folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_absolute() {
        assert_eq!("file:///srv/a%20b".parse(), Ok(Destination::Folder("/srv/a b".into())));
        use DestinationError::{Folder, Scheme};
        for (text, error) in [
            ("", Scheme),
            ("acme", Scheme),
            ("http://acme/x", Scheme),
            ("File:///srv", Scheme),
            ("file://srv/x", Folder),
            ("file://", Folder),
            ("file:///%zz", Folder),
        ] {
            assert_eq!(text.parse::<Destination>(), Err(error), "{text}");
        }
    }
}
