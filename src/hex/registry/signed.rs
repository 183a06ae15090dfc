//! The envelope of every registry entry: a payload and its signature.

use prost::Message;

use super::{PrivateKey, PublicKey, RegistryError, messages};

/// A payload with its signature. The payload is handed out where the signature is right, or where the caller says that
/// it is not to be trusted.
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

    /// Reads the message (not gzipped).
    ///
    /// # Errors
    /// Where it is not such a message, or above [`super::MAX_PAYLOAD`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RegistryError> {
        let messages::Signed { payload, signature } = super::decode(bytes, "Signed")?;
        Ok(Self { payload, signature: signature.unwrap_or_default() })
    }

    /// Writes the message (not gzipped).
    pub fn encode(&self) -> Vec<u8> {
        let signature = Some(self.signature.clone()).filter(|signature| !signature.is_empty());
        messages::Signed { payload: self.payload.clone(), signature }.encode_to_vec()
    }

    /// Returns the payload, if `key` signed it.
    ///
    /// # Errors
    /// [`RegistryError::BadSignature`] where the signature is missing or not that of `key`.
    pub fn verify(&self, key: &PublicKey) -> Result<&[u8], RegistryError> {
        if key.is_signature_of(&self.payload, &self.signature) {
            Ok(&self.payload)
        } else {
            Err(RegistryError::BadSignature)
        }
    }

    /// Returns the payload, whoever signed it.
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// Returns the signature; empty where there is none.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}
