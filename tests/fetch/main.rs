//! Fetches from an upstream on a loopback port, through the library.

#[path = "../support/mod.rs"]
mod support;

mod downloads;
mod http;
mod tls;
