//! Keeps everything that a `mix.lock` or `rebar.lock` pins inside the project's own git repository, as content-addressed
//! objects on one dedicated branch, and serves it to the unmodified clients (mix, rebar3, git).
//!
//! The modules form layers; an import only ever points to a lower one (`tests/architecture.rs` holds them to it):
//!
//! | layer | modules | what lives there |
//! |---|---|---|
//! | 5 | [`ops`] | one operation a file: init, update, status, verify, serve, … |
//! | 4 | [`plan`], [`store`], [`fetch`], [`git`], [`serve`], [`hook`] | what to do; the branch (gix); upstream (reqwest); the system git; the server (hyper); git's hooks |
//! | 3 | [`lock`], [`hex`] | text to [`lock::Lock`]; tarballs, registry messages, signatures: no I/O |
//! | 2 | [`term`] | the literal terms of Erlang and Elixir: no I/O |
//! | 1 | [`model`] | validated names, versions, checksums: no I/O |
//!
//! Beside them stand [`config`] (where settings come from) and [`progress`] (what an operation reports while it runs) and [`runtime`]
//! (for asynchronous work).
//! The library never touches the terminal and never reads the environment or the home directory: those are arguments.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

pub mod config;
pub mod fetch;
pub mod git;
pub mod hex;
pub mod hook;
pub mod lock;
pub mod model;
pub mod ops;
pub mod plan;
pub mod progress;
pub mod runtime;
pub mod serve;
pub mod store;
pub mod term;
