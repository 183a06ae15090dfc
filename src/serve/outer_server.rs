//! The server that an environment directs clients to.

/// The variable with the server's address.
pub(super) const SERVER: &str = "HEXMIRROR_SERVER";

/// The server that an environment directs clients to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OuterServer(Option<String>);

impl OuterServer {
    /// Reads the address that an outer `run`, `shell` or `env` recorded in the environment.
    pub fn of_environment(existing: impl Fn(&str) -> Option<String>) -> Self {
        Self(existing(SERVER).filter(|url| url.starts_with("http://") || url.starts_with("https://")))
    }

    /// Returns the server's address, without a final slash. `None` if the environment names no server.
    pub fn url(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Returns whether `url.<base>.insteadOf` redirects to this server. The form of a base alone does not show that: a
    /// user's own rule may have a base such as `ssh://git@host/git/`.
    pub fn has(&self, base: &str) -> bool {
        self.url().is_some_and(|url| base.strip_prefix(url).is_some_and(|rest| rest.starts_with("/git/")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_belongs_to_the_known_server_only() {
        let server = OuterServer::of_environment(|_| Some("https://mirror:1/hex".into()));
        assert!(server.has("https://mirror:1/hex/git/h/lib"));
        for base in [
            "ssh://git@inner.test/git/",
            "https://mirror:1/hex",
            "https://mirror:1/hex2/git/h/lib",
            "https://mirror:1/git/h/lib",
            "https://mirror:1/hex/gut/h/lib",
            "",
        ] {
            assert!(!server.has(base), "{base}");
            assert!(!OuterServer::of_environment(|_| None).has(base), "{base}");
        }
    }
}
