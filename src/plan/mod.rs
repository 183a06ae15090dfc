//! Plans: what a mirror lacks or has in excess for given locks. Plans are plain data that can be printed before anything
//! is done.
//!
//! - [`Wanted`]: the validated pins of locks.
//! - [`RepositoryWant`]: the merged pins of one git repository.
//! - [`Comparison`]: the difference between pins and a snapshot, and whether the snapshot is fresh.
//! - [`GitPlan`]: what to fetch from git repositories, and what to record in the manifest afterwards.
//! - [`PinnedRepositories`]: the git repositories that locks pin, and the part of each that clients see.
//! - [`Pruning`]: what a snapshot contains and nothing requires.
//! - [`Publication`]: what to change in a folder of static files.
//! - [`ImportPlan`]: which of the tarballs found in folders are stored.
//! - [`lease`]: which of several publishers may change a bucket.
//! - [`needed_entries`]: the registry entries that a mirror needs for its releases.
//! - [`Newest`]: whether a command asks for what is newest upstream.
//! - [`LockRule`]: which files of a project are its locks in force.
//! - [`LockChange`]: the changes between two sets of locks.
//! - [`mirror_to_read`]: which of the mirrors in a clone is read.
//! - [`MirrorChanges`]: the changes between two states of a mirror.
//! - [`Selection`]: the packages and git repositories that a command line names.
//! - [`MergePlan`]: what a merge of two mirrors copies and removes.
//! - [`SyncPlan`], [`Divergence`]: how the local mirror branch follows a remote's.
//! - [`KnownSigners`]: the signer of a repository's registry entries.
//! - [`IndexPlan`]: what to build of the pinned index, and [`indexed_package`] builds an entry of it.
//! - [`EntryAge`], [`merged_day`]: how old a mirror's registry entries are.
//! - [`ReleaseFlags`]: the retirement and the advisories of a release.
//! - [`relation`], [`lost_facts`]: which of two registry entries is newer.

mod age;
mod comparison;
mod divergence;
mod entry_facts;
mod git_plan;
mod git_want;
mod import;
mod index;
pub mod lease;
mod lock_change;
mod lock_rule;
mod merge;
mod mirror_change;
mod mirror_choice;
mod needed_entries;
mod newest;
mod pinned;
mod pruning;
mod publication;
mod release_flags;
mod selection;
mod signer;
mod wanted;

pub use age::{EntryAge, known_day, merged_day};
pub use comparison::{Change, Comparison, Extra, GitChange};
pub use divergence::{CommitGraph, Divergence, SupersededMerge, SyncPlan, covers};
pub use entry_facts::{LostFact, Relation, lost_facts, relation};
pub use git_plan::{FetchedRevisions, GitPlan};
pub use git_want::{RepositoryWant, RevisionWant, is_deep_enough};
pub use import::{
    Evidence, FoundTarball, ImportInput, ImportPlan, ImportedRelease, RefusedTarball, claims_another_release,
    named_release,
};
pub use index::{
    INDEX_METHOD, IndexLists, IndexPlan, Rejection, StoredMetadata, UnlistedRelease, better_indexes,
    has_imported_index, indexed_package, is_settled, is_superseded_index, may_depend_on_unknown,
};
pub use lock_change::{ChangeKind, LockChange, Locked, lock_changes, locked};
pub use lock_rule::{LeftOutLock, LockRule, LockVerdict, Omission, default_locks, default_locks_listed};
pub use merge::{
    CheckedEntry, EntryStep, MergeFacts, MergeInput, MergePlan, MergeStatistics, MergeWarning, PolicySignature,
    PolicyStep, ReleaseConflict, ReleaseStep, RepositoryStep, Side, has_older_entries, has_unshared_contents, merge,
};
pub use mirror_change::{MirrorChange, MirrorChangeKind, MirrorChanges};
pub use mirror_choice::{MirrorFacts, mirror_to_read};
pub use needed_entries::needed_entries;
pub use newest::Newest;
pub use pinned::{PinnedRepositories, PinnedRepository, SubmoduleResolver};
pub use pruning::{Needed, Pruning};
pub use publication::{FileList, FileListError, Presence, Publication, WrittenFile};
pub use release_flags::ReleaseFlags;
pub use selection::{Selection, is_package, is_repository};
pub use signer::{KnownSigners, Signer, SignerConflict, SignerSource};
pub use wanted::{GitPin, NotMirrored, Pin, Unmirrored, UnsupportedEntry, Wanted};
