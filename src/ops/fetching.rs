//! Fetches what a plan needs, and takes it apart on all cores while the rest still arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use tokio::sync::{Semaphore, mpsc as queue};
use tokio::task::JoinSet;

use super::health::Health;
use super::kept::{Found, KeptEntries, Verified};
use super::mentioned::read_entry;
use super::parallel::cores;
use super::upstream::Repositories;
use super::{OpError, Result, repositories};
use crate::fetch::{Download, Downloads, Entry, FetchError, Upstream};
use crate::hex::registry::{Package, PublicKey, Release};
use crate::hex::tarball::{Limits, Tarball};
use crate::model::{EntryId, GitAddress, ReleaseId, RepositoryName, Revision};
use crate::plan::{GitPlan, Pin, lost};
use crate::progress::{Event, Progress};
use crate::store::{Draft, EncodedRelease, ReleaseEncoder, Snapshot};

/// What is to be fetched.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The releases, with the checksums that the lock demands.
    pub releases: Vec<Pin>,
    /// The registry entries that are needed: it is an error if upstream does not have one.
    pub entries: BTreeSet<EntryId>,
    /// The registry entries that are there already and need not be fetched for being mentioned as a dependency.
    pub known: BTreeSet<EntryId>,
    /// The revisions of git repositories.
    pub git: GitPlan,
    /// The registry entries that upstream lacked the last time, to be asked for again.
    pub absent: BTreeSet<EntryId>,
    /// Registry entries that are at hand, as signed messages, and need not be fetched for their releases.
    pub at_hand: BTreeMap<EntryId, Vec<u8>>,
    /// Whether it is all for what is new upstream.
    pub refresh: bool,
}

/// What was fetched.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// The releases now in the draft.
    pub releases: Vec<Stored>,
    /// How many registry entries were put into the draft.
    pub entries: usize,
    /// How many bytes of tarballs and entries came over the network.
    pub downloaded_bytes: u64,
    /// The git repositories now in the draft.
    pub git: Vec<StoredRepository>,
    /// What went wrong, where that is no reason to stop.
    pub failed: Option<OpError>,
}

/// A git repository that was put into the draft.
#[derive(Debug)]
pub(super) struct StoredRepository {
    pub address: GitAddress,
    /// The revisions that are new, each with one that it takes the place of, if there is one.
    pub added: Vec<(Revision, Option<Revision>)>,
}

/// A release that was put into the draft.
#[derive(Debug)]
pub(super) struct Stored {
    pub id: ReleaseId,
    pub stored: crate::model::StoredRelease,
    /// Why it is stored as its tarball, where it is.
    pub fallback: Option<String>,
}

/// One thing that arrived.
enum Arrival {
    Entry {
        id: EntryId,
        signed: Vec<u8>,
    },
    /// Upstream has no entry for a package that is only mentioned as a dependency.
    Absent(EntryId),
    Release(Box<EncodedRelease>),
    Git(Box<repositories::Fetched>),
    Failed(OpError),
}

/// A tarball on disk, with what it is checked against.
struct Job {
    pin: Pin,
    listed: Release,
    download: Download,
}

/// Everything that the fetching tasks share.
struct Shared {
    upstream: Upstream,
    downloads: Arc<Downloads>,
    keys: BTreeMap<RepositoryName, PublicKey>,
    progress: Arc<dyn Progress>,
    /// Registry entries that are there or on their way.
    claimed: Mutex<BTreeSet<EntryId>>,
    at_hand: BTreeMap<EntryId, Vec<u8>>,
    /// As many requests as may run at once. The others wait here, where they learn that it was given up.
    turns: Semaphore,
    /// What of the repositories answers: there is no use in failures that only repeat others.
    health: Health,
    kept: KeptEntries,
    /// The snapshot whose entries are not replaced by older ones.
    base: Option<Mutex<Snapshot>>,
    accept_older: BTreeSet<EntryId>,
    received: AtomicU64,
    jobs: mpsc::Sender<Job>,
    arrivals: queue::Sender<Arrival>,
}

/// What fetching is done with.
pub(super) struct Means<'a> {
    pub repositories: &'a Repositories<'a>,
    /// How many requests run at once, if not as configured.
    pub jobs: Option<usize>,
    pub downloads: &'a Arc<Downloads>,
    pub encoder: &'a ReleaseEncoder,
    /// What brings git repositories, where some are ordered.
    pub git: Option<repositories::Repositories>,
    /// The snapshot that the draft is made on.
    pub base: Option<&'a Snapshot>,
    /// The packages whose registry entries may be replaced by older ones.
    pub accept_older: &'a BTreeSet<EntryId>,
    /// Whether what could be had is of use where something could not.
    pub keep_going: bool,
}

/// Fetches what is ordered into the draft. Finished tarballs, and what git fetched, stay where they are whatever happens.
///
/// # Errors
/// Fails with everything that went wrong; the draft is then not to be published.
pub(super) fn fetch(
    order: Order,
    means: Means<'_>,
    draft: &mut Draft<'_>,
    progress: &Arc<dyn Progress>,
) -> Result<Fetched> {
    let Means { repositories, jobs, downloads, encoder, git, base, accept_older, keep_going } = means;
    let mut order = order;
    let plan = std::mem::take(&mut order.git);
    let hexpm = RepositoryName::hexpm();
    let names: BTreeSet<&RepositoryName> = order
        .entries
        .iter()
        .map(|id| &id.repository)
        .chain([&hexpm])
        .chain(order.releases.iter().map(|pin| &pin.id.repository))
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
        let no_thread = || OpError::machine("start a thread that fetches into", downloads.folder());
        for number in 0..cores() {
            let (encoder, arrivals, waiting) = (encoder.clone(), arrivals.clone(), &waiting);
            let work = move || take_apart(&encoder, waiting, &arrivals);
            match thread::Builder::new().spawn_scoped(scope, work) {
                Ok(_) => {}
                Err(error) if number == 0 => return Err(no_thread()(error)),
                // It takes longer, then.
                Err(_) => break,
            }
        }
        let for_git = arrivals.clone();
        let shared = Shared {
            upstream,
            downloads: Arc::clone(downloads),
            keys,
            progress: Arc::clone(progress),
            claimed: Mutex::new(order.known.clone()),
            at_hand: std::mem::take(&mut order.at_hand),
            turns: Semaphore::new(turns),
            health: Health::default(),
            kept: KeptEntries::new(Arc::clone(downloads), entries.unwrap_or_default(), order.refresh),
            base: base.cloned().map(Mutex::new),
            accept_older: accept_older.clone(),
            received: 0.into(),
            jobs,
            arrivals,
        };
        let run = move || runtime.block_on(run(order, shared));
        let network = thread::Builder::new().spawn_scoped(scope, run).map_err(no_thread())?;
        let git = git.map(|repositories| {
            let base = base.cloned();
            let bring = move || {
                repositories.bring(plan, base.as_ref(), |brought| {
                    let arrival = brought.map_or_else(Arrival::Failed, |brought| Arrival::Git(Box::new(brought)));
                    // The collecting thread only stops before this one where it panicked, and then says so itself.
                    let _ = for_git.blocking_send(arrival);
                });
            };
            thread::Builder::new().spawn_scoped(scope, bring).map(drop).map_err(no_thread())
        });
        // What comes over the network is of use the next time.
        let errors = git.and_then(Result::err).into_iter().collect();
        let fetched = collect(arrived, errors, draft, keep_going, progress.as_ref());
        let received = network.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        fetched.map(|fetched| Fetched { downloaded_bytes: fetched.downloaded_bytes + received, ..fetched })
    })
}

/// Puts what arrives into the draft, until all senders are gone. `errors` are those that there are before.
fn collect(
    mut arrived: queue::Receiver<Arrival>,
    mut errors: Vec<OpError>,
    draft: &mut Draft<'_>,
    keep_going: bool,
    progress: &dyn Progress,
) -> Result<Fetched> {
    let mut fetched = Fetched::default();
    while let Some(arrival) = arrived.blocking_recv() {
        match arrival {
            Arrival::Failed(error) => errors.push(error),
            // Once something failed the draft is not published, so nothing more is written.
            _ if !errors.is_empty() && !keep_going => {}
            Arrival::Entry { id, signed } => match draft.put_entry(id, &signed) {
                Ok(()) => fetched.entries += 1,
                Err(error) => errors.push(error.into()),
            },
            Arrival::Absent(id) => draft.note_absent(id),
            Arrival::Release(release) => {
                let (id, stored, fallback) = (release.id.clone(), release.stored, release.fallback.clone());
                progress.report(Event::Finished { item: id.to_string() });
                match draft.add_release(*release) {
                    Ok(()) => fetched.releases.push(Stored { id, stored, fallback }),
                    Err(error) => errors.push(error.into()),
                }
            }
            Arrival::Git(brought) => {
                let repositories::Fetched { address, stored, files, added, downloaded_bytes } = *brought;
                fetched.downloaded_bytes += downloaded_bytes;
                match draft.put_git(address.clone(), stored, files) {
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

/// Checks tarballs and turns them into git objects, until there are no more.
fn take_apart(encoder: &ReleaseEncoder, waiting: &Mutex<mpsc::Receiver<Job>>, arrivals: &queue::Sender<Arrival>) {
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

/// Checks a tarball against the lock first and the registry second, and encodes it.
fn encode(encoder: &ReleaseEncoder, job: &Job) -> Result<EncodedRelease> {
    let release = &job.pin.id;
    let bytes = job.download.read()?;
    let tarball = Tarball::open(&bytes, &Limits::default())
        .map_err(|source| OpError::Tarball { release: release.clone(), source })?;
    let got = tarball.inner_checksum();
    for expected in job.pin.inner.into_iter().chain([job.listed.inner_checksum]) {
        if expected != got {
            return Err(OpError::InnerChecksum { release: release.clone(), expected, got });
        }
    }
    encoder.encode(release.clone(), &tarball).map_err(OpError::encode(release))
}

/// Runs all requests; returns how many bytes arrived.
async fn run(order: Order, shared: Shared) -> u64 {
    let shared = Arc::new(shared);
    let mut tasks = JoinSet::new();
    let mut by_package = BTreeMap::<EntryId, Vec<Pin>>::new();
    for id in order.entries {
        by_package.entry(id).or_default();
    }
    for pin in order.releases {
        by_package.entry(pin.id.entry()).or_default().push(pin);
    }
    shared.claim(by_package.keys());
    let items = by_package.values().map(|pins| pins.len() as u64).sum();
    shared.progress.report(Event::Planned { items });
    for (id, pins) in by_package {
        tasks.spawn(package(Arc::clone(&shared), id, pins));
    }
    for id in shared.claim(order.absent.iter()) {
        tasks.spawn(mention(Arc::clone(&shared), id));
    }
    while let Some(outcome) = tasks.join_next().await {
        let failed = match outcome {
            Ok(Ok(more)) => {
                for id in shared.claim(more.iter()) {
                    tasks.spawn(mention(Arc::clone(&shared), id));
                }
                continue;
            }
            Ok(Err(error)) => error,
            Err(error) => OpError::machine("go on fetching into", shared.downloads.folder())(error.into()),
        };
        shared.arrive(Arrival::Failed(failed)).await;
    }
    shared.received.load(Ordering::Relaxed)
}

/// Fetches a package's entry and its wanted releases. Returns the packages that the releases depend on.
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
        // The queue outlives all tasks.
        let _ = shared.jobs.send(Job { pin, listed: listed.clone(), download });
    }
    Ok(mentioned)
}

/// Fetches the entry of a package that is only mentioned, if there is one.
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

/// Returns what the registry says of a pinned release, which must not contradict the lock.
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
    /// Fetches, checks and hands on a registry entry that lists what is pinned; `None` where everything was given up.
    async fn entry(&self, id: &EntryId, pins: &[Pin]) -> Result<Option<Package>> {
        let EntryId { repository, package } = id;
        let key = self.keys.get(repository).ok_or_else(|| OpError::NoPublicKey { repository: repository.clone() })?;
        if let Some(signed) = self.at_hand.get(id) {
            return Ok(Some(Verified::new(id, key, signed.clone(), None)?.package));
        }
        let lists = |package: &Package| pins.iter().all(|pin| listed(package, pin).is_ok());
        let stale = match self.kept.find(&self.upstream, id, key) {
            Found::Current(kept) if lists(&kept.package) && self.is_no_older(id, &kept).is_ok() => {
                return Ok(Some(self.hand_on(id, kept).await));
            }
            Found::Current(kept) | Found::Stale(kept) => Some(kept),
            Found::Absent | Found::Nothing => None,
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

    /// Checks that an entry has all that the mirror's has. Whoever signed that one: what it says counts as known.
    fn is_no_older(&self, id: &EntryId, new: &Verified) -> Result<()> {
        let Some(base) = self.base.as_ref().filter(|_| !self.accept_older.contains(id)) else { return Ok(()) };
        let base = base.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = read_entry(&base, id)?.map(|known| lost(&known, &new.package)).unwrap_or_default();
        if lost.is_empty() { Ok(()) } else { Err(OpError::OlderEntry { entry: id.clone(), lost }) }
    }

    /// Hands a registry entry on, and returns what it says.
    async fn hand_on(&self, id: &EntryId, verified: Verified) -> Package {
        self.arrive(Arrival::Entry { id: id.clone(), signed: verified.signed }).await;
        verified.package
    }

    /// Returns whether a repository said a moment ago that it has no such entry.
    fn was_absent(&self, id: &EntryId) -> bool {
        let key = self.keys.get(&id.repository);
        key.is_some_and(|key| matches!(self.kept.find(&self.upstream, id, key), Found::Absent))
    }

    /// Returns those of some entries that nobody has claimed before.
    fn claim<'a>(&self, ids: impl Iterator<Item = &'a EntryId>) -> Vec<EntryId> {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        ids.filter(|id| claimed.insert((*id).clone())).cloned().collect()
    }

    /// Hands something to the collecting thread, which takes things as fast as the disk does.
    async fn arrive(&self, arrival: Arrival) {
        // The thread only stops before us where it panicked, and then says so itself.
        let _ = self.arrivals.send(arrival).await;
    }

    /// Makes a request when it is its turn; `None` where the repository was given up meanwhile, and that was told.
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
