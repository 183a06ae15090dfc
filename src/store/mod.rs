//! The mirror branch. This is the only module that uses gix.
//!
//! - [`Repository`]: the project's git repository: settings, tracked files, paths.
//! - [`Snapshot`]: the content of one commit of the branch, read from the commit's tree and never from history.
//! - [`Transaction`]: changes that become the branch's next commit, all or nothing, by compare-and-swap on the ref.
//! - [`ReleaseEncoder`]: encodes a release as git objects, on any thread.
//! - [`Checkout`]: a git repository of the mirror as a folder; [`View`]: the same with the refs that clients may see.
//! - [`Objects`]: objects read outside of the object database, indexed by the ids computed from their contents.
//! - [`ScratchObjects`]: temporary objects on top of the repository's own, for comparisons.
//! - [`Lock`]: allows one update at a time in a repository.
//! - [`Incoming`]: objects that a git process writes, kept apart until they are complete.
//!
//! [`layout`] describes the branch's tree.

mod blob_hasher;
mod branch;
mod broken_ref;
mod checkout;
mod compact;
mod complete;
mod damage;
mod dangling;
mod discover;
mod encode;
mod error;
mod file;
mod files;
mod git_cache;
mod git_files;
mod history;
mod history_search;
mod incoming;
mod index;
mod inventory;
pub mod layout;
mod listing;
mod lock;
mod log;
mod names;
mod object_checks;
mod objects;
mod own_packs;
mod pack;
mod policy;
mod private_keys;
mod recover;
mod ref_marker;
mod ref_update;
mod refreshed;
mod remote;
mod repository;
mod roots;
mod salvage;
mod scratch_objects;
mod settings;
mod snapshot;
mod source_tree;
mod storage;
mod stored_contents;
mod stored_git;
mod sweep;
mod tip;
mod transaction;
mod tree_files;
mod view;

pub use blob_hasher::BlobHasher;
pub use branch::Branch;
pub use broken_ref::{Recovered, RecoverySource};
pub use checkout::Checkout;
pub use compact::Compacted;
pub use damage::Damage;
pub use discover::Discovery;
pub use encode::{EncodeError, EncodedRelease, ReleaseEncoder};
pub use error::StoreError;
pub use gix::ObjectId;
pub use history::REPLACES;
pub use incoming::Incoming;
pub use lock::Lock;
pub use log::CommitSummary;
pub use object_checks::CheckedTrees;
pub use objects::Objects;
pub use recover::StoredItem;
pub use ref_marker::RefMarker;
pub use repository::Repository;
pub use roots::{Roots, VisitedFolders};
pub use salvage::Salvage;
pub use scratch_objects::{DiffRepository, ScratchObjects};
pub use settings::SettingOrigin;
pub use snapshot::Snapshot;
pub use source_tree::{SourceChange, SourceChanges, SourceEntry, SourceKind, SourceTree, VerifiedReleases};
pub use sweep::Temporary;
pub use tip::TipReader;
pub use transaction::{GitFile, Published, Transaction};
pub use tree_files::{FileRule, TreeFile, TreeFiles};
pub use view::View;

/// The result type of this module.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;
