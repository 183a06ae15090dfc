//! Decides which names a server answers to.
//!
//! A web page can make a domain of its own resolve to this machine and then read the server's responses, including
//! private packages ("DNS rebinding"). It cannot, however, choose the name that the browser sends in `Host`. On a
//! loopback address, and wherever it listens if the user gave it names, the server therefore only answers to known
//! names, and under the name of a mirrored host only with that host's repositories.

use std::net::{Ipv4Addr, Ipv6Addr};

use hyper::header::HOST;
use hyper::{Request, StatusCode, Version};

use super::host_name::HostName;
use super::refusal::Refusal;

/// The names by which containers reach the loopback addresses of their host machine (Docker Desktop, Podman).
const FROM_CONTAINERS: [&str; 3] = ["host.docker.internal", "gateway.docker.internal", "host.containers.internal"];

/// What a client's `Host` field refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RequestedHost {
    /// This server.
    Server,
    /// A host with mirrored git repositories, in lower case.
    Mirrored(String),
}

/// The host that a request names, without its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Host<'a> {
    name: &'a str,
    is_address: bool,
}

impl<'a> Host<'a> {
    /// Parses `uri-host [ ":" port ]` (RFC 9110, section 7.2). Accepts IP addresses, and names of letters, digits, `.`,
    /// `-` and `_`, without a final dot. Returns `None` for anything else: programs disagree about which host it means.
    pub fn parse(text: &'a str) -> Option<Self> {
        // Only an address in brackets contains colons.
        let end = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
        let (name, port) = text.split_at(end);
        let is_port = port.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
        if !port.is_empty() && !is_port {
            return None;
        }
        // A final dot only says that the name is complete (RFC 1034, section 3.1).
        let name = name.strip_suffix('.').unwrap_or(name);
        let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let is_address = match inner {
            Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
            None => name.parse::<Ipv4Addr>().is_ok(),
        };
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let is_name = !name.is_empty() && !name.ends_with('.') && name.bytes().all(in_name);
        (is_address || is_name).then_some(Self { name, is_address })
    }

    /// Returns the host that a request is for. A target with a host replaces the `Host` header (RFC 9112, section 3.2.2).
    /// A request of HTTP/1.0 may name no host.
    ///
    /// # Errors
    /// Refuses a request with several hosts, or without a valid one.
    pub fn of<B>(request: &'a Request<B>) -> Result<Option<Self>, Refusal> {
        let mut fields = request.headers().get_all(HOST).iter();
        let field = match (fields.next(), fields.next()) {
            (_, Some(_)) => return Err(bad("the request has several Host headers")),
            (None, None) => None,
            (Some(field), None) => {
                let host = field.to_str().ok().and_then(Self::parse);
                Some(host.ok_or_else(|| bad("the Host header is not HOST or HOST:PORT"))?)
            }
        };
        let target = match request.uri().authority() {
            Some(authority) => {
                Some(Self::parse(authority.as_str()).ok_or_else(|| bad("the target's host is not HOST or HOST:PORT"))?)
            }
            None => None,
        };
        if field.is_none() && request.version() > Version::HTTP_10 {
            return Err(bad("the request has no Host header"));
        }
        Ok(target.or(field))
    }

    /// Returns the name, or the address with the brackets of IPv6.
    pub fn name(self) -> &'a str {
        self.name
    }

    /// Returns whether this always refers to this machine. Any IP address does, because a web page cannot make an
    /// address resolve elsewhere.
    pub fn is_this_machine(self) -> bool {
        self.is_address
            || self.name.eq_ignore_ascii_case("localhost")
            || self.name.to_ascii_lowercase().ends_with(".localhost")
            || FROM_CONTAINERS.iter().any(|known| known.eq_ignore_ascii_case(self.name))
    }
}

fn bad(problem: &str) -> Refusal {
    let text = format!("{problem}; send exactly one, with a name or an address");
    Refusal::new(StatusCode::BAD_REQUEST, text)
}

/// The server's names in addition to those that always refer to this machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(Vec<HostName>);

impl Names {
    pub(super) fn new(names: Vec<HostName>) -> Self {
        Self(names)
    }

    /// Returns whether a server answers to this host on an address, which may be a loopback address. On others, a server
    /// without names of its own answers to all.
    pub(super) fn admit(&self, host: Host<'_>, is_loopback: bool) -> bool {
        let is_restricted = is_loopback || !self.0.is_empty();
        !is_restricted || self.has(host)
    }

    /// Returns whether this host refers to this server.
    pub(super) fn has(&self, host: Host<'_>) -> bool {
        host.is_this_machine() || self.0.iter().any(|known| known.matches(host.name))
    }
}

pub(super) fn misdirected(host: Host<'_>) -> Refusal {
    let text = format!(
        "this server does not answer to the name {:?}; if that is meant to lead here, start it with --hostname {0}",
        host.name
    );
    Refusal::new(StatusCode::MISDIRECTED_REQUEST, text)
}

/// Rejects a request that is not for a git repository, under the name of a host with mirrored repositories.
pub(super) fn not_of_host(host: &str) -> Refusal {
    let text = format!(
        "under the name {host} this server answers for that host's git repositories only; ask it for anything else under its \
         own name or address"
    );
    Refusal::new(StatusCode::MISDIRECTED_REQUEST, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_must_be_known_but_addresses_need_not() {
        let names = Names::new(vec!["mirror.example.org".parse().unwrap(), "*.wild.example".parse().unwrap()]);
        for host in [
            "127.0.0.1:4040",
            "[::1]:4040",
            "[::1]",
            "192.168.1.7",
            "localhost",
            "LocalHost:80",
            "a.localhost",
            "host.docker.internal:4040",
            "Mirror.example.org:4040",
            "mirror.example.org.",
            "localhost.:4040",
            "a.wild.example",
        ] {
            assert!(names.has(Host::parse(host).unwrap()), "{host}");
        }
        for host in [
            "attacker.example",
            "localhost.attacker.example",
            "127.0.0.1.nip.io",
            "notlocalhost",
            "x:1",
            "wild.example",
        ] {
            assert!(!names.has(Host::parse(host).unwrap()), "{host}");
        }
    }

    #[test]
    fn without_names_only_a_loopback_address_restricts_them() {
        let (none, one) = (Names::default(), Names::new(vec!["mirror".parse().unwrap()]));
        let admitted = |names: &Names, host, is_loopback| names.admit(Host::parse(host).unwrap(), is_loopback);
        for (host, by_none, by_one) in [
            ("attacker.example", [true, false], [false, false]),
            ("mirror:80", [true, false], [true, true]),
            ("10.0.0.1", [true, true], [true, true]),
            ("localhost", [true, true], [true, true]),
        ] {
            assert_eq!([false, true].map(|is_loopback| admitted(&none, host, is_loopback)), by_none, "{host}");
            assert_eq!([false, true].map(|is_loopback| admitted(&one, host, is_loopback)), by_one, "{host}");
        }
    }

    #[test]
    fn only_a_name_or_an_address_is_a_host() {
        for (text, name) in [("h", "h"), ("a_b-c.d.:80", "a_b-c.d"), ("[::1]:", "[::1]"), ("1.2.3.4:5", "1.2.3.4")] {
            assert_eq!(Host::parse(text).map(Host::name), Some(name), "{text}");
        }
        for text in [
            "",
            ":80",
            "::1",
            "x:y",
            "x:1:2",
            ".",
            "a..",
            "[[::1]]",
            "[::1",
            "[::1]x",
            "[localhost]",
            "[127.0.0.1]",
            "[::1%lo]",
            "evil.example/.localhost",
            "evil.example#.localhost",
            "evil.example?.localhost",
            "evil.example\\.localhost",
            "user@localhost",
            "evil.example, localhost",
            "localhost localhost",
            "%6cocalhost",
            "\u{e9}vil.localhost",
        ] {
            assert_eq!(Host::parse(text), None, "{text}");
        }
    }
}
