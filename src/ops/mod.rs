//! Operations, one per file. Each combines the layers below and returns a result for the caller to display.

mod compact;
mod demo;
mod error;
mod fetching;
mod git_fetcher;
mod health;
mod hooks;
mod init;
mod integrate;
mod kept_entries;
mod leading;
mod lock_diff;
mod merge;
mod needed;
mod needed_entries;
mod parallel;
mod project;
mod prune;
mod remote_files;
mod repair;
mod revisions;
mod running;
mod seen;
mod serving;
mod settings;
mod signers;
mod source_diff;
mod sources;
mod status;
mod sync;
mod trust;
mod update;
mod update_message;
mod upstream;
mod verify;
mod worktree;

pub use compact::compact;
pub use demo::{Step, demo};
pub use error::{Failure, OpError};
pub use hooks::{
    PushCheck, PushedLocks, catch_up, check_checkout, check_push, hook_states, hooks_dir, install_hooks, lacking,
    locks_changed, remote_has, remote_with_all, unallowed_repositories, uninstall_hooks,
};
pub use init::{Initialised, init, mirror};
pub use leading::{access, has_leading_lock};
pub use lock_diff::{LockDiff, lock_diff};
pub use merge::MergeStatistics;
pub use project::{Environment, LockFile, LockText, Project, locks_in, read_bounded, read_file, read_locks};
pub use prune::{Prune, PruneOptions, prune};
pub use repair::{Repair, repair};
pub use revisions::{At, Between, Named};
pub use running::{FailedRequests, Finished, run_command};
pub use serving::{MirrorContents, authority, served_mirror, start_server, system_git, tls};
pub use settings::{ListedSetting, Origin, settings};
pub use source_diff::{Printing, SourceDiff, source_diff};
pub use status::{Status, Summary, status};
pub use sync::{Pull, Push, Reach, Way, pull, pull_known, push, push_rewritten};
pub use trust::{Allowance, allow, allowance, revoke};
pub use update::{Added, AddedGit, Update, UpdateOptions, update};
pub use verify::{Verification, verify};
pub use worktree::FileRefusal;

/// The result of every operation.
pub type Result<T, E = OpError> = std::result::Result<T, E>;
