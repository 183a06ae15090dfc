//! Finds the items of the branch and their bytes, with caches for both.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::HeaderValue;
use tokio::{runtime, task};

use super::blocking::blocking;
use super::byte_cache::{ByteCache, LoadResult};
use super::contents::{Contents, ContentsError, Found, Resource, Tip};

/// The maximum number of paths to cache per tip. A mirror has a few hundred.
const MAX_REMEMBERED: usize = 20_000;

/// The contents with their caches.
pub(super) struct ContentCache {
    contents: Arc<dyn Contents>,
    bytes: ByteCache,
    remembered: Mutex<Remembered>,
}

/// The items found at one tip.
struct Remembered {
    tip: Tip,
    items: HashMap<String, Arc<Item>>,
}

/// An item of the branch, with the header fields that every response about it has.
pub(super) struct Item {
    pub(super) resource: Resource,
    pub(super) etag: HeaderValue,
    found: Found,
}

impl ContentCache {
    /// Creates the caches. Loads run in `runtime`, so they outlive the worker that started them.
    pub(super) fn new(contents: Arc<dyn Contents>, cache_bytes: u64, runtime: runtime::Handle) -> Self {
        let remembered = Remembered { tip: Tip(String::new()), items: HashMap::new() };
        Self { contents, bytes: ByteCache::new(cache_bytes, runtime), remembered: Mutex::new(remembered) }
    }

    pub(super) fn contents(&self) -> &Arc<dyn Contents> {
        &self.contents
    }

    pub(super) fn tip(&self) -> Result<Tip, ContentsError> {
        self.contents.tip()
    }

    /// Returns the item that was found for this path at this tip before.
    pub(super) fn remembered(&self, tip: &Tip, path: &str) -> Option<Arc<Item>> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.tip == *tip { remembered.items.get(path).cloned() } else { None }
    }

    /// Finds the first of `resources` that the snapshot has, and caches it for `path`.
    pub(super) async fn find(
        &self,
        tip: &Tip,
        path: &str,
        resources: Vec<Resource>,
    ) -> Result<Option<Arc<Item>>, ContentsError> {
        let (contents, at) = (self.contents.clone(), tip.clone());
        let name = resources.first().map(Resource::to_string).unwrap_or_default();
        let found = blocking(|| name, move || first_found(&*contents, &at, resources)).await?;
        let Some((resource, found)) = found else { return Ok(None) };
        let etag = etag(&found.key).ok_or_else(|| ContentsError::Damaged {
            item: resource.to_string(),
            source: format!("its key {:?} cannot be an ETag", found.key).into(),
        })?;
        let item = Arc::new(Item { resource, etag, found });
        self.remember(tip, path, item.clone());
        Ok(Some(item))
    }

    /// Returns whether the snapshot records that a resource does not exist upstream.
    pub(super) async fn is_absent(&self, tip: &Tip, resource: &Resource) -> Result<bool, ContentsError> {
        let (contents, at, asked) = (self.contents.clone(), tip.clone(), resource.clone());
        blocking(|| resource.to_string(), move || contents.is_absent(&at, &asked)).await
    }

    /// Describes the versions of Elixir whose Hex and rebar3 clients can install.
    pub(super) async fn tools(&self) -> String {
        let contents = self.contents.clone();
        task::spawn_blocking(move || contents.tools()).await.unwrap_or_default()
    }

    /// Returns whether the snapshot has a pinned index.
    pub(super) async fn has_index(&self, tip: &Tip) -> Result<bool, ContentsError> {
        let (contents, at) = (self.contents.clone(), tip.clone());
        blocking(|| "the pinned index".to_owned(), move || contents.has_index(&at)).await
    }

    fn remember(&self, tip: &Tip, path: &str, item: Arc<Item>) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.tip != *tip || remembered.items.len() >= MAX_REMEMBERED {
            remembered.tip = tip.clone();
            remembered.items.clear();
        }
        remembered.items.insert(path.to_owned(), item);
    }

    /// Returns the bytes of an item as sent to clients, if they are cached.
    pub(super) fn kept(&self, item: &Item) -> Option<Bytes> {
        self.bytes.kept(&item.found.key)
    }

    /// Returns the bytes of an item as sent to clients. Loads them if necessary.
    pub(super) async fn load(&self, tip: &Tip, item: &Arc<Item>) -> LoadResult {
        let (contents, at, tip, item) = (self.contents.clone(), tip, tip.clone(), item.clone());
        let key = item.found.key.clone();
        let load = move || {
            let bytes = contents.load(&tip, &item.resource, &item.found)?;
            Ok(if item.resource.is_gzipped() { gzip(&bytes) } else { bytes })
        };
        self.bytes.get(&key, at, load).await
    }
}

fn first_found(
    contents: &dyn Contents,
    tip: &Tip,
    resources: Vec<Resource>,
) -> Result<Option<(Resource, Found)>, ContentsError> {
    for resource in resources {
        if let Some(found) = contents.find(tip, &resource)? {
            return Ok(Some((resource, found)));
        }
    }
    Ok(None)
}

/// Returns the strong `ETag` for a key. `None` if the key is not valid in a header.
fn etag(key: &str) -> Option<HeaderValue> {
    let valid = !key.is_empty() && key.len() <= 200 && key.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    valid.then(|| HeaderValue::try_from(format!("\"{key}\"")).ok()).flatten()
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2 + 64), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("writing to memory does not fail").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_would_break_the_header_is_refused() {
        assert_eq!(etag("abc:1").unwrap(), "\"abc:1\"");
        for key in ["", "a\"b", "a b", "a\r\nb", "é", &"a".repeat(201)] {
            assert!(etag(key).is_none(), "{key:?}");
        }
    }
}
