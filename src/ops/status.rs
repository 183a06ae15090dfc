//! Is the mirror fresh?
//!
//! A yes is remembered beside the repository under the digest of everything that it depends on, so that the next question
//! (a hook's, mostly) costs no reading of lock and manifest. A lock counts there by its path and its content's id as a blob
//! of git: of a commit that id is known without reading the lock, and a lock of the worktree is hashed, which gives the same
//! id unless git converts line ends between the two.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::Result;
use super::project::{LockFile, Project};
use crate::model::{Manifest, Remote};
use crate::plan::Comparison;
use crate::store::{ObjectId, Repository, Snapshot};

/// How many answers are remembered: one for each branch that people switch between.
const REMEMBERED: usize = 32;

/// Whether the mirror is fresh, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Whether everything is there that the locks pin and that can be mirrored.
    pub fresh: bool,
    /// How many pinned releases are there.
    pub present: usize,
    /// How many releases and revisions are there that no lock pins.
    pub extra: usize,
    /// How many pinned revisions of git repositories are there.
    pub git: usize,
    /// How many git dependencies cannot be mirrored.
    pub unmirrored: usize,
    /// How many dependencies are of an unknown kind.
    pub ignored: usize,
}

/// What is to be said about the mirror.
#[derive(Debug, Clone)]
pub struct Status {
    /// The locks that were read.
    pub locks: Vec<String>,
    /// The remote whose mirror was read, as last seen, where there is no local one.
    pub remote: Option<Remote>,
    /// The mirror's tip, if there is one.
    pub commit: Option<ObjectId>,
    /// The numbers.
    pub summary: Summary,
    /// The particulars; `None` where the answer was remembered.
    pub comparison: Option<Comparison>,
}

/// Compares the project's locks with the mirror: the local branch, else what a remote was last seen with. With `particulars` a remembered answer does not do.
///
/// # Errors
/// Fails where there is no lock, one cannot be used, or the mirror cannot be read.
pub fn status(project: &Project, particulars: bool) -> Result<Status> {
    compare(project, &project.locks()?, particulars)
}

/// Compares locks, wherever they are from, with the mirror.
pub(super) fn compare(project: &Project, locks: &[LockFile], particulars: bool) -> Result<Status> {
    let (remote, tip) = project.repository.mirror_tip(&project.branch)?.unzip();
    let remote = remote.flatten();
    let status = compare_with(project, remote.as_ref(), tip, locks, particulars)?;
    Ok(Status { remote, ..status })
}

/// Compares locks with the mirror as it is at a commit, which may be a remote's.
pub(super) fn compare_at(
    project: &Project,
    tip: Option<ObjectId>,
    locks: &[LockFile],
    particulars: bool,
) -> Result<Status> {
    compare_with(project, None, tip, locks, particulars)
}

fn compare_with(
    project: &Project,
    remote: Option<&Remote>,
    tip: Option<ObjectId>,
    locks: &[LockFile],
    particulars: bool,
) -> Result<Status> {
    let files = locks.iter().map(|lock| lock.file.clone()).collect();
    let memory = tip.map(|tip| Memory::new(project, tip, locks));
    if !particulars && let Some(summary) = memory.as_ref().and_then(Memory::recall) {
        return Ok(Status { locks: files, remote: None, commit: tip, summary, comparison: None });
    }
    let snapshot = tip.map(|tip| project.snapshot_of(remote, tip)).transpose()?;
    let nothing = Manifest::default();
    let manifest = snapshot.as_ref().map(Snapshot::manifest).transpose()?.unwrap_or(&nothing);
    let comparison = Comparison::new(&project.wanted(locks)?, manifest);
    let summary = Summary::of(&comparison);
    if summary.fresh
        && let Some(memory) = memory
    {
        memory.remember(&summary);
    }
    Ok(Status { locks: files, remote: None, commit: tip, summary, comparison: Some(comparison) })
}

/// Remembers that the mirror at `tip` is fresh for these locks, as an update knows when it is done.
pub(super) fn remember(project: &Project, tip: ObjectId, locks: &[LockFile], comparison: &Comparison) {
    let summary = Summary::of(comparison);
    if summary.fresh {
        Memory::new(project, tip, locks).remember(&summary);
    }
}

impl Summary {
    fn of(comparison: &Comparison) -> Self {
        Self {
            fresh: comparison.is_fresh(),
            present: comparison.present,
            extra: comparison.extra.len() + comparison.git_extra.len(),
            git: comparison.git.iter().map(|pin| (pin.url.address(), pin.revision)).collect::<BTreeSet<_>>().len(),
            unmirrored: comparison.unmirrored.len(),
            ignored: comparison.ignored.len(),
        }
    }
}

/// The file with remembered answers: a line each, the newest first, with the digest of what the answer depends on.
struct Memory<'r> {
    repository: &'r Repository,
    path: PathBuf,
    key: String,
}

impl<'r> Memory<'r> {
    fn new(project: &'r Project, tip: ObjectId, locks: &[LockFile]) -> Self {
        let mut digest = Sha256::new();
        // Another version of this program may answer otherwise.
        digest.update(concat!(env!("CARGO_PKG_VERSION"), "\0"));
        digest.update(tip.as_bytes());
        digest.update([u8::from(project.config.shallow)]);
        for app in &project.config.submodules {
            digest.update(app);
            digest.update("\0");
        }
        for lock in locks {
            digest.update((lock.file.len() as u64).to_le_bytes());
            digest.update(&lock.file);
            digest.update(lock.blob.as_bytes());
        }
        let key = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { repository: &project.repository, path: project.repository.own_dir().join("fresh"), key }
    }

    fn recall(&self) -> Option<Summary> {
        let text = fs::read_to_string(&self.path).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(&self.key))?;
        let numbers: Vec<usize> = line.split_whitespace().map(|number| number.parse().ok()).collect::<Option<_>>()?;
        let [present, extra, git, unmirrored, ignored] = numbers[..] else { return None };
        Some(Summary { fresh: true, present, extra, git, unmirrored, ignored })
    }

    /// Writes the answer down. Where that cannot be done, the next question is answered the long way.
    fn remember(&self, summary: &Summary) {
        let Summary { fresh: _, present, extra, git, unmirrored, ignored } = summary;
        let mut text = format!("{} {present} {extra} {git} {unmirrored} {ignored}\n", self.key);
        let known = fs::read_to_string(&self.path).unwrap_or_default();
        for line in known.lines().filter(|line| !line.starts_with(&self.key)).take(REMEMBERED - 1) {
            text += line;
            text.push('\n');
        }
        let write = || -> std::io::Result<()> {
            let folder = self.repository.make_own_dir().map_err(std::io::Error::other)?;
            let file = tempfile::NamedTempFile::new_in(folder)?;
            fs::write(file.path(), text)?;
            self.repository.share(file.path()).map_err(std::io::Error::other)?;
            file.persist(&self.path).map(drop).map_err(|error| error.error)
        };
        let _ = write();
    }
}
