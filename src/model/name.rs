//! Names of packages, of policies and of Hex repositories.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

/// The longest name accepted, in bytes. Clients store files called `NAME-VERSION.tar`, and the tree has folders called
/// `NAME@VERSION`, so name and version together must stay below the limit of 255 bytes that file systems have.
pub(super) const MAX_LENGTH: usize = 120;

/// The name that nearly every item has. Names share their text when they are cloned, because a manifest of 10,000 packages
/// has 50,000 of them.
static HEXPM: LazyLock<Arc<str>> = LazyLock::new(|| "hexpm".into());

/// An error for a text that is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a valid {kind} name: {rule}")]
pub struct NameError {
    /// `package`, `policy` or `repository`.
    pub kind: &'static str,
    /// The rejected name, truncated to 80 characters.
    pub name: String,
    /// The violated rule.
    pub rule: &'static str,
}

/// The name of a package: at most 120 bytes of letters, digits, `_` and `-`, not beginning with `-`.
///
/// hex.pm accepts `[a-z]\w*`; self-hosted repositories accept slightly more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageName(Arc<str>);

/// The name of a Hex repository: `hexpm`, an organisation such as `hexpm:acme`, or a self-hosted repository such as
/// `acme`.
///
/// Each part follows the rules of [`PackageName`]. There is at most one `:`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(Arc<str>);

/// The name of a policy in its repository. It follows the rules of [`PackageName`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PolicyName(Arc<str>);

impl RepositoryName {
    /// Returns the name of the public repository, `hexpm`.
    pub fn hexpm() -> Self {
        Self(Arc::clone(&HEXPM))
    }

    /// Returns the part before the `:`, or the whole name if there is none: `hexpm` for `hexpm:acme`.
    pub fn source(&self) -> &str {
        self.0.split_once(':').map_or(&self.0, |(source, _)| source)
    }

    /// Returns the organisation, if the name has one: `acme` for `hexpm:acme`.
    pub fn organization(&self) -> Option<&str> {
        self.0.split_once(':').map(|(_, organization)| organization)
    }

    /// Returns the repository name that registry entries contain: the organisation, or the whole name if there is none
    /// (`repo_name/1` in hex_core's `hex_repo.erl`).
    pub fn registry_name(&self) -> &str {
        self.organization().unwrap_or(&self.0)
    }
}

impl FromStr for PackageName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        check("package", name, name).map(|()| Self(name.into()))
    }
}

impl FromStr for PolicyName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        check("policy", name, name).map(|()| Self(name.into()))
    }
}

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        if *name == **HEXPM {
            return Ok(Self::hexpm());
        }
        name.splitn(2, ':').try_for_each(|part| check("repository", name, part)).map(|()| Self(name.into()))
    }
}

fn check(kind: &'static str, name: &str, part: &str) -> Result<(), NameError> {
    let rule = if part.is_empty() {
        "it is empty"
    } else if name.len() > MAX_LENGTH {
        "it is longer than 120 bytes"
    } else if part.starts_with('-') {
        "it begins with '-'"
    } else if !part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
        "only ASCII letters, digits, '_' and '-' are allowed"
    } else {
        return Ok(());
    };
    Err(NameError { kind, name: name.chars().take(80).collect(), rule })
}

macro_rules! text {
    ($name:ident) => {
        impl $name {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                name.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(PackageName);
text!(PolicyName);
text!(RepositoryName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organisations_are_parsed() {
        let name: RepositoryName = "hexpm:acme".parse().unwrap();
        assert_eq!((name.source(), name.organization(), name.registry_name()), ("hexpm", Some("acme"), "acme"));
        let name = RepositoryName::hexpm();
        assert_eq!((name.source(), name.organization(), name.registry_name()), ("hexpm", None, "hexpm"));
    }

    #[test]
    fn hostile_names_are_refused() {
        for name in ["", "-rf", "../x", "a/b", "a@1", "a b", "a\0", "ä", ".git", "a:b:c", "a:", ":a", &"a".repeat(121)]
        {
            assert!(name.parse::<RepositoryName>().is_err(), "{name}");
            assert!(name.parse::<PackageName>().is_err(), "{name}");
            assert!(name.parse::<PolicyName>().is_err(), "{name}");
        }
        assert!("a:b".parse::<PackageName>().is_err());
    }
}
