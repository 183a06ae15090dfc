//! Git repositories of a mirror, served to real git over real sockets.

#[path = "../support/git.rs"]
mod git;
mod files;
mod limits;
mod mirror;
mod mix;
mod smart;
