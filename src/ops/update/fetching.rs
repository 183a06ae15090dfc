//! Fetches what a plan needs into a transaction. Tarballs are unpacked on all cores while the remaining downloads
//! continue.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, Scope, ScopedJoinHandle};

use tokio::sync::mpsc as queue;

use super::fetch_plan::{Arrival, FetchContext, FetchPlan, FileAsk, Job, PackageFacts};
use super::git_fetcher::{FetchedRepository, GitFetcher};
use super::registry_fetcher::RegistryFetcher;
use crate::hex::artefacts::{PackageTexts, is_map};
use crate::hex::recipe::check_docs;
use crate::hex::tarball::{Tarball, TarballLimits};
use crate::model::{FileChecksum, FileId, GitAddress, PolicyId, ReleaseId, Revision, StoredRelease};
use crate::ops::artefacts::package::{ChecksumLists, texts};
use crate::ops::parallel::cores;
use crate::ops::plugins::config::{BuildConfig, FILES};
use crate::ops::{FileError, OpError, Result};
use crate::plan::{FilePin, GitPlan};
use crate::progress::{Event, Progress};
use crate::store::{EncodedRelease, ReleaseEncoder, Snapshot, Transaction};

/// The number of fetched items that wait for the transaction.
const WAITING: usize = 16;

/// What was fetched.
#[derive(Debug, Default)]
pub(in crate::ops) struct Fetched {
    /// The releases added to the transaction.
    pub releases: Vec<Stored>,
    /// The number of registry entries added to the transaction.
    pub entries: usize,
    /// The number of those that differ from the base's.
    pub changed_entries: usize,
    /// The policies added to the transaction that are new or differ.
    pub policies: BTreeSet<PolicyId>,
    /// The files added to the transaction.
    pub files: Vec<FilePin>,
    /// The number of bytes of tarballs and entries received over the network.
    pub downloaded_bytes: u64,
    /// The git repositories added to the transaction.
    pub git: Vec<StoredRepository>,
    /// The error of failed fetches, if fetching continued in spite of them.
    pub failed: Option<OpError>,
    /// The errors of repositories of plugins that did not answer. Everything else is stored and pinned as usual.
    pub unanswered: Vec<OpError>,
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
    pub stored: StoredRelease,
    /// The reason why the release is stored as a tarball, if it is.
    pub fallback: Option<String>,
    /// What its files say about plugins, if it was fetched.
    pub config: Option<BuildConfig>,
    /// What its files say about precompiled files, if it was fetched.
    pub artefacts: Option<(ChecksumLists, PackageTexts)>,
}

/// Fetches what is planned into the transaction. Finished tarballs and fetched git objects stay on disk in any case.
///
/// # Errors
/// Fails with all errors that occurred. The transaction must then not be published.
pub(in crate::ops) fn fetch(
    mut plan: FetchPlan,
    context: FetchContext<'_>,
    transaction: &mut Transaction<'_>,
    progress: &Arc<dyn Progress>,
) -> Result<Fetched> {
    let git_plan = std::mem::take(&mut plan.git);
    let (tarballs, waiting) = mpsc::channel();
    let (arrivals, arrived) = queue::channel(WAITING);
    let registry = RegistryFetcher::new(&mut plan, &context, tarballs, arrivals.clone(), progress)?;
    let FetchContext { downloads, encoder, git, base, keep_going, .. } = context;
    let folder = downloads.folder();
    let runtime = crate::runtime::current_thread().map_err(OpError::machine("fetch into", folder))?;
    let no_thread = || OpError::machine("start a thread to fetch into", folder);
    let waiting = &Mutex::new(waiting);
    thread::scope(|scope| {
        spawn_encoders(scope, encoder, waiting, &arrivals).map_err(no_thread())?;
        let network = spawn(scope, move || runtime.block_on(registry.run(plan))).map_err(no_thread())?;
        let base = base.cloned();
        let git = git.map(|fetcher| spawn(scope, move || fetch_git(fetcher, git_plan, base.as_ref(), &arrivals)));
        // If git's thread cannot start, continue with the tarballs, because the next update reuses them.
        let errors = git.and_then(Result::err).map(no_thread()).into_iter().collect();
        let fetched = collect(arrived, errors, transaction, keep_going, progress.as_ref());
        let received = network.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        fetched.map(|fetched| Fetched { downloaded_bytes: fetched.downloaded_bytes + received, ..fetched })
    })
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> std::io::Result<ScopedJoinHandle<'scope, T>> {
    thread::Builder::new().spawn_scoped(scope, work)
}

/// Starts a thread per core that encodes tarballs. Fails if the system provides none.
fn spawn_encoders<'scope>(
    scope: &'scope Scope<'scope, '_>,
    encoder: &ReleaseEncoder,
    waiting: &'scope Mutex<mpsc::Receiver<Job>>,
    arrivals: &queue::Sender<Arrival>,
) -> std::io::Result<()> {
    for number in 0..cores() {
        let (encoder, arrivals) = (encoder.clone(), arrivals.clone());
        match spawn(scope, move || encode_tarballs(&encoder, waiting, &arrivals)) {
            Ok(_) => {}
            Err(error) if number == 0 => return Err(error),
            // The system provides no further thread; unpacking merely takes longer.
            Err(_) => break,
        }
    }
    Ok(())
}

/// Fetches all git repositories and sends them to the transaction.
fn fetch_git(fetcher: GitFetcher, plan: GitPlan, base: Option<&Snapshot>, arrivals: &queue::Sender<Arrival>) {
    fetcher.fetch_all(plan, base, |fetched| {
        let arrival = fetched.map_or_else(Arrival::Failed, |fetched| Arrival::Git(Box::new(fetched)));
        // The collecting thread only ends before this one if it panics, which is reported elsewhere.
        let _ = arrivals.blocking_send(arrival);
    });
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
        // After an error, the transaction is not published, so further items are not written.
        let is_of_use = errors.is_empty() || keep_going || matches!(arrival, Arrival::Failed(_));
        if is_of_use && let Err(error) = fetched.add(arrival, transaction, progress) {
            errors.push(error);
        }
    }
    fetched.releases.sort_by(|a, b| a.id.cmp(&b.id));
    fetched.git.sort_by(|a, b| a.address.cmp(&b.address));
    match OpError::several(errors) {
        Some(error) if !keep_going || fetched.is_empty() => Err(error),
        failed => Ok(Fetched { failed, ..fetched }),
    }
}

impl Fetched {
    /// Returns whether nothing was added to the transaction.
    pub fn is_empty(&self) -> bool {
        let nothing_of_hex = self.releases.is_empty() && self.entries == 0 && self.policies.is_empty();
        nothing_of_hex && self.files.is_empty() && self.git.is_empty()
    }

    /// Adds what another fetch into the same transaction delivered.
    pub fn extend(&mut self, more: Self) {
        self.releases.extend(more.releases);
        self.releases.sort_by(|a, b| a.id.cmp(&b.id));
        self.entries += more.entries;
        self.changed_entries += more.changed_entries;
        self.policies.extend(more.policies);
        self.downloaded_bytes += more.downloaded_bytes;
        // A repository that is fetched again is fetched with everything that is needed of it.
        self.git.retain(|known| !more.git.iter().any(|repository| repository.address == known.address));
        self.git.extend(more.git);
        self.git.sort_by(|a, b| a.address.cmp(&b.address));
        self.unanswered.extend(more.unanswered);
        self.failed = OpError::several(self.failed.take().into_iter().chain(more.failed).collect());
    }

    /// Adds an item to the transaction, and notes it.
    fn add(&mut self, arrival: Arrival, transaction: &mut Transaction<'_>, progress: &dyn Progress) -> Result<()> {
        match arrival {
            Arrival::Failed(error) => return Err(error),
            Arrival::Entry { id, signed } => {
                self.changed_entries += usize::from(transaction.put_entry(id, &signed)?);
                self.entries += 1;
            }
            Arrival::Policy { id, signed } => {
                if transaction.put_policy(id.clone(), &signed)? {
                    self.policies.insert(id);
                }
            }
            Arrival::File { ask, download } => {
                let FileAsk { path, address, trust, npm, .. } = *ask;
                let content = download.read()?;
                if let Some(release) = path.docs_release() {
                    check_docs(&content, &TarballLimits::default())
                        .map_err(|source| FileError::Docs { release, source })?;
                }
                npm.map_or(Ok(()), |claim| claim.check(&content))?;
                progress.report(Event::Finished { item: address.to_string() });
                transaction.put_file(path.clone(), &content, trust, address.clone())?;
                let checksum = FileChecksum::from_bytes(*download.outer_checksum.as_bytes());
                let (id, bytes) = (FileId { path, checksum }, Some(content.len() as u64));
                self.files.push(FilePin { id, bytes, trust, address });
            }
            Arrival::Absent(id) => transaction.record_absent(id)?,
            Arrival::Release(release, facts) => {
                let (id, stored, fallback) = (release.id.clone(), release.stored, release.fallback.clone());
                progress.report(Event::Finished { item: id.to_string() });
                transaction.add_release(*release)?;
                let PackageFacts { config, artefacts } = *facts;
                let (config, artefacts) = (Some(config), Some(artefacts));
                self.releases.push(Stored { id, stored, fallback, config, artefacts });
            }
            Arrival::Git(repository) => {
                let FetchedRepository { address, stored, files, added, downloaded_bytes } = *repository;
                self.downloaded_bytes += downloaded_bytes;
                transaction.put_git(address.clone(), stored, files)?;
                self.git.push(StoredRepository { address, added });
            }
        }
        Ok(())
    }
}

/// Verifies tarballs and encodes them as git objects until the queue is empty.
fn encode_tarballs(encoder: &ReleaseEncoder, waiting: &Mutex<mpsc::Receiver<Job>>, arrivals: &queue::Sender<Arrival>) {
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(job) = next() {
        let arrival = match encode(encoder, &job) {
            Ok((release, facts)) => Arrival::Release(Box::new(release), Box::new(facts)),
            Err(error) => Arrival::Failed(error),
        };
        if arrivals.blocking_send(arrival).is_err() {
            return;
        }
    }
}

/// Verifies a tarball against the lock first and the registry second, and encodes it.
fn encode(encoder: &ReleaseEncoder, job: &Job) -> Result<(EncodedRelease, PackageFacts)> {
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
    let refused = |source| OpError::Tarball { release: release.clone(), source };
    let counts = |name: &str| FILES.contains(&name) || is_map(name);
    let mut files = tarball.root_files(&TarballLimits::default(), counts).map_err(refused)?;
    let config = BuildConfig::of(|name| files.remove(name));
    let lists = ChecksumLists::of(files);
    let texts = if lists.is_empty() { PackageTexts::default() } else { texts(&tarball).map_err(refused)? };
    let facts = PackageFacts { config, artefacts: (lists, texts) };
    Ok((encoder.encode(release.clone(), &tarball).map_err(OpError::encode(release))?, facts))
}
