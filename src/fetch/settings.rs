//! How to fetch. Every value has a default; nothing here is read from the environment.

use std::path::PathBuf;
use std::time::Duration;

use super::endpoint::{WebUrl, WebUrlError};
use super::hex_home::HexHome;
use super::retry;

/// How to fetch, whatever the repository.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many requests run at once (`HEX_HTTP_CONCURRENCY`); at least 1.
    pub concurrency: usize,
    /// Through which proxies.
    pub proxies: Proxies,
    /// A PEM file with the certificate authorities to trust instead of the platform's (`HEX_CACERTS_PATH`).
    pub ca_certificates: Option<PathBuf>,
    /// When an attempt is given up.
    pub timeouts: Timeouts,
    /// When another attempt is made.
    pub retry: retry::Policy,
    /// How much is accepted.
    pub limits: Limits,
    /// The local Hex client's folders, whose downloaded tarballs are used instead of the network.
    pub hex_home: Option<HexHome>,
    /// The `user-agent` header.
    pub user_agent: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency: 8,
            proxies: Proxies::default(),
            ca_certificates: None,
            timeouts: Timeouts::default(),
            retry: retry::Policy::default(),
            limits: Limits::default(),
            hex_home: None,
            user_agent: concat!("git-hexmirror/", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

/// The proxies to go through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http` addresses.
    pub http: Option<WebUrl>,
    /// For `https` addresses.
    pub https: Option<WebUrl>,
    /// The hosts to reach without a proxy: domains (and what is below them), addresses, subnets or `*`, separated by commas.
    pub no_proxy: Option<String>,
}

impl Proxies {
    /// Reads the values that the variables `http_proxy`, `https_proxy` and `no_proxy` have; an empty one counts as absent.
    ///
    /// # Errors
    /// An address that is not an HTTP proxy's.
    pub fn parse(http: Option<&str>, https: Option<&str>, no_proxy: Option<&str>) -> Result<Self, WebUrlError> {
        let proxy = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(WebUrl::proxy).transpose();
        Ok(Self { http: proxy(http)?, https: proxy(https)?, no_proxy: no_proxy.map(str::to_owned) })
    }
}

/// When an attempt is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// No connection was made for so long.
    pub connect: Duration,
    /// Not one byte arrived for so long.
    pub stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(15), stall: Duration::from_secs(30) }
    }
}

/// How much is accepted from upstream, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A registry entry, as it is sent and as it is unpacked.
    pub registry_entry: u64,
    /// A tarball. hex.pm accepts 16 MB, and more from some packages.
    pub tarball: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { registry_entry: 64 << 20, tarball: 256 << 20 }
    }
}
