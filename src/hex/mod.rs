//! The formats of Hex: tarballs, their recipes, registry messages, keys. Bytes to types and back, no I/O.
//!
//! | module | what it holds |
//! |---|---|
//! | [`tarball`] | a package's outer tarball, opened and checked; and how to build one |
//! | [`recipe`] | a tarball taken apart into files and a recipe, from which it is rebuilt byte for byte |
//! | [`metadata`] | what `metadata.config` says |
//! | [`registry`] | signed registry entries: decode, verify, encode, sign |
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
