//! Brings git repositories from upstream: fetched side by side, their submodules too, and packed for the branch.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, thread};

use super::{OpError, Project, Result};
use crate::git::{Git, GitError, GitSettings, NewPack, Packed, Scratch, Submodule, Want, store_files};
use crate::model::{GitAddress, GitUrl, Manifest, Revision, StoredGit};
use crate::plan::{GitPin, is_deep_enough};
use crate::progress::{Event, Progress};
use crate::store::{Checkout, GitFile, ObjectId, Repository, Snapshot};

/// How many repositories are fetched at once, unless set: each takes a process or two, and often all of a core.
const JOBS: usize = 4;
/// How deeply submodules may be nested, and how many revisions they may pin together.
const MAX_NESTING: usize = 16;
const MAX_REVISIONS: usize = 2000;
/// When fewer revisions are packed anew: where the new pack is smaller than this part of the old ones.
const WORTH: (u64, u64) = (3, 4);
/// From this size on, in bytes, a pack is not read into memory to be stored.
const LARGE: u64 = 8 << 20;

/// A repository as it will be on the branch.
#[derive(Debug)]
pub(super) struct Fetched {
    pub address: GitAddress,
    pub stored: StoredGit,
    /// The files that are new, by their paths in the repository.
    pub files: Vec<(String, GitFile)>,
    /// The revisions that are new, each with one that it takes the place of, if there is one.
    pub added: Vec<(Revision, Option<Revision>)>,
    pub downloaded_bytes: u64,
    /// The size of those files that are in the object database already.
    pub stored_bytes: u64,
}

/// What is wanted of a repository.
#[derive(Debug, Clone)]
struct Wanted {
    url: GitUrl,
    revisions: BTreeMap<Revision, WantedRevision>,
}

#[derive(Debug, Clone, Default)]
struct WantedRevision {
    want: Want,
    submodules: bool,
    /// It is on the branch, only not in the form in which everything will be there now.
    optional: bool,
}

/// What came of a repository so far.
#[derive(Default)]
struct Outcome {
    submodules: BTreeMap<Revision, Vec<Submodule>>,
    dropped: BTreeSet<Revision>,
    downloaded_bytes: u64,
}

/// What all fetches share.
pub(super) struct Repositories {
    git: Git,
    /// The project's repository and the folder of its objects: git runs in other folders, so these are full paths.
    project: PathBuf,
    objects: PathBuf,
    manifest: Manifest,
    checkouts: BTreeMap<GitAddress, Checkout>,
    root: PathBuf,
    jobs: usize,
    progress: Arc<dyn Progress>,
}

/// What the mirror has of a repository, and where that is.
type Base<'a> = Option<(&'a StoredGit, &'a Path)>;

/// Returns the folder where unfinished updates keep what they fetched of git repositories.
pub(super) fn scratch_dir(repository: &Repository) -> PathBuf {
    repository.own_dir().join("git-fetch")
}

/// Finds the system's git and tells it what it must know of the project.
pub(super) fn fetching_git(project: &Project, may_ask: bool) -> Result<Git> {
    let (repository, environment) = (&project.repository, &project.environment);
    let own_ssh = environment.first(&["GIT_SSH_COMMAND", "GIT_SSH"]).or_else(|| repository.setting("core.sshCommand"));
    let config = repository.common_dir().join("config");
    Ok(Git::find(GitSettings {
        project_config: fs::canonicalize(config).ok(),
        allowed_protocols: environment.get("GIT_ALLOW_PROTOCOL"),
        may_ask,
        own_ssh: own_ssh.is_some(),
    })?)
}

impl Repositories {
    /// Prepares to bring what some entries pin.
    pub fn new(
        project: &Project,
        base: Option<&Snapshot>,
        jobs: Option<usize>,
        may_ask: bool,
        progress: Arc<dyn Progress>,
    ) -> Result<Self> {
        let root = scratch_dir(&project.repository);
        let unusable = |source| OpError::Machine { action: "find a place for fetched git repositories", source };
        fs::create_dir_all(&root).map_err(unusable)?;
        Ok(Self {
            git: fetching_git(project, may_ask)?,
            project: fs::canonicalize(project.repository.common_dir()).map_err(unusable)?,
            objects: fs::canonicalize(project.repository.objects_dir()).map_err(unusable)?,
            manifest: base.map(Snapshot::manifest).transpose()?.cloned().unwrap_or_default(),
            checkouts: BTreeMap::new(),
            root: fs::canonicalize(root).map_err(unusable)?,
            jobs: jobs.or(project.config.jobs).unwrap_or(JOBS).min(JOBS),
            progress,
        })
    }

    /// Brings what the entries pin, with submodules where they are wanted. Each repository is delivered when all of it is
    /// there and proven; so is each error.
    pub fn bring(mut self, pins: &[GitPin], base: Option<&Snapshot>, deliver: impl Fn(Result<Fetched>) + Sync) {
        let (mut all, mut outcomes) = (BTreeMap::<GitAddress, Wanted>::new(), BTreeMap::<GitAddress, Outcome>::new());
        let mut round: BTreeSet<GitAddress> = BTreeSet::new();
        for pin in pins {
            let revision = WantedRevision {
                want: Want { depth: pin.depth, names: pin.names.clone() },
                submodules: pin.submodules,
                optional: false,
            };
            add(&mut all, &pin.url, pin.revision, revision);
            round.insert(pin.url.address().clone());
        }
        let mut failed = BTreeSet::new();
        for nesting in 0.. {
            self.progress.report(Event::Planned { items: round.len() as u64 });
            for address in &round {
                if let Err(error) = self.check_out(address, base) {
                    failed.insert(address.clone());
                    deliver(Err(error));
                }
            }
            let items: Vec<&GitAddress> = round.iter().filter(|address| !failed.contains(*address)).collect();
            let results = in_parallel(self.jobs, &items, |address| self.fetch(address, &mut all[*address].clone()));
            let mut next = BTreeSet::new();
            for (address, result) in items.into_iter().zip(results) {
                self.progress.report(Event::Finished { item: format!("git {address}") });
                match result {
                    Ok((wanted, outcome)) => {
                        all.insert(address.clone(), wanted);
                        for submodule in outcome.submodules.values().flatten() {
                            let wanted = WantedRevision { submodules: true, ..WantedRevision::default() };
                            if add(&mut all, &submodule.url, submodule.revision, wanted) {
                                next.insert(submodule.url.address().clone());
                            }
                        }
                        let known = outcomes.entry(address.clone()).or_default();
                        known.submodules.extend(outcome.submodules);
                        known.dropped.extend(outcome.dropped);
                        known.downloaded_bytes += outcome.downloaded_bytes;
                    }
                    Err(error) => {
                        failed.insert(address.clone());
                        deliver(Err(error));
                    }
                }
            }
            next.retain(|address| !failed.contains(address));
            let revisions: usize = all.values().map(|wanted| wanted.revisions.len()).sum();
            if let Some(address) = next.first().filter(|_| nesting > MAX_NESTING || revisions > MAX_REVISIONS) {
                deliver(Err(GitError::TooManySubmodules { address: address.clone() }.into()));
                return;
            }
            round = next;
            if round.is_empty() {
                break;
            }
        }
        let items: Vec<_> = outcomes.iter().filter(|(address, _)| !failed.contains(*address)).collect();
        in_parallel(self.jobs, &items, |(address, outcome)| {
            deliver(self.pack(address, &all[*address], outcome, &failed));
        });
    }

    /// Writes out what the mirror has of a repository.
    fn check_out(&mut self, address: &GitAddress, base: Option<&Snapshot>) -> Result<()> {
        if self.manifest.git.contains_key(address)
            && !self.checkouts.contains_key(address)
            && let Some(checkout) = base.map(|base| base.checkout(address)).transpose()?.flatten()
        {
            self.checkouts.insert(address.clone(), checkout);
        }
        Ok(())
    }

    /// Tells whether a repository is stored shallow: if nobody wants, or ever wanted, a full ancestry of it. Returns what
    /// of the mirror's can then be built upon.
    fn form(&self, address: &GitAddress, wanted: &Wanted) -> (bool, Base<'_>) {
        let stored = self.manifest.git.get(address);
        let base = stored.zip(self.checkouts.get(address).map(Checkout::folder));
        let required = wanted.revisions.values().filter(|revision| !revision.optional);
        let shallow = required.clone().all(|revision| revision.want.depth.is_some())
            && stored.is_none_or(|stored| !stored.is_full());
        (shallow, base.filter(|(stored, _)| shallow != stored.is_full()))
    }

    fn open(&self, address: &GitAddress, wanted: &Wanted) -> Result<(Scratch<'_>, bool, Base<'_>)> {
        let (shallow, base) = self.form(address, wanted);
        Ok((Scratch::open(&self.git, &self.root, address, shallow, base)?, shallow, base))
    }

    /// Fetches what is wanted of a repository and reads its submodules. Returns what is wanted with what that leads to.
    fn fetch(&self, address: &GitAddress, wanted: &mut Wanted) -> Result<(Wanted, Outcome)> {
        let (scratch, shallow, base) = self.open(address, wanted)?;
        if base.is_none() {
            let stored = self.manifest.git.get(address).into_iter().flat_map(|stored| stored.revisions.keys());
            for revision in stored {
                let optional = WantedRevision { optional: true, ..WantedRevision::default() };
                wanted.revisions.entry(*revision).or_insert(optional);
            }
        }
        let mut outcome = Outcome::default();
        let received = |bytes: u64| self.progress.report(Event::Received { bytes });
        let is_there = |revision: &Revision, depth: Option<NonZeroU32>| {
            let stored = base.and_then(|(stored, _)| stored.revisions.get(revision));
            stored.is_some_and(|stored| is_deep_enough(stored.depth, depth))
        };
        let (mut required, mut optional) = (BTreeMap::new(), BTreeMap::new());
        for (revision, of_lock) in &mut wanted.revisions {
            if !shallow {
                of_lock.want.depth = None;
            }
            if !is_there(revision, of_lock.want.depth) {
                let wants = if of_lock.optional { &mut optional } else { &mut required };
                wants.insert(*revision, of_lock.want.clone());
            }
        }
        outcome.downloaded_bytes += scratch.fetch(&wanted.url, &required, &received)?;
        for (revision, want) in optional {
            match scratch.fetch(&wanted.url, &[(revision, want)].into(), &received) {
                Ok(bytes) => outcome.downloaded_bytes += bytes,
                Err(error @ GitError::NoRevision { .. }) => {
                    let message =
                        format!("{address} at {} was mirrored shallow and is dropped: {error}", revision.short());
                    self.progress.report(Event::Warning { message });
                    outcome.dropped.insert(revision);
                }
                Err(error) => return Err(error.into()),
            }
        }
        for (revision, _) in wanted.revisions.iter().filter(|(_, wanted)| wanted.submodules) {
            outcome.submodules.insert(*revision, scratch.submodules(&wanted.url, *revision)?);
        }
        Ok((wanted.clone(), outcome))
    }

    /// Packs what was fetched of a repository, and puts together what the branch will say of it.
    fn pack(
        &self,
        address: &GitAddress,
        wanted: &Wanted,
        outcome: &Outcome,
        failed: &BTreeSet<GitAddress>,
    ) -> Result<Fetched> {
        let (scratch, _, base) = self.open(address, wanted)?;
        let before = self.manifest.git.get(address).cloned().unwrap_or_default();
        let mut stored = before.clone();
        let packs = base.map(|(stored, _)| stored.packs.clone()).unwrap_or_default();
        let mut added = Vec::new();
        for (revision, of_lock) in &wanted.revisions {
            if !before.revisions.contains_key(revision) {
                added.push((*revision, replaced(&before, wanted, of_lock)));
            }
            let there = stored.revisions.entry(*revision).or_default();
            let deeper = there.depth.zip(of_lock.want.depth).map(|(one, other)| one.max(other));
            there.depth = if before.revisions.contains_key(revision) { deeper } else { of_lock.want.depth };
            if let Some(submodules) = outcome.submodules.get(revision)
                && submodules.iter().all(|submodule| !failed.contains(submodule.url.address()))
            {
                let pinned = submodules.iter().map(|submodule| (submodule.url.address().clone(), submodule.revision));
                there.submodules = Some(pinned.collect());
            }
        }
        for revision in &outcome.dropped {
            stored.revisions.remove(revision);
        }
        for (revision, of_lock) in &wanted.revisions {
            of_lock.want.names.iter().for_each(|name| stored.set_name(*revision, name));
        }
        let revisions = stored.revisions.keys().copied().collect();
        let Packed { kept, new, shallow } = scratch.pack(&revisions, &packs)?;
        stored.shallow = shallow;
        stored.packs = packs.into_iter().filter(|(name, _)| kept.contains(name)).collect();
        let (files, stored_bytes) = new.as_ref().map(|new| self.files(new)).transpose()?.unwrap_or_default();
        stored.packs.extend(new.map(|new| (new.name, new.bytes)));
        let (address, downloaded_bytes) = (address.clone(), outcome.downloaded_bytes);
        Ok(Fetched { address, stored, files, added, downloaded_bytes, stored_bytes })
    }

    /// Takes revisions away from a repository that the mirror has; some must stay. Where that leaves much that nobody needs,
    /// what is needed is packed anew. Returns what is there then, and the new pack, for [`Repositories::files`].
    pub fn without(
        &mut self,
        base: &Snapshot,
        address: &GitAddress,
        gone: &BTreeSet<Revision>,
    ) -> Result<(StoredGit, Option<NewPack>)> {
        self.check_out(address, Some(base))?;
        let before = self.manifest.git.get(address).cloned().unwrap_or_default();
        let folder = self.checkouts.get(address).map(Checkout::folder);
        let mut stored = before.clone();
        stored.revisions.retain(|revision, _| !gone.contains(revision));
        let revisions = stored.revisions.keys().copied().collect();
        let there = folder.map(|folder| (&before, folder));
        let scratch = Scratch::open(&self.git, &self.root, address, !before.is_full(), there)?;
        let Packed { new, shallow, .. } = scratch.pack(&revisions, &BTreeMap::new())?;
        let new = new.filter(|new| new.bytes < before.bytes() / WORTH.1 * WORTH.0);
        if let Some(new) = &new {
            stored.shallow = shallow;
            stored.packs = [(new.name, new.bytes)].into();
        }
        Ok((stored, new))
    }

    /// Reads a pack and its index, or brings them into the object database where they are large. Returns how many bytes are
    /// there then.
    pub fn files(&self, new: &NewPack) -> Result<(Vec<(String, GitFile)>, u64)> {
        let paths = [&new.pack, &new.index];
        let names =
            paths.map(|path| format!("objects/pack/{}", path.file_name().unwrap_or_default().to_string_lossy()));
        if new.bytes > LARGE {
            let ids = store_files(&self.git, &self.project, &self.objects, &paths.map(Clone::clone))?;
            let id = |id: String| ObjectId::from_hex(id.as_bytes()).map(GitFile::Stored).map_err(|_| wrong_id(&id));
            let files = ids.into_iter().map(id).collect::<Result<Vec<_>>>()?;
            return Ok((names.into_iter().zip(files).collect(), new.bytes));
        }
        let read = |path: &PathBuf| {
            let bytes = fs::read(path).map_err(|source| OpError::Read { path: path.clone(), source })?;
            Ok(GitFile::Bytes(bytes))
        };
        let files = paths.into_iter().map(read).collect::<Result<Vec<_>>>()?;
        Ok((names.into_iter().zip(files).collect(), 0))
    }
}

fn wrong_id(id: &str) -> OpError {
    GitError::Failed { action: "store a pack", message: format!("{id:?} is not an object's id") }.into()
}

/// Adds what is wanted of a repository. Returns whether that is more than was.
fn add(all: &mut BTreeMap<GitAddress, Wanted>, url: &GitUrl, revision: Revision, new: WantedRevision) -> bool {
    let new_repository = || Wanted { url: url.clone(), revisions: BTreeMap::new() };
    let wanted = all.entry(url.address().clone()).or_insert_with(new_repository);
    let taken: BTreeSet<_> = wanted.revisions.values().flat_map(|known| known.want.names.iter().cloned()).collect();
    let mut more = !wanted.revisions.contains_key(&revision);
    let known = wanted.revisions.entry(revision).or_insert_with(|| WantedRevision { want: new.want.clone(), ..new });
    more |= new.submodules && !known.submodules || known.want.depth.is_some() && new.want.depth.is_none();
    known.submodules |= new.submodules;
    known.optional &= new.optional;
    known.want.depth = known.want.depth.zip(new.want.depth).map(|(one, other)| one.max(other));
    // Where two entries call two revisions by one name, the first is called so.
    known.want.names.retain(|name| !taken.contains(name));
    known.want.names.extend(new.want.names.into_iter().filter(|name| !taken.contains(name)));
    more
}

/// Returns the revision that a new one takes the place of: the one that had its name, or the only one that nobody wants.
fn replaced(before: &StoredGit, wanted: &Wanted, new: &WantedRevision) -> Option<Revision> {
    let mut left = before.revisions.iter().filter(|(revision, _)| !wanted.revisions.contains_key(*revision));
    let named = left.clone().find(|(_, stored)| !stored.names.is_disjoint(&new.want.names));
    let only = left.next().filter(|_| left.next().is_none());
    named.or(only).map(|(revision, _)| *revision)
}

/// Does something with every item on some threads, and returns what comes of it in the items' order.
fn in_parallel<T: Sync, R: Send>(threads: usize, items: &[T], action: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    let result = action(item);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
