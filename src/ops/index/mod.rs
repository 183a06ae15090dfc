//! The pinned index: a Hex registry over the stored releases, signed with the mirror's own key.

pub(in crate::ops) mod building;
pub(in crate::ops) mod check;
pub(in crate::ops) mod imported;
pub(in crate::ops) mod key;
pub(in crate::ops) mod refresh;
mod unsettled;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::init::own_mirror;
use super::update_lock::lock;
use super::{OpError, Project, Result};
use crate::model::{EntryId, Fingerprint, RepositoryName, count};
use crate::plan::UnlistedRelease;
use crate::progress::Progress;
use crate::store::{ObjectId, Snapshot, StoreError, Transaction};
use building::Build;
use imported::own_signers;
use key::{IndexKey, IndexSigners, KeyOrigin};

/// The number of attempts if other processes keep moving the branch.
const ATTEMPTS: usize = 5;

/// What to do about the key of the pinned index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyAction {
    /// Use the existing key.
    #[default]
    Use,
    /// Create a key, or keep a copy of the given one, unless there is one.
    Create,
    /// Replace the key by a new one, or by the given one, and sign everything again.
    Rotate,
}

/// Options for building the pinned index.
#[derive(Debug, Clone, Default)]
pub struct IndexOptions {
    /// What to do about the key.
    pub key: KeyAction,
    /// The file with the private key, overriding the environment and the stored key.
    pub private_key: Option<PathBuf>,
}

/// The result of building the pinned index.
#[derive(Debug)]
pub struct IndexUpdate {
    /// The fingerprint of the key that signs the index.
    pub signer: Fingerprint,
    /// Where the private key is.
    pub key: KeyOrigin,
    /// The file that the private key was written to, if it is new.
    pub created: Option<PathBuf>,
    /// The number of packages in the index of each repository, including those without releases.
    pub repositories: BTreeMap<RepositoryName, usize>,
    /// The number of packages whose entries changed.
    pub changed: usize,
    /// The number of files that were signed and written.
    pub written: usize,
    /// The stored releases that the index does not list, among those of changed packages.
    pub left_out: Vec<UnlistedRelease>,
    /// The packages with releases that no registry entry vouches for, among the changed ones.
    pub unverified: BTreeSet<EntryId>,
    /// The branch's tip before.
    pub before: ObjectId,
    /// The branch's tip now.
    pub commit: ObjectId,
}

/// Builds the pinned index over all stored releases, or brings it up to date, in one commit.
///
/// # Errors
/// Fails if there is no mirror, if there is no private key or it cannot be used, if the index was signed with another
/// key, or if a stored registry entry is not signed by its repository.
pub fn index(project: &Project, options: &IndexOptions, progress: &dyn Progress) -> Result<IndexUpdate> {
    let _lock = lock(project, progress)?;
    for _ in 0..ATTEMPTS {
        let snapshot = own_mirror(project, progress)?;
        let (key, is_new) = key_for(project, &own_signers(project, &snapshot)?, options)?;
        // A rotation replaces the file.
        if options.key != KeyAction::Rotate {
            check::public_keys(&snapshot)?;
        }
        match build(project, &snapshot, &key, progress) {
            Err(OpError::Store(StoreError::Moved { .. })) => {}
            Err(error) => return Err(error),
            Ok((build, commit)) => {
                let created = is_new.then(|| key::keep_next(project)).transpose()?;
                key::warn_if_exposed(project, progress);
                return update(project, &snapshot, key, created, build, commit);
            }
        }
    }
    Err(OpError::KeptMoving { branch: project.branch.to_string() })
}

fn update(
    project: &Project,
    snapshot: &Snapshot,
    key: IndexKey,
    created: Option<PathBuf>,
    build: Build,
    commit: ObjectId,
) -> Result<IndexUpdate> {
    let Build { repositories, changed, written, left_out, unverified } = build;
    let signer = key.private.public_key().fingerprint();
    let before = snapshot.commit();
    let key = key.origin;
    let now = Snapshot::at(&project.repository, &project.branch, commit)?;
    let counted = |repository: RepositoryName| Ok((repository.clone(), now.count_index(&repository)?));
    let repositories = repositories.into_iter().map(counted).collect::<Result<_>>()?;
    Ok(IndexUpdate { signer, key, created, repositories, changed, written, left_out, unverified, before, commit })
}

/// Finds or creates the private key. Also returns whether it is to be kept once the index is signed with it.
fn key_for(project: &Project, signers: &IndexSigners, options: &IndexOptions) -> Result<(IndexKey, bool)> {
    let given = key::given(project, options.private_key.as_deref())?;
    let stored = key::stored(project, signers)?;
    let new = |given| key::prepare_next(project, given).map(|key| (key, true));
    if let KeyAction::Rotate = options.key {
        return match given {
            Some(key) if !signers.is_empty() && key.check(signers).is_ok() => {
                Err(OpError::SameIndexKey { origin: key.origin.to_string() })
            }
            given => new(given),
        };
    }
    let is_given = given.is_some();
    match given.or(stored) {
        Some(key) => {
            key.check(signers)?;
            if is_given && options.key == KeyAction::Create { new(Some(key)) } else { Ok((key, false)) }
        }
        None if options.key == KeyAction::Create && signers.is_empty() => new(None),
        None => Err(OpError::NoPrivateKey { path: key::file(project), signer: signers.values().next().copied() }),
    }
}

fn build(project: &Project, snapshot: &Snapshot, key: &IndexKey, progress: &dyn Progress) -> Result<(Build, ObjectId)> {
    let mut transaction = Transaction::begin(&project.repository, &project.branch, Some(snapshot))?;
    let build = building::build(project, snapshot, &key.private, &mut transaction, progress)?;
    let published = transaction.publish(&message(&build))?;
    Ok((build, published.commit))
}

fn message(build: &Build) -> String {
    let names: Vec<&str> = build.repositories.iter().map(RepositoryName::as_str).collect();
    let changed = count(build.changed, "package", "packages");
    format!("Build the pinned index of {}: {changed}\n", names.join(", "))
}
