//! The settings for clients on other machines or in containers, which ask the server for them (`/env`, `/gitconfig`).
//! They depend on the request and on what is mirrored, and on nothing else of this machine.

use hyper::Request;
use hyper::StatusCode;
use hyper::header::HOST;
use hyper::http::uri::Authority;

use super::environment::{self, Access};
use super::listener::Arrival;
use super::refusal::Refusal;
use super::shell_script::shell_script;
use crate::model::percent_decoded;

/// The maximum length of a client's path, in bytes.
const MAX_PATH: usize = 1024;

/// Returns the variables as commands for a POSIX shell, whose lists they extend.
pub(super) fn variables(access: &Access) -> String {
    environment::omission_comment(access) + &shell_script(access)
}

/// Returns git's part as a configuration file.
pub(super) fn git_configuration(access: &Access) -> String {
    environment::git_configuration(access)
}

/// Returns the address by which a client asked. Its host has passed [`Host::of`](super::host::Host::of). `None` if the
/// request names no host.
pub(super) fn base_url<B>(request: &Request<B>, arrival: Arrival) -> Option<String> {
    let field = || request.headers().get(HOST)?.to_str().ok();
    let host = request.uri().authority().map(Authority::as_str).or_else(field)?;
    let scheme = if arrival.is_secure { "https" } else { "http" };
    environment::base_url(&format!("{scheme}://{host}")).ok()
}

/// Returns the path of the file, on the client's machine, with the certificate authority to trust: `?ca=PATH`.
///
/// # Errors
/// Refuses any other query, and a path that is relative, too long, or has control characters. Refuses all of them without HTTPS:
/// the authority would replace those that the client trusts, and verify nothing.
pub(super) fn authority(query: Option<&str>, is_secure: bool) -> Result<Option<String>, Refusal> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(None) };
    if !is_secure {
        let text = "ca=PATH is for a server with HTTPS; ask for this at the server's https address";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, text.into()));
    }
    let path = query.strip_prefix("ca=").and_then(percent_decoded);
    let is_usable = |path: &str| path.starts_with('/') && path.len() <= MAX_PATH && !path.contains(char::is_control);
    let problem = || {
        let text = "the query must be ca=PATH, with the absolute path of a file on the client's machine";
        Refusal::new(StatusCode::BAD_REQUEST, text.into())
    };
    path.filter(|path| is_usable(path)).map(Some).ok_or_else(problem)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;

    #[test]
    fn the_address_is_the_one_that_the_client_asked() {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let of = |target: &str, host: &str, is_secure| {
            let request = Request::get(target).header(HOST, host).body(()).unwrap();
            base_url(&request, Arrival { peer, is_secure, is_loopback: true })
        };
        for (target, host, is_secure, expected) in [
            ("/env", "mirror:4040", false, "http://mirror:4040"),
            ("/env", "Mirror:443", true, "https://mirror"),
            ("/env", "[::1]:4040", false, "http://[::1]:4040"),
            ("http://other/env", "mirror", false, "http://other"),
        ] {
            assert_eq!(of(target, host, is_secure).as_deref(), Some(expected), "{target} {host}");
        }
        let without = Request::get("/env").body(()).unwrap();
        assert_eq!(base_url(&without, Arrival { peer, is_secure: false, is_loopback: true }), None);
    }

    #[test]
    fn only_an_absolute_path_is_an_authority() {
        let of = |query| authority(query, true).map_err(drop);
        assert_eq!(authority(Some("ca=/tls/ca.pem"), false).map_err(drop), Err(()));
        assert_eq!(authority(None, false).map_err(drop), Ok(None));
        assert_eq!(of(None), Ok(None));
        assert_eq!(of(Some("")), Ok(None));
        assert_eq!(of(Some("ca=/tls/ca.pem")), Ok(Some("/tls/ca.pem".into())));
        assert_eq!(of(Some("ca=/tls/my%20ca.pem")), Ok(Some("/tls/my ca.pem".into())));
        let long = format!("ca=/{}", "x".repeat(MAX_PATH));
        for query in ["ca=", "ca=ca.pem", "ca=/x%0aexport%20A=b", "ca=/%ff", "x=/y", "ca", "?", &long] {
            assert_eq!(of(Some(query)), Err(()), "{query}");
        }
    }
}
