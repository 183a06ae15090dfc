//! Shards: the groups of packages that share a folder and a file of the manifest.
//!
//! A shard depends only on the name of a package, so a path never changes, however many packages there are. Names are
//! hashed because they are not spread evenly: many begin with `phoenix_` or `ex_`, or end in `_ex`.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::PackageName;
use super::hex_digits::{from_hex_digits, hex_digits};

/// A group of packages, by the first byte of the SHA-256 of their names. As text it has two hexadecimal digits in lower
/// case: `printf phoenix | sha256sum | cut -c1-2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(u8);

/// An error for a text that is not the name of a shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a shard: two hexadecimal digits in lower case")]
pub struct ShardError(String);

impl Shard {
    /// Returns the shard of a package.
    pub fn of(package: &PackageName) -> Self {
        Self::of_name(package.as_str())
    }

    /// Returns the shard of the package with this name.
    pub(super) fn of_name(name: &str) -> Self {
        Self(Sha256::digest(name)[0])
    }

    /// Returns all shards, in the order of their names.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex_digits(&[self.0]))
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let number = from_hex_digits(text).map(|[number]| Self(number));
        let error = || ShardError(text.chars().take(80).collect());
        number.filter(|shard| shard.to_string() == text).ok_or_else(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(name: &str) -> String {
        Shard::of(&name.parse().unwrap()).to_string()
    }

    #[test]
    fn shards_never_change() {
        // sha256sum(1). Another result would move every package.
        let known = [("phoenix", "03"), ("plug", "0d"), ("Plug", "01"), ("a", "ca")];
        for (name, expected) in known {
            assert_eq!(shard(name), expected, "{name}");
        }
    }

    #[test]
    fn text_is_read_back_and_has_one_spelling() {
        assert_eq!(Shard::all().count(), 256);
        assert!(Shard::all().all(|shard| shard.to_string().parse() == Ok(shard)));
        for text in ["", "a", "0a1", "A0", "+1", "g0", "..", "git"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }

    #[test]
    fn twenty_thousand_similar_names_are_spread_evenly() {
        let mut sizes = std::collections::BTreeMap::<String, usize>::new();
        for number in 0..20_000 {
            *sizes.entry(shard(&format!("phoenix_live_{number:05}_ex"))).or_default() += 1;
        }
        assert_eq!(sizes.len(), 256);
        assert!(sizes.values().all(|size| (30..150).contains(size)), "{sizes:?}");
    }
}
