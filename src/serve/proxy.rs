//! The server as the HTTP proxy of a command that must not use anything but the mirror.
//!
//! Clients send a proxy the whole address of what they want (`GET http://host/path`, or `CONNECT host:port` for HTTPS;
//! RFC 9112, sections 3.2.2 and 3.2.3). Some send it requests for the server itself too, because they do not know
//! `no_proxy` (rebar3 3.19), so those are answered. Everything else that is not mirrored is refused and recorded.

use std::net::SocketAddr;

use hyper::{Method, Request, StatusCode, Uri};

use super::host::Host;
use super::refusal::Refusal;
use super::request_log::Unanswered;
use crate::model::shortened;

/// The proxy at an address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
}

/// A target that is not this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Elsewhere {
    host: String,
    port: u16,
    /// Whether the target may be a mirrored git host: only HTTP shows what the client wants.
    may_be_mirrored: bool,
}

impl Proxy {
    /// Returns the target of a request if that is not this server. A request for a path has no other target.
    pub fn elsewhere<B>(self, request: &Request<B>) -> Option<Elsewhere> {
        let (is_connect, uri) = (request.method() == Method::CONNECT, request.uri());
        let authority = uri.authority()?;
        let port = authority.port_u16().unwrap_or(if is_connect || is_https(uri) { 443 } else { 80 });
        // A user and password before the host are nobody's business.
        let host = Host::parse(authority.host());
        let is_this_machine = host.is_some_and(Host::is_this_machine);
        if port == self.address.port() && host.is_some_and(|host| is_loopback(host.name())) && !is_https(uri) {
            return None;
        }
        let may_be_mirrored = host.is_some() && !is_connect && !is_https(uri) && !is_this_machine;
        let host = shortened(authority.host()).to_ascii_lowercase();
        Some(Elsewhere { host, port, may_be_mirrored })
    }

    /// Returns whether a request asks for a tunnel to this server.
    pub fn accepts_tunnel<B>(self, request: &Request<B>) -> bool {
        request.method() == Method::CONNECT && request.uri().authority().is_some() && self.elsewhere(request).is_none()
    }
}

impl Elsewhere {
    /// Refuses the request, unless the mirror may be able to answer it.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.may_be_mirrored { Ok(()) } else { Err(self.refusal()) }
    }

    /// Refuses the request.
    pub fn refusal(&self) -> Refusal {
        let text = format!(
            "{}:{} is not in the mirror, and `git hexmirror run --offline` allows nothing else",
            self.host, self.port
        );
        let mut refusal = Refusal::new(StatusCode::FORBIDDEN, text);
        refusal.unanswered = Some(Unanswered::Elsewhere { host: self.host.clone(), port: self.port });
        refusal
    }
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme_str().is_some_and(|scheme| scheme != "http")
}

fn is_loopback(host: &str) -> bool {
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|own| own.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elsewhere(method: &str, target: &str) -> Option<(String, u16, bool)> {
        let proxy = Proxy { address: ([127, 0, 0, 1], 4040).into() };
        let request = Request::builder().method(method).uri(target).body(()).unwrap();
        proxy.elsewhere(&request).map(|found| (found.host, found.port, found.may_be_mirrored))
    }

    #[test]
    fn requests_for_the_server_itself_stay() {
        for (method, target) in [
            ("GET", "/packages/a"),
            ("GET", "http://127.0.0.1:4040/packages/a"),
            ("GET", "http://LOCALHOST:4040/"),
            ("CONNECT", "127.0.0.1:4040"),
            ("CONNECT", "[::1]:4040"),
        ] {
            assert_eq!(elsewhere(method, target), None, "{method} {target}");
        }
    }

    #[test]
    fn everything_else_leaves() {
        for (method, target, expected) in [
            ("GET", "http://repo.hex.pm/packages/a", ("repo.hex.pm", 80, true)),
            ("GET", "http://user:secret@H.test:8080/x", ("h.test", 8080, true)),
            ("CONNECT", "repo.hex.pm:443", ("repo.hex.pm", 443, false)),
            ("GET", "https://repo.hex.pm/", ("repo.hex.pm", 443, false)),
            ("GET", "https://127.0.0.1:4040/", ("127.0.0.1", 4040, false)),
            ("GET", "ftp://h.test/x", ("h.test", 443, false)),
            ("GET", "http://127.0.0.1:4041/", ("127.0.0.1", 4041, false)),
            ("GET", "http://localhost/", ("localhost", 80, false)),
            ("CONNECT", "127.0.0.1:4041", ("127.0.0.1", 4041, false)),
            ("GET", "http://10.0.0.1:4040/", ("10.0.0.1", 4040, false)),
            ("GET", "http://a.localhost:4040/", ("a.localhost", 4040, false)),
        ] {
            let (host, port, may_be_mirrored) = expected;
            assert_eq!(elsewhere(method, target), Some((host.into(), port, may_be_mirrored)), "{method} {target}");
        }
    }
}
