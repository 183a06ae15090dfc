//! The envelope of every registry entry: a payload and its signature.

use prost::Message;

use super::{PrivateKey, PublicKey, RegistryError, messages};

/// A payload with its signature. To read the payload, the caller must either verify the signature or state explicitly
/// that the payload is not trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    /// Signs a payload.
    pub fn sign(payload: Vec<u8>, key: &PrivateKey) -> Self {
        let signature = key.sign(&payload);
        Self { payload, signature }
    }

    /// Decodes the message, which must not be gzipped.
    ///
    /// # Errors
    /// Returns an error if the bytes are not such a message, or are more than [`super::MAX_PAYLOAD`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RegistryError> {
        let messages::Signed { payload, signature } = super::decode(bytes, "Signed")?;
        Ok(Self { payload, signature: signature.unwrap_or_default() })
    }

    /// Encodes the message, without gzip.
    pub fn encode(&self) -> Vec<u8> {
        let signature = Some(self.signature.clone()).filter(|signature| !signature.is_empty());
        messages::Signed { payload: self.payload.clone(), signature }.encode_to_vec()
    }

    /// Returns the payload if `key` signed it.
    ///
    /// # Errors
    /// [`RegistryError::BadSignature`] if the signature is missing or was not made with `key`.
    pub fn verify(&self, key: &PublicKey) -> Result<&[u8], RegistryError> {
        if key.is_signature_of(&self.payload, &self.signature) {
            Ok(&self.payload)
        } else {
            Err(RegistryError::BadSignature)
        }
    }

    /// Decodes a message and returns its payload if `key` signed it.
    ///
    /// # Errors
    /// Fails as [`Self::decode`] and [`Self::verify`] do.
    pub fn verified_payload(bytes: &[u8], key: &PublicKey) -> Result<Vec<u8>, RegistryError> {
        let signed = Self::decode(bytes)?;
        signed.verify(key)?;
        Ok(signed.payload)
    }

    /// Returns the payload without checking the signature.
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }
}
