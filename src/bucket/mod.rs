//! Buckets of object stores: Amazon S3, Google Cloud Storage, Azure Blob Storage. This is the only module that uses
//! object_store.
//!
//! [`Bucket`] reads and writes the objects below one prefix. Its functions block. Every request has a time limit, and
//! failed ones are repeated a few times. This module only imports [`model`](crate::model) and [`runtime`].

mod error;
mod network;
mod variables;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Error, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    UpdateVersion,
};
use tokio::runtime::{Builder, Runtime};

use crate::model::BucketAddress;
use crate::runtime;
pub use error::{BucketError, Denial};
pub use network::Network;

/// The result type of this module.
pub type Result<T, E = BucketError> = std::result::Result<T, E>;

/// The most objects that a listing may have. A mirror with 10,000 packages has some 100,000.
const MAX_OBJECTS: usize = 2_000_000;
/// Larger files are uploaded in parts of this size, in bytes.
const PART: usize = 16 << 20;

/// The objects below a prefix of a bucket. Keys are relative to the prefix.
#[derive(Debug)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    address: BucketAddress,
    runtime: Runtime,
    has_credentials: bool,
}

/// The version of an object, which changes with its content.
#[derive(Debug, Clone)]
pub struct ObjectVersion(UpdateVersion);

/// The headers with which a bucket serves an object.
#[derive(Debug, Clone, Copy)]
pub struct Headers {
    /// `Content-Type`.
    pub media_type: &'static str,
    /// `Cache-Control`.
    pub cache_control: &'static str,
}

impl Bucket {
    /// Opens a bucket. Sends nothing yet.
    ///
    /// # Errors
    /// Fails if the settings for the service cannot be used.
    pub fn open(address: &BucketAddress, network: &Network) -> Result<Self> {
        let store = network.store(address)?;
        let runtime = runtime::build(Builder::new_multi_thread().worker_threads(2))
            .map_err(|source| BucketError::Machine { action: "start the threads for the network", source })?;
        Ok(Self { store, address: address.clone(), runtime, has_credentials: network.has_credentials(address) })
    }

    /// Returns the bucket's address.
    pub fn address(&self) -> &BucketAddress {
        &self.address
    }

    /// Returns the keys of all objects, with their sizes in bytes.
    ///
    /// # Errors
    /// Fails if the bucket cannot be listed or has too many objects.
    pub fn list(&self) -> Result<BTreeMap<String, u64>> {
        let prefix = self.address.prefix();
        let root = (!prefix.is_empty()).then(|| self.path("")).transpose()?;
        let mut found = BTreeMap::new();
        self.runtime.block_on(async {
            let mut objects = self.store.list(root.as_ref());
            while let Some(object) = objects.next().await {
                let object = object.map_err(|error| self.failure("list", "", &error))?;
                let key = object.location.as_ref().strip_prefix(prefix).map(|key| key.trim_start_matches('/'));
                if found.len() == MAX_OBJECTS {
                    return Err(BucketError::TooManyObjects { address: self.address.clone(), limit: MAX_OBJECTS });
                }
                found.extend(key.map(|key| (key.to_owned(), object.size)));
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns the content and the version of an object; `None` if there is no such object.
    ///
    /// # Errors
    /// Fails if the object cannot be read or is larger than `limit` bytes.
    pub fn read(&self, key: &str, limit: u64) -> Result<Option<(Vec<u8>, ObjectVersion)>> {
        let path = self.path(key)?;
        self.runtime.block_on(async {
            let found = match self.store.get(&path).await {
                Ok(found) => found,
                Err(error @ Error::NotFound { .. }) => return self.absent("read", key, &error),
                Err(error) => return Err(self.failure("read", key, &error)),
            };
            if found.meta.size > limit {
                return Err(BucketError::TooLarge { object: self.object(key), limit });
            }
            let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
            let bytes = found.bytes().await.map_err(|error| self.failure("read", key, &error))?;
            Ok(Some((bytes.to_vec(), ObjectVersion(version))))
        })
    }

    /// Reads an object in pieces, until it ends or `take` returns `false`. It is not an error if there is no such object.
    ///
    /// # Errors
    /// Fails if the object cannot be read.
    pub fn read_pieces(&self, key: &str, mut take: impl FnMut(&[u8]) -> bool) -> Result<()> {
        let path = self.path(key)?;
        self.runtime.block_on(async {
            let found = match self.store.get(&path).await {
                Ok(found) => found,
                Err(error @ Error::NotFound { .. }) => return self.absent::<()>("read", key, &error).map(drop),
                Err(error) => return Err(self.failure("read", key, &error)),
            };
            let mut pieces = found.into_stream();
            while let Some(piece) = pieces.next().await {
                if !take(&piece.map_err(|error| self.failure("read", key, &error))?) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Writes an object, if there is none with this key. Returns whether there was none.
    ///
    /// # Errors
    /// Fails if the object cannot be written.
    pub fn create(&self, key: &str, bytes: Vec<u8>, headers: Headers) -> Result<bool> {
        Ok(self.put_if(key, bytes, headers, PutMode::Create)?.is_some())
    }

    /// Writes an object in place of the one with this version, or of none. Returns the new version, or `None` if
    /// another client changed the object.
    ///
    /// # Errors
    /// Fails if the object cannot be written.
    pub fn replace(
        &self,
        key: &str,
        bytes: Vec<u8>,
        headers: Headers,
        version: Option<&ObjectVersion>,
    ) -> Result<Option<ObjectVersion>> {
        let mode = version.map_or(PutMode::Create, |ObjectVersion(version)| PutMode::Update(version.clone()));
        let limit = bytes.len() as u64;
        let written = self.put_if(key, bytes.clone(), headers, mode)?;
        if written.is_some() {
            return Ok(written);
        }
        // If only the answer to a write was lost, its repetition finds the object changed.
        let found = self.read(key, limit).or_else(|error| match error {
            BucketError::TooLarge { .. } => Ok(None),
            error => Err(error),
        })?;
        Ok(found.filter(|(found, _)| *found == bytes).map(|(_, version)| version))
    }

    fn put_if(&self, key: &str, bytes: Vec<u8>, headers: Headers, mode: PutMode) -> Result<Option<ObjectVersion>> {
        let path = self.path(key)?;
        let options = PutOptions { mode, attributes: headers.into(), ..PutOptions::default() };
        let put = self.runtime.block_on(self.store.put_opts(&path, PutPayload::from(bytes), options));
        match put {
            Ok(put) => Ok(Some(ObjectVersion(put.into()))),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(None),
            Err(error) => Err(self.failure("write", key, &error)),
        }
    }

    /// Writes an object, whether or not there is one with this key, within a time limit.
    ///
    /// # Errors
    /// Fails if the object cannot be written in time.
    pub fn put(&self, key: &str, bytes: Vec<u8>, headers: Headers, limit: Option<Duration>) -> Result<()> {
        let path = self.path(key)?;
        let options = PutOptions { attributes: headers.into(), ..PutOptions::default() };
        let put = self.store.put_opts(&path, PutPayload::from(bytes), options);
        let put = self.runtime.block_on(async {
            match limit {
                Some(limit) => tokio::time::timeout(limit, put).await,
                None => Ok(put.await),
            }
        });
        match put {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.failure("write", key, &error)),
            Err(_) => Err(BucketError::TimedOut { object: self.object(key) }),
        }
    }

    /// Writes an object from a file, in parts, of which few are in memory. Clients see the object once it is complete.
    ///
    /// # Errors
    /// Fails if the file cannot be read or the object cannot be written.
    pub fn upload(&self, key: &str, file: &FilePath, headers: Headers) -> Result<()> {
        let unreadable = |source| BucketError::Machine { action: "read a file to upload", source };
        let mut file = File::open(file).map_err(unreadable)?;
        let first = part(&mut file).map_err(unreadable)?;
        if first.len() < PART {
            return self.put(key, first, headers, None);
        }
        let path = self.path(key)?;
        let options = PutMultipartOptions { attributes: headers.into(), ..PutMultipartOptions::default() };
        let failed = |error| self.failure("write", key, &error);
        let mut upload = self.runtime.block_on(self.store.put_multipart_opts(&path, options)).map_err(failed)?;
        let mut next = first;
        let sent = loop {
            if next.is_empty() {
                break self.runtime.block_on(upload.complete()).map(drop).map_err(failed);
            }
            if let Err(error) = self.runtime.block_on(upload.put_part(next.into())) {
                break Err(failed(error));
            }
            match part(&mut file) {
                Ok(read) => next = read,
                Err(error) => break Err(unreadable(error)),
            }
        };
        if sent.is_err() {
            // Otherwise the service would keep, and charge for, the parts.
            let _ = self.runtime.block_on(upload.abort());
        }
        sent
    }

    /// Deletes an object. It is not an error if there is none.
    ///
    /// # Errors
    /// Fails if the object cannot be deleted.
    pub fn delete(&self, key: &str) -> Result<()> {
        let path = self.path(key)?;
        match self.runtime.block_on(self.store.delete(&path)) {
            Err(error @ Error::NotFound { .. }) => self.absent::<()>("delete", key, &error).map(drop),
            Err(error) => Err(self.failure("delete", key, &error)),
            Ok(()) => Ok(()),
        }
    }

    /// Distinguishes a missing object from a missing bucket.
    fn absent<T>(&self, action: &'static str, key: &str, error: &Error) -> Result<Option<T>> {
        match self.failure(action, key, error) {
            missing @ BucketError::NoBucket { .. } => Err(missing),
            _ => Ok(None),
        }
    }

    fn path(&self, key: &str) -> Result<Path> {
        Path::parse(self.address.key(key)).map_err(|_| BucketError::Key { object: self.object(key) })
    }

    fn object(&self, key: &str) -> String {
        format!("{}/{key}", self.address)
    }

    fn failure(&self, action: &'static str, key: &str, error: &Error) -> BucketError {
        let object = if key.is_empty() { self.address.to_string() } else { self.object(key) };
        error::failure(action, object, &self.address, self.has_credentials, error)
    }
}

impl From<Headers> for Attributes {
    fn from(headers: Headers) -> Self {
        // Never a Content-Encoding: Hex decompresses entries itself, and would get them decompressed already.
        Self::from_iter([
            (Attribute::ContentType, headers.media_type),
            (Attribute::CacheControl, headers.cache_control),
        ])
    }
}

/// Reads the next part of a file, which is shorter than [`PART`] only at the end.
fn part(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.by_ref().take(PART as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
