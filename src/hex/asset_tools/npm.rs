//! What npm says about the content of a package: its registry signs `NAME@VERSION:INTEGRITY` with ECDSA over P-256 and SHA-256,
//! and the integrity is the SHA-512 of the tarball
//! (<https://docs.npmjs.com/about-registry-signatures>; `Esbuild.NpmRegistry` checks the same).

use std::fmt;

use base64ct::{Base64, Encoding};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde::Deserialize;
use sha2::{Digest, Sha512};

use super::NpmPackage;

/// The keys of npm's registry (<https://registry.npmjs.org/-/npm/v1/keys>): the one from before 2025, and the current one.
const NPM_PUBLIC_KEYS: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1Olb3zMAFFxXKHiIkQO5cJ3Yhl5i
6UPp+IhuteBJbuHcA5UogKo0EWtlWwW6KSaKoTNEYL7JlCQiVnkhBktUgg==
-----END PUBLIC KEY-----
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEY6Ya7W++7aUPzvMTrezH6Ycx3c+H
OKYCcNGybJZSCJq/fd7Qa8uuAKtdIkUQtQiEKERhAmE5lMMJhP8OkDOa2g==
-----END PUBLIC KEY-----
";
/// How a public key on this curve begins (RFC 5480): its algorithm, its curve, and the length of its point.
const HEADER: [u8; 26] =
    *b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
/// The length of a point, in bytes.
const POINT: usize = 65;
/// The last line of a key.
const END: &str = "-----END PUBLIC KEY-----";
/// How an integrity begins.
const SHA512: &str = "sha512-";
/// The maximum number of signatures of a manifest that are tried.
const MAX_SIGNATURES: usize = 16;
/// The longest signature in base64, in bytes. One on this curve has at most 96.
const MAX_LENGTH: usize = 200;

/// Keys that may sign packages, as points on the curve.
#[derive(Debug, Clone)]
pub struct NpmKeys(Vec<Vec<u8>>);

/// A signature of npm's registry. Displayed and parsed in base64.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NpmSignature(String);

/// Why npm does not vouch for a package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NpmError {
    /// The manifest is not JSON with what a manifest has.
    #[error("it is not the manifest of a package, with an integrity and signatures")]
    Manifest,
    /// The integrity is of another kind than SHA-512.
    #[error("its integrity is not one SHA-512")]
    Integrity,
    /// No known key made a signature of this package with this content.
    #[error("npm's keys did not sign it")]
    NotSigned,
    /// A text is not a key.
    #[error("it has no public key on the curve P-256 in PEM")]
    Key,
    /// A text is not a signature.
    #[error("a signature of npm is base64")]
    Form,
}

/// The parts of a manifest that count.
#[derive(Deserialize)]
struct Manifest {
    dist: Dist,
}

#[derive(Deserialize)]
struct Dist {
    integrity: String,
    #[serde(default)]
    signatures: Vec<Signed>,
}

#[derive(Deserialize)]
struct Signed {
    sig: String,
}

impl NpmKeys {
    /// Returns npm's own keys.
    pub fn npm() -> Self {
        Self::from_pem(NPM_PUBLIC_KEYS).expect("the constant has valid keys; a test reads them")
    }

    /// Reads keys from PEM, one after another.
    ///
    /// # Errors
    /// Fails if there is none, or if one is of another kind.
    pub fn from_pem(text: &str) -> Result<Self, NpmError> {
        let mut keys = Vec::new();
        for part in text.split_inclusive(END).filter(|part| part.contains(END)) {
            let (label, der) = pem_rfc7468::decode_vec(part.trim_start().as_bytes()).map_err(|_| NpmError::Key)?;
            let point = der.strip_prefix(&HEADER).filter(|point| label == "PUBLIC KEY" && point.len() == POINT);
            keys.push(point.ok_or(NpmError::Key)?.to_vec());
        }
        if keys.is_empty() { Err(NpmError::Key) } else { Ok(Self(keys)) }
    }

    /// Adds keys.
    #[must_use]
    pub fn with(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// Checks that npm signed a content as that of a package.
    ///
    /// # Errors
    /// Fails if none of the keys made the signature, or if it is of something else.
    pub fn check(&self, package: &NpmPackage, content: &[u8], signature: &NpmSignature) -> Result<(), NpmError> {
        self.check_integrity(package, &integrity(content), signature)
    }

    fn check_integrity(&self, package: &NpmPackage, integrity: &str, signature: &NpmSignature) -> Result<(), NpmError> {
        let bytes = Base64::decode_vec(&signature.0).map_err(|_| NpmError::Form)?;
        let message = format!("{package}:{integrity}");
        let made = |key: &Vec<u8>| {
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key);
            key.verify(message.as_bytes(), &bytes).is_ok()
        };
        if self.0.iter().any(made) { Ok(()) } else { Err(NpmError::NotSigned) }
    }
}

/// Returns the integrity of a content.
fn integrity(content: &[u8]) -> String {
    format!("{SHA512}{}", Base64::encode_string(&Sha512::digest(content)))
}

/// Returns the integrity that a manifest has for a package, with the signature of one of the keys over it.
///
/// # Errors
/// Fails if the manifest is malformed, or if none of the keys signed it for this package.
pub fn signed_integrity(
    manifest: &[u8],
    package: &NpmPackage,
    keys: &NpmKeys,
) -> Result<(String, NpmSignature), NpmError> {
    let Manifest { dist } = serde_json::from_slice(manifest).map_err(|_| NpmError::Manifest)?;
    let digest = dist.integrity.strip_prefix(SHA512).and_then(|text| Base64::decode_vec(text).ok());
    if digest.is_none_or(|digest| digest.len() != Sha512::output_size()) {
        return Err(NpmError::Integrity);
    }
    let signatures = dist.signatures.iter().take(MAX_SIGNATURES).filter_map(|signed| signed.sig.parse().ok());
    let is_valid = |signature: &NpmSignature| keys.check_integrity(package, &dist.integrity, signature).is_ok();
    let signature = { signatures }.find(is_valid).ok_or(NpmError::NotSigned)?;
    Ok((dist.integrity, signature))
}

impl NpmSignature {
    /// Returns whether a content has an integrity.
    pub fn is_integrity_of(integrity: &str, content: &[u8]) -> bool {
        self::integrity(content) == integrity
    }
}

impl std::str::FromStr for NpmSignature {
    type Err = NpmError;

    fn from_str(text: &str) -> Result<Self, NpmError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        match !text.is_empty() && text.len() <= MAX_LENGTH && text.bytes().all(is_allowed) {
            true => Ok(Self(text.to_owned())),
            false => Err(NpmError::Form),
        }
    }
}

impl fmt::Display for NpmSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
    use serde_json::json;

    use super::*;

    fn pair() -> (EcdsaKeyPair, NpmKeys) {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).unwrap();
        let der = [&HEADER[..], pair.public_key().as_ref()].concat();
        let pem = pem_rfc7468::encode_string("PUBLIC KEY", pem_rfc7468::LineEnding::LF, &der).unwrap();
        (pair, NpmKeys::from_pem(&pem).unwrap())
    }

    fn manifest(pair: &EcdsaKeyPair, message: &str, integrity: &str) -> Vec<u8> {
        let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        let signatures =
            ["", "AAAA", &Base64::encode_string(signature.as_ref())].map(|sig| json!({ "keyid": "x", "sig": sig }));
        let dist = json!({ "integrity": integrity, "signatures": signatures });
        json!({ "name": "x", "dist": dist }).to_string().into_bytes()
    }

    fn package() -> NpmPackage {
        NpmPackage { name: "@esbuild/linux-x64".to_owned(), version: "0.25.0".to_owned() }
    }

    #[test]
    fn npms_keys_are_valid_and_others_are_not() {
        assert_eq!(NpmKeys::npm().0.len(), 2);
        for text in ["", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
            assert_eq!(NpmKeys::from_pem(text).unwrap_err(), NpmError::Key);
        }
    }

    #[test]
    fn a_signed_content_is_accepted_also_without_the_manifest() {
        let (pair, keys) = pair();
        let (content, integrity) = (b"tarball", integrity(b"tarball"));
        let signed = manifest(&pair, &format!("@esbuild/linux-x64@0.25.0:{integrity}"), &integrity);
        let (found, signature) = signed_integrity(&signed, &package(), &keys).unwrap();
        assert!(NpmSignature::is_integrity_of(&found, content) && !NpmSignature::is_integrity_of(&found, b"other"));
        assert_eq!(signature.to_string().parse(), Ok(signature.clone()));
        assert_eq!(keys.check(&package(), content, &signature), Ok(()));
        assert_eq!(keys.check(&package(), b"other", &signature), Err(NpmError::NotSigned));
        let other = NpmPackage { version: "0.25.1".to_owned(), ..package() };
        assert_eq!(keys.check(&other, content, &signature), Err(NpmError::NotSigned));
        assert_eq!(NpmKeys::npm().check(&package(), content, &signature), Err(NpmError::NotSigned));
        assert_eq!(NpmKeys::npm().with(keys).check(&package(), content, &signature), Ok(()));
    }

    #[test]
    fn hostile_manifests_are_refused() {
        let (pair, keys) = pair();
        let read = |manifest: &[u8]| signed_integrity(manifest, &package(), &keys).unwrap_err();
        let good = integrity(b"tarball");
        let of_other = manifest(&pair, &format!("@esbuild/linux-x64@0.24.0:{good}"), &good);
        assert_eq!(read(&of_other), NpmError::NotSigned);
        let changed = manifest(&pair, &format!("@esbuild/linux-x64@0.25.0:{good}"), &integrity(b"other"));
        assert_eq!(read(&changed), NpmError::NotSigned);
        for weak in ["sha1-AAAA", "sha512-AAAA", "sha512-!", "", &format!("{good} {good}")] {
            let message = format!("@esbuild/linux-x64@0.25.0:{weak}");
            assert_eq!(read(&manifest(&pair, &message, weak)), NpmError::Integrity, "{weak}");
        }
        for text in ["", "{}", "[]", "<html>", "{\"dist\":{}}", "{\"dist\":{\"integrity\":1}}"] {
            assert_eq!(read(text.as_bytes()), NpmError::Manifest, "{text}");
        }
        let unsigned = format!("{{\"dist\":{{\"integrity\":\"{good}\"}}}}");
        assert_eq!(read(unsigned.as_bytes()), NpmError::NotSigned);
        for text in ["", "a b", "\u{e9}", "-", &"A".repeat(MAX_LENGTH + 1)] {
            assert_eq!(text.parse::<NpmSignature>(), Err(NpmError::Form), "{text}");
        }
    }
}
