//! The proxies for requests to upstream.

use super::endpoint::{WebUrl, WebUrlError};

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
