//! Fetches git repositories and their submodules from upstream in parallel, and packs them for the mirror branch.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::leftovers::make_scratch_dir;
use crate::git::{Caveat, Git, GitError, GitSettings, NewPack, Packed, Scratch, Want, pack_files};
use crate::lock::GitCheckout;
use crate::model::{GitAddress, GitName, Manifest, Revision, StoredGit};
use crate::ops::parallel::in_parallel;
use crate::ops::{OpError, Project, Result};
use crate::plan::{FetchedRevisions, GitPlan, GitRef, RefAnswer, RepositoryWant, RevisionWant, is_deep_enough};
use crate::progress::{Download, Event, Progress};
use crate::store::{Checkout, GitFile, ObjectId, Snapshot};

/// The default number of concurrent fetches. Each takes one or two processes and often a whole core.
const DEFAULT_JOBS: usize = 4;
/// When revisions are removed, a repository is packed again if the new pack is smaller than this fraction of the old
/// packs.
const REPACK_RATIO: (u64, u64) = (3, 4);
/// The size in bytes above which a pack is stored without being read into memory.
const LARGE_PACK: u64 = 8 << 20;

/// A repository as it will be stored in the mirror branch.
#[derive(Debug)]
pub(in crate::ops) struct FetchedRepository {
    pub address: GitAddress,
    pub stored: StoredGit,
    /// The new files, by their paths in the repository.
    pub files: Vec<(String, GitFile)>,
    /// The new revisions, each with the revision that it replaces, if any.
    pub added: Vec<(Revision, Option<Revision>)>,
    pub downloaded_bytes: u64,
}

/// The state that all fetches share.
pub(in crate::ops) struct GitFetcher {
    git: Git,
    manifest: Manifest,
    checkouts: BTreeMap<GitAddress, Checkout>,
    root: PathBuf,
    /// The repository on this machine that is fetched from instead of upstream.
    source: Option<PathBuf>,
    jobs: usize,
    progress: Arc<dyn Progress>,
}

/// The mirror's version of a repository, and the folder that contains it.
type Base<'a> = Option<(&'a StoredGit, &'a Path)>;

/// Finds the system's git, for servers other than the project's remotes.
pub(in crate::ops) fn fetching_git(project: &Project, may_ask: bool) -> Result<Git> {
    let environment = &project.environment;
    // Without a sync: the fetched objects only serve the next attempt, so a crash may lose them.
    let settings =
        GitSettings { allowed_protocols: environment.get("GIT_ALLOW_PROTOCOL"), ..project.git_settings(may_ask) };
    Ok(project.git(may_ask)?.for_third_parties(settings, |name| environment.variables.get(name).cloned())?)
}

impl GitFetcher {
    /// Prepares to fetch into a folder what some entries pin.
    pub fn new(
        folder: &Path,
        project: &Project,
        base: Option<&Snapshot>,
        jobs: Option<usize>,
        may_ask: bool,
        progress: Arc<dyn Progress>,
    ) -> Result<Self> {
        Ok(Self {
            git: fetching_git(project, may_ask)?,
            manifest: base.map(Snapshot::manifest).transpose()?.cloned().unwrap_or_default(),
            checkouts: BTreeMap::new(),
            root: fs::canonicalize(folder).map_err(OpError::machine("resolve", folder))?,
            source: None,
            jobs: jobs.or(project.config.jobs).unwrap_or(DEFAULT_JOBS).min(DEFAULT_JOBS),
            progress,
        })
    }

    /// Fetches from a repository on this machine instead of upstream.
    pub fn fetching_from(self, source: &Path) -> Self {
        Self { source: Some(source.to_owned()), ..self }
    }

    /// Prepares to fetch what is planned, into the folder for unfinished updates. `None` if nothing is planned.
    pub fn of_plan(
        plan: &GitPlan,
        project: &Project,
        base: Option<&Snapshot>,
        jobs: Option<usize>,
        may_ask: bool,
        progress: &Arc<dyn Progress>,
    ) -> Result<Option<Self>> {
        if plan.is_empty() {
            return Ok(None);
        }
        let folder = make_scratch_dir(&project.repository)?;
        Self::new(&folder, project, base, jobs, may_ask, Arc::clone(progress)).map(Some)
    }

    /// Fetches what is planned, with submodules if requested. Delivers each repository when it is complete and
    /// verified, and each error as it occurs.
    pub fn fetch_all(
        mut self,
        mut plan: GitPlan,
        base: Option<&Snapshot>,
        deliver: impl Fn(Result<FetchedRepository>) + Sync,
    ) {
        let mut downloaded = BTreeMap::new();
        loop {
            self.fetch_round(&mut plan, base, &mut downloaded, |error| deliver(Err(error)));
            match plan.advance() {
                Ok(true) => {}
                Ok(false) => break,
                Err(address) => return deliver(Err(GitError::TooManySubmodules { address }.into())),
            }
        }
        let items: Vec<_> = plan.fetched().collect();
        in_parallel(self.jobs, &items, |(address, wanted)| {
            let downloaded_bytes = downloaded.get(*address).copied().unwrap_or_default();
            let packed = self.pack(address, wanted, plan.stored(address));
            deliver(packed.map(|packed| FetchedRepository { downloaded_bytes, ..packed }));
        });
    }

    /// Fetches the repositories of one round in parallel, and records the results in the plan. Adds the bytes received
    /// to `downloaded`.
    fn fetch_round(
        &mut self,
        plan: &mut GitPlan,
        base: Option<&Snapshot>,
        downloaded: &mut BTreeMap<GitAddress, u64>,
        failed: impl Fn(OpError),
    ) {
        let round: Vec<(GitAddress, RepositoryWant)> =
            plan.next_round().map(|(address, wanted)| (address.clone(), wanted.clone())).collect();
        self.progress.report(Event::Planned { items: round.len() as u64 });
        let mut items = Vec::new();
        for (address, wanted) in round {
            match self.check_out(&address, base) {
                Ok(()) => items.push((address, wanted)),
                Err(error) => {
                    plan.record_failure(&address);
                    failed(error);
                }
            }
        }
        let results = in_parallel(self.jobs, &items, |(address, wanted)| {
            let download = Download::begin(self.progress.as_ref(), format!("git {address}"));
            let result = self.fetch(address, wanted);
            drop(download);
            self.progress.report(Event::Finished { item: format!("git {address}") });
            result
        });
        for ((address, _), result) in items.iter().zip(results) {
            match result {
                Ok((learned, bytes)) => {
                    plan.record(address, learned);
                    *downloaded.entry(address.clone()).or_default() += bytes;
                }
                Err(error) => {
                    plan.record_failure(address);
                    failed(error);
                }
            }
        }
    }

    /// Writes the mirror's version of a repository to disk.
    fn check_out(&mut self, address: &GitAddress, base: Option<&Snapshot>) -> Result<()> {
        if self.manifest.git.contains_key(address)
            && !self.checkouts.contains_key(address)
            && let Some(checkout) = base.map(|base| base.checkout(address)).transpose()?.flatten()
        {
            self.checkouts.insert(address.clone(), checkout);
        }
        Ok(())
    }

    /// Opens the scratch repository to fetch into, and returns the mirror's version to build on, if any.
    fn open(&self, address: &GitAddress, wanted: &RepositoryWant) -> Result<(Scratch<'_>, Base<'_>)> {
        let stored = self.manifest.git.get(address);
        let base = stored.zip(self.checkouts.get(address).map(Checkout::folder));
        let base = base.filter(|(stored, _)| wanted.builds_on(stored));
        let shallow = wanted.is_shallow(stored);
        let scratch = Scratch::open(&self.git, &self.root, address, shallow, base)?;
        Ok((scratch.fetching_from(self.source.as_deref()), base))
    }

    /// Fetches what is wanted of a repository and reads its submodules. Returns what was learned from them, and the
    /// number of bytes received.
    fn fetch(&self, address: &GitAddress, wanted: &RepositoryWant) -> Result<(FetchedRevisions, u64)> {
        let (scratch, base) = self.open(address, wanted)?;
        let is_there = |revision: &Revision, depth: Option<NonZeroU32>| {
            let stored = base.and_then(|(stored, _)| stored.revisions.get(revision));
            stored.is_some_and(|stored| is_deep_enough(stored.depth, depth))
        };
        let lacking = wanted.revisions.iter().filter(|(revision, want)| !is_there(revision, want.depth));
        let wants = lacking.map(|(revision, want)| (want.optional, (*revision, upstream_want(want))));
        let (optional, required): (Vec<_>, Vec<_>) = wants.partition(|(optional, _)| *optional);
        let required = required.into_iter().map(|(_, want)| want).collect();
        let received = |bytes: u64| self.progress.report(Event::Received { bytes });
        let mut downloaded_bytes = scratch.fetch(&wanted.url, &required, &received)?;
        let mut learned = FetchedRevisions::default();
        for (_, (revision, want)) in optional {
            match scratch.fetch(&wanted.url, &[(revision, want)].into(), &received) {
                Ok(bytes) => downloaded_bytes += bytes,
                Err(error @ GitError::NoRevision { .. }) => {
                    self.warn_of_removal(address, revision, &error);
                    learned.dropped.insert(revision);
                }
                Err(error) => return Err(error.into()),
            }
        }
        for (revision, _) in wanted.revisions.iter().filter(|(_, wanted)| wanted.submodules) {
            let submodules = scratch.submodules(&wanted.url, *revision)?.into_iter();
            let submodules = submodules.map(|submodule| (submodule.url, submodule.revision)).collect();
            learned.submodules.insert(*revision, submodules);
        }
        Ok((learned, downloaded_bytes))
    }

    /// Warns that a revision leaves the mirror, because upstream no longer has it.
    fn warn_of_removal(&self, address: &GitAddress, revision: Revision, error: &GitError) {
        let revision = revision.short();
        let message = format!("removing {address} at {revision} from the mirror, which had it only shallow: {error}");
        self.progress.report(Event::Warning { message });
    }

    /// Warns about dependencies of a new revision that are not mirrored. `with_submodules` says whether submodules are
    /// mirrored.
    fn warn_of_caveats(
        &self,
        address: &GitAddress,
        revision: Revision,
        scratch: &Scratch<'_>,
        with_submodules: bool,
    ) -> Result<()> {
        for caveat in scratch.caveats(revision)? {
            let what = match caveat {
                Caveat::Submodules if with_submodules => continue,
                Caveat::Submodules => "has submodules, which are not mirrored because the lock does not ask for them",
                Caveat::LargeFiles => "has files in Git LFS, and only their pointers are mirrored",
            };
            let message = format!("{address} at {} {what}", revision.short());
            self.progress.report(Event::Warning { message });
        }
        Ok(())
    }

    /// Packs what was fetched of a repository. `stored` is its manifest record, except for the packs.
    fn pack(&self, address: &GitAddress, wanted: &RepositoryWant, mut stored: StoredGit) -> Result<FetchedRepository> {
        let (scratch, base) = self.open(address, wanted)?;
        let before = self.manifest.git.get(address).cloned().unwrap_or_default();
        let packs = base.map(|(stored, _)| stored.packs.clone()).unwrap_or_default();
        let new = wanted.revisions.iter().filter(|(revision, _)| !before.revisions.contains_key(*revision));
        for (revision, want) in new.clone() {
            self.warn_of_caveats(address, *revision, &scratch, want.submodules)?;
        }
        let added = new.map(|(revision, want)| (*revision, replaced(&before, wanted, want))).collect();
        let revisions = stored.revisions.keys().copied().collect();
        let Packed { kept, new, shallow } = scratch.pack(&revisions, &packs)?;
        stored.shallow = shallow;
        stored.packs = packs.into_iter().filter(|(name, _)| kept.contains(name)).collect();
        let files = new.as_ref().map(|new| self.files(new)).transpose()?.unwrap_or_default();
        stored.packs.extend(new.map(|new| (new.name, new.bytes)));
        Ok(FetchedRepository { address: address.clone(), stored, files, added, downloaded_bytes: 0 })
    }

    /// Removes revisions from a repository in the mirror, of which at least one must remain. If much of the packs is
    /// then unused, packs the remaining revisions again. Returns the repository's new record and the new pack, for
    /// [`GitFetcher::files`].
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
        let base = folder.map(|folder| (&before, folder));
        let scratch = Scratch::open(&self.git, &self.root, address, !before.is_full(), base)?;
        let Packed { new, shallow, .. } = scratch.pack(&revisions, &BTreeMap::new())?;
        let new = new.filter(|new| new.bytes < before.bytes() / REPACK_RATIO.1 * REPACK_RATIO.0);
        if let Some(new) = &new {
            stored.shallow = shallow;
            stored.packs = [(new.name, new.bytes)].into();
        }
        Ok((stored, new))
    }

    /// Reads a pack and its index. A large pack is written to the object database instead.
    pub fn files(&self, new: &NewPack) -> Result<Vec<(String, GitFile)>> {
        let paths = [&new.pack, &new.index];
        let names =
            paths.map(|path| format!("objects/pack/{}", path.file_name().unwrap_or_default().to_string_lossy()));
        if new.bytes > LARGE_PACK {
            let (ids, pack) = pack_files(&self.git, &new.pack.with_extension("stored"), &paths.map(Clone::clone))?;
            let file = |id: String| {
                let id = ObjectId::from_hex(id.as_bytes()).map_err(|_| wrong_id(&pack, &id))?;
                Ok(GitFile::Packed(id, pack.clone()))
            };
            let files = ids.into_iter().map(file).collect::<Result<Vec<_>>>()?;
            return Ok(names.into_iter().zip(files).collect());
        }
        let read = |path: &PathBuf| {
            let bytes = fs::read(path).map_err(OpError::machine("read", path))?;
            Ok(GitFile::Bytes(bytes))
        };
        let files = paths.into_iter().map(read).collect::<Result<Vec<_>>>()?;
        Ok(names.into_iter().zip(files).collect())
    }
}

/// Asks upstream for the commit that a definition checks out. That upstream has a commit is only known after a fetch.
pub(in crate::ops) fn resolve_ref(project: &Project, (url, checkout): &GitRef, may_ask: bool) -> Result<RefAnswer> {
    let (git, root) = (fetching_git(project, may_ask)?, make_scratch_dir(&project.repository)?);
    let scratch = Scratch::open(&git, &root, url.address(), false, None)?;
    Ok(match checkout {
        GitCheckout::Commit(revision) => {
            scratch.tip_of(url, &GitName::Head)?;
            RefAnswer::Commit(*revision)
        }
        GitCheckout::Name(name) => scratch.tip_of(url, name)?.map_or(RefAnswer::NoRef, RefAnswer::Commit),
    })
}

/// Reads files of a revision that was fetched but is not yet in the mirror. Returns `None` for those that it does not
/// have.
pub(in crate::ops) fn fetched_files(
    git: &Git,
    project: &Project,
    address: &GitAddress,
    names: &[String],
) -> Result<Vec<Option<Vec<u8>>>> {
    let root = make_scratch_dir(&project.repository)?;
    Ok(Scratch::open(git, &root, address, false, None)?.files(names)?)
}

fn upstream_want(want: &RevisionWant) -> Want {
    Want { depth: want.depth, names: want.names.clone() }
}

fn wrong_id(pack: &Path, id: &str) -> OpError {
    let (folder, message) = (pack.to_owned(), format!("{id:?} is not an object's id"));
    GitError::Failed { action: "store a pack", folder, message }.into()
}

/// Returns the revision that a new one replaces: the one with the same name, or otherwise the only one that is no
/// longer wanted.
fn replaced(before: &StoredGit, wanted: &RepositoryWant, new: &RevisionWant) -> Option<Revision> {
    let mut left = before.revisions.iter().filter(|(revision, _)| !wanted.revisions.contains_key(*revision));
    let named = left.clone().find(|(_, stored)| !stored.names.is_disjoint(&new.names));
    let only = left.next().filter(|_| left.next().is_none());
    named.or(only).map(|(revision, _)| *revision)
}
