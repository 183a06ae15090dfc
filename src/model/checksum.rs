//! SHA-256 checksums. Each kind of checksum is a newtype, so that two kinds cannot be confused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::hex_digits::{from_hex_digits, hex_digits};

/// An error for a text that is not a SHA-256 checksum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a SHA-256 checksum (64 hexadecimal digits)")]
pub struct ChecksumError {
    /// The rejected text, truncated to 80 characters.
    pub text: String,
}

macro_rules! checksum {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps a digest that the caller computed.
            pub const fn from_bytes(digest: [u8; 32]) -> Self {
                Self(digest)
            }

            /// Returns the 32 bytes of the digest.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ChecksumError;

            /// Parses 64 hexadecimal digits, in upper or lower case.
            fn from_str(text: &str) -> Result<Self, ChecksumError> {
                let error = || ChecksumError { text: text.chars().take(80).collect() };
                from_hex_digits(text).map(Self).ok_or_else(error)
            }
        }

        impl TryFrom<String> for $name {
            type Error = ChecksumError;

            fn try_from(text: String) -> Result<Self, ChecksumError> {
                text.parse()
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = ChecksumError;

            fn try_from(bytes: &[u8]) -> Result<Self, ChecksumError> {
                bytes.try_into().map(Self).map_err(|_| ChecksumError { text: format!("{} bytes", bytes.len()) })
            }
        }

        impl From<$name> for String {
            fn from(checksum: $name) -> String {
                checksum.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex_digits(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

checksum! {
    /// The SHA-256 of a whole tarball. Displayed in lower case.
    OuterChecksum
}
checksum! {
    /// The SHA-256 over the tarball's `VERSION`, `metadata.config` and `contents.tar.gz`, in that order. Displayed in
    /// lower case.
    InnerChecksum
}
checksum! {
    /// The SHA-256 of a registry entry's signed message before compression. Displayed in lower case.
    EntryChecksum
}
checksum! {
    /// The SHA-256 of what a package's entry in the pinned index is built from. Displayed in lower case.
    IndexSource
}
checksum! {
    /// The SHA-256 of a stored file. Displayed in lower case.
    FileChecksum
}
checksum! {
    /// The SHA-256 of the tracked settings that need the user's permission. Displayed in lower case.
    TrustHash
}

impl IndexSource {
    /// The record of an entry that another program built and signed, in an index that was imported.
    pub const IMPORTED: Self = Self([0; 32]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_cases_read_and_lower_case_is_shown() {
        let upper = "AB".repeat(32);
        let checksum: OuterChecksum = upper.parse().unwrap();
        assert_eq!(checksum.to_string(), "ab".repeat(32));
        assert_eq!(checksum.as_bytes(), &[0xab; 32]);
    }

    #[test]
    fn other_lengths_and_digits_are_refused() {
        for text in ["", "ab", &"ab".repeat(33), &"zz".repeat(32), &"é".repeat(32)] {
            assert!(text.parse::<InnerChecksum>().is_err(), "{text}");
        }
    }
}
