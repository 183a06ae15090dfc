//! Which mirror is read, and its status: the local branch, or a remote's as last fetched. [`mirror_to_read`] decides.

use std::{fs, iter};

use sha2::{Digest, Sha256};

use super::index::check::public_keys;
use super::project::hex_repositories::HexRepositories;
use super::project::{LockFile, Project};
use super::status::{self, Status};
use super::sync::{history::covers, signers};
use super::{OpError, Result, own_file};
use crate::hex::registry::{Package, RegistryError, Signed};
use crate::model::{Remote, hex_digits};
use crate::plan::{MirrorFacts, mirror_to_read};
use crate::progress::Silent;
use crate::store::{ObjectId, Snapshot, StoreError};

/// The name of the file with the digests of what was accepted.
const ACCEPTED_IN: &str = "accepted";
/// The maximum number of remembered digests: one for each branch that users switch between.
const ACCEPTED: usize = 32;

/// The mirror that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorSource {
    /// The remote whose mirror this is, as last fetched. `None` for the local branch.
    pub remote: Option<Remote>,
    /// The commit.
    pub commit: ObjectId,
}

/// Compares the locks in force with the mirror that is read. With `particulars`, does not use cached answers.
///
/// # Errors
/// Fails if there is no lock, a lock is invalid, or the mirror cannot be read.
pub fn status(project: &Project, particulars: bool) -> Result<Status> {
    compare(project, &project.locks()?, particulars)
}

/// Returns the same as [`status`], and counts the retired and vulnerable releases among the pinned ones if the mirror is
/// fresh.
///
/// # Errors
/// As for [`status`].
pub fn status_with_flags(project: &Project, particulars: bool) -> Result<Status> {
    let locks = project.locks()?;
    let mut status = compare(project, &locks, particulars)?;
    status::count_flagged(project, &mut status, &locks)?;
    Ok(status)
}

/// Returns why `run` and `serve` would refuse the mirror that a status is about, if they would: this machine lacks a key, or
/// has another one than the mirror's signers. That they accept the local mirror is remembered, because with many packs the
/// first object that a process looks up costs more than everything else.
pub fn refusal(project: &Project, status: &Status) -> Option<OpError> {
    let tip = status.commit?;
    let digest = match &status.remote {
        None => keys_digest(project, status, tip).ok(),
        Some(_) => None,
    };
    let known = fs::read_to_string(project.repository.own_dir().join(ACCEPTED_IN)).unwrap_or_default();
    if digest.as_ref().is_some_and(|digest| known.lines().any(|line| line == digest)) {
        return None;
    }
    let snapshot = project.snapshot_of(status.remote.as_ref(), tip);
    let check = |snapshot: Snapshot| {
        accept(project, &snapshot, status.remote.as_ref())?;
        // The answer for a remote's mirror is not remembered, so it must not cost much.
        if digest.is_some() { check_origins(project, &snapshot) } else { Ok(()) }
    };
    let refusal = snapshot.and_then(check).err();
    if let (None, Some(digest)) = (&refusal, digest) {
        let lines = iter::once(digest.as_str()).chain(known.lines()).take(ACCEPTED);
        own_file::write(&project.repository, ACCEPTED_IN, &lines.map(|line| format!("{line}\n")).collect::<String>());
    }
    refusal
}

/// Accepts a mirror for `run`, `serve` and similar commands.
///
/// # Errors
/// Fails if it records another signer than the keys that are known here, or if its pinned index has a private key.
pub(super) fn accept(project: &Project, snapshot: &Snapshot, remote: Option<&Remote>) -> Result<()> {
    public_keys(snapshot)?;
    signers::of_readable(project, snapshot, remote, &Silent).map(drop)
}

/// Checks that every pinned entry is in the name of its repository, unless the settings accept other names. [`accept`] reads
/// one of each repository, but a mirror that got its entries from several places may have both. Any other problem of an entry
/// is reported by `verify`.
fn check_origins(project: &Project, snapshot: &Snapshot) -> Result<()> {
    if HexRepositories::new(project, &Silent)?.accepts_any_origin() {
        return Ok(());
    }
    // Without readable locks, nothing is pinned.
    let Ok(wanted) = project.present_locks().and_then(|locks| project.wanted(&locks)) else { return Ok(()) };
    for id in wanted.releases.keys() {
        let entry = id.entry();
        if let Ok(Some(bytes)) = snapshot.entry(&entry)
            && let Ok(signed) = Signed::decode(&bytes)
            && let Err(source @ RegistryError::OtherRepository { .. }) =
                Package::decode(signed.unverified_payload(), &id.repository, &id.package)
        {
            return Err(OpError::Entry { entry, source });
        }
    }
    Ok(())
}

/// Returns the digest of what decides whether the mirror at a commit is accepted: the commit, the locks, and all keys and
/// signers that the user's settings name.
fn keys_digest(project: &Project, status: &Status, tip: ObjectId) -> Result<String> {
    let repositories = HexRepositories::new(project, &Silent)?;
    let mut digest = Sha256::new();
    digest.update(tip.as_bytes());
    digest.update(status.digest.as_deref().unwrap_or_default());
    digest.update([u8::from(repositories.accepts_any_origin())]);
    for (name, key) in repositories.known_keys() {
        let is_default = repositories.has_default_key(&name);
        let key = key.map(|key| key.fingerprint().to_string()).unwrap_or_default();
        digest.update(format!("{name} {key} {is_default}\0"));
    }
    for name in project.config.repositories.keys() {
        digest.update(format!("{name} {:?}\0", repositories.signer(name).map(|signer| signer.to_string())));
    }
    Ok(hex_digits(&digest.finalize()))
}

/// Compares locks from any source with the mirror that is read.
pub(super) fn compare(project: &Project, locks: &[LockFile], particulars: bool) -> Result<Status> {
    let mut candidates = Candidates { project, locks, particulars, known: Vec::new() };
    match choose(project, &mut candidates)? {
        None => status::compare_with(project, None, None, locks, particulars),
        Some(source) => candidates.status(&source),
    }
}

/// Returns which mirror is read, or `None` if there is none. Locks that do not exist or cannot be read need nothing. If
/// a mirror is damaged, it is the local one, so that its damage is reported.
///
/// # Errors
/// Fails if the branch cannot be read.
pub fn mirror_source(project: &Project) -> Result<Option<MirrorSource>> {
    mirror_source_for(project, &project.present_locks().unwrap_or_default())
}

/// As [`mirror_source`], for the locks in force that exist.
pub(super) fn mirror_source_for(project: &Project, locks: &[LockFile]) -> Result<Option<MirrorSource>> {
    let locks = if project.lock_summary(locks).is_ok() { locks } else { &[] };
    let mut candidates = Candidates { project, locks, particulars: false, known: Vec::new() };
    choose(project, &mut candidates).or_else(|error| match (&error, local_mirror(project)?) {
        (OpError::Store(StoreError::Damaged { .. }), Some(local)) => Ok(Some(local)),
        _ => Err(error),
    })
}

fn local_mirror(project: &Project) -> Result<Option<MirrorSource>> {
    Ok(project.repository.tip(&project.branch)?.map(|commit| MirrorSource { remote: None, commit }))
}

/// Returns the mirror that is read.
///
/// # Errors
/// Fails if there is no mirror, if it cannot be read, or if this is a partial clone that lacks objects of it.
pub fn mirror(project: &Project) -> Result<(MirrorSource, Snapshot)> {
    let source = mirror_source(project)?.ok_or_else(|| project.repository.no_mirror(&project.branch))?;
    let snapshot = project.snapshot_of(source.remote.as_ref(), source.commit)?;
    snapshot.refuse_partial(&project.branch_of(source.remote.as_ref())?)?;
    Ok((source, snapshot))
}

fn choose(project: &Project, candidates: &mut Candidates<'_>) -> Result<Option<MirrorSource>> {
    let repository = &project.repository;
    let local = local_mirror(project)?;
    let remotes = || {
        let mut tips = repository.remote_tips(&project.branch)?;
        let default = repository.default_remote();
        tips.sort_by_key(|(remote, _)| Some(remote) != default.as_ref());
        tips.retain(|(_, tip)| local.as_ref().is_none_or(|local| local.commit != *tip));
        Ok(tips.into_iter().map(|(remote, commit)| MirrorSource { remote: Some(remote), commit }).collect())
    };
    mirror_to_read(local.clone(), remotes, candidates)
}

/// The mirrors that this clone knows, and what was found out about them.
struct Candidates<'a> {
    project: &'a Project,
    locks: &'a [LockFile],
    particulars: bool,
    known: Vec<(MirrorSource, Status)>,
}

impl Candidates<'_> {
    fn status(&mut self, source: &MirrorSource) -> Result<Status> {
        if let Some((_, known)) = self.known.iter().find(|(known, _)| known == source) {
            return Ok(known.clone());
        }
        let status = status::compare_with(
            self.project,
            source.remote.as_ref(),
            Some(source.commit),
            self.locks,
            self.particulars,
        )?;
        self.known.push((source.clone(), status.clone()));
        Ok(status)
    }
}

impl MirrorFacts for Candidates<'_> {
    type Mirror = MirrorSource;
    type Error = OpError;

    fn is_fresh(&mut self, mirror: &MirrorSource) -> Result<bool> {
        // Without a lock, nothing is needed, and the mirror is not read.
        Ok(self.locks.is_empty() || self.status(mirror)?.summary.fresh)
    }

    fn is_newer(&mut self, mirror: &MirrorSource, than: &MirrorSource) -> Result<bool> {
        let (project, mirror, than) = (self.project, mirror.commit, than.commit);
        Ok(covers(project, mirror, than)?
            || !covers(project, than, mirror)?
                && project.repository.commit_seconds(mirror)? > project.repository.commit_seconds(than)?)
    }
}
