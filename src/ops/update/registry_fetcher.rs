//! Fetches registry entries, policies, files and tarballs from upstream with concurrent requests, and verifies the entries and
//! policies.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio::sync::{Semaphore, mpsc as queue};
use tokio::task::JoinSet;

use super::entry_cache::{CacheLookup, EntryCache, Verified};
use super::fetch_plan::{Arrival, FetchContext, FetchPlan, FileAsk, Job, PackagePins};
use super::health::Health;
use super::stored_entry::read_entry;
use crate::fetch::{Downloads, Entry, FetchError, Upstream, WebUrl};
use crate::hex::registry::{Package, PublicKey, Release, check_policy};
use crate::model::{EntryId, Manifest, PolicyId, RepositoryName};
use crate::ops::{OpError, Result};
use crate::plan::{Pin, lost_facts};
use crate::progress::{Download, Event, Progress};
use crate::store::Snapshot;

/// The maximum number of packages that are fetched at the same time. Only some of them may make requests at a time; the
/// others wait with what they have read.
const TASKS: usize = 128;

/// Fetches registry entries, policies and tarballs. All fetching tasks share it.
pub(in crate::ops) struct RegistryFetcher {
    upstream: Upstream,
    downloads: Arc<Downloads>,
    keys: BTreeMap<RepositoryName, PublicKey>,
    progress: Arc<dyn Progress>,
    /// The registry entries that are available or already being fetched.
    claimed: Mutex<BTreeSet<EntryId>>,
    at_hand: BTreeMap<EntryId, Vec<u8>>,
    /// Limits the number of concurrent requests. Waiting tasks check here whether their repository was given up.
    turns: Semaphore,
    /// Tracks which repositories respond, so that repeated failures are neither retried nor reported.
    health: Health,
    kept: EntryCache,
    /// Whether to request everything from upstream anew.
    refresh: bool,
    /// The snapshot whose entries must not be replaced by older ones.
    base: Option<Mutex<Snapshot>>,
    /// More snapshots with such entries, as far as the entries are signed.
    history: Mutex<Vec<Snapshot>>,
    accept_older: BTreeSet<EntryId>,
    received: AtomicU64,
    /// Where installers are fetched from.
    builds: WebUrl,
    tarballs: mpsc::Sender<Job>,
    arrivals: queue::Sender<Arrival>,
}

impl RegistryFetcher {
    /// Prepares to fetch what is planned. `tarballs` receives downloaded tarballs, and `arrivals` everything else.
    pub fn new(
        plan: &mut FetchPlan,
        context: &FetchContext<'_>,
        tarballs: mpsc::Sender<Job>,
        arrivals: queue::Sender<Arrival>,
        progress: &Arc<dyn Progress>,
    ) -> Result<Self> {
        let FetchContext { repositories, downloads, base, .. } = context;
        let names = plan.repositories();
        Ok(Self {
            upstream: repositories.upstream(names.iter(), context.jobs, Arc::clone(progress))?,
            downloads: Arc::clone(downloads),
            keys: repositories.public_keys(names.iter())?,
            progress: Arc::clone(progress),
            claimed: Mutex::new(plan.known.clone()),
            at_hand: std::mem::take(&mut plan.at_hand),
            turns: Semaphore::new(repositories.concurrency(context.jobs)),
            health: Health::default(),
            kept: EntryCache::new(Arc::clone(downloads), *base, plan.refresh),
            refresh: plan.refresh,
            base: base.cloned().map(Mutex::new),
            history: Mutex::new(context.history.to_vec()),
            accept_older: context.accept_older.clone(),
            received: 0.into(),
            builds: repositories.builds_url()?,
            tarballs,
            arrivals,
        })
    }

    /// Runs all requests and returns the number of bytes received.
    pub async fn run(self, mut plan: FetchPlan) -> u64 {
        let fetcher = Arc::new(self);
        let packages = plan.by_package();
        fetcher.claim(packages.keys());
        // A package without releases is fetched for its entry alone.
        let items: u64 = packages.values().map(|pins| pins.releases.len().max(1) as u64).sum();
        let items = items + plan.files.len() as u64;
        fetcher.progress.report(Event::Planned { items });
        let mut waiting: VecDeque<Task> = packages.into_iter().map(|(id, pins)| Task::Package(id, pins)).collect();
        waiting.extend(fetcher.mentions(plan.absent.iter()));
        waiting.extend(plan.policies.into_iter().map(Task::Policy));
        waiting.extend(plan.files.into_iter().map(|ask| Task::File(Box::new(ask))));
        let mut tasks = JoinSet::new();
        loop {
            for task in waiting.drain(..waiting.len().min(TASKS.saturating_sub(tasks.len()))) {
                tasks.spawn(task.run(Arc::clone(&fetcher)));
            }
            let Some(outcome) = tasks.join_next().await else { break };
            let failed = OpError::machine("continue to fetch into", fetcher.downloads.folder());
            match outcome.map_err(|error| failed(error.into())).flatten() {
                Ok(mentioned) => waiting.extend(fetcher.mentions(mentioned.iter())),
                Err(error) => fetcher.arrive(Arrival::Failed(error)).await,
            }
        }
        fetcher.received.load(Ordering::Relaxed)
    }

    /// Fetches and verifies a registry entry that lists the pinned releases, and sends it to the transaction. Returns `None`
    /// if the repository was given up.
    async fn entry(&self, id: &EntryId, pins: &[Pin]) -> Result<Option<Package>> {
        let EntryId { repository, package } = id;
        let key = self.keys.get(repository).ok_or_else(|| OpError::NoPublicKey { repository: repository.clone() })?;
        if let Some(signed) = self.at_hand.get(id) {
            return Ok(Some(Verified::new(id, key, signed.clone(), None)?.package));
        }
        let lists = |package: &Package| pins.iter().all(|pin| listed(package, pin).is_ok());
        let stale = match self.kept.find(&self.upstream, id, key) {
            CacheLookup::Current(kept) if lists(&kept.package) && self.is_no_older(id, &kept).is_ok() => {
                return Ok(Some(self.hand_on(id, kept).await));
            }
            CacheLookup::Current(kept) | CacheLookup::Stale(kept) => Some(kept),
            CacheLookup::Absent | CacheLookup::Nothing => None,
        };
        let etag = stale.as_ref().and_then(|kept| kept.etag.as_deref());
        let request = self.upstream.registry_entry(repository, package, etag);
        let answer = self.ask(repository, || format!("registry entry of {id}"), request).await;
        let verified = match (answer, stale) {
            (Ok(None), _) => return Ok(None),
            (Ok(Some(Entry::Found { signed, etag })), _) => {
                self.add_received(signed.len() as u64);
                Verified::new(id, key, signed, etag)?
            }
            (Ok(Some(Entry::NotModified)), stale) => stale.expect("it answers the ETag of what is kept"),
            (Err(error), _) => {
                if matches!(&error, OpError::Fetch(error) if error.is_not_found()) {
                    self.kept.keep(&self.upstream, id, None);
                }
                return Err(error);
            }
        };
        self.is_no_older(id, &verified)?;
        self.kept.keep(&self.upstream, id, Some(&verified));
        Ok(Some(self.hand_on(id, verified).await))
    }

    /// Checks that a new entry has everything that the mirror's entry has. The mirror's entry counts even if another
    /// key signed it.
    fn is_no_older(&self, id: &EntryId, new: &Verified) -> Result<()> {
        if self.accept_older.contains(id) {
            return Ok(());
        }
        let base = self.base.as_ref().map(|base| base.lock().unwrap_or_else(PoisonError::into_inner));
        let of_base = base.map(|base| read_entry(&base, id)).transpose()?.flatten();
        let losses = of_base.into_iter().chain(self.in_history(id)).map(|known| lost_facts(&known, &new.package));
        match losses.into_iter().find(|lost| !lost.is_empty()) {
            None => Ok(()),
            Some(lost) => Err(OpError::OlderEntry { entry: id.clone(), lost }),
        }
    }

    /// Returns the different entries of a package in the history. Ignores unreadable ones and those that another key
    /// signed: the commits of a remote are among them.
    fn in_history(&self, id: &EntryId) -> Vec<Package> {
        let Some(key) = self.keys.get(&id.repository) else { return Vec::new() };
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let entries: BTreeSet<_> = history.iter().filter_map(|snapshot| snapshot.entry_file(id).ok()?).collect();
        entries.into_iter().filter_map(|signed| Some(Verified::new(id, key, signed, None).ok()?.package)).collect()
    }

    /// Sends a registry entry to the transaction and returns its contents.
    async fn hand_on(&self, id: &EntryId, verified: Verified) -> Package {
        self.arrive(Arrival::Entry { id: id.clone(), signed: verified.signed }).await;
        verified.package
    }

    /// Returns whether the repository recently answered that it has no such entry.
    fn was_absent(&self, id: &EntryId) -> bool {
        let key = self.keys.get(&id.repository);
        key.is_some_and(|key| matches!(self.kept.find(&self.upstream, id, key), CacheLookup::Absent))
    }

    /// Returns tasks for the mentioned packages that no task has claimed yet.
    fn mentions<'a>(&self, ids: impl Iterator<Item = &'a EntryId>) -> Vec<Task> {
        self.claim(ids).into_iter().map(Task::Mention).collect()
    }

    /// Returns the entries that neither the base has nor any task has claimed yet, and claims them.
    fn claim<'a>(&self, ids: impl Iterator<Item = &'a EntryId>) -> Vec<EntryId> {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        ids.filter(|id| claimed.insert((*id).clone()) && !self.is_in_base(id)).cloned().collect()
    }

    /// Returns whether the base has an entry, or the record that upstream has none. Such records are not used if
    /// everything is requested anew.
    fn is_in_base(&self, id: &EntryId) -> bool {
        let Some(base) = &self.base else { return false };
        let base = base.lock().unwrap_or_else(PoisonError::into_inner);
        let has =
            |manifest: &Manifest| manifest.entries.contains_key(id) || (!self.refresh && manifest.absent.contains(id));
        base.manifest_of(&id.package).is_ok_and(|manifest| has(&manifest))
    }

    /// Sends an item to the collecting thread. Waits if the disk is slower than the network.
    async fn arrive(&self, arrival: Arrival) {
        // The thread only ends before this task if it panics, which is reported elsewhere.
        let _ = self.arrivals.send(arrival).await;
    }

    /// Makes a request as soon as the concurrency limit permits. Returns `None` if the repository was given up
    /// meanwhile and its failure was already reported.
    async fn ask<T>(
        &self,
        repository: &RepositoryName,
        item: impl FnOnce() -> String,
        request: impl Future<Output = Result<T, FetchError>>,
    ) -> Result<Option<T>> {
        let Ok(_turn) = self.turns.acquire().await else { return Ok(None) };
        if self.health.is_given_up(repository) {
            return Ok(None);
        }
        let _download = Download::begin(self.progress.as_ref(), item());
        match request.await {
            Ok(answer) => {
                self.health.answered(repository);
                Ok(Some(answer))
            }
            Err(error) if self.health.failed(repository, &error) => Err(error.into()),
            Err(_) => Ok(None),
        }
    }

    fn add_received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What is to be fetched: a package, with its releases if there are any, or only mentioned by a release; a policy; or a file.
enum Task {
    Package(EntryId, PackagePins),
    Mention(EntryId),
    Policy(PolicyId),
    File(Box<FileAsk>),
}

impl Task {
    async fn run(self, fetcher: Arc<RegistryFetcher>) -> Result<Vec<EntryId>> {
        match self {
            Self::Package(id, pins) => package(fetcher, id, pins).await,
            Self::Mention(id) => mention(fetcher, id).await,
            Self::Policy(id) => policy(fetcher, id).await.map(|()| Vec::new()),
            Self::File(ask) => file(fetcher, ask).await.map(|()| Vec::new()),
        }
    }
}

/// Fetches a package's entry and its pinned releases. Returns the packages that the releases depend on.
async fn package(fetcher: Arc<RegistryFetcher>, id: EntryId, pins: PackagePins) -> Result<Vec<EntryId>> {
    let PackagePins { releases, stored } = pins;
    let Some(entry) = fetcher.entry(&id, &releases).await? else { return Ok(Vec::new()) };
    if releases.is_empty() {
        fetcher.progress.report(Event::Finished { item: format!("registry entry of {id}") });
    }
    let mut mentioned = Vec::new();
    for pin in stored {
        let listed = listed(&entry, &pin)?;
        if let Some(expected) = pin.inner.filter(|inner| *inner != listed.inner_checksum) {
            return Err(OpError::InnerChecksum { release: pin.id, expected: listed.inner_checksum, got: expected });
        }
        mentioned.extend(listed.mentions(&id.repository));
    }
    for pin in releases {
        let listed = listed(&entry, &pin)?;
        mentioned.extend(listed.mentions(&id.repository));
        let expected = pin.outer.or(listed.outer_checksum);
        let request = fetcher.upstream.tarball(&pin.id, expected.as_ref(), &fetcher.downloads);
        let Some(download) = fetcher.ask(&id.repository, || pin.id.to_string(), request).await? else { break };
        fetcher.add_received(download.downloaded_bytes);
        // The receiver outlives all tasks.
        let _ = fetcher.tarballs.send(Job { pin, listed: listed.clone(), download });
    }
    Ok(mentioned)
}

/// Fetches the entry of a package that only appears as a dependency, if upstream has one.
async fn mention(fetcher: Arc<RegistryFetcher>, id: EntryId) -> Result<Vec<EntryId>> {
    if fetcher.was_absent(&id) {
        fetcher.arrive(Arrival::Absent(id)).await;
        return Ok(Vec::new());
    }
    match fetcher.entry(&id, &[]).await {
        Err(OpError::Fetch(
            FetchError::NotFound { .. } | FetchError::NoFile { .. } | FetchError::NoEndpoint { .. },
        ))
        | Err(OpError::NoPublicKey { .. }) => {
            fetcher.arrive(Arrival::Absent(id)).await;
            Ok(Vec::new())
        }
        other => other.map(|_| Vec::new()),
    }
}

/// Fetches and verifies a policy.
async fn policy(fetcher: Arc<RegistryFetcher>, id: PolicyId) -> Result<()> {
    let key = fetcher.keys.get(&id.repository);
    let key = key.ok_or_else(|| OpError::NoPublicKey { repository: id.repository.clone() })?;
    let Some(signed) = fetcher.ask(&id.repository, || format!("policy {id}"), fetcher.upstream.policy(&id)).await?
    else {
        return Ok(());
    };
    fetcher.add_received(signed.len() as u64);
    check_policy(&signed, Some(key), &id).map_err(|source| OpError::Policy { policy: id.clone(), source })?;
    fetcher.arrive(Arrival::Policy { id, signed }).await;
    Ok(())
}

/// Fetches a file. Its host is no repository, so its failure says nothing about others.
async fn file(fetcher: Arc<RegistryFetcher>, ask: Box<FileAsk>) -> Result<()> {
    let Ok(_turn) = fetcher.turns.acquire().await else { return Ok(()) };
    let shown = Download::begin(fetcher.progress.as_ref(), ask.address.to_string());
    let FileAsk { path, address, expected, .. } = &*ask;
    let (upstream, expected, downloads) = (&fetcher.upstream, expected.as_ref(), &fetcher.downloads);
    let download = match path.docs_release() {
        Some(release) => upstream.docs(&release, expected, downloads).await?,
        None if path.is_of_tools() => upstream.installer(&fetcher.builds, path, expected, downloads).await?,
        None => upstream.file(address, expected, downloads).await?,
    };
    drop(shown);
    fetcher.add_received(download.downloaded_bytes);
    fetcher.arrive(Arrival::File { ask, download }).await;
    Ok(())
}

/// Returns the registry's description of a pinned release, after checking that it agrees with the lock.
fn listed<'a>(entry: &'a Package, pin: &Pin) -> Result<&'a Release> {
    let release = entry.release(&pin.id.version);
    let release = release.ok_or_else(|| not_listed(entry, pin))?;
    match (pin.outer, release.outer_checksum) {
        (Some(expected), Some(got)) if expected != got => {
            Err(OpError::RegistryDisagrees { release: pin.id.clone(), expected, got })
        }
        _ => Ok(release),
    }
}

/// Returns why an entry has no usable description of a pinned release.
fn not_listed(entry: &Package, pin: &Pin) -> OpError {
    let release = pin.id.clone();
    match entry.skipped.iter().find(|skipped| skipped.item == release.version.to_string()) {
        Some(skipped) => OpError::InvalidRelease { release, reason: skipped.reason.clone() },
        None => OpError::NotListed { release },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::registry::Skipped;
    use crate::model::ReleaseId;

    #[test]
    fn an_invalid_release_is_not_reported_as_missing() {
        let name = "plug".parse().unwrap();
        let skipped = vec![Skipped { item: "1.0.0".into(), reason: "it points to advisory 9, of 1".into() }];
        let entry = Package { name, releases: Vec::new(), advisories: Vec::new(), skipped };
        let error = |version: &str| {
            let (repository, package) = ("hexpm".parse().unwrap(), "plug".parse().unwrap());
            let id = ReleaseId { repository, package, version: version.parse().unwrap() };
            listed(&entry, &Pin { id, inner: None, outer: None }).unwrap_err().to_string()
        };
        assert_eq!(error("1.1.0"), "the registry entry of plug does not list version 1.1.0");
        assert!(
            error("1.0.0").ends_with("version 1.0.0, but not correctly: it points to advisory 9, of 1"),
            "{}",
            error("1.0.0")
        );
    }
}
