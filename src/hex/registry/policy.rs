//! Policies: rules of a repository for the releases that Hex may resolve to. Only the client evaluates them.

use super::{PublicKey, RegistryError, Signed, check_repository, messages, shortened};
use crate::model::PolicyId;

/// Checks that a signed message is a given policy. Without a key, its signature is not checked.
///
/// # Errors
/// Fails if the bytes are not a signed policy, if another key signed it, or if it is another policy
/// (`decode_policy/3` in hex_core's `hex_registry.erl`).
pub fn check_policy(signed: &[u8], key: Option<&PublicKey>, id: &PolicyId) -> Result<(), RegistryError> {
    let signed = Signed::decode(signed)?;
    let payload = match key {
        Some(key) => signed.verify(key)?,
        None => signed.unverified_payload(),
    };
    let messages::Policy { repository, name } = super::decode(payload, "Policy")?;
    if !key.is_some_and(PublicKey::is_of_any_origin) {
        check_repository(&repository, &id.repository)?;
    }
    if name != id.name.as_str() {
        return Err(RegistryError::OtherPolicy { expected: id.name.to_string(), found: shortened(&name) });
    }
    Ok(())
}
