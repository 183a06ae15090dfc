//! The identity of a policy.

use std::fmt;
use std::str::FromStr;

use super::{NameError, PolicyName, RepositoryName, shortened};

/// The identity of a policy: a signed file of a repository with rules for the releases that Hex may resolve to.
///
/// Displayed and parsed as `REPOSITORY/NAME`, as in `HEX_POLICY`. hexpm itself has no policies, only its organisations
/// and other repositories do (`parse_ref/1` in `hex/policy.ex`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId {
    /// The Hex repository.
    pub repository: RepositoryName,
    /// The name.
    pub name: PolicyName,
}

/// An error for a text that does not name a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyIdError {
    /// The text has another form.
    #[error("{:?} is not the name of a policy; expected REPOSITORY/NAME, such as hexpm:acme/strict", shortened(.text))]
    Form {
        /// The text.
        text: String,
    },
    /// A part is not a valid name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The policy would belong to hexpm itself.
    #[error("{text:?} names hexpm itself, which has no policies; those of an organisation are hexpm:ORGANISATION/NAME")]
    Hexpm {
        /// The text.
        text: String,
    },
}

impl FromStr for PolicyId {
    type Err = PolicyIdError;

    fn from_str(text: &str) -> Result<Self, PolicyIdError> {
        let form = || PolicyIdError::Form { text: text.to_owned() };
        let (repository, name) = text.split_once('/').ok_or_else(form)?;
        let id = Self { repository: repository.parse()?, name: name.parse()? };
        match id.repository == RepositoryName::hexpm() {
            true => Err(PolicyIdError::Hexpm { text: text.to_owned() }),
            false => Ok(id),
        }
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.repository, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_named_as_in_the_client() {
        for text in ["hexpm:acme/strict-prod", "acme/x", "a:b/C_1"] {
            assert_eq!(text.parse::<PolicyId>().unwrap().to_string(), text);
        }
        for text in ["", "strict", "hexpm/strict", "a/", "/a", "a/b/c", "a/../b", "hexpm:acme/-x", "a b/c", "a/b\n"] {
            assert!(text.parse::<PolicyId>().is_err(), "{text}");
        }
    }
}
