//! Fetches what a plan needs. Tarballs are unpacked on all cores while the remaining downloads continue.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use tokio::sync::{Semaphore, mpsc as queue};
use tokio::task::JoinSet;

use super::git_fetcher::{FetchedRepository, GitFetcher};
use super::health::Health;
use super::kept_entries::{KeptEntries, KeptEntry, Verified};
use super::stored_entry::read_entry;
use crate::fetch::{Download, Downloads, Entry, FetchError, Upstream};
use crate::hex::registry::{Package, PublicKey, Release};
use crate::hex::tarball::{Tarball, TarballLimits};
use crate::model::{EntryId, GitAddress, ReleaseId, RepositoryName, Revision};
use crate::ops::parallel::cores;
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::{OpError, Result};
use crate::plan::{GitPlan, Pin, lost_facts};
use crate::progress::{Event, Progress};
use crate::store::{EncodedRelease, ReleaseEncoder, Snapshot, Transaction};

/// What is to be fetched.
#[derive(Debug, Default)]
pub(in crate::ops) struct FetchPlan {
    /// The releases, with the checksums that the lock requires.
    pub releases: Vec<Pin>,
    /// The required registry entries. It is an error if upstream does not have one of them.
    pub entries: BTreeSet<EntryId>,
    /// The registry entries that the mirror already has. They are not fetched again if a release depends on them.
    pub known: BTreeSet<EntryId>,
    /// The revisions of git repositories.
    pub git: GitPlan,
    /// The registry entries that upstream did not have at the last fetch and that are requested again.
    pub absent: BTreeSet<EntryId>,
    /// Registry entries that are available locally as signed messages. They are not fetched for their releases.
    pub at_hand: BTreeMap<EntryId, Vec<u8>>,
    /// Whether to request everything from upstream anew.
    pub refresh: bool,
}

/// What was fetched.
#[derive(Debug, Default)]
pub(in crate::ops) struct Fetched {
    /// The releases added to the transaction.
    pub releases: Vec<Stored>,
    /// The number of registry entries added to the transaction.
    pub entries: usize,
    /// The number of bytes of tarballs and entries received over the network.
    pub downloaded_bytes: u64,
    /// The git repositories added to the transaction.
    pub git: Vec<StoredRepository>,
    /// The error of failed fetches, if fetching continued in spite of them.
    pub failed: Option<OpError>,
}

/// A git repository that was added to the transaction.
#[derive(Debug)]
pub(in crate::ops) struct StoredRepository {
    pub address: GitAddress,
    /// The new revisions, each with the revision that it replaces, if any.
    pub added: Vec<(Revision, Option<Revision>)>,
}

/// A release that was added to the transaction.
#[derive(Debug)]
pub(in crate::ops) struct Stored {
    pub id: ReleaseId,
    pub stored: crate::model::StoredRelease,
    /// The reason why the release is stored as a tarball, if it is.
    pub fallback: Option<String>,
}

/// A fetched item, ready for the transaction.
enum Arrival {
    Entry {
        id: EntryId,
        signed: Vec<u8>,
    },
    /// Upstream has no entry for a package that only appears as a dependency.
    Absent(EntryId),
    Release(Box<EncodedRelease>),
    Git(Box<FetchedRepository>),
    Failed(OpError),
}

/// A downloaded tarball and the checksums to verify it against.
struct Job {
    pin: Pin,
    listed: Release,
    download: Download,
}

/// The state that all fetching tasks share.
struct Shared {
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
    kept: KeptEntries,
    /// The snapshot whose entries must not be replaced by older ones.
    base: Option<Mutex<Snapshot>>,
    /// More snapshots with such entries, as far as the entries are signed.
    history: Mutex<Vec<Snapshot>>,
    accept_older: BTreeSet<EntryId>,
    received: AtomicU64,
    jobs: mpsc::Sender<Job>,
    arrivals: queue::Sender<Arrival>,
}

/// Everything that a fetch depends on.
pub(in crate::ops) struct FetchContext<'a> {
    pub repositories: &'a HexRepositories<'a>,
    /// The number of concurrent requests, overriding the setting.
    pub jobs: Option<usize>,
    pub downloads: &'a Arc<Downloads>,
    pub encoder: &'a ReleaseEncoder,
    /// The fetcher for git repositories, if the plan has any.
    pub git: Option<GitFetcher>,
    /// The snapshot that the transaction is based on.
    pub base: Option<&'a Snapshot>,
    /// Snapshots whose signed entries must not be replaced by older ones either.
    pub history: &'a [Snapshot],
    /// The packages whose registry entries may be replaced by older ones.
    pub accept_older: &'a BTreeSet<EntryId>,
    /// Whether to keep what was fetched even if some fetches failed.
    pub keep_going: bool,
}

/// Fetches what is planned into the transaction. Finished tarballs and fetched git objects stay on disk in any case.
///
/// # Errors
/// Fails with all errors that occurred. The transaction must then not be published.
pub(in crate::ops) fn fetch(
    plan: FetchPlan,
    context: FetchContext<'_>,
    transaction: &mut Transaction<'_>,
    progress: &Arc<dyn Progress>,
) -> Result<Fetched> {
    let FetchContext { repositories, jobs, downloads, encoder, git, base, history, accept_older, keep_going } = context;
    let mut plan = plan;
    let git_plan = std::mem::take(&mut plan.git);
    let hexpm = RepositoryName::hexpm();
    let names: BTreeSet<&RepositoryName> = plan
        .entries
        .iter()
        .map(|id| &id.repository)
        .chain([&hexpm])
        .chain(plan.releases.iter().map(|pin| &pin.id.repository))
        .collect();
    let upstream = repositories.upstream(names.iter().copied(), jobs, Arc::clone(progress))?;
    let turns = repositories.concurrency(jobs);
    let keys = repositories.public_keys(names.into_iter())?;
    let runtime = crate::runtime::current_thread();
    let runtime = runtime.map_err(OpError::machine("fetch into", downloads.folder()))?;
    let entries = base.map(Snapshot::manifest).transpose()?.map(|manifest| manifest.entries.clone());
    let (jobs, waiting) = mpsc::channel();
    let (arrivals, arrived) = queue::channel(16);
    let waiting = Mutex::new(waiting);
    thread::scope(|scope| {
        let no_thread = || OpError::machine("start a thread to fetch into", downloads.folder());
        for number in 0..cores() {
            let (encoder, arrivals, waiting) = (encoder.clone(), arrivals.clone(), &waiting);
            let work = move || encode_tarballs(&encoder, waiting, &arrivals);
            match thread::Builder::new().spawn_scoped(scope, work) {
                Ok(_) => {}
                Err(error) if number == 0 => return Err(no_thread()(error)),
                // The system provides no further thread; unpacking merely takes longer.
                Err(_) => break,
            }
        }
        let for_git = arrivals.clone();
        let shared = Shared {
            upstream,
            downloads: Arc::clone(downloads),
            keys,
            progress: Arc::clone(progress),
            claimed: Mutex::new(plan.known.clone()),
            at_hand: std::mem::take(&mut plan.at_hand),
            turns: Semaphore::new(turns),
            health: Health::default(),
            kept: KeptEntries::new(Arc::clone(downloads), entries.unwrap_or_default(), plan.refresh),
            base: base.cloned().map(Mutex::new),
            history: Mutex::new(history.to_vec()),
            accept_older: accept_older.clone(),
            received: 0.into(),
            jobs,
            arrivals,
        };
        let run = move || runtime.block_on(run(plan, shared));
        let network = thread::Builder::new().spawn_scoped(scope, run).map_err(no_thread())?;
        let git = git.map(|fetcher| {
            let base = base.cloned();
            let fetch_all = move || {
                fetcher.fetch_all(git_plan, base.as_ref(), |fetched| {
                    let arrival = fetched.map_or_else(Arrival::Failed, |fetched| Arrival::Git(Box::new(fetched)));
                    // The collecting thread only ends before this one if it panics, which is reported elsewhere.
                    let _ = for_git.blocking_send(arrival);
                });
            };
            thread::Builder::new().spawn_scoped(scope, fetch_all).map(drop).map_err(no_thread())
        });
        // If git's thread cannot start, continue with the tarballs, because the next update reuses them.
        let errors = git.and_then(Result::err).into_iter().collect();
        let fetched = collect(arrived, errors, transaction, keep_going, progress.as_ref());
        let received = network.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        fetched.map(|fetched| Fetched { downloaded_bytes: fetched.downloaded_bytes + received, ..fetched })
    })
}

/// Adds arriving items to the transaction until all senders are dropped. `errors` are the errors so far.
fn collect(
    mut arrived: queue::Receiver<Arrival>,
    mut errors: Vec<OpError>,
    transaction: &mut Transaction<'_>,
    keep_going: bool,
    progress: &dyn Progress,
) -> Result<Fetched> {
    let mut fetched = Fetched::default();
    while let Some(arrival) = arrived.blocking_recv() {
        match arrival {
            Arrival::Failed(error) => errors.push(error),
            // After an error, the transaction is not published, so further items are not written.
            _ if !errors.is_empty() && !keep_going => {}
            Arrival::Entry { id, signed } => match transaction.put_entry(id, &signed) {
                Ok(()) => fetched.entries += 1,
                Err(error) => errors.push(error.into()),
            },
            Arrival::Absent(id) => transaction.note_absent(id),
            Arrival::Release(release) => {
                let (id, stored, fallback) = (release.id.clone(), release.stored, release.fallback.clone());
                progress.report(Event::Finished { item: id.to_string() });
                match transaction.add_release(*release) {
                    Ok(()) => fetched.releases.push(Stored { id, stored, fallback }),
                    Err(error) => errors.push(error.into()),
                }
            }
            Arrival::Git(repository) => {
                let FetchedRepository { address, stored, files, added, downloaded_bytes } = *repository;
                fetched.downloaded_bytes += downloaded_bytes;
                match transaction.put_git(address.clone(), stored, files) {
                    Ok(()) => fetched.git.push(StoredRepository { address, added }),
                    Err(error) => errors.push(error.into()),
                }
            }
        }
    }
    fetched.releases.sort_by(|a, b| a.id.cmp(&b.id));
    fetched.git.sort_by(|a, b| a.address.cmp(&b.address));
    let failed = OpError::several(errors);
    let anything = !(fetched.releases.is_empty() && fetched.git.is_empty() && fetched.entries == 0);
    match failed {
        Some(error) if !(keep_going && anything) => Err(error),
        failed => Ok(Fetched { failed, ..fetched }),
    }
}

/// Verifies tarballs and encodes them as git objects until the queue is empty.
fn encode_tarballs(encoder: &ReleaseEncoder, waiting: &Mutex<mpsc::Receiver<Job>>, arrivals: &queue::Sender<Arrival>) {
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(job) = next() {
        let arrival = match encode(encoder, &job) {
            Ok(release) => Arrival::Release(Box::new(release)),
            Err(error) => Arrival::Failed(error),
        };
        if arrivals.blocking_send(arrival).is_err() {
            return;
        }
    }
}

/// Verifies a tarball against the lock first and the registry second, and encodes it.
fn encode(encoder: &ReleaseEncoder, job: &Job) -> Result<EncodedRelease> {
    let release = &job.pin.id;
    let bytes = job.download.read()?;
    let tarball = Tarball::open(&bytes, &TarballLimits::default())
        .map_err(|source| OpError::Tarball { release: release.clone(), source })?;
    let got = tarball.inner_checksum();
    for expected in job.pin.inner.into_iter().chain([job.listed.inner_checksum]) {
        if expected != got {
            return Err(OpError::InnerChecksum { release: release.clone(), expected, got });
        }
    }
    encoder.encode(release.clone(), &tarball).map_err(OpError::encode(release))
}

/// The maximum number of packages that are fetched at the same time. Only some of them may make requests at a time; the
/// others wait with what they have read.
const TASKS: usize = 128;

/// A package that is to be fetched, with its pinned releases if it is pinned, or only mentioned by a release.
enum Task {
    Package(EntryId, Vec<Pin>),
    Mention(EntryId),
}

impl Task {
    async fn run(self, shared: Arc<Shared>) -> Result<Vec<EntryId>> {
        match self {
            Self::Package(id, pins) => package(shared, id, pins).await,
            Self::Mention(id) => mention(shared, id).await,
        }
    }
}

/// Runs all requests and returns the number of bytes received.
async fn run(plan: FetchPlan, shared: Shared) -> u64 {
    let shared = Arc::new(shared);
    let mut by_package = BTreeMap::<EntryId, Vec<Pin>>::new();
    for id in plan.entries {
        by_package.entry(id).or_default();
    }
    for pin in plan.releases {
        by_package.entry(pin.id.entry()).or_default().push(pin);
    }
    shared.claim(by_package.keys());
    let items = by_package.values().map(|pins| pins.len() as u64).sum();
    shared.progress.report(Event::Planned { items });
    let mut waiting: VecDeque<Task> = by_package.into_iter().map(|(id, pins)| Task::Package(id, pins)).collect();
    waiting.extend(shared.claim(plan.absent.iter()).into_iter().map(Task::Mention));
    let mut tasks = JoinSet::new();
    loop {
        for task in waiting.drain(..waiting.len().min(TASKS.saturating_sub(tasks.len()))) {
            tasks.spawn(task.run(Arc::clone(&shared)));
        }
        let Some(outcome) = tasks.join_next().await else { break };
        let failed = match outcome {
            Ok(Ok(more)) => {
                waiting.extend(shared.claim(more.iter()).into_iter().map(Task::Mention));
                continue;
            }
            Ok(Err(error)) => error,
            Err(error) => OpError::machine("continue to fetch into", shared.downloads.folder())(error.into()),
        };
        shared.arrive(Arrival::Failed(failed)).await;
    }
    shared.received.load(Ordering::Relaxed)
}

/// Fetches a package's entry and its pinned releases. Returns the packages that the releases depend on.
async fn package(shared: Arc<Shared>, id: EntryId, pins: Vec<Pin>) -> Result<Vec<EntryId>> {
    let Some(entry) = shared.entry(&id, &pins).await? else { return Ok(Vec::new()) };
    let mut mentioned = Vec::new();
    for pin in pins {
        let listed = listed(&entry, &pin)?;
        mentioned.extend(listed.mentions(&id.repository));
        let expected = pin.outer.or(listed.outer_checksum);
        let request = shared.upstream.tarball(&pin.id, expected.as_ref(), &shared.downloads);
        let Some(download) = shared.ask(&id.repository, request).await? else { break };
        shared.add_received(download.downloaded_bytes);
        // The receiver outlives all tasks.
        let _ = shared.jobs.send(Job { pin, listed: listed.clone(), download });
    }
    Ok(mentioned)
}

/// Fetches the entry of a package that only appears as a dependency, if upstream has one.
async fn mention(shared: Arc<Shared>, id: EntryId) -> Result<Vec<EntryId>> {
    if shared.was_absent(&id) {
        shared.arrive(Arrival::Absent(id)).await;
        return Ok(Vec::new());
    }
    match shared.entry(&id, &[]).await {
        Err(OpError::Fetch(FetchError::NotFound { .. } | FetchError::NoEndpoint { .. }))
        | Err(OpError::NoPublicKey { .. }) => {
            shared.arrive(Arrival::Absent(id)).await;
            Ok(Vec::new())
        }
        other => other.map(|_| Vec::new()),
    }
}

/// Returns the registry's description of a pinned release, after checking that it agrees with the lock.
fn listed<'a>(entry: &'a Package, pin: &Pin) -> Result<&'a Release> {
    let release = entry.release(&pin.id.version);
    let release = release.ok_or_else(|| OpError::NotListed { release: pin.id.clone() })?;
    match (pin.outer, release.outer_checksum) {
        (Some(expected), Some(got)) if expected != got => {
            Err(OpError::RegistryDisagrees { release: pin.id.clone(), expected, got })
        }
        _ => Ok(release),
    }
}

impl Shared {
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
            KeptEntry::Current(kept) if lists(&kept.package) && self.is_no_older(id, &kept).is_ok() => {
                return Ok(Some(self.hand_on(id, kept).await));
            }
            KeptEntry::Current(kept) | KeptEntry::Stale(kept) => Some(kept),
            KeptEntry::Absent | KeptEntry::Nothing => None,
        };
        let etag = stale.as_ref().and_then(|kept| kept.etag.as_deref());
        let answer = self.ask(repository, self.upstream.registry_entry(repository, package, etag)).await;
        let verified = match (answer, stale) {
            (Ok(None), _) => return Ok(None),
            (Ok(Some(Entry::Found { signed, etag })), _) => {
                self.add_received(signed.len() as u64);
                Verified::new(id, key, signed, etag)?
            }
            (Ok(Some(Entry::NotModified)), stale) => stale.expect("it answers the ETag of what is kept"),
            (Err(error), _) => {
                if matches!(error, OpError::Fetch(FetchError::NotFound { .. })) {
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
        key.is_some_and(|key| matches!(self.kept.find(&self.upstream, id, key), KeptEntry::Absent))
    }

    /// Returns the entries that no task has claimed yet, and claims them.
    fn claim<'a>(&self, ids: impl Iterator<Item = &'a EntryId>) -> Vec<EntryId> {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        ids.filter(|id| claimed.insert((*id).clone())).cloned().collect()
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
        request: impl Future<Output = Result<T, FetchError>>,
    ) -> Result<Option<T>> {
        let Ok(_turn) = self.turns.acquire().await else { return Ok(None) };
        if self.health.is_given_up(repository) {
            return Ok(None);
        }
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
