//! The server, through the library: packages over a raw socket, git repositories with real git.

#[path = "../support/mod.rs"]
mod support;

mod git;
mod packages;
mod pages;
