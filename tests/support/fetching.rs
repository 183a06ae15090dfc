//! A fetcher for a [`TestUpstream`], with policies that do not delay a test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use git_hexmirror::fetch::{Access, Downloads, Endpoint, FetchError, Secret, Settings, Upstream, retry};
use git_hexmirror::model::{OuterChecksum, ReleaseId, RepositoryName};
use git_hexmirror::progress::{Event, Progress};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::upstream::TestUpstream;

/// Records the reported events.
#[derive(Default)]
pub struct Recorder(Mutex<Vec<Event>>);

impl Progress for Recorder {
    fn report(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Recorder {
    pub fn retries(&self) -> usize {
        self.0.lock().unwrap().iter().filter(|event| matches!(event, Event::Retrying { .. })).count()
    }

    pub fn pauses(&self) -> Vec<Duration> {
        let events = self.0.lock().unwrap();
        events
            .iter()
            .filter_map(|event| if let Event::Retrying { after, .. } = event { Some(*after) } else { None })
            .collect()
    }

    pub fn received(&self) -> u64 {
        self.0.lock().unwrap().iter().map(|event| if let Event::Received { bytes } = event { *bytes } else { 0 }).sum()
    }
}

/// A server with its folder, and a download folder.
pub struct Scene {
    pub server: TestUpstream,
    pub events: Arc<Recorder>,
    pub folder: TempDir,
}

impl Scene {
    pub fn new() -> Self {
        Self::over_link(Duration::ZERO)
    }

    pub fn over_link(round_trip: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = TestUpstream::over_link(folder.path().join("upstream"), round_trip);
        Self { server, events: Arc::default(), folder }
    }

    pub fn downloads(&self) -> Downloads {
        Downloads::open(self.folder.path().join("downloads")).unwrap()
    }

    /// Returns the names of the files in the download folder, except for the lock file.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join("downloads")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != "lock").collect();
        names.sort();
        names
    }

    /// Publishes a tarball and returns its checksum.
    pub fn publish(&self, release: &ReleaseId, bytes: &[u8]) -> OuterChecksum {
        self.server.put(&format!("tarballs/{}", release.tarball_name()), bytes);
        checksum(bytes)
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint::public(self.server.url().parse().unwrap())
    }

    pub fn fetcher(&self) -> Upstream {
        self.fetcher_with(quick())
    }

    pub fn fetcher_with(&self, settings: Settings) -> Upstream {
        self.fetcher_at(settings, [("hexpm", self.endpoint())])
    }

    pub fn fetcher_at<const N: usize>(&self, settings: Settings, endpoints: [(&str, Endpoint); N]) -> Upstream {
        let endpoints: BTreeMap<RepositoryName, Endpoint> =
            endpoints.into_iter().map(|(name, endpoint)| (name.parse().unwrap(), endpoint)).collect();
        Upstream::new(settings, endpoints, self.events.clone()).unwrap()
    }
}

/// Returns settings with negligible pauses.
pub fn quick() -> Settings {
    let retry = retry::Policy {
        attempts: 4,
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(2),
        longest_retry_after: Duration::from_millis(3),
    };
    Settings { retry, ..Settings::default() }
}

/// Returns settings that give up after one attempt.
pub fn once() -> Settings {
    Settings { retry: retry::Policy::never(), ..Settings::default() }
}

pub fn keyed(url: &str, key: &str) -> Endpoint {
    Endpoint { url: url.parse().unwrap(), access: Access::of(Some(Secret::new(key))) }
}

pub fn release(name: &str) -> ReleaseId {
    release_of("hexpm", name)
}

pub fn release_of(repository: &str, name: &str) -> ReleaseId {
    ReleaseId {
        repository: repository.parse().unwrap(),
        package: name.parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
    }
}

pub fn checksum(bytes: &[u8]) -> OuterChecksum {
    OuterChecksum::from_bytes(Sha256::digest(bytes).into())
}

/// Returns bytes that no proxy could guess.
pub fn noise(length: usize) -> Vec<u8> {
    (0..length as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Returns an error with all its causes, as shown to users.
pub fn told(error: &FetchError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
