//! Upstream over HTTP: the only place that names reqwest.
//!
//! [`Upstream`] fetches registry entries and tarballs of the Hex repositories it was given [`Endpoint`]s for: concurrently,
//! bounded, with retries. Tarballs go through [`Downloads`], a folder that keeps what arrived for the next try, and are taken
//! from the local Hex client's cache ([`hex_home`]) where they lie there already. Imports [`model`](crate::model),
//! [`term`](crate::term) and [`progress`](crate::progress) only.

mod access;
mod connection;
mod downloads;
mod endpoint;
mod error;
mod file;
mod gzip;
mod hash;
pub mod hex_home;
mod kept;
mod netrc;
mod partial;
mod resolver;
pub mod retry;
mod settings;
mod upstream;

pub use access::Token;
pub use downloads::{Download, Downloads, Origin};
pub use endpoint::{Access, Endpoint, Secret, WebUrl, WebUrlError, Withheld};
pub use error::FetchError;
pub use kept::Kept;
pub use netrc::Netrc;
pub use settings::{Limits, Proxies, Settings, Timeouts};
pub use upstream::{Entry, Upstream};
