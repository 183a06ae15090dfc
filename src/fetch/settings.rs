//! The settings for fetching. All have defaults, and none are read from the environment here.

use std::path::PathBuf;
use std::time::Duration;

use super::endpoint::{WebUrl, WebUrlError};
use super::hex_home::HexHome;
use super::netrc::Netrc;
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
            user_agent: concat!("git-hexmirror/", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

/// The proxies to use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http` addresses.
    pub http: Option<WebUrl>,
    /// For `https` addresses.
    pub https: Option<WebUrl>,
    /// The hosts to reach without a proxy, separated by commas: domains (including subdomains), addresses, subnets or
    /// `*`.
    pub no_proxy: Option<String>,
}

impl Proxies {
    /// Parses the values of the variables `http_proxy`, `https_proxy` and `no_proxy`. Empty values are ignored.
    ///
    /// # Errors
    /// Fails if a value is not the address of an HTTP proxy.
    pub fn parse(http: Option<&str>, https: Option<&str>, no_proxy: Option<&str>) -> Result<Self, WebUrlError> {
        let proxy = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(WebUrl::proxy).transpose();
        Ok(Self { http: proxy(http)?, https: proxy(https)?, no_proxy: no_proxy.map(str::to_owned) })
    }

    /// Returns the proxy that is used for an address, for error messages. Returns `None` if `no_proxy` contains a
    /// subnet, because it is then unknown whether the proxy is used.
    pub(super) fn of(&self, url: &WebUrl) -> Option<&WebUrl> {
        let url = url.as_url();
        let host = url.host_str()?.trim_matches(['[', ']']);
        let excepts = |name: &str| {
            let name = name.trim().trim_start_matches("*.").trim_start_matches('.');
            let below = || host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            name == "*" || name.contains('/') || (!name.is_empty() && below())
        };
        let proxy = if url.scheme() == "https" { &self.https } else { &self.http };
        let except = self.no_proxy.as_deref().unwrap_or_default();
        proxy.as_ref().filter(|_| !except.split(',').any(excepts))
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
}

impl Default for Limits {
    fn default() -> Self {
        Self { registry_entry: 64 << 20, tarball: 256 << 20 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_named_only_if_it_is_used() {
        let of = |no_proxy: &str, url: &str| {
            let proxies = Proxies::parse(Some("p:1"), Some("http://s:2"), Some(no_proxy)).unwrap();
            proxies.of(&url.parse().unwrap()).map(ToString::to_string)
        };
        assert_eq!(of("", "http://a.example/x").as_deref(), Some("http://p:1"));
        assert_eq!(of("b.example", "https://a.example/x").as_deref(), Some("http://s:2"));
        for no_proxy in ["a.example", "x,.example", "*", "*.example", "10.0.0.0/8"] {
            assert_eq!(of(no_proxy, "http://a.example/x"), None, "{no_proxy}");
        }
        assert!(of("ample", "http://a.example/x").is_some());
    }
}
