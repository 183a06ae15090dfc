//! The keys that sign registry entries: RSA, PKCS #1 v1.5, SHA-512.

use std::sync::LazyLock;

use getrandom::SysRng;
use pem_rfc7468::LineEnding;
use ring::rand::SystemRandom;
use ring::signature::{self, RsaKeyPair, UnparsedPublicKey};
use rsa::pkcs1::{DecodeRsaPrivateKey as _, DecodeRsaPublicKey as _, EncodeRsaPublicKey as _};
use rsa::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use rsa::traits::PublicKeyParts as _;
use sha2::{Digest, Sha256};

use crate::model::Fingerprint;

/// hex.pm's public key, which every Hex client includes.
pub const HEXPM_PUBLIC_KEY: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEApqREcFDt5vV21JVe2QNB
Edvzk6w36aNFhVGWN5toNJRjRJ6m4hIuG4KaXtDWVLjnvct6MYMfqhC79HAGwyF+
IqR6Q6a5bbFSsImgBJwz1oadoVKD6ZNetAuCIK84cjMrEFRkELtEIPNHblCzUkkM
3rS9+DPlnfG8hBvGi6tvQIuZmXGCxF/73hU0/MyGhbmEjIKRtG6b0sJYKelRLTPW
XgK7s5pESgiwf2YC/2MGDXjAJfpfCd0RpLdvd4eRiXtVlE9qO9bND94E7PgQ/xqZ
J1i2xWFndWa6nfFnRxZmCStCOZWYYPlaxr+FZceFbpMwzTNs4g3d4tLNUcbKAIH4
0wIDAQAB
-----END PUBLIC KEY-----
";

/// Returns the parsed form of [`HEXPM_PUBLIC_KEY`].
pub fn hexpm_key() -> &'static PublicKey {
    static KEY: LazyLock<PublicKey> =
        LazyLock::new(|| PublicKey::from_pem(HEXPM_PUBLIC_KEY).expect("the constant is a valid key; a test reads it"));
    &KEY
}

/// Why the text of a key is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is not PEM.
    #[error("the key is not in PEM form")]
    NotPem,
    /// The text contains more than one PEM block.
    #[error("the PEM text contains more than one key or certificate")]
    Several,
    /// The private key is encrypted.
    #[error("the private key is encrypted with a passphrase")]
    Encrypted,
    /// The PEM text contains another kind of key or object.
    #[error("the PEM text contains {found:?} instead of {expected}")]
    OtherKind {
        /// The labels that are accepted.
        expected: &'static str,
        /// The label of the text.
        found: String,
    },
    /// The key is not an RSA key of 2048 to 8192 bits.
    #[error("the key is not an RSA key of 2048 to 8192 bits")]
    NotUsable,
    /// The private key is not an RSA key of 2048 to 4096 bits.
    #[error("the private key is not an RSA key of 2048, 3072 or 4096 bits")]
    NotForSigning,
}

/// A repository's public key.
#[derive(Clone)]
pub struct PublicKey {
    key: rsa::PublicKey,
    /// The key as PKCS #1, in DER form.
    der: Vec<u8>,
    any_origin: bool,
}

impl PublicKey {
    /// Parses a PEM key with the label `PUBLIC KEY` (SubjectPublicKeyInfo) or `RSA PUBLIC KEY` (PKCS #1).
    ///
    /// # Errors
    /// Returns an error if the text is not PEM, or not an RSA public key of a supported size.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (label, der) = read_pem(text)?;
        let key = match label {
            "PUBLIC KEY" => rsa::PublicKey::from_public_key_der(&der).ok(),
            "RSA PUBLIC KEY" => rsa::PublicKey::from_pkcs1_der(&der).ok(),
            other => {
                let expected = "PUBLIC KEY or RSA PUBLIC KEY";
                return Err(KeyError::OtherKind { expected, found: other.to_owned() });
            }
        };
        let key = key.filter(|key| (2048..=8192).contains(&key.n().bit_width()));
        key.and_then(Self::new).ok_or(KeyError::NotUsable)
    }

    fn new(key: rsa::PublicKey) -> Option<Self> {
        let der = key.to_pkcs1_der().ok()?.into_vec();
        Some(Self { key, der, any_origin: false })
    }

    /// Returns the same key for a repository that signs in the name of another one, such as a company's mirror: what it
    /// signed may name any repository, as with the Hex client's `HEX_NO_VERIFY_REPO_ORIGIN`.
    #[must_use]
    pub fn of_any_origin(self) -> Self {
        Self { any_origin: true, ..self }
    }

    /// Returns whether what this key signed may name any repository.
    pub(super) fn is_of_any_origin(&self) -> bool {
        self.any_origin
    }

    /// Encodes the key as PEM with the label `PUBLIC KEY`, including a final line break.
    pub fn to_pem(&self) -> String {
        let der = self.key.to_public_key_der().expect("a key that was accepted can be written");
        write_pem("PUBLIC KEY", der.as_bytes())
    }

    /// Returns the key's fingerprint in the form that Hex shows.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut digest = Sha256::new();
        let mut add = |bytes: &[u8]| {
            // RFC 4251, section 5, "string". A key of 8192 bits has only 1 KiB, so the length always fits.
            digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            digest.update(bytes);
        };
        add(b"ssh-rsa");
        for bytes in [self.key.e_bytes(), self.key.n_bytes()] {
            // "mpint": a leading zero byte keeps the highest bit from being read as a sign.
            let sign: &[u8] = if bytes[0] >= 0x80 { &[0] } else { &[] };
            add(&[sign, &bytes].concat());
        }
        Fingerprint::from_bytes(digest.finalize().into())
    }

    pub(in crate::hex) fn is_signature_of(&self, payload: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA512, &self.der).verify(payload, signature).is_ok()
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for PublicKey {}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({:?})", self.to_pem())
    }
}

/// A mirror's private key. `Debug` does not print it.
pub struct PrivateKey {
    pair: RsaKeyPair,
    key: rsa::PrivateKey,
}

impl PrivateKey {
    /// Generates a key of 2048 bits, the size in the documentation of `mix hex.registry`.
    ///
    /// # Errors
    /// [`KeyError::NotForSigning`] if the system's random number generator fails.
    pub fn generate() -> Result<Self, KeyError> {
        rsa::PrivateKey::new(&mut SysRng, 2048).ok().and_then(Self::new).ok_or(KeyError::NotForSigning)
    }

    fn new(key: rsa::PrivateKey) -> Option<Self> {
        let pair = RsaKeyPair::from_pkcs8(key.to_pkcs8_der().ok()?.as_bytes()).ok()?;
        Some(Self { pair, key })
    }

    /// Parses an unencrypted PEM key with the label `PRIVATE KEY` (PKCS #8) or `RSA PRIVATE KEY` (PKCS #1).
    ///
    /// # Errors
    /// Returns an error if the text is not a single PEM block, is encrypted, or is not an RSA private key of a supported
    /// size.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        // PKCS #8 has a label for encrypted keys, the traditional form of PKCS #1 has a header (RFC 1421).
        if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("\nProc-Type: 4,ENCRYPTED") {
            return Err(KeyError::Encrypted);
        }
        let (label, der) = read_pem(text)?;
        let key = match label {
            "PRIVATE KEY" => rsa::PrivateKey::from_pkcs8_der(&der).ok(),
            "RSA PRIVATE KEY" => rsa::PrivateKey::from_pkcs1_der(&der).ok(),
            "EC PRIVATE KEY" | "DSA PRIVATE KEY" => None,
            other => {
                let expected = "PRIVATE KEY or RSA PRIVATE KEY";
                return Err(KeyError::OtherKind { expected, found: other.to_owned() });
            }
        };
        key.and_then(Self::new).ok_or(KeyError::NotForSigning)
    }

    /// Encodes the key as PEM with the label `PRIVATE KEY`, including a final line break.
    pub fn to_pem(&self) -> String {
        let der = self.key.to_pkcs8_der().expect("a key that was accepted can be written");
        write_pem("PRIVATE KEY", der.as_bytes())
    }

    /// Returns the public key.
    pub fn public_key(&self) -> PublicKey {
        PublicKey::new(self.key.to_public_key()).expect("a private key that was accepted has a public half")
    }

    pub(super) fn sign(&self, payload: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(&signature::RSA_PKCS1_SHA512, &SystemRandom::new(), payload, &mut signature)
            .expect("an RSA key of at least 2048 bits holds a SHA-512 signature");
        signature
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// Returns whether a text contains a private key in PEM form, of any kind.
pub fn contains_private_key(text: &[u8]) -> bool {
    let label = b"PRIVATE KEY-----";
    text.windows(label.len()).any(|window| window == label)
}

fn read_pem(text: &str) -> Result<(&str, Vec<u8>), KeyError> {
    if text.matches("-----BEGIN ").count() > 1 {
        return Err(KeyError::Several);
    }
    pem_rfc7468::decode_vec(text.trim().as_bytes()).map_err(|_| KeyError::NotPem)
}

fn write_pem(label: &str, der: &[u8]) -> String {
    pem_rfc7468::encode_string(label, LineEnding::LF, der).expect("labels and lengths of keys fit PEM")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fingerprint that `mix hex.repo list` shows and that `mix hex.repo add --fetch-public-key` accepts.
    #[test]
    fn the_fingerprint_is_that_of_hex() {
        assert_eq!(hexpm_key().fingerprint().to_string(), "SHA256:O1LOYhHFW4kcrblKAxROaDEzLD8bn1seWbe5tq8TRsk");
    }
}
