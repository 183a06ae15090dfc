//! The names of a server.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A host name or an IP address, in lower case and without a final dot. The first label of a name may be `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

/// An error for a text that is neither a host name nor an IP address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{:?} is not a host name or an IP address, without a scheme, a port and a path", text.chars().take(80).collect::<String>())]
pub struct HostNameError {
    text: String,
}

impl HostName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this stands for several names.
    pub fn is_pattern(&self) -> bool {
        self.0.starts_with('*')
    }

    /// Returns whether a host is meant. `*` stands for one label, as in certificates (RFC 6125, section 6.4.3).
    pub fn matches(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some(rest) => {
                let label = host.len().checked_sub(rest.len()).filter(|label| host.is_char_boundary(*label));
                label.is_some_and(|label| {
                    let (label, end) = host.split_at(label);
                    end.eq_ignore_ascii_case(rest) && !label.is_empty() && !label.contains('.')
                })
            }
            None => self.0.eq_ignore_ascii_case(host),
        }
    }
}

impl From<IpAddr> for HostName {
    fn from(address: IpAddr) -> Self {
        Self(address.to_string())
    }
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(address.into());
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_valid = name.len() <= 253 && {
            let plain = name.strip_prefix("*.").unwrap_or(&name);
            // Programs read a name that ends with a number as an IPv4 address (WHATWG URL, "ends in a number checker").
            let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
            plain.split('.').all(is_label) && !plain.rsplit('.').next().is_some_and(is_number)
        };
        if is_valid { Ok(Self(name)) } else { Err(HostNameError { text: text.to_owned() }) }
    }
}

fn is_label(label: &str) -> bool {
    let in_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len()) && label.bytes().all(in_label) && !label.starts_with('-') && !label.ends_with('-')
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_and_addresses_are_accepted() {
        for (text, name) in [
            ("GitHub.com", "github.com"),
            ("mirror", "mirror"),
            ("mirror.", "mirror"),
            ("*.example.org", "*.example.org"),
            ("a_b", "a_b"),
            ("1.example", "1.example"),
            ("10.0.0.1", "10.0.0.1"),
            ("0:0::1", "::1"),
        ] {
            assert_eq!(text.parse::<HostName>().unwrap().as_str(), name);
        }
        for text in [
            "",
            ".",
            "a b",
            "a/b",
            "https://x",
            "mirror:4040",
            "[::1]",
            "a..b",
            "a..",
            "-a",
            "a-",
            "*",
            "a.*",
            "*.*.a",
            "a\n",
            "m\u{fc}ller",
            "256.1.1.1",
            "1",
            &"a".repeat(64),
            &"a.".repeat(150),
        ] {
            assert!(text.parse::<HostName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_asterisk_stands_for_one_label() {
        let any: HostName = "*.example.org".parse().unwrap();
        assert!(any.matches("a.example.org") && any.matches("A.Example.ORG"));
        for host in ["example.org", ".example.org", "a.b.example.org", "aexample.org", "a.example.com", "\u{fc}", ""] {
            assert!(!any.matches(host), "{host}");
        }
        let one: HostName = "mirror".parse().unwrap();
        assert!(one.matches("MIRROR") && !one.matches("mirror.example.org"));
    }
}
