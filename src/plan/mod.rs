//! Plans: what a mirror lacks or has in excess for given locks. Plans are plain data that can be printed before anything
//! is done.
//!
//! - [`Wanted`]: the validated pins of locks.
//! - [`RepositoryWant`]: the merged pins of one git repository.
//! - [`Comparison`]: the difference between pins and a snapshot, and whether the snapshot is fresh.
//! - [`FilePin`]: the files that locks pin.
//! - [`DocsPin`]: the documentation of pinned releases.
//! - [`AssetPin`]: the programs that build assets, and the builds of them that locks pin.
//! - [`ArtefactPin`]: the precompiled files that the pinned packages download while they are compiled.
//! - [`GitPlan`]: what to fetch from git repositories, and what to record in the manifest afterwards.
//! - [`PinnedRepositories`]: the git repositories that locks pin, and the part of each that clients see.
//! - [`resolve`]: the rebar3 plugins that a build installs.
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
//! - [`Concern`]: what is to be said against a pinned release.
//! - [`Sbom`]: everything that locks pin, what requires what, and what a mirror knows about it.
//! - [`relation`], [`lost_facts`]: which of two registry entries is newer.

mod age;
mod artefact_pin;
mod asset_pin;
mod asset_tools;
mod audit;
mod branch_pin;
mod changelog;
mod compare_page;
mod comparison;
mod divergence;
mod docs_pin;
mod entry_facts;
mod file_pin;
mod file_role;
mod git_entry;
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
mod plugins;
mod pruning;
mod publication;
mod release_flags;
mod sbom;
mod selection;
mod signer;
mod unused;
mod valid;
mod wanted;
mod wanted_docs;

pub use age::{EntryAge, known_day, merged_day};
pub use artefact_pin::{ArtefactPin, StoredArtefacts, TooManyArtefacts, artefact_pins};
pub use asset_pin::{AssetFile, AssetPin};
pub use asset_tools::{asset_tools_for, builds_of_removed, clients};
pub use audit::{Concern, Level, ReleaseFacts, concerns};
pub use branch_pin::BRANCH_ENTRY;
pub use changelog::{ChangelogExcerpt, changelog_between, is_changelog};
pub use compare_page::compare_page;
pub use comparison::{Change, Comparison, Extra, GitChange};
pub use divergence::{CommitGraph, Divergence, SupersededMerge, SyncPlan, covers};
pub use docs_pin::DocsPin;
pub use entry_facts::{LostFact, Relation, lost_facts, relation};
pub use file_pin::{BUILDS, FilePin, newest_file, tools_line};
pub use file_role::FileRole;
pub use git_entry::{GitPin, NotMirrored, Unmirrored};
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
    CheckedEntry, EntryStep, FileStep, MergeFacts, MergeInput, MergePlan, MergeStatistics, MergeWarning,
    PolicySignature, PolicyStep, ReleaseConflict, ReleaseStep, RepositoryStep, Side, has_older_entries,
    has_unshared_contents, merge,
};
pub use mirror_change::{MirrorChange, MirrorChangeKind, MirrorChanges, previous};
pub use mirror_choice::{MirrorFacts, mirror_to_read};
pub use needed_entries::needed_entries;
pub use newest::Newest;
pub use pinned::{PinnedRepositories, PinnedRepository, SubmoduleResolver};
pub use plugins::{
    GitFolder, GitRef, LackingFact, LockedPlugins, PROJECT, PackageConfig, PluginAsk, PluginFacts, PluginProblem,
    RefAnswer, Resolution, Unresolved, resolve,
};
pub use pruning::{Needed, Pruning};
pub use publication::{Doubt, FileList, FileListError, Presence, Publication, WrittenFile};
pub use release_flags::ReleaseFlags;
pub use sbom::{Component, ComponentId, Listing, LockedEntries, ReleaseDetails, Role, Sbom, SbomFacts, SbomProject};
pub use selection::{Selection, is_package, is_repository};
pub use signer::{KnownSigners, Signer, SignerConflict, SignerSource};
pub use wanted::{Pin, UnsupportedEntry, Wanted};
