//! Reads and writes the formats of others: tarballs, registry entries, version requirements and locks.

#[path = "../support/mod.rs"]
mod support;

mod fuzz;
mod hex_archive;
mod hex_client;
mod hex_published;
mod hex_registry;
mod hex_requirement;
mod hex_tarball;
mod lock_elixir;
mod lock_fixtures;
mod lock_real;
