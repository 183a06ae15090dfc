//! The user's netrc file, with a login and a password for each host.
//!
//! The format is that of ftp(1) and of curl's `--netrc`: words separated by blanks, `machine HOST`, `login NAME`,
//! `password WORD`, `account WORD`, `macdef NAME` up to an empty line, and comments from a `#` at the beginning of a
//! word to the end of the line. As in curl, a word in double quotes may contain blanks, and `\` escapes the next
//! character in it. `default` is ignored, because it would send a password to every host. Hex does not support it
//! either (`Hex.Netrc.Parser`).

use std::collections::BTreeMap;
use std::path::Path;

use super::endpoint::Secret;
use super::error::FetchError;
use super::file::read_bounded;

/// The credentials for hosts from a netrc file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Netrc {
    hosts: BTreeMap<String, Login>,
}

/// A user name and a password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) name: String,
    pub(super) password: Option<Secret>,
}

impl Netrc {
    /// Reads a netrc file. A missing file counts as empty.
    ///
    /// # Errors
    /// [`FetchError::Io`] if the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, FetchError> {
        let source = read_bounded(path).map_err(FetchError::io("read", path))?;
        Ok(Self::parse(&String::from_utf8_lossy(&source)))
    }

    /// Parses the text of a netrc file. The first entry for a host wins, as in curl.
    fn parse(source: &str) -> Self {
        let mut hosts = BTreeMap::<String, Login>::new();
        let mut entry = None::<(String, Login)>;
        let mut words = Words { rest: source };
        while let Some(word) = words.next() {
            match word.as_str() {
                "machine" | "default" => {
                    keep(&mut hosts, entry.take());
                    entry = if word == "machine" { words.next().map(|host| (host, Login::default())) } else { None };
                }
                "macdef" => words.skip_macro(),
                field @ ("login" | "password" | "account") => {
                    let value = words.next().unwrap_or_default();
                    match (&mut entry, field) {
                        (Some((_, login)), "login") => login.name = value,
                        (Some((_, login)), "password") => login.password = Some(Secret::new(value)),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        keep(&mut hosts, entry);
        Self { hosts }
    }

    /// Returns the credentials for a host. Like Hex and curl, this ignores the port and the scheme.
    pub(super) fn login(&self, host: &str) -> Option<(&str, &Secret)> {
        let login = self.hosts.get(&host.to_ascii_lowercase())?;
        Some((&login.name, login.password.as_ref()?))
    }
}

fn keep(hosts: &mut BTreeMap<String, Login>, entry: Option<(String, Login)>) {
    if let Some((host, login)) = entry {
        hosts.entry(host.to_ascii_lowercase()).or_insert(login);
    }
}

/// The words of a netrc file.
struct Words<'a> {
    rest: &'a str,
}

impl Words<'_> {
    fn next(&mut self) -> Option<String> {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                break;
            }
            self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        }
        if self.rest.is_empty() {
            return None;
        }
        let quoted = self.rest.strip_prefix('"');
        let (mut word, mut escaped) = (String::new(), false);
        let text = quoted.unwrap_or(self.rest);
        let mut end = text.len();
        for (at, character) in text.char_indices() {
            match character {
                _ if escaped => {
                    escaped = false;
                    word.push(character);
                }
                '\\' if quoted.is_some() => escaped = true,
                '"' if quoted.is_some() => {
                    end = at + 1;
                    break;
                }
                blank if quoted.is_none() && blank.is_whitespace() => {
                    end = at;
                    break;
                }
                _ => word.push(character),
            }
        }
        self.rest = &text[end..];
        Some(word)
    }

    /// Skips a macro, which ends with an empty line.
    fn skip_macro(&mut self) {
        let end = self.rest.find("\n\n").or_else(|| self.rest.find("\r\n\r\n"));
        self.rest = end.map_or("", |end| &self.rest[end..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(source: &str, host: &str) -> Option<(String, String)> {
        let netrc = Netrc::parse(source);
        netrc.login(host).map(|(name, password)| (name.to_owned(), password.reveal().to_owned()))
    }

    #[test]
    fn a_host_s_credentials_are_found_in_every_layout() {
        let some = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        let lines = "machine a.example\n  login me\n  password s3cret\nmachine b.example\nlogin you\npassword other\n";
        assert_eq!(login(lines, "a.example"), some("me", "s3cret"));
        assert_eq!(login(lines, "B.Example"), some("you", "other"));
        assert_eq!(login(lines, "c.example"), None);
        let line = "machine a.example login me password s3#cret account x machine b.example password p";
        assert_eq!(login(line, "a.example"), some("me", "s3#cret"));
        assert_eq!(login(line, "b.example"), some("", "p"));
        let odd = "# machine a.example login no password no\nmacdef init\nmachine a.example password no\n\n\
                   machine a.example login me password \"a b\\\"c\\\\\" # said\nmachine a.example login x password y";
        assert_eq!(login(odd, "a.example"), some("me", "a b\"c\\"));
        assert_eq!(login("machine a.example login me password back\\slash", "a.example"), some("me", "back\\slash"));
    }

    #[test]
    fn unnamed_hosts_get_no_credentials() {
        let source = "machine a.example login me\ndefault login me password s3cret\n";
        assert_eq!((login(source, "a.example"), login(source, "evil.example")), (None, None));
        for broken in ["machine", "machine a.example password", "\"", "machine \"a.example", "macdef x", "\\"] {
            assert_eq!(login(broken, "b.example"), None, "{broken}");
        }
        let debug = format!("{:?}", Netrc::parse("machine a.example login me password s3cret"));
        assert!(!debug.contains("s3cret"), "{debug}");
    }
}
