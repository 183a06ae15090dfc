//! The options of an update, and what it returns.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::added::{Added, AddedGit};
use super::learned::FlaggedRelease;
use crate::model::{EntryId, Fingerprint, PolicyId, Remote, RepositoryName, Target};
use crate::ops::OpError;
use crate::ops::status::Status;
use crate::ops::sync::PullOutcome;
use crate::plan::FilePin;
use crate::store::ObjectId;

/// Options for an update.
#[derive(Debug, Clone, Default)]
pub struct UpdateOptions {
    /// Whether to only report what would be done.
    pub dry_run: bool,
    /// Whether to fetch all registry entries and needed policies again, for new retirements and advisories.
    pub refresh: bool,
    /// The packages whose registry entries may be replaced by older ones.
    pub accept_older: BTreeSet<EntryId>,
    /// The number of concurrent requests, overriding the setting.
    pub jobs: Option<usize>,
    /// Whether to publish whatever was fetched, even if some fetches failed. The mirror is then incomplete.
    pub keep_going: bool,
    /// Whether to fail instead of changing a hexmirror.lock.
    pub locked: bool,
    /// Whether this machine may be added to a hexmirror.lock, if packages have precompiled files for it. A hook must not: it
    /// would change each branch that is checked out.
    pub adds_machine: bool,
    /// Whether git may ask for a password on a terminal.
    pub may_ask: bool,
}

/// The result of an update or a dry run.
#[derive(Debug)]
pub struct Update {
    /// The status before the update.
    pub before: Status,
    /// The stored releases.
    pub added: Vec<Added>,
    /// The stored revisions of git repositories.
    pub added_git: Vec<AddedGit>,
    /// The number of changed git repositories, with or without new revisions.
    pub repositories: usize,
    /// The number of fetched registry entries.
    pub entries: usize,
    /// The number of those that are new or differ from the stored ones.
    pub changed_entries: usize,
    /// The pinned releases that this update found to be retired or vulnerable, if that was not known before.
    pub flagged: Vec<FlaggedRelease>,
    /// The fetched policies.
    pub policies: BTreeSet<PolicyId>,
    /// The fetched files.
    pub files: Vec<FilePin>,
    /// The hexmirror.lock that pins files since this update.
    pub pinned_in: Option<String>,
    /// The newly recorded signers of repositories that the mirror already had entries of.
    pub signers: BTreeMap<RepositoryName, Fingerprint>,
    /// The repositories whose imported index was removed, because the mirror has their own entries now.
    pub superseded_indexes: Vec<RepositoryName>,
    /// The hexmirror.lock files that the update wrote or removed because of plugins.
    pub written_locks: Vec<String>,
    /// The hexmirror.lock files that the update removed, because nothing is left that they would pin.
    pub removed_locks: Vec<String>,
    /// Whether the update migrated a mirror of an older format.
    pub migrated: bool,
    /// The number of bytes received over the network.
    pub downloaded_bytes: u64,
    /// The growth of the repository's object database, in bytes.
    pub stored_bytes: u64,
    /// The branch's tip after the update, if the branch exists.
    pub commit: Option<ObjectId>,
    /// The remote whose branch was adopted first, if there was no local branch.
    pub adopted: Option<Remote>,
    /// The merge of a remote's mirror, as last fetched, that came first.
    pub merged: Option<PullOutcome>,
    /// The machine that a dry run would add to a hexmirror.lock.
    pub new_target: Option<Target>,
    /// The duration of the update.
    pub elapsed: Duration,
    /// The error, if the update continued in spite of it. The mirror is then incomplete.
    pub failed: Option<OpError>,
}

impl Update {
    /// Returns the outcome of an update that changed nothing.
    pub(super) fn unchanged(before: Status) -> Self {
        Self {
            commit: before.commit,
            before,
            added: Vec::new(),
            added_git: Vec::new(),
            repositories: 0,
            entries: 0,
            changed_entries: 0,
            flagged: Vec::new(),
            policies: BTreeSet::new(),
            files: Vec::new(),
            pinned_in: None,
            signers: BTreeMap::new(),
            superseded_indexes: Vec::new(),
            written_locks: Vec::new(),
            removed_locks: Vec::new(),
            migrated: false,
            downloaded_bytes: 0,
            stored_bytes: 0,
            adopted: None,
            merged: None,
            new_target: None,
            elapsed: Duration::ZERO,
            failed: None,
        }
    }
}
