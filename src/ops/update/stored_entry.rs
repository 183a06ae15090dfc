//! Reads stored registry entries.

use crate::hex::registry::{Package, Signed};
use crate::model::EntryId;
use crate::ops::{OpError, Result};
use crate::store::Snapshot;

/// Reads a registry entry of a snapshot without verifying its signature, which was verified when the entry was stored.
pub(in crate::ops) fn read_entry(snapshot: &Snapshot, id: &EntryId) -> Result<Option<Package>> {
    snapshot.entry(id)?.map(|bytes| decode_entry(id, &bytes)).transpose()
}

/// Decodes a signed registry entry that was verified before.
pub(in crate::ops) fn decode_entry(id: &EntryId, bytes: &[u8]) -> Result<Package> {
    let refused = |source| OpError::Entry { entry: id.clone(), source };
    let signed = Signed::decode(bytes).map_err(refused)?;
    Package::decode_of_any_origin(signed.unverified_payload(), &id.package).map_err(refused)
}
