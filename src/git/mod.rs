//! The system git as a process: it fetches, packs and checks what locks pin of git repositories.
//!
//! - [`Git`]: the one way to run it: fixed settings, allowed protocols, a bounded ear for what it says.
//! - [`Scratch`]: one repository on its way from upstream to the mirror, kept across failures so that nothing is fetched
//!   twice.
//! - [`ProjectGit`]: the project's own repository, whose mirror branch it takes to remotes and from them.
//! - [`GitError`]: what went wrong, sorted by what the user can do about it.
//!
//! Fetching is with the user's own proxies and `insteadOf`, and with what they configured for the address; nothing of the
//! repository that the command runs in leaks into it (`GIT_DIR` and its like, headers for its remotes), and nothing is stored
//! that was not asked for.

mod caveats;
mod check;
mod command_line;
mod complaint;
mod error;
mod fetch;
mod fixed;
mod objects;
mod others;
mod pack;
mod process;
mod scratch;
mod show;
mod submodule;
#[doc(hidden)]
pub mod surface;
mod transfer;

pub use caveats::Caveat;
pub use check::{check, pack_files};
pub use error::{GitError, Refs};
pub use fetch::{Received, Want};
pub use objects::Printed;
pub use others::SettingsForOthers;
pub use pack::{MAX_PACKS, NewPack, Packed};
pub use process::{Git, GitSettings};
pub use scratch::Scratch;
pub use show::{Show, TreePair};
pub use submodule::Submodule;
pub use transfer::{Brought, Lease, Place, ProjectGit, Taken};

/// The result of everything in this module.
pub type Result<T, E = GitError> = std::result::Result<T, E>;
