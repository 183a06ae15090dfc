//! Several users of one project: clones of a bare repository, hooks run by git itself, mirrors that diverge.

#[path = "../support/mod.rs"]
mod support;

mod addresses;
mod after_checkout;
mod beside;
mod compact;
mod damaged;
mod everyday;
mod foreign_hooks;
mod git_dependencies;
mod hooks;
mod index;
mod maintenance;
mod migration;
mod monorepo;
mod notices;
mod places;
mod policies;
mod pre_push;
mod prune;
mod push_and_pull;
mod race;
mod reading;
mod refreshed;
mod remembered;
mod rollback;
mod shared;
mod signers;
mod team;
mod tracked_settings;
mod unknown_key;
mod user_settings;
