//! The programs that build assets, as the packages esbuild, tailwind and dart_sass install them: which versions a project
//! configures, which build a machine needs, where it is published, who vouches for it, and where the package looks for it.
//!
//! Configuration is read as literals and never evaluated ([`AssetConfig`]).

mod address;
mod build;
mod config;
mod installed;
mod npm;

pub use address::{AssetSource, NpmPackage};
pub use build::build_for;
pub use config::{AssetConfig, Literal, mentions_tool};
pub use installed::{InstalledFile, UnpackError, installed_files, with_profiles};
pub use npm::{NpmError, NpmKeys, NpmSignature, signed_integrity};
