//! Hex's formats: tarballs, recipes, registry messages and keys. This module converts bytes to types and back, and does
//! no I/O.
//!
//! | module | contents |
//! |---|---|
//! | [`tarball`] | reads, checks and builds a package's outer tarball |
//! | [`recipe`] | splits a tarball into files and a recipe, from which it can be rebuilt byte for byte |
//! | [`metadata`] | `metadata.config` |
//! | [`registry`] | decodes, verifies, encodes and signs registry entries |
//! | [`requirement`] | version requirements such as `~> 1.2` |
//! | [`gzip`] | bounded gzip |

mod archive;
pub mod gzip;
pub mod metadata;
mod path;
pub mod recipe;
pub mod registry;
pub mod requirement;
pub mod tarball;
mod ustar;

pub use archive::ArchiveError;
