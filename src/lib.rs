//! Stores everything that a `mix.lock` or `rebar.lock` pins in the project's git repository, as content-addressed objects on one
//! dedicated branch, and serves it to unmodified clients (mix, rebar3, git).
//!
//! The modules form layers. A module only imports from lower layers (`tests/project/architecture.rs` checks this):
//!
//! | layer | modules | contents |
//! |---|---|---|
//! | 5 | [`ops`] | operations, one per file: init, update, status, verify, serve, … |
//! | 4 | [`plan`], [`store`], [`fetch`], [`bucket`], [`git`], [`serve`], [`hook`] | plans; the mirror branch (gix); downloads (reqwest); object stores (object_store); the system's git; the server (hyper); git hooks |
//! | 3 | [`lock`], [`hex`] | parsing text into a [`lock::Lock`]; tarballs, registry messages, signatures; no I/O |
//! | 2 | [`term`], [`page`] | literal terms of Erlang and Elixir; the HTML of web pages; no I/O |
//! | 1 | [`model`], [`code`] | validated names, versions, checksums; source code, decoded, highlighted and compared; no I/O |
//!
//! All layers may use [`config`] (settings), [`progress`] (events of an operation), [`runtime`] (tokio runtimes),
//! `cryptography` (what TLS uses) and [`file_lock`] (locks between processes). The library never accesses the terminal, the environment or the home directory:
//! callers pass them as arguments.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

pub mod bucket;
pub mod code;
pub mod config;
mod cryptography;
pub mod fetch;
pub mod file_lock;
pub mod git;
pub mod hex;
pub mod hook;
pub mod lock;
pub mod model;
pub mod ops;
pub mod page;
pub mod plan;
pub mod progress;
pub mod runtime;
pub mod serve;
pub mod store;
pub mod term;
