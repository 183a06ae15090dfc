//! Revisions of git repositories, and the refs that lock entries name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::hex_digits::{from_hex_digits, hex_digits};

/// The id of a commit: 40 hexadecimal digits in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Revision([u8; 20]);

/// A ref that a lock entry names for its revision, and that clients may request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum GitName {
    /// The default branch, which clients check out if the entry names no ref.
    Head,
    /// A branch.
    Branch(String),
    /// A tag.
    Tag(String),
}

/// An error for a text that is not a revision or a ref name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {wanted}")]
pub struct GitNameError {
    /// The rejected text, truncated to 80 characters.
    pub text: String,
    /// What was expected instead.
    pub wanted: &'static str,
}

impl FromStr for Revision {
    type Err = GitNameError;

    fn from_str(text: &str) -> Result<Self, GitNameError> {
        let error = || name_error(text, "a commit's id (40 hexadecimal digits)");
        from_hex_digits(text).map(Self).ok_or_else(error)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex_digits(&self.0))
    }
}

impl Revision {
    /// Returns the 20 bytes of the id.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// Returns the first ten digits, for output.
    pub fn short(&self) -> String {
        self.to_string()[..10].to_owned()
    }
}

impl FromStr for GitName {
    type Err = GitNameError;

    /// Parses `HEAD`, `heads/NAME` and `tags/NAME`.
    fn from_str(text: &str) -> Result<Self, GitNameError> {
        match text.split_once('/') {
            None if text == "HEAD" => Ok(Self::Head),
            Some(("heads", name)) => Self::branch(name),
            Some(("tags", name)) => Self::tag(name),
            _ => Err(name_error(text, "HEAD, heads/NAME or tags/NAME")),
        }
    }
}

impl GitName {
    /// Creates the name of a branch.
    ///
    /// # Errors
    /// Returns an error if git refuses the name (`git-check-ref-format(1)`).
    pub fn branch(name: &str) -> Result<Self, GitNameError> {
        check_ref(name).map(|()| Self::Branch(name.to_owned()))
    }

    /// Creates the name of a tag.
    ///
    /// # Errors
    /// Returns an error if git refuses the name (`git-check-ref-format(1)`).
    pub fn tag(name: &str) -> Result<Self, GitNameError> {
        check_ref(name).map(|()| Self::Tag(name.to_owned()))
    }
}

impl fmt::Display for GitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("HEAD"),
            Self::Branch(name) => write!(f, "heads/{name}"),
            Self::Tag(name) => write!(f, "tags/{name}"),
        }
    }
}

/// The longest name accepted, in bytes.
const MAX_LENGTH: usize = 255;
/// The longest accepted part of a name between slashes, in bytes. Clients store refs as files and write them as
/// `PART.lock` first, and file systems limit names to 255 bytes.
const MAX_COMPONENT: usize = 255 - ".lock".len();

/// Checks the rules of `git-check-ref-format(1)`.
fn check_ref(name: &str) -> Result<(), GitNameError> {
    let component = |part: &str| {
        !part.is_empty() && part.len() <= MAX_COMPONENT && !part.starts_with('.') && !part.ends_with(".lock")
    };
    let character = |c: char| !c.is_control() && !c.is_whitespace() && !"~^:?*[\\".contains(c);
    let valid = name.len() <= MAX_LENGTH
        && name.split('/').all(component)
        && name.chars().all(character)
        && !name.starts_with('-')
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && name != "@";
    if valid { Ok(()) } else { Err(name_error(name, "a name that git accepts for a branch or tag")) }
}

fn name_error(text: &str, wanted: &'static str) -> GitNameError {
    GitNameError { text: text.chars().take(80).collect(), wanted }
}

as_text!(Revision: GitNameError, GitName: GitNameError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_and_names() {
        let revision: Revision = "B43616A08459451CC5AFDCD9839B732CBC1DEDFA".parse().unwrap();
        assert_eq!(revision.to_string(), "b43616a08459451cc5afdcd9839b732cbc1dedfa");
        for text in ["", "abc", "b43616a08459451cc5afdcd9839b732cbc1dedfg", &"a".repeat(64), "é".repeat(20).as_str()] {
            assert!(text.parse::<Revision>().is_err(), "{text}");
        }
        for text in ["HEAD", "heads/v2.0", "tags/a/b", "heads/ü", &format!("heads/{}", "a".repeat(250))] {
            assert_eq!(text.parse::<GitName>().unwrap().to_string(), text);
        }
        let refused =
            ["a..b", "-x", "a b", "x.lock", "a/.b", "a//b", "@", "a@{1", "a:b", "a\n", "", "a.", "a/", "x\\y"];
        let long = ["a".repeat(251), format!("{0}/{0}", "a".repeat(128))];
        for name in refused.into_iter().chain(long.iter().map(String::as_str)) {
            assert!(GitName::branch(name).is_err(), "{name}");
            assert!(GitName::tag(name).is_err(), "{name}");
        }
    }
}
