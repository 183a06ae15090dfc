//! Operations, one per file or folder. Each combines the layers below and returns a result for the caller to display.
//! `project` holds what all of them work on.

mod compact;
mod demo;
mod entry_age;
mod error;
mod export;
mod failure;
mod health;
mod hook_callers;
mod hook_template;
mod hooks;
mod index;
mod init;
#[cfg(target_os = "linux")]
mod isolation;
mod lock_coverage;
mod lock_diff;
mod maintenance;
mod newest;
mod own_file;
mod parallel;
mod post_checkout;
mod pre_push;
mod project;
mod prompt;
mod prune;
mod publish;
mod reading;
mod repair;
mod running;
mod serving;
mod settings;
mod sharing;
mod source_diff;
mod status;
mod sync;
mod trust;
mod unanswered;
mod update;
mod update_lock;
mod verify;

pub use compact::compact;
pub use demo::Demo;
pub use entry_age::entry_age;
pub use error::OpError;
pub use export::error::ExportError;
pub use export::{Export, ExportOptions, check_registry, export};
pub use failure::Failure;
pub use health::{Health, health};
pub use hook_template::{TemplateHooks, install_template, uninstall_template};
pub use hooks::{HookState, InstalledHooks, hook_states, hooks_are_tracked, hooks_dir, install_hooks, uninstall_hooks};
pub use index::key::KeyOrigin;
pub use index::{IndexOptions, IndexUpdate, KeyAction, index};
pub use init::{Initialised, init, is_mirrored};
#[cfg(target_os = "linux")]
pub use isolation::isolate;
pub use lock_diff::{LockDiff, lock_diff};
pub use newest::{OldAnswer, answers_of, old_answer};
pub use post_checkout::{CheckedOutMirror, PostCheckoutOutcome, post_checkout};
pub use pre_push::{PrePushOutcome, PushedLocks, StaleLocks, pre_push};
pub use project::regular_file::FileRefusal;
pub use project::revisions::{ComparedStates, DiffArguments, ProjectState};
pub use project::{Environment, LockFile, LockText, Project, locks_in, read_bounded, read_file, read_locks};
pub use prune::{Prune, PruneOptions, prune};
pub use publish::publish;
pub use reading::{MirrorSource, mirror, mirror_source, status};
pub use repair::{Repair, repair};
pub use running::{Finished, run_command, run_shell};
pub use serving::follow::{FollowState, Follower};
pub use serving::gleam_cache::cache_home;
pub use serving::hex_home::hex_home;
pub use serving::redirected::{Clients, access, has_redirecting_lock};
pub use serving::waiting::wait_for_mirror;
pub use serving::{MirrorContents, authority, served_mirror, start_server, system_git, tls};
pub use settings::{ListedSetting, Origin, settings};
pub use sharing::{Unpushed, lacks_hooks, unpushed};
pub use source_diff::{Printing, SourceDiff, source_diff};
pub use status::{Status, Summary};
pub use sync::{Integration, PullOutcome, PushOutcome, RemoteAccess, pull, pull_known, push, push_rewritten};
pub use trust::{Allowance, allow, allowance, revoke};
pub use unanswered::{Explanation, FailedRequests, explain};
pub use update::{Added, AddedGit, FlaggedRelease, Update, UpdateOptions, update};
pub use verify::{Verification, verify};

/// The result of every operation.
pub type Result<T, E = OpError> = std::result::Result<T, E>;
