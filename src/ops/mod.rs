//! One operation a file: each composes the layers below and returns what there is to say about it.

mod demo;
mod error;
mod fetching;
mod init;
mod project;
mod repositories;
mod running;
mod serving;
mod status;
mod update;
mod upstream;
mod verify;

pub use demo::{Step, demo};
pub use error::{Failure, OpError};
pub use init::{Initialised, init};
pub use project::{Environment, LockText, Project, read_locks};
pub use running::run_command;
pub use serving::{MirrorContents, access, authority, start_server, system_git, tls};
pub use status::{Status, Summary, status};
pub use update::{Added, AddedGit, Update, UpdateOptions, update};
pub use verify::{Verification, verify};

/// The result of every operation.
pub type Result<T, E = OpError> = std::result::Result<T, E>;
