//! Decides which registry entries of an unfinished update the next update reuses.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::fetch::{CachedEntry, Downloads, Upstream};
use crate::hex::registry::{Package, PublicKey};
use crate::model::EntryId;
use crate::ops::Result;
use crate::ops::sync::signers::verified;
use crate::store::Snapshot;

/// How long an entry is reused without asking upstream again.
///
/// Otherwise, an update of many packages from an unreliable upstream would never finish, because all entries would have
/// to arrive in one run. As a consequence, the mirror's entries may be older than upstream's by up to this time.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);
/// The same limit for an update that refreshes all entries.
const MAX_AGE_IN_REFRESH: Duration = Duration::from_secs(10 * 60);

/// The registry entries that are kept in the download folder.
pub(in crate::ops) struct EntryCache {
    downloads: Arc<Downloads>,
    /// The mirror. If its entry changed since an entry was kept, the mirror's may be newer.
    base: Option<Mutex<Snapshot>>,
    kept_for: Duration,
}

/// A verified registry entry and its contents.
pub(in crate::ops) struct Verified {
    pub signed: Vec<u8>,
    pub package: Package,
    pub etag: Option<String>,
}

/// The result of a search for a kept entry.
pub(in crate::ops) enum CacheLookup {
    /// The entry can be used without a request.
    Current(Verified),
    /// The repository recently answered that it has no such entry.
    Absent,
    /// The entry needs revalidation by upstream.
    Stale(Verified),
    Nothing,
}

impl EntryCache {
    pub fn new(downloads: Arc<Downloads>, base: Option<&Snapshot>, refresh: bool) -> Self {
        let base = base.cloned().map(Mutex::new);
        Self { downloads, base, kept_for: if refresh { MAX_AGE_IN_REFRESH } else { MAX_AGE } }
    }

    /// Searches for a kept entry. Ignores entries that are damaged or that another key signed.
    pub fn find(&self, upstream: &Upstream, id: &EntryId, key: &PublicKey) -> CacheLookup {
        let Some((CachedEntry { signed, etag, base }, age)) = upstream.cached_entry(id, &self.downloads) else {
            return CacheLookup::Nothing;
        };
        let is_current = age < self.kept_for && base == self.base_of(id);
        match signed.map(|signed| Verified::new(id, key, signed, etag)) {
            None if is_current => CacheLookup::Absent,
            Some(Ok(verified)) if is_current => CacheLookup::Current(verified),
            Some(Ok(verified)) => CacheLookup::Stale(verified),
            _ => CacheLookup::Nothing,
        }
    }

    /// Keeps a repository's response for the next update, in case this one fails. `None` records that the repository
    /// has no such entry.
    pub fn keep(&self, upstream: &Upstream, id: &EntryId, verified: Option<&Verified>) {
        let signed = verified.map(|verified| verified.signed.clone());
        let etag = verified.and_then(|verified| verified.etag.clone());
        upstream.cache_entry(id, &CachedEntry { signed, etag, base: self.base_of(id) }, &self.downloads);
    }

    fn base_of(&self, id: &EntryId) -> Option<crate::model::EntryChecksum> {
        let base = self.base.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        // An entry that cannot be read is not reused.
        base.manifest_of(&id.package).ok()?.entries.get(id).map(|stored| stored.checksum)
    }
}

impl Verified {
    /// Verifies an entry's signature with its repository's key and decodes it.
    pub fn new(id: &EntryId, key: &PublicKey, signed: Vec<u8>, etag: Option<String>) -> Result<Self> {
        let package = verified(id, &signed, key)?;
        Ok(Self { package, signed, etag })
    }
}
