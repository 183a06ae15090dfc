//! Fetches from upstream over HTTP. This is the only module that uses reqwest.
//!
//! [`Upstream`] fetches registry entries and tarballs from Hex repositories with known [`Endpoint`]s, concurrently,
//! with limits and retries. Tarballs are downloaded to [`Downloads`], a folder that keeps partial and finished ones for
//! the next attempt. Tarballs in the local Hex client's cache ([`hex_home`]) are used from there. This module only
//! imports [`model`](crate::model), [`term`](crate::term) and [`progress`](crate::progress).

mod access;
mod cached_entry;
mod connection;
mod downloads;
mod endpoint;
mod error;
mod file;
mod folder;
mod gzip;
pub mod hash;
pub mod hex_home;
mod inside;
mod netrc;
mod outside;
mod partial;
mod probe;
mod proxies;
mod resolver;
pub mod retry;
mod settings;
mod token;
mod upstream;

pub use cached_entry::CachedEntry;
pub use downloads::{Download, Downloads, Origin};
pub use endpoint::{Access, Endpoint, Secret, WebUrl, WebUrlError, Withheld};
pub use error::FetchError;
pub use folder::RepositoryFolder;
pub use inside::InsideReason;
pub use netrc::Netrc;
pub use probe::probe;
pub use proxies::Proxies;
pub use settings::{Limits, Settings, Timeouts};
pub use token::Token;
pub use upstream::{Entry, Upstream};
