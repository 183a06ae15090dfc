//! Hex's formats: tarballs, recipes, registry messages and keys. This module converts bytes to types and back, and does
//! no I/O.
//!
//! | module | contents |
//! |---|---|
//! | [`tarball`] | reads, checks and builds a package's outer tarball |
//! | [`recipe`] | splits a tarball into files and a recipe, from which it can be rebuilt byte for byte |
//! | [`metadata`] | `metadata.config` |
//! | [`mix_archive`] | archives that mix installs |
//! | [`registry`] | decodes, verifies, encodes and signs registry entries |
//! | [`requirement`] | version requirements such as `~> 1.2` |
//! | [`gzip`] | bounded gzip |
//! | [`license`] | licenses as packages name them, and SPDX's identifiers |
//! | [`artefacts`] | the precompiled files that packages download, and the lists of their checksums |
//! | [`asset_tools`] | esbuild, Tailwind and Dart Sass, as the packages esbuild, tailwind and dart_sass install them |
//! | [`installers`] | the signed lists of Hex and rebar3 that mix installs from |

mod archive;
pub mod artefacts;
pub mod asset_tools;
pub mod gzip;
pub mod installers;
pub mod license;
pub mod metadata;
pub mod mix_archive;
mod path;
pub mod recipe;
pub mod registry;
pub mod requirement;
pub mod tarball;
mod ustar;

pub use archive::ArchiveError;
