//! Reads stored policies.

use sha2::{Digest, Sha256};

use super::{Result, Snapshot, StoreError, layout};
use crate::model::{ManifestPart, PolicyId};

impl Snapshot {
    /// Returns the signed message of a policy, verified against the manifest, or `None` if the policy is not stored.
    ///
    /// # Errors
    /// Fails if the policy is damaged.
    pub fn policy(&self, id: &PolicyId) -> Result<Option<Vec<u8>>> {
        let manifest = self.part(ManifestPart::Policies)?;
        let Some(stored) = manifest.policies.get(id) else { return Ok(None) };
        let path = layout::policy_path(id);
        let bytes = self.blob(&path)?.ok_or_else(|| StoreError::damaged(&path)("it is missing"))?;
        let found: [u8; 32] = Sha256::digest(&bytes).into();
        match &found == stored.checksum.as_bytes() {
            true => Ok(Some(bytes)),
            false => Err(StoreError::damaged(path)("its checksum differs from the manifest's")),
        }
    }
}
