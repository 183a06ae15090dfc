//! The servers of this program that clients are already redirected to.
//!
//! A `url.<base>.insteadOf` rule belongs to this program only if its base is below the address of one of its servers. The
//! addresses come from a variable that this program sets, never from the form of a base: a user's own rule may have a
//! base such as `ssh://git@host/git/`.

use super::variable::Variable;

/// The variable with the addresses, separated by blanks.
const VARIABLE: &str = "HEXMIRROR_SERVERS";

/// The maximum number of addresses that are kept when one `run` is nested in another.
const MAX_SERVERS: usize = 16;

/// The addresses of servers, without a final slash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Servers(Vec<String>);

impl Servers {
    /// Reads the addresses that outer `run` and `env` commands recorded in the environment.
    pub fn of_environment(existing: impl Fn(&str) -> Option<String>) -> Self {
        let recorded = existing(VARIABLE).unwrap_or_default();
        Self(recorded.split_whitespace().map(str::to_owned).take(MAX_SERVERS).collect())
    }

    /// Adds the address of another server.
    pub(super) fn with(mut self, base_url: &str) -> Self {
        self.0.retain(|known| known != base_url);
        self.0.insert(0, base_url.to_owned());
        self.0.truncate(MAX_SERVERS);
        self
    }

    /// Returns whether `url.<base>.insteadOf` redirects to one of the servers.
    pub fn have(&self, base: &str) -> bool {
        self.0.iter().any(|server| base.strip_prefix(server.as_str()).is_some_and(|rest| rest.starts_with("/git/")))
    }

    /// Returns the variable that records the addresses for commands that run inside.
    pub(super) fn variable(&self) -> Variable {
        Variable::set(VARIABLE, &self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_belongs_to_a_known_server_only() {
        let servers = Servers::of_environment(|_| Some("http://127.0.0.1:4040 https://mirror/hex".into()));
        for base in ["http://127.0.0.1:4040/git/h/lib", "https://mirror/hex/git/h/lib"] {
            assert!(servers.have(base), "{base}");
        }
        for base in [
            "ssh://git@inner.test/git/",
            "http://127.0.0.1:4041/git/h/lib",
            "http://127.0.0.1:40401/git/h/lib",
            "https://mirror/git/h/lib",
            "http://127.0.0.1:4040",
            "http://127.0.0.1:4040/gut/h/lib",
            "",
        ] {
            assert!(!servers.have(base), "{base}");
            assert!(!Servers::of_environment(|_| None).have(base), "{base}");
        }
    }

    #[test]
    fn nested_servers_are_all_remembered() {
        let outer = Servers::default().with("http://a").with("http://b").with("http://a");
        let variable = outer.variable();
        assert_eq!(variable, Variable::set("HEXMIRROR_SERVERS", "http://a http://b"));
        assert_eq!(Servers::of_environment(|_| variable.value.clone()), outer);
        let many = (0..100).fold(outer, |servers, number| servers.with(&format!("http://{number}")));
        assert_eq!(many.0.len(), MAX_SERVERS);
    }
}
