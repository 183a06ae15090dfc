//! Versions of packages.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::name::MAX_LENGTH;

/// An error for a text that is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a version such as 1.2.3 or 1.2.3-rc.1")]
pub struct VersionError {
    /// The rejected text, truncated to 80 characters.
    pub text: String,
}

/// A version in Hex's format: `MAJOR.MINOR.PATCH`, with optional `-pre` and `+build` parts (Semantic Versioning 2.0).
///
/// Versions are ordered by precedence. To make the order total, versions that differ only in the build part are ordered
/// by that part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(semver::Version);

impl Version {
    /// Returns the lowest version, `0.0.0-0`.
    pub fn lowest() -> Self {
        Self(semver::Version {
            pre: semver::Prerelease::new("0").expect("a valid pre-release"),
            ..semver::Version::new(0, 0, 0)
        })
    }

    /// Returns a version that is higher than every published one: its numbers are the largest possible.
    pub fn highest() -> Self {
        Self(semver::Version::new(u64::MAX, u64::MAX, u64::MAX))
    }

    /// Returns whether this is a pre-release, such as `1.2.3-rc.1`.
    pub fn is_pre_release(&self) -> bool {
        !self.0.pre.is_empty()
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError { text: text.chars().take(80).collect() };
        if text.len() > MAX_LENGTH {
            return Err(error());
        }
        semver::Version::parse(text).map(Self).map_err(|_| error())
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_back_and_order_is_by_precedence() {
        let texts = ["0.9.0", "1.0.0-alpha", "1.0.0-rc.2", "1.0.0-rc.10", "1.0.0", "1.10.0"];
        let versions: Vec<Version> = texts.iter().map(|text| text.parse().unwrap()).collect();
        assert!(versions.is_sorted());
        assert_eq!(versions.iter().map(Version::to_string).collect::<Vec<_>>(), texts);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "1", "1.0", "v1.0.0", "1.0.0/..", "1.0.0 ", "01.0.0", &format!("1.0.0-{}", "a".repeat(200))] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
