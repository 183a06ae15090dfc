//! Asks a running server for its health.

use std::path::Path;
use std::time::Duration;

use super::{OpError, Result};
use crate::fetch::{WebUrl, probe};
use crate::serve::STALE;

/// A server's answer about its health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The status of the response.
    pub status: u16,
    /// The first line of the response, or what web page it is.
    pub text: String,
    /// The line about the remote that the server follows, if it follows one.
    pub following: Option<String>,
}

impl Health {
    /// Returns the commit that the server serves. `None` if the server cannot read its mirror, or is another program.
    pub fn commit(&self) -> Option<&str> {
        let commit = self.text.strip_prefix("ok ").filter(|_| self.status == 200)?;
        let is_commit = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_commit.then_some(commit)
    }

    /// Returns whether the server follows a remote and has not fetched from it for too long. It serves what it has.
    pub fn is_stale(&self) -> bool {
        self.following.as_ref().is_some_and(|following| following.starts_with(STALE))
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
    let mut lines = text.trim_start().lines().map(str::to_owned);
    let first = lines.next().unwrap_or_default();
    match title(&text) {
        Some(title) => Ok(Health { status, text: format!("a web page: {title}"), following: None }),
        None => Ok(Health { status, text: first, following: lines.next().filter(|_| status == 200) }),
    }
}

/// Returns the title of a web page, which names the program that answered, or else its first line. `None` for another text.
fn title(text: &str) -> Option<&str> {
    let text = Some(text.trim_start()).filter(|text| text.starts_with('<'))?;
    let after = |tag: &str, text: &str| text.to_ascii_lowercase().find(tag).map(|at| at + tag.len());
    let title = after("<title>", text).map(|begin| &text[begin..]);
    let title = title.map(|title| title[..title.find('<').unwrap_or(title.len())].trim());
    title.filter(|title| !title.is_empty()).unwrap_or(text).lines().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_page_is_named_by_its_title() {
        for (text, expected) in [
            ("ok 1\nfollowing", None),
            ("", None),
            (" \n<!DOCTYPE html>\n<html><head><TITLE>\nWelcome to nginx!</TITLE>", Some("Welcome to nginx!")),
            ("<html>\n<body>", Some("<html>")),
            ("<title>", Some("<title>")),
            ("<title>\u{130}x</title>", Some("\u{130}x")),
        ] {
            assert_eq!(title(text).unwrap_or("-"), expected.unwrap_or("-"), "{text}");
        }
    }

    #[test]
    fn only_a_commit_means_that_the_server_is_healthy() {
        let id = "0123456789012345678901234567890123456789";
        let commit =
            |status, text: &str| Health { status, text: text.to_owned(), following: None }.commit().map(str::to_owned);
        assert_eq!(commit(200, &format!("ok {id}")).as_deref(), Some(id));
        for (status, text) in [(503, &*format!("ok {id}")), (200, "ok"), (200, "ok 12"), (200, id), (200, "<html>")] {
            assert_eq!(commit(status, text), None, "{status} {text}");
        }
    }
}
