//! Packages of npm that a key of the test signs.

use base64ct::{Base64, Encoding};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;
use sha2::{Digest, Sha512};

use super::upstream::TestUpstream;

/// How a public key on the curve P-256 begins (RFC 5480).
const HEADER: [u8; 26] =
    *b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";

/// A key of a registry of npm.
pub struct NpmKey(EcdsaKeyPair);

impl NpmKey {
    pub fn generate() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).unwrap())
    }

    /// The public key in PEM.
    pub fn to_pem(&self) -> String {
        let der = [&HEADER[..], self.0.public_key().as_ref()].concat();
        let text = Base64::encode_string(&der);
        let (first, second) = text.split_at(64);
        format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n")
    }

    /// Publishes a tarball below `npm/` as the registry does. `signed` is the content that the key signs.
    pub fn publish(&self, upstream: &TestUpstream, name: &str, version: &str, tarball: &[u8], signed: &[u8]) {
        let integrity = format!("sha512-{}", Base64::encode_string(&Sha512::digest(signed)));
        let message = format!("{name}@{version}:{integrity}");
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        let signature = json!({ "keyid": "SHA256:test", "sig": Base64::encode_string(signature.as_ref()) });
        let file = format!("{name}/-/{}-{version}.tgz", name.rsplit('/').next().unwrap());
        let dist = json!({ "tarball": format!("https://elsewhere.example/{file}"), "integrity": integrity, "signatures": [signature] });
        let manifest = json!({ "_id": format!("{name}@{version}"), "name": name, "version": version, "dist": dist });
        upstream.put(&format!("npm/{name}/{version}"), manifest.to_string().as_bytes());
        upstream.put(&format!("npm/{file}"), tarball);
    }
}

/// A compressed archive with some files.
pub fn tarball(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        // Also names that the crate refuses.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    git_hexmirror::hex::gzip::gzip(&builder.into_inner().unwrap())
}
