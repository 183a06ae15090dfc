//! Which addresses are inside: of this machine, or of a private network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::resolver::SystemResolver;

/// Why an address that a tracked file chose is not fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsideReason {
    /// The host is, or resolves to, an address of this machine or of a private network.
    Internal,
    /// Anyone on the way could answer.
    Plain,
}

impl fmt::Display for InsideReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Internal => "it is an address of this machine or of a private network",
            Self::Plain => "it is not https",
        })
    }
}

/// Returns whether an address belongs to this machine, to a private network, or to no one (IANA's registries of
/// special-purpose addresses).
pub(super) fn is_internal(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            ip.is_loopback()
                || ip.is_private()
                || ip.is_link_local()
                || ip.is_multicast()
                || matches!((a, b, c), (0 | 240.., ..) | (100, 64..=127, _) | (192, 0, 0) | (198, 18 | 19, _))
        }
        IpAddr::V6(ip) => {
            let [a, b, .., c, d] = ip.segments();
            let [e, f] = [c.to_be_bytes(), d.to_be_bytes()];
            let embedded = || is_internal(Ipv4Addr::new(e[0], e[1], f[0], f[1]).into());
            match ip.to_ipv4_mapped() {
                Some(ip) => is_internal(ip.into()),
                None => {
                    // Unspecified and loopback are among those that begin with zeros.
                    (a == 0 && b == 0)
                        || a & 0xfe00 == 0xfc00
                        || a & 0xffc0 == 0xfe80
                        || a & 0xff00 == 0xff00
                        || (a == 0x64 && b == 0xff9b && embedded())
                        || a == 0x2002
                }
            }
        }
    }
}

/// The error of a name that resolves to internal addresses only.
#[derive(Debug, thiserror::Error)]
#[error("it resolves to an address of this machine or of a private network")]
pub(super) struct ResolvesInside;

/// The system's resolver without the internal addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutsideResolver;

impl Resolve for OutsideResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let all = SystemResolver.resolve(name);
        Box::pin(async move {
            let outside: Vec<_> = all.await?.filter(|address| !is_internal(address.ip())).collect();
            if outside.is_empty() { Err(ResolvesInside.into()) } else { Ok(Box::new(outside.into_iter()) as Addrs) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_addresses_are_known() {
        for ip in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
        ] {
            assert!(is_internal(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"] {
            assert!(!is_internal(ip.parse().unwrap()), "{ip}");
        }
    }
}
