//! Remotes of the project's git repository.

use std::fmt;

use serde::{Serialize, Serializer};

use super::redacted::redacted_address;

/// A remote: its name in git's configuration, or an address, which may contain a password or a token.
///
/// `Display`, `Debug` and JSON redact the address. [`Remote::secret_text`] does not, and is for git only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remote(String);

impl Remote {
    /// Returns the unredacted text, for git and for comparisons.
    pub fn secret_text(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Remote {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Remote {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&redacted_address(&self.0))
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", redacted_address(&self.0))
    }
}

impl Serialize for Remote {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        let remote = Remote::from("https://me:s3cret@h/x?private_token=s3cret");
        let shown = format!("{remote} {remote:?} {}", serde_json::to_string(&remote).unwrap());
        assert_eq!(shown, r#"https://***@h/x?*** "https://***@h/x?***" "https://***@h/x?***""#);
        assert_eq!(Remote::from("origin").to_string(), "origin");
        assert_eq!(Remote::from("git@h:x").to_string(), "git@h:x");
    }
}
