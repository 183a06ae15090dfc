//! Checks the project itself: its sources and its documents.

#[path = "../support/mod.rs"]
mod support;

mod architecture;
mod documents;
mod examples;
mod file_graph;
mod source;
