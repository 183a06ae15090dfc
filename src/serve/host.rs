//! Decides which names a server answers to.
//!
//! A web page can make a domain of its own resolve to this machine and then read the server's responses, including
//! private packages ("DNS rebinding"). It cannot, however, choose the name that the browser sends in `Host`. On a
//! loopback address, the server therefore only answers to known names, and under the name of a mirrored host only with
//! that host's repositories.

use std::net::IpAddr;

use super::refusal::Refusal;
use hyper::StatusCode;

/// The names by which containers reach the loopback addresses of their host machine (Docker Desktop, Podman).
const FROM_CONTAINERS: [&str; 3] = ["host.docker.internal", "gateway.docker.internal", "host.containers.internal"];

/// What a client's `Host` field refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meant {
    /// This server.
    Server,
    /// A host with mirrored git repositories, in lower case.
    Mirrored(String),
}

/// The server's names in addition to those that always refer to this machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(Vec<String>);

impl Names {
    pub(super) fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Returns whether this `Host` refers to this server.
    pub(super) fn has(&self, host: &str) -> bool {
        is_this_machine(host) || self.0.iter().any(|known| known.eq_ignore_ascii_case(name(host)))
    }
}

/// Returns whether a `Host` always refers to this machine. Any IP address does, because a web page cannot make an
/// address resolve elsewhere.
pub(super) fn is_this_machine(host: &str) -> bool {
    let name = name(host);
    name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || FROM_CONTAINERS.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Returns a host without its port.
pub(super) fn name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

pub(super) fn misdirected(host: &str) -> Refusal {
    let text = format!(
        "this server listens on a loopback address and does not answer to the name {:?}; if that is meant to lead here, \
         start it with --hostname {0}",
        name(host)
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
        let names = Names::new(vec!["mirror.example.org".into()]);
        for host in [
            "127.0.0.1:4040",
            "[::1]:4040",
            "[::1]",
            "::1",
            "192.168.1.7",
            "localhost",
            "LocalHost:80",
            "a.localhost",
            "host.docker.internal:4040",
            "Mirror.example.org:4040",
        ] {
            assert!(names.has(host), "{host}");
        }
        for host in ["", "attacker.example", "localhost.attacker.example", "127.0.0.1.nip.io", "notlocalhost", "x:y"] {
            assert!(!names.has(host), "{host}");
        }
    }
}
