//! Which registry entries of an unfinished update are used by the next one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{OpError, Result};
use crate::fetch::{Downloads, Kept, Upstream};
use crate::hex::registry::{Package, PublicKey, Signed};
use crate::model::{EntryId, StoredEntry};

/// For how long an entry is used without asking again.
///
/// Without that an update of many packages from an upstream that often fails would never end, since all entries would have to
/// arrive in one run. The entries on the mirror may be older than upstream's by this time, and no more.
const KEPT: Duration = Duration::from_secs(60 * 60);
/// The same for an update that is to fetch what is new.
const KEPT_IN_REFRESH: Duration = Duration::from_secs(10 * 60);

/// The registry entries that are kept in the folder of downloads.
pub(super) struct KeptEntries {
    downloads: Arc<Downloads>,
    /// The entries of the mirror as it is. If it has another one than when an entry was kept, that one may be newer.
    base: BTreeMap<EntryId, StoredEntry>,
    kept_for: Duration,
}

/// A registry entry with what it says.
pub(super) struct Verified {
    pub signed: Vec<u8>,
    pub package: Package,
    pub etag: Option<String>,
}

/// What is kept of an entry.
pub(super) enum Found {
    /// It can be used as it is.
    Current(Verified),
    /// The repository had no such entry a moment ago.
    Absent,
    /// Upstream has to say whether it is still the same.
    Stale(Verified),
    Nothing,
}

impl KeptEntries {
    pub fn new(downloads: Arc<Downloads>, base: BTreeMap<EntryId, StoredEntry>, refresh: bool) -> Self {
        Self { downloads, base, kept_for: if refresh { KEPT_IN_REFRESH } else { KEPT } }
    }

    /// Looks for an entry. What is damaged, or signed by another key now, is no use.
    pub fn find(&self, upstream: &Upstream, id: &EntryId, key: &PublicKey) -> Found {
        let Some((Kept { signed, etag, base }, age)) = upstream.kept_entry(id, &self.downloads) else {
            return Found::Nothing;
        };
        let is_current = age < self.kept_for && base == self.base_of(id);
        match signed.map(|signed| Verified::new(id, key, signed, etag)) {
            None if is_current => Found::Absent,
            Some(Ok(verified)) if is_current => Found::Current(verified),
            Some(Ok(verified)) => Found::Stale(verified),
            _ => Found::Nothing,
        }
    }

    /// Keeps what a repository answered for the next update, in case this one fails; `None`: that it has no such entry.
    pub fn keep(&self, upstream: &Upstream, id: &EntryId, verified: Option<&Verified>) {
        let signed = verified.map(|verified| verified.signed.clone());
        let etag = verified.and_then(|verified| verified.etag.clone());
        upstream.keep_entry(id, &Kept { signed, etag, base: self.base_of(id) }, &self.downloads);
    }

    fn base_of(&self, id: &EntryId) -> Option<crate::model::EntryChecksum> {
        self.base.get(id).map(|stored| stored.checksum)
    }
}

impl Verified {
    /// Checks an entry against its repository's key and reads it.
    pub fn new(id: &EntryId, key: &PublicKey, signed: Vec<u8>, etag: Option<String>) -> Result<Self> {
        let refused = |source| OpError::Entry { entry: id.clone(), source };
        let message = Signed::decode(&signed).map_err(refused)?;
        let payload = message.verify(key).map_err(refused)?;
        let package = Package::decode(payload, &id.repository, &id.package).map_err(refused)?;
        Ok(Self { package, signed, etag })
    }
}
