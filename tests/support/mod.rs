//! Support code that end-to-end tests and benches share. Each of them only uses a part.
#![allow(dead_code, reason = "every test binary compiles all of this and uses a part")]

pub mod data;
pub mod docker;
pub mod fetching;
pub mod forge;
pub mod git;
pub mod http;
pub mod mount;
pub mod nginx;
pub mod npm;
pub mod registry;
pub mod s3;
pub mod sample;
pub mod secure;
pub mod stage;
pub mod tree;
pub mod upstream;
pub mod validators;
