//! Changes of policies.

use sha2::{Digest, Sha256};

use super::Transaction;
use crate::model::{EntryChecksum, ManifestPart, PolicyId, StoredEntry};
use crate::store::Result;

impl Transaction<'_> {
    /// Adds or replaces a policy, and returns whether it is new or differs. `signed` is the signed message, not
    /// compressed.
    ///
    /// # Errors
    /// Fails if the pack cannot be written.
    pub fn put_policy(&mut self, id: PolicyId, signed: &[u8]) -> Result<bool> {
        let checksum = EntryChecksum::from_bytes(Sha256::digest(signed).into());
        let stored = StoredEntry { checksum, bytes: signed.len() as u64 };
        let is_new = self.manifest.policies.insert(id.clone(), stored) != Some(stored);
        if is_new {
            self.parts.insert(ManifestPart::Policies);
            let blob = self.add_blob(signed)?;
            self.policies.insert(id, Some(blob));
        }
        Ok(is_new)
    }

    /// Removes a policy.
    pub fn remove_policy(&mut self, id: &PolicyId) {
        if self.manifest.policies.remove(id).is_some() {
            self.parts.insert(ManifestPart::Policies);
            self.policies.insert(id.clone(), None);
        }
    }
}
