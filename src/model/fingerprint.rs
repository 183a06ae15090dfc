//! Fingerprints of the keys that sign registry entries.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64Unpadded, Encoding};
use serde::{Deserialize, Serialize};

/// The prefix of every fingerprint.
const PREFIX: &str = "SHA256:";

/// An error for a text that is not a fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a fingerprint (SHA256: and 43 characters of base64, as `mix hex.repo list` shows it)")]
pub struct FingerprintError {
    /// The rejected text, truncated to 80 characters.
    pub text: String,
}

/// The fingerprint of a public key: the SHA-256 of its SSH encoding (RFC 4253, section 6.6), as `mix hex.repo list`
/// shows it (`fingerprint/1` in hex_core's `hex_repo.erl`). Displayed as `SHA256:` followed by unpadded base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

as_text!(Fingerprint: FingerprintError);

impl Fingerprint {
    /// Wraps a digest that the caller computed.
    pub const fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let mut digest = [0; 32];
        let decoded = text.strip_prefix(PREFIX).and_then(|rest| Base64Unpadded::decode(rest, &mut digest).ok());
        match decoded {
            Some(decoded) if decoded.len() == 32 => Ok(Self(digest)),
            _ => Err(FingerprintError { text: text.chars().take(80).collect() }),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", Base64Unpadded::encode_string(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_is_read_and_written() {
        let text = "SHA256:O1LOYhHFW4kcrblKAxROaDEzLD8bn1seWbe5tq8TRsk";
        assert_eq!(text.parse::<Fingerprint>().unwrap().to_string(), text);
        for wrong in
            ["", "SHA256:", &text[7..], &format!("{text}="), &text[..text.len() - 1], &format!("{text}A"), "MD5:ab"]
        {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
        // The last character has two unused bits, which must be zero.
        assert!(text.replace("Rsk", "Rsl").parse::<Fingerprint>().is_err());
    }
}
