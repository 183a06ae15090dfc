//! Asks a running server for its health.

use std::path::Path;
use std::time::Duration;

use super::{OpError, Result};
use crate::fetch::{WebUrl, probe};

/// A server's answer about its health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The status of the response.
    pub status: u16,
    /// The first line of the response.
    pub text: String,
}

impl Health {
    /// Returns the commit that the server serves. `None` if the server cannot read its mirror, or is another program.
    pub fn commit(&self) -> Option<&str> {
        let commit = self.text.strip_prefix("ok ").filter(|_| self.status == 200)?;
        let is_commit = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_commit.then_some(commit)
    }
}

/// Asks the server at a base URL for its health. `authority` is a PEM file with the only certificate authority to trust.
///
/// # Errors
/// Fails if there is no response within `timeout`, or if its certificate is not trusted.
pub fn health(base_url: &str, authority: Option<&Path>, timeout: Duration) -> Result<Health> {
    let failed = |source| OpError::Probe { url: base_url.to_owned(), source };
    let url: WebUrl = format!("{base_url}/health").parse().map_err(|error: crate::fetch::WebUrlError| {
        OpError::ServerUrl { url: base_url.to_owned(), reason: error.to_string() }
    })?;
    let runtime = crate::runtime::current_thread();
    let runtime = runtime.map_err(OpError::machine("ask a server from", "this machine"))?;
    let (status, text) = runtime.block_on(probe(&url, authority, timeout)).map_err(failed)?;
    Ok(Health { status, text: text.lines().next().unwrap_or_default().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_commit_means_that_the_server_is_healthy() {
        let id = "0123456789012345678901234567890123456789";
        let commit = |status, text: &str| Health { status, text: text.to_owned() }.commit().map(str::to_owned);
        assert_eq!(commit(200, &format!("ok {id}")).as_deref(), Some(id));
        for (status, text) in [(503, &*format!("ok {id}")), (200, "ok"), (200, "ok 12"), (200, id), (200, "<html>")] {
            assert_eq!(commit(status, text), None, "{status} {text}");
        }
    }
}
