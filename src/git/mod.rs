//! Runs the system's git, to fetch, pack and check the git repositories that locks pin.
//!
//! - [`Git`]: the only way to run git: with fixed settings, allowed protocols, and bounded output.
//! - [`Scratch`]: a repository between upstream and the mirror. It is kept when an update fails, so that nothing is
//!   fetched twice.
//! - [`LocalSource`]: repositories on this machine, to fetch from instead of a server.
//! - [`ProjectGit`]: the project's own repository, whose mirror branch it pushes and fetches.
//! - [`GitError`]: the errors, classified by what the user can do about them.
//!
//! Fetches use the user's own proxies, `insteadOf` rules and settings for the address. Nothing from the repository in
//! which the command runs affects them (`GIT_DIR` and related variables, headers for its remotes), and nothing is
//! stored that was not requested.

mod bundle;
mod caveats;
mod check;
mod command_line;
mod error;
mod error_message;
mod fetch;
mod fixed;
mod local_source;
mod maintenance;
mod numstat;
mod objects;
mod pack;
mod pipes;
mod process;
mod run;
mod scratch;
mod show;
mod submodule;
#[doc(hidden)]
pub mod surface;
mod third_party;
mod transfer;
mod unsuccessful;
mod user_config;

pub use bundle::BundleSource;
pub use caveats::Caveat;
pub use check::{check, pack_files};
pub use error::{GitError, Refs};
pub use fetch::{OnReceived, Want};
pub use local_source::{Available, LocalSource};
pub use maintenance::{MaintenanceRun, maintain, merged_packs};
pub use numstat::{FileChange, FileChangeKind};
pub use objects::PrintedObject;
pub use pack::{MAX_PACKS, NewPack, Packed};
pub use process::{Git, GitSettings};
pub use scratch::Scratch;
pub use show::{Show, TreePair};
pub use submodule::Submodule;
pub use third_party::ThirdPartySettings;
pub use transfer::{FetchOutcome, FetchTarget, Lease, ProjectGit, PushStatus};

/// The result type of this module.
pub type Result<T, E = GitError> = std::result::Result<T, E>;
