//! Fetches registry entries, policies and tarballs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE, TRANSFER_ENCODING,
};
use tokio::sync::Semaphore;

use super::cached_entry::CachedEntry;
use super::connection::{Answer, Connections};
use super::downloads::{Download, Downloads};
use super::endpoint::{Endpoint, WebUrl, docs_name};
use super::error::FetchError;
use super::folder::RepositoryFolder;
use super::gzip::{self, GzipError};
use super::hash;
use super::partial::Partial;
use super::settings::Settings;
use crate::model::{
    EntryId, FileAddress, FileChecksum, FilePath, OuterChecksum, PackageName, PolicyId, ReleaseId, RepositoryName,
};
use crate::progress::{Event, Progress};

/// The maximum buffer size in bytes that is reserved in advance for a registry entry.
const MAX_RESERVED: u64 = 1 << 20;

/// The size in bytes from which a download is announced.
const LARGE: u64 = 50 << 20;

/// The response to a request for a registry entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The entry is new or has changed.
    Found {
        /// The Signed message, decompressed but not verified.
        signed: Vec<u8>,
        /// The ETag to send with the next request.
        etag: Option<String>,
    },
    /// The entry still has the given ETag.
    NotModified,
}

/// The upstream Hex repositories.
///
/// Use a single value for all fetches, because its connections and its limit of concurrent requests are shared by all
/// tasks that borrow it. It reports [`Event::Received`] and [`Event::Retrying`]. The caller reports planned and
/// finished items.
pub struct Upstream {
    settings: Settings,
    endpoints: BTreeMap<RepositoryName, Endpoint>,
    /// The repositories that are folders on this machine.
    folders: BTreeMap<RepositoryName, RepositoryFolder>,
    connections: Connections,
    permits: Semaphore,
    progress: Arc<dyn Progress>,
}

impl Upstream {
    /// Prepares for fetching. Reads the certificate authorities but does not send anything.
    ///
    /// # Errors
    /// [`FetchError::CaCertificates`], [`FetchError::Proxy`] or [`FetchError::Client`] if the settings cannot be used.
    pub fn new(
        settings: Settings,
        endpoints: BTreeMap<RepositoryName, Endpoint>,
        progress: Arc<dyn Progress>,
    ) -> Result<Self, FetchError> {
        let connections = Connections::new(&settings)?;
        let permits = Semaphore::new(settings.concurrency.clamp(1, Semaphore::MAX_PERMITS));
        Ok(Self { settings, endpoints, folders: BTreeMap::new(), connections, permits, progress })
    }

    /// Reads these repositories from folders on this machine.
    #[must_use]
    pub fn with_folders(self, folders: BTreeMap<RepositoryName, RepositoryFolder>) -> Self {
        Self { folders, ..self }
    }

    /// Fetches a package's registry entry unless it still has the ETag `etag`.
    ///
    /// # Errors
    /// [`FetchError::NotFound`] if the repository has no such package, or any other fetch error.
    pub async fn registry_entry(
        &self,
        repository: &RepositoryName,
        package: &PackageName,
        etag: Option<&str>,
    ) -> Result<Entry, FetchError> {
        if let Some(folder) = self.folders.get(repository) {
            let signed = folder.signed_message("packages", package.as_str(), &self.settings.limits)?;
            return Ok(Entry::Found { signed, etag: None });
        }
        let endpoint = self.endpoint(repository)?;
        let url = endpoint.registry_entry(package);
        self.signed_message(format!("registry entry of {package}"), &endpoint, url, etag).await
    }

    /// Fetches a policy: its Signed message, decompressed but not verified.
    ///
    /// # Errors
    /// [`FetchError::NotFound`] if the repository has no such policy, or any other fetch error.
    pub async fn policy(&self, id: &PolicyId) -> Result<Vec<u8>, FetchError> {
        if let Some(folder) = self.folders.get(&id.repository) {
            return folder.signed_message("policies", id.name.as_str(), &self.settings.limits);
        }
        let endpoint = self.endpoint(&id.repository)?;
        let url = endpoint.policy(&id.name);
        match self.signed_message(format!("policy {id}"), &endpoint, url.clone(), None).await? {
            Entry::Found { signed, .. } => Ok(signed),
            Entry::NotModified => Err(FetchError::Protocol { url, reason: "it did not send the policy".into() }),
        }
    }

    /// Fetches a signed message unless it still has the ETag `etag`. `item` describes it for display.
    async fn signed_message(
        &self,
        item: String,
        endpoint: &Endpoint,
        url: WebUrl,
        etag: Option<&str>,
    ) -> Result<Entry, FetchError> {
        let mut attempts = self.attempts(item);
        loop {
            match self.signed_message_once(endpoint, url.clone(), etag).await {
                Ok(entry) => return Ok(entry),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    /// Returns the registry entry kept in `downloads` and its age. The caller must verify the entry.
    pub fn cached_entry(&self, id: &EntryId, downloads: &Downloads) -> Option<(CachedEntry, Duration)> {
        let url = self.endpoint(&id.repository).ok()?.registry_entry(&id.package);
        CachedEntry::read(&downloads.entries(), url.reveal())
    }

    /// Returns the registry entry of a package if its repository is a folder, from which nothing is kept. The caller must verify
    /// the entry.
    pub fn entry_in_folder(&self, id: &EntryId) -> Option<Vec<u8>> {
        let folder = self.folders.get(&id.repository)?;
        folder.signed_message("packages", id.package.as_str(), &self.settings.limits).ok()
    }

    /// Keeps a registry entry in `downloads`. If that fails, the entry is fetched again next time.
    pub fn cache_entry(&self, id: &EntryId, kept: &CachedEntry, downloads: &Downloads) {
        if let Ok(endpoint) = self.endpoint(&id.repository) {
            let _ = kept.write(&downloads.entries(), endpoint.registry_entry(&id.package).reveal());
        }
    }

    /// Fetches a release's tarball into `downloads`, unless it is already there or in the Hex client's cache.
    ///
    /// Without an `expected` checksum, a cached tarball cannot be verified, so the tarball is always fetched.
    ///
    /// # Errors
    /// [`FetchError::ChecksumMismatch`] if upstream's tarball has another checksum; the tarball is discarded.
    /// [`FetchError::NotFound`] if the release does not exist, or any other fetch error.
    pub async fn tarball(
        &self,
        release: &ReleaseId,
        expected: Option<&OuterChecksum>,
        downloads: &Downloads,
    ) -> Result<Download, FetchError> {
        if let Some(expected) = expected
            && let Some(download) = self.at_hand(release, expected, downloads)?
        {
            return Ok(download);
        }
        if let Some(folder) = self.folders.get(&release.repository) {
            return folder.tarball(release, expected, &self.settings.limits);
        }
        let endpoint = self.endpoint(&release.repository)?;
        let source =
            Source { url: endpoint.tarball(release), limit: self.settings.limits.tarball, endpoint: Some(endpoint) };
        self.download(release.to_string(), release.tarball_name(), &source, expected, downloads).await
    }

    /// Fetches a file that an address names into `downloads`, unless it is already there. A tracked file may have chosen
    /// the address.
    ///
    /// # Errors
    /// [`FetchError::Inside`] if the address, or one that it redirects to, is internal. Otherwise as for
    /// [`Self::tarball`].
    pub async fn file(
        &self,
        address: &FileAddress,
        expected: Option<&FileChecksum>,
        downloads: &Downloads,
    ) -> Result<Download, FetchError> {
        let url = address
            .as_str()
            .parse()
            .map_err(|error| FetchError::Address { address: address.clone(), source: error })?;
        let source = Source { url, limit: self.settings.limits.file, endpoint: None };
        self.whole_file(address.to_string(), address.to_string(), &source, expected, downloads).await
    }

    /// Fetches a file below an address that the user chose into `downloads`, without credentials.
    ///
    /// # Errors
    /// As for [`Self::tarball`].
    pub async fn installer(
        &self,
        base: &WebUrl,
        path: &FilePath,
        expected: Option<&FileChecksum>,
        downloads: &Downloads,
    ) -> Result<Download, FetchError> {
        let (url, endpoint) = (base.below(path.as_str()), Some(Endpoint::public(base.clone())));
        let source = Source { url, limit: self.settings.limits.file, endpoint };
        self.whole_file(path.to_string(), path.to_string(), &source, expected, downloads).await
    }

    /// Fetches the documentation of a release into `downloads`, unless it is already there.
    ///
    /// # Errors
    /// As for [`Self::tarball`].
    pub async fn docs(
        &self,
        release: &ReleaseId,
        expected: Option<&FileChecksum>,
        downloads: &Downloads,
    ) -> Result<Download, FetchError> {
        if let Some(folder) = self.folders.get(&release.repository) {
            let expected = expected.map(|checksum| OuterChecksum::from_bytes(*checksum.as_bytes()));
            return folder.docs(release, expected.as_ref(), &self.settings.limits);
        }
        let endpoint = self.endpoint(&release.repository)?;
        let source =
            Source { url: endpoint.docs(release), limit: self.settings.limits.tarball, endpoint: Some(endpoint) };
        let item = format!("documentation of {release}");
        self.whole_file(item, docs_name(release), &source, expected, downloads).await
    }

    /// Downloads a file, unless it is already there.
    async fn whole_file(
        &self,
        item: String,
        file: String,
        source: &Source,
        expected: Option<&FileChecksum>,
        downloads: &Downloads,
    ) -> Result<Download, FetchError> {
        let expected = expected.map(|checksum| OuterChecksum::from_bytes(*checksum.as_bytes()));
        if let Some(expected) = &expected
            && let Some(download) = downloads.finished(expected)?
        {
            return Ok(download);
        }
        self.download(item, file, source, expected.as_ref(), downloads).await
    }

    /// Downloads a file, and resumes an earlier attempt. `item` and `file` describe it for display.
    async fn download(
        &self,
        item: String,
        file: String,
        source: &Source,
        expected: Option<&OuterChecksum>,
        downloads: &Downloads,
    ) -> Result<Download, FetchError> {
        let url = &source.url;
        let mut partial = Partial::open(downloads, &hash::of_bytes(url.reveal().as_bytes()).to_string())?;
        let mut received = 0;
        let mut attempts = self.attempts(item);
        // The data may be complete already, if an earlier process was killed before it finished.
        let mut whole = partial.length() > 0 && expected.is_some_and(|expected| partial.checksum() == *expected);
        loop {
            let mut framed = true;
            if !whole {
                match self.download_once(source, &mut partial, &mut received).await {
                    Ok(has_length) => framed = has_length,
                    Err(error) => {
                        attempts.pause(error).await?;
                        continue;
                    }
                }
            }
            match expected.filter(|expected| partial.checksum() != **expected) {
                // Without a checksum, anything would be accepted.
                None if expected.is_none() && !url.names_web_page() && partial.is_web_page()? => {
                    partial.restart(None)?;
                    return Err(FetchError::WebPage { url: url.clone() });
                }
                None => return partial.finish(received),
                // The server may have resumed with the bytes of another tarball.
                Some(_) if partial.was_resumed() => partial.restart(None)?,
                // The end of such a response is the end of the connection, which may have been lost.
                Some(_) if !framed => {
                    partial.restart(None)?;
                    let source = "the response has no length, and its content has the wrong checksum".into();
                    attempts.pause(FetchError::Interrupted { url: url.clone(), source }).await?;
                }
                Some(expected) => {
                    let (got, from) = (partial.checksum(), url.to_string());
                    partial.restart(None)?;
                    return Err(FetchError::ChecksumMismatch { file, expected: *expected, got, from });
                }
            }
            whole = false;
        }
    }

    /// Returns the endpoint given for a repository. An organisation without an endpoint uses that of its repository.
    fn endpoint(&self, repository: &RepositoryName) -> Result<Endpoint, FetchError> {
        if self.folders.contains_key(repository) {
            return Err(FetchError::NoEndpoint { repository: repository.clone() });
        }
        if let Some(endpoint) = self.endpoints.get(repository) {
            return Ok(endpoint.clone());
        }
        let organization = repository.organization().and_then(|organization| {
            let source = repository.source().parse::<RepositoryName>().ok()?;
            Some(self.endpoints.get(&source)?.organization(organization))
        });
        organization.ok_or_else(|| FetchError::NoEndpoint { repository: repository.clone() })
    }

    fn at_hand(
        &self,
        release: &ReleaseId,
        expected: &OuterChecksum,
        downloads: &Downloads,
    ) -> Result<Option<Download>, FetchError> {
        if let Some(download) = downloads.finished(expected)? {
            return Ok(Some(download));
        }
        Ok(self.settings.hex_home.as_ref().and_then(|home| home.tarball(release, expected)))
    }

    async fn signed_message_once(
        &self,
        endpoint: &Endpoint,
        url: WebUrl,
        etag: Option<&str>,
    ) -> Result<Entry, FetchError> {
        let _permit = self.permit().await;
        let headers = etag.map(|etag| (IF_NONE_MATCH, etag.to_owned()));
        let answer = self.connections.get(endpoint, url, headers.as_slice()).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if etag.is_some() => return Ok(Entry::NotModified),
            status => return Err(unexpected(answer, status)),
        }
        let (url, etag) = (answer.url.clone(), answer.header(ETAG).map(str::to_owned));
        let limit = self.settings.limits.registry_entry;
        let mut body = Vec::with_capacity(answer.length().unwrap_or_default().min(MAX_RESERVED) as usize);
        let outcome = answer.body(limit, false, |bytes| {
            self.progress.report(Event::Received { bytes: bytes.len() as u64 });
            body.extend_from_slice(bytes);
            Ok(())
        });
        outcome.await?;
        match gzip::unpack(body, limit) {
            Ok(signed) => Ok(Entry::Found { signed, etag }),
            Err(GzipError::TooLarge) => Err(FetchError::TooLarge { url, limit }),
            Err(GzipError::Damaged(error)) => {
                Err(FetchError::Protocol { url, reason: format!("damaged gzip ({error})") })
            }
        }
    }

    /// Downloads the missing part of `partial`, and adds the number of bytes to `received`. Returns whether the
    /// response declared where it ends.
    async fn download_once(
        &self,
        source: &Source,
        partial: &mut Partial<'_>,
        received: &mut u64,
    ) -> Result<bool, FetchError> {
        let _permit = self.permit().await;
        // The checksum is that of the uncompressed transfer.
        let mut headers = vec![(ACCEPT_ENCODING, "identity".to_owned())];
        if let Some((from, etag)) = partial.resume() {
            headers.extend([(RANGE, format!("bytes={from}-")), (IF_RANGE, etag.to_owned())]);
        }
        let url = &source.url;
        let answer = match &source.endpoint {
            Some(endpoint) => self.connections.get(endpoint, url.clone(), &headers).await?,
            None => self.connections.get_outside(url.clone(), &headers, &self.settings.internal_hosts).await?,
        };
        prepare(partial, &answer)?;
        let framed = answer.length().is_some() || answer.header(TRANSFER_ENCODING).is_some();
        let whole = answer.header(CONTENT_RANGE).and_then(whole_length);
        let length = whole.or(answer.length()).filter(|bytes| *bytes >= LARGE && partial.length() == 0);
        if let Some(bytes) = length {
            self.progress.report(Event::Large { item: url.to_string(), bytes });
        }
        let limit = source.limit;
        let left = limit.saturating_sub(partial.length());
        let outcome = answer.body(left, url.names_web_page(), |bytes| {
            self.progress.report(Event::Received { bytes: bytes.len() as u64 });
            *received += bytes.len() as u64;
            partial.write(bytes)
        });
        match outcome.await {
            Err(FetchError::TooLarge { url, .. }) => {
                partial.restart(None)?;
                Err(FetchError::TooLarge { url, limit })
            }
            Err(error) => Err(error),
            Ok(()) => match whole.filter(|whole| partial.length() < *whole) {
                Some(expected) => Err(FetchError::Truncated { url: url.clone(), expected, got: partial.length() }),
                None => Ok(framed),
            },
        }
    }

    async fn permit(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.permits.acquire().await.expect("the semaphore is never closed")
    }

    fn attempts(&self, item: String) -> Attempts<'_> {
        Attempts { upstream: self, item, failures: 0 }
    }
}

/// Where a file is downloaded from.
struct Source {
    url: WebUrl,
    /// The maximum size in bytes.
    limit: u64,
    /// The repository that the file belongs to. `None` if a tracked file may have chosen the address.
    endpoint: Option<Endpoint>,
}

/// Resumes or restarts `partial`, depending on the response.
fn prepare(partial: &mut Partial<'_>, answer: &Answer) -> Result<(), FetchError> {
    let nonsense = |reason: &str| FetchError::Protocol { url: answer.url.clone(), reason: reason.to_owned() };
    if answer.header(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(nonsense("the file has a content encoding, which was not requested"));
    }
    match answer.status() {
        StatusCode::OK => partial.restart(answer.header(ETAG)),
        StatusCode::PARTIAL_CONTENT => {
            let start = format!("bytes {}-", partial.length());
            if partial.was_resumed() && answer.header(CONTENT_RANGE).is_some_and(|range| range.starts_with(&start)) {
                return Ok(());
            }
            partial.restart(None)?;
            Err(nonsense("it sent a different range than requested"))
        }
        status => {
            partial.restart(None)?;
            Err(nonsense(&format!("the status is {status}")))
        }
    }
}

/// Parses the complete length from a partial response's `Content-Range`: `bytes 100-199/1000` (RFC 9110, section 14.4).
fn whole_length(content_range: &str) -> Option<u64> {
    content_range.rsplit_once('/')?.1.parse().ok()
}

fn unexpected(answer: Answer, status: StatusCode) -> FetchError {
    FetchError::Protocol { url: answer.url, reason: format!("the status is {status}") }
}

/// The failed attempts at one request.
struct Attempts<'a> {
    upstream: &'a Upstream,
    item: String,
    failures: u32,
}

impl Attempts<'_> {
    /// Waits until the next attempt is due. Returns the error if there are no more attempts.
    async fn pause(&mut self, error: FetchError) -> Result<(), FetchError> {
        self.failures += 1;
        let (class, retry_after) = (error.class(), error.retry_after());
        let Some(after) = self.upstream.settings.retry.pause(self.failures, class, retry_after, fastrand::f64()) else {
            return Err(error);
        };
        let (item, reason) = (self.item.clone(), error.to_string());
        self.upstream.progress.report(Event::Retrying { item, reason, after });
        tokio::time::sleep(after).await;
        Ok(())
    }
}
