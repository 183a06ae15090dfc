//! The settings for fetching. All have defaults, and none are read from the environment here.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::hex_home::HexHome;
use super::netrc::Netrc;
use super::proxies::Proxies;
use super::retry;

/// The settings for fetching that are the same for all repositories.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The maximum number of concurrent requests (`HEX_HTTP_CONCURRENCY`), at least 1.
    pub concurrency: usize,
    /// The proxies.
    pub proxies: Proxies,
    /// A PEM file of certificate authorities that replace the platform's (`HEX_CACERTS_PATH`).
    pub ca_certificates: Option<PathBuf>,
    /// The timeouts of an attempt.
    pub timeouts: Timeouts,
    /// The retry policy.
    pub retry: retry::Policy,
    /// The size limits.
    pub limits: Limits,
    /// The local Hex client's folders, whose cached tarballs are used instead of the network.
    pub hex_home: Option<HexHome>,
    /// The credentials for hosts, used for repositories without a key and without credentials in their address.
    pub netrc: Netrc,
    /// The hosts of files that may be in a private network and may be asked by `http`.
    pub internal_hosts: BTreeSet<String>,
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
            netrc: Netrc::default(),
            internal_hosts: BTreeSet::new(),
            user_agent: concat!("git-hexmirror/", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

/// The timeouts of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// The maximum time to establish a connection.
    pub connect: Duration,
    /// The maximum time without receiving any data.
    pub stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(15), stall: Duration::from_secs(30) }
    }
}

/// The maximum sizes of responses from upstream, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The maximum size of a registry entry, both compressed and decompressed.
    pub registry_entry: u64,
    /// The maximum size of a tarball. hex.pm accepts 16 MB, and more from some packages.
    pub tarball: u64,
    /// The maximum size of a file that an address names.
    pub file: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { registry_entry: 64 << 20, tarball: 256 << 20, file: 512 << 20 }
    }
}
