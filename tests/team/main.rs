//! Several people on one project: clones of a bare repository, git's hooks fired by git itself, mirrors that diverge.

#[path = "../support/mod.rs"]
mod support;

mod after_checkout;
mod beside;
mod compact;
mod hooks;
mod pre_push;
mod prune;
mod push_and_pull;
mod race;
mod team;
