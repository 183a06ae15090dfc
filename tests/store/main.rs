//! The mirror branch, and what it has to contain.

#[path = "../support/mod.rs"]
mod support;

mod branch;
mod freshness;
mod source;
