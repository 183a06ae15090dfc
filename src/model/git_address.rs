//! Addresses of git repositories.
//!
//! All addresses of a repository map to one path on the branch. The scheme, the user, the port, a final `.git` and the
//! case of the host are ignored. Two servers on one host can therefore share a path. That is harmless, because
//! everything stored there is named by its commit.

use std::fmt::{self, Write};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::percent_decoded;

/// The longest address accepted, in bytes. The limit applies to the address as given and as displayed.
const MAX_LENGTH: usize = 1024;
/// The longest file name that file systems support, in bytes. Each component of [`GitAddress::tree_path`] becomes a file
/// name when the branch is checked out or exported.
const MAX_FILE_NAME: usize = 255;
/// The maximum number of components in a repository's path, which bounds the depth of trees.
const MAX_COMPONENTS: usize = 32;
/// The usual forms of an address: the text before the host, and the text between the host and the path.
const SPELLINGS: [(&str, &str); 9] = [
    ("https://", "/"),
    ("http://", "/"),
    ("git://", "/"),
    ("ssh://git@", "/"),
    ("ssh://", "/"),
    ("git+ssh://git@", "/"),
    ("ssh+git://git@", "/"),
    ("git@", ":"),
    ("git@", ":/"),
];

/// An error for a text that is not the address of a repository that can be mirrored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GitAddressError {
    /// The address is a folder on this machine, which other machines cannot reach.
    #[error("local paths are not mirrored")]
    Local,
    /// The address runs a program (`ext::`, `fd::` or any other "remote helper").
    #[error("a URL of the form {name}:: runs a program and is not allowed")]
    Helper {
        /// The name of the remote helper.
        name: String,
    },
    /// The address, or its user, host or path, begins with `-`, so that git or ssh could take it for an option.
    #[error("{part:?} starts with '-' and could be mistaken for an option")]
    Option {
        /// The part that begins with `-`.
        part: String,
    },
    /// The scheme of the address is not one of those that can be mirrored.
    #[error("the scheme {scheme}:// is not supported; use https, http, ssh or git")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// The address contains a NUL, a line break or another control character.
    #[error("the URL contains a control character")]
    Control,
    /// The address is malformed in another way, or cannot be a path in a git tree.
    #[error("not a valid URL of a git repository: {rule}")]
    Malformed {
        /// The violated rule.
        rule: &'static str,
    },
}

/// The identity of a git repository: its host in lower case, and its path without any number of final `.git`.
///
/// `FromStr` reads `host/path`, with or without `.git`, and always reads back what `Display` writes: constructors reject
/// values for which it would not. [`GitUrl`](super::GitUrl) reads addresses as they occur in locks.
///
/// The value is safe as a path in a git tree ([`GitAddress::tree_path`]). Its displayed form (`host/path`,
/// percent-encoded where needed) is safe in a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GitAddress {
    host: String,
    path: String,
}

impl GitAddress {
    /// Returns the host in lower case, without the port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the decoded path, without leading or trailing `/` and without `.git`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the path of the bare repository in the branch's tree: `git/<host>/<path>.git`.
    pub fn tree_path(&self) -> String {
        format!("git/{}/{}.git", self.host, self.path)
    }

    /// Returns the usual spellings of the address, without a final `.git`.
    pub fn spellings(&self) -> Vec<String> {
        let shown = self.to_string();
        let encoded = shown.strip_prefix(self.host()).unwrap_or(&shown).trim_start_matches('/');
        let mut spellings = Vec::with_capacity(SPELLINGS.len());
        for (before, between) in SPELLINGS {
            // git does not decode the path of an address of the form `user@host:path`.
            let paths =
                if between == "/" && encoded != self.path { vec![encoded, &self.path] } else { vec![&*self.path] };
            spellings.extend(paths.into_iter().map(|path| format!("{before}{}{between}{path}", self.host)));
        }
        spellings
    }

    pub(super) fn new(host: &str, path: &str) -> Result<Self, GitAddressError> {
        let malformed = |rule| Err(GitAddressError::Malformed { rule });
        let host = host.to_ascii_lowercase();
        if host.starts_with('-') {
            return Err(GitAddressError::Option { part: host });
        }
        let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if host.is_empty() || host.starts_with('.') || host.contains("..") || !host.bytes().all(in_host) {
            return malformed("its host is empty or contains characters other than letters, digits, '.', '-' and '_'");
        }
        if host.len() > MAX_FILE_NAME {
            return malformed("its host is longer than 255 bytes");
        }
        let path = path.trim_end_matches('/');
        let path = path.strip_prefix('/').unwrap_or(path);
        // This function also reads the displayed path, so it must remove every final `.git` at once, as in
        // `two.git.git`.
        let path = path.trim_end_matches(".git");
        if path.starts_with('-') {
            return Err(GitAddressError::Option { part: path.to_owned() });
        }
        let components: Vec<&str> = path.split('/').collect();
        if components.len() > MAX_COMPONENTS {
            return malformed("its path has too many components");
        }
        let last = components.len() - 1;
        for (index, component) in components.iter().enumerate() {
            if component.is_empty() || matches!(*component, "." | "..") {
                return malformed("its path has an empty component, '.' or '..'");
            }
            // Only a repository's own folder may end in `.git`, and it contains nothing but the repository.
            if component.ends_with(".git") && index < last {
                return malformed("a folder of its path ends in .git");
            }
            if component.contains([':', '\\']) || component.contains(is_ignored_by_hfs) || is_git_own(component) {
                return malformed("its path has a component that git refuses in a tree");
            }
            let suffix = if index == last { ".git".len() } else { 0 };
            if component.len() + suffix > MAX_FILE_NAME {
                return malformed("its path has a component that is too long for a file name (255 bytes with .git)");
            }
        }
        // Clients request the path with a final `.git`.
        let displayed = host.len() + 1 + path.bytes().map(displayed_length).sum::<usize>() + ".git".len();
        if displayed > MAX_LENGTH {
            return malformed("it is longer than 1024 bytes when it is percent-encoded");
        }
        Ok(Self { host, path: path.to_owned() })
    }
}

/// Returns whether a byte of a path is displayed without percent-encoding.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~+@!$&'()*,;=".contains(&byte)
}

/// Returns the length of the displayed form of a byte, in bytes.
fn displayed_length(byte: u8) -> usize {
    if is_plain(byte) { 1 } else { "%XX".len() }
}

/// Returns whether HFS+ ignores a character in file names, so that a name with this character can equal `.git`
/// (`next_hfs_char` in git's `utf8.c`).
fn is_ignored_by_hfs(character: char) -> bool {
    matches!(character, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

/// Returns whether git takes a name for one of its own files on some file system (`fsck.c`, `path.c`). May return `true`
/// for harmless names.
fn is_git_own(component: &str) -> bool {
    let ascii: String = component.chars().filter(char::is_ascii).collect::<String>().to_ascii_lowercase();
    let name = ascii.trim_end_matches(['.', ' ']);
    let own = [".git", ".gitmodules", ".gitattributes", ".gitignore", ".mailmap"].contains(&name);
    // The short (8.3) file names of FAT and NTFS.
    own || (name.starts_with("gi") || name.starts_with("mai")) && name.contains('~')
}

impl FromStr for GitAddress {
    type Err = GitAddressError;

    /// Parses the displayed form, `host/path`.
    fn from_str(text: &str) -> Result<Self, GitAddressError> {
        check_text(text)?;
        let (host, path) = text.split_once('/').ok_or(GitAddressError::Malformed { rule: "it has no path" })?;
        if path.starts_with('/') {
            return Err(GitAddressError::Malformed { rule: "its path has an empty component, '.' or '..'" });
        }
        Self::new(host, &decoded(path)?)
    }
}

impl fmt::Display for GitAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        f.write_char('/')?;
        for byte in self.path.bytes() {
            if is_plain(byte) {
                f.write_char(char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

/// Rejects texts that are invalid in every form of address.
pub(super) fn check_text(text: &str) -> Result<(), GitAddressError> {
    if text.starts_with('-') {
        return Err(GitAddressError::Option { part: text.chars().take(80).collect() });
    }
    if text.chars().any(char::is_control) {
        return Err(GitAddressError::Control);
    }
    if text.len() > MAX_LENGTH {
        return Err(GitAddressError::Malformed { rule: "it is longer than 1024 bytes" });
    }
    Ok(())
}

/// Decodes `%XX` sequences.
pub(super) fn decoded(text: &str) -> Result<String, GitAddressError> {
    let malformed = || GitAddressError::Malformed { rule: "its percent-encoding is wrong" };
    let text = percent_decoded(text).ok_or_else(malformed)?;
    check_text(&text).map(|()| text)
}

as_text!(GitAddress: GitAddressError);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::GitUrl;

    fn address(url: &str) -> Result<String, GitAddressError> {
        url.parse::<GitUrl>().map(|url| url.address().to_string())
    }

    #[test]
    fn percent_encoding_is_read_back() {
        let displayed: GitAddress = "dev.azure.com/a/My%20Project/_git/%C3%A4.git".parse().unwrap();
        assert_eq!(displayed.tree_path(), "git/dev.azure.com/a/My Project/_git/ä.git");
        assert_eq!(displayed.to_string(), "dev.azure.com/a/My%20Project/_git/%C3%A4");
        assert_eq!(displayed.to_string().parse(), Ok(displayed.clone()));
        assert_eq!(serde_json::to_string(&displayed).unwrap(), "\"dev.azure.com/a/My%20Project/_git/%C3%A4\"");
        assert_eq!(address("git@h:100%/x").as_deref(), Ok("h/100%25/x"));
        assert_eq!(address("https://git.sr.ht/~user/x").as_deref(), Ok("git.sr.ht/~user/x"));
        assert_eq!(address("https://github.com/a/.github").as_deref(), Ok("github.com/a/.github"));
    }

    #[test]
    fn addresses_that_would_not_be_read_back_are_refused() {
        let umlauts = ["ü".repeat(60), "ü".repeat(60), "ü".repeat(60), "x".into()].join("/");
        assert!(address(&format!("https://github.com/{umlauts}")).is_err(), "percent-encoded, it has 1093 bytes");
        let longest = |last: usize| format!("h/{}/{}", "x".repeat(255), "y".repeat(last));
        assert!(address(&format!("https://{}", longest(251))).is_ok());
        assert!(address(&format!("https://{}", longest(252))).is_err(), "with .git it is no file's name");
        assert!(address(&format!("https://h/{}/y", "x".repeat(256))).is_err());
        assert!(address(&format!("https://{}/y", "x".repeat(256))).is_err());
        let folder = "x".repeat(250);
        let path = format!("{folder}/{folder}/{folder}/{folder}");
        assert!(address(&format!("hh:{path}/{}.git", "y".repeat(13))).is_ok(), "1024 bytes, in either form");
        assert!(address(&format!("hh:{path}/{} .git", "y".repeat(12))).is_err(), "1026 bytes, percent-encoded");
        for url in
            ["https://github.com/two.git.git", "https://github.com/two.git.git/", "git@github.com:two.git.git.git"]
        {
            assert_eq!(address(url).as_deref(), Ok("github.com/two"), "{url}");
        }
        for path in ["\u{200c}", "a/.\u{200d}git", "x\u{feff}y"] {
            assert!(address(&format!("https://h/{path}")).is_err(), "{path:?}: HFS+ ignores a character of it");
        }
    }
}
