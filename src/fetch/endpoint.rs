//! The address and credentials of a Hex repository, in types that hide secrets.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use url::Url;

use crate::model::{PackageName, PolicyName, ReleaseId};

/// The maximum length of an address, in bytes.
const MAX_LENGTH: usize = 4096;

/// What is wrong with an address. Does not repeat the address, which may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid http or https URL: {reason}")]
pub struct WebUrlError {
    /// The rule that the address violates.
    pub reason: String,
}

/// An `http` or `https` address. `Display` and `Debug` hide its password and its query.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WebUrl(Arc<Url>);

impl WebUrl {
    /// Parses a proxy's address, in which `http://` is optional, as in `proxy.example:3128`.
    ///
    /// # Errors
    /// As for [`WebUrl::from_str`].
    pub fn proxy(text: &str) -> Result<Self, WebUrlError> {
        if text.contains("://") { text.parse() } else { format!("http://{text}").parse() }
    }

    /// Returns the address with nothing hidden, to be sent or compared.
    pub fn reveal(&self) -> &str {
        self.0.as_str()
    }

    /// Returns whether this is the address of a web page, by the end of its path.
    pub(super) fn names_web_page(&self) -> bool {
        let path = self.as_url().path().to_ascii_lowercase();
        path.ends_with(".html") || path.ends_with(".htm")
    }

    pub(super) fn as_url(&self) -> &Url {
        &self.0
    }

    /// Returns the address of `path` (without a leading `/`) below this one.
    pub(super) fn below(&self, path: &str) -> Self {
        let mut url = Url::clone(&self.0);
        url.set_path(&format!("{}/{path}", self.0.path().trim_end_matches('/')));
        Self(Arc::new(url))
    }

    /// Returns whether the address contains a user name or a password.
    pub(super) fn has_login(&self) -> bool {
        !self.0.username().is_empty() || self.0.password().is_some()
    }

    /// Returns the address with a user name and a password.
    pub(super) fn with_login(&self, name: &str, password: &Secret) -> Self {
        let mut url = Url::clone(&self.0);
        // Neither can fail, because the address has a host.
        let _ = (url.set_username(name), url.set_password(Some(password.reveal())));
        Self(Arc::new(url))
    }

    /// Returns the address without a user name, a password and a query.
    #[must_use]
    pub fn without_login(&self) -> Self {
        let mut url = Url::clone(&self.0);
        // Neither can fail, because the address has a host.
        let _ = (url.set_username(""), url.set_password(None));
        url.set_query(None);
        Self(Arc::new(url))
    }

    /// Resolves `location`, a redirect's target, which may be relative. Credentials are not passed on to another
    /// origin.
    pub(super) fn follow(&self, location: &str) -> Result<Self, WebUrlError> {
        let mut next = self.0.join(location).map_err(WebUrlError::parse)?;
        if next.origin() != self.0.origin() {
            let _ = (next.set_username(""), next.set_password(None));
        }
        Self::check(next)
    }

    fn check(url: Url) -> Result<Self, WebUrlError> {
        let error = |reason: &str| Err(WebUrlError { reason: reason.to_owned() });
        match url.scheme() {
            "http" | "https" if url.has_host() => Ok(Self(Arc::new(url))),
            "http" | "https" => error("it has no host"),
            _ => error("its scheme is neither http nor https"),
        }
    }
}

impl WebUrlError {
    fn parse(error: url::ParseError) -> Self {
        Self { reason: error.to_string() }
    }
}

impl FromStr for WebUrl {
    type Err = WebUrlError;

    /// Parses an absolute address of at most 4096 bytes. A fragment is dropped.
    fn from_str(text: &str) -> Result<Self, WebUrlError> {
        if text.len() > MAX_LENGTH {
            return Err(WebUrlError { reason: "it is longer than 4096 bytes".into() });
        }
        let mut url = Url::parse(text.trim()).map_err(WebUrlError::parse)?;
        url.set_fragment(None);
        Self::check(url)
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = Url::clone(&self.0);
        if shown.password().is_some() {
            let _ = shown.set_password(Some("****"));
        } else if !shown.username().is_empty() {
            // A token is often given as the user name alone.
            let _ = shown.set_username("****");
        }
        if shown.query().is_some() {
            shown.set_query(Some("****"));
        }
        f.write_str(shown.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebUrl({self})")
    }
}

/// A key that is sent to a repository but never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a key.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(****)")
    }
}

/// The address and credentials of one Hex repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The prefix of `/packages/NAME` and `/tarballs/NAME-VERSION.tar`, such as `https://repo.hex.pm`.
    pub url: WebUrl,
    /// The credentials.
    pub access: Access,
}

/// The credentials for a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The value of the `authorization` header, as sent by Hex (`make_headers/1` in hex_core's `hex_repo.erl`).
    pub key: Option<Secret>,
    /// Why the user's key or token is not sent.
    pub withheld: Option<Withheld>,
}

/// Why a key or token is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
    /// The repository is fetched from a mirror that the user does not trust with keys (`HEX_MIRROR`).
    UntrustedMirror,
    /// The token of the Hex client's login has expired.
    ExpiredLogin,
}

impl Access {
    /// Returns the access with a key, or without one if `key` is `None`.
    pub fn of(key: Option<Secret>) -> Self {
        Self { key, withheld: None }
    }

    /// Withholds the key, if there is one.
    #[must_use]
    pub fn withheld(self, why: Withheld) -> Self {
        Self { withheld: self.key.map(|_| why).or(self.withheld), key: None }
    }
}

impl Endpoint {
    /// Returns an endpoint without a key.
    pub fn public(url: WebUrl) -> Self {
        Self { url, access: Access::default() }
    }

    /// Returns the endpoint of one of this repository's organisations, `URL/repos/NAME`, with the same key
    /// (`default_organization/3` in Hex's `repo.ex`).
    pub fn organization(&self, name: &str) -> Self {
        Self { url: self.url.below(&format!("repos/{name}")), access: self.access.clone() }
    }

    pub(super) fn registry_entry(&self, package: &PackageName) -> WebUrl {
        self.url.below(&format!("packages/{package}"))
    }

    pub(super) fn policy(&self, name: &PolicyName) -> WebUrl {
        self.url.below(&format!("policies/{name}"))
    }

    pub(super) fn docs(&self, release: &ReleaseId) -> WebUrl {
        self.url.below(&format!("docs/{}", docs_name(release)))
    }

    pub(super) fn tarball(&self, release: &ReleaseId) -> WebUrl {
        self.url.below(&format!("tarballs/{}", release.tarball_name()))
    }
}

/// Returns the name of the documentation of a release.
pub(super) fn docs_name(release: &ReleaseId) -> String {
    format!("{}-{}.tar.gz", release.package, release.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> WebUrl {
        text.parse().unwrap()
    }

    #[test]
    fn secrets_are_never_shown() {
        let address = url("https://user:hunter2@repo.example/a?signature=abc");
        assert_eq!(address.to_string(), "https://user:****@repo.example/a?****");
        let token = url("https://hunter2@repo.example/");
        let endpoint = Endpoint { url: token, access: Access::of(Some(Secret::new("hunter2"))) };
        assert!(!format!("{endpoint:?} {address:?} {}", endpoint.url).contains("hunter2"));
    }

    #[test]
    fn paths_are_appended_to_the_base() {
        for base in ["http://localhost:1/hex", "http://localhost:1/hex/"] {
            let endpoint = Endpoint::public(url(base)).organization("acme");
            let entry = endpoint.registry_entry(&"plug".parse().unwrap());
            assert_eq!(entry.reveal(), "http://localhost:1/hex/repos/acme/packages/plug");
        }
        let release = ReleaseId {
            repository: crate::model::RepositoryName::hexpm(),
            package: "plug".parse().unwrap(),
            version: "1.0.0-rc.1+b".parse().unwrap(),
        };
        let tarball = Endpoint::public(url("https://repo.hex.pm")).tarball(&release);
        assert_eq!(tarball.reveal(), "https://repo.hex.pm/tarballs/plug-1.0.0-rc.1+b.tar");
    }

    #[test]
    fn credentials_stay_with_their_origin() {
        let base = url("https://user:pass@a.example/x/y");
        assert_eq!(base.follow("../z").unwrap().reveal(), "https://user:pass@a.example/z");
        assert_eq!(base.follow("https://u:p@b.example/z").unwrap().reveal(), "https://b.example/z");
        assert_eq!(base.follow("http://u:p@a.example/z").unwrap().reveal(), "http://a.example/z");
        assert!(base.follow("file:///etc/passwd").is_err());
    }

    #[test]
    fn other_addresses_are_refused() {
        for text in [
            "",
            "repo.hex.pm",
            "ftp://a/b",
            "ext::sh -c x",
            "http://",
            "file:///a",
            &format!("http://{}", "a".repeat(5000)),
        ] {
            assert!(text.parse::<WebUrl>().is_err(), "{text}");
        }
        assert_eq!(WebUrl::proxy("proxy.example:3128").unwrap().reveal(), "http://proxy.example:3128/");
    }
}
