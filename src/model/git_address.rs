//! Addresses of git repositories.
//!
//! Every form of address of a repository leads to one place on the branch: the scheme, the user, the port and a final
//! `.git` do not count, nor does the case of the host. Where two servers of one host are thereby taken for one, nothing is
//! confused: what is stored there is named by its commits.

use std::fmt::{self, Write};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::redacted::redacted_address;

/// The longest address accepted, in bytes, as it is given and as it is displayed.
const MAX_LENGTH: usize = 1024;
/// The longest file name that file systems have, in bytes: each component of [`GitAddress::tree_path`] becomes a file
/// when the branch is checked out or exported.
const MAX_FILE_NAME: usize = 255;
/// The most components that a repository's path may have: bounds the depth of trees.
const MAX_COMPONENTS: usize = 32;
/// The schemes that are mirrored (`git-fetch(1)`, "GIT URLS"); the last two are old names of `ssh`.
const SCHEMES: [&str; 6] = ["https", "http", "git", "ssh", "git+ssh", "ssh+git"];

/// What stands before a host and between it and the path, in the usual forms of address.
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

/// Why a text is not an address of a repository that can be mirrored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GitAddressError {
    /// It names a folder of this machine: nothing that a mirror could stand for.
    #[error("a path on this machine is not mirrored")]
    Local,
    /// It runs a program (`ext::`, `fd::` and whatever else is a "remote helper").
    #[error("an address of the form {name}:: runs a program and is refused")]
    Helper {
        /// The name of the helper.
        name: String,
    },
    /// It begins with `-`, or its user, host or path does: git or ssh could take it for an option.
    #[error("{part:?} begins with '-' and could be taken for an option")]
    Option {
        /// What begins so.
        part: String,
    },
    /// Its scheme is not one of those that are mirrored.
    #[error("addresses of the scheme {scheme}:// are not mirrored; https, http, ssh and git are")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// It holds a NUL, a line break or another control character.
    #[error("the address holds a control character")]
    Control,
    /// It is malformed otherwise, or cannot be a path in a git tree.
    #[error("this is not the address of a git repository: {rule}")]
    Malformed {
        /// The rule that it breaks.
        rule: &'static str,
    },
}

/// Names a git repository: the host in lower case and the path as it is written, without `.git` at its end, however often
/// that stands there.
///
/// Every value is read back from what it displays: constructors refuse what would not be.
///
/// Safe as a path in a git tree ([`GitAddress::tree_path`]) and, as it is displayed (`host/path`, percent-encoded where
/// that is needed), in an address. `FromStr` reads `host/path` back, with or without `.git`; [`GitUrl`] reads what locks
/// hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GitAddress {
    host: String,
    path: String,
}

/// An address as a lock has it, in any form that git knows. It may hold a password, which is never displayed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitUrl {
    text: String,
    address: GitAddress,
}

impl GitAddress {
    /// Returns the host, in lower case, without a port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the path, decoded, without `/` at its ends and without `.git`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns where the bare repository stands in the branch's tree: `git/<host>/<path>.git`.
    pub fn tree_path(&self) -> String {
        format!("git/{}/{}.git", self.host, self.path)
    }

    /// Returns the address in the forms in which people and locks usually write it, without `.git` at its end.
    pub fn spellings(&self) -> Vec<String> {
        let shown = self.to_string();
        let encoded = shown.strip_prefix(self.host()).unwrap_or(&shown).trim_start_matches('/');
        let mut spellings = Vec::with_capacity(SPELLINGS.len());
        for (before, between) in SPELLINGS {
            // Between `:` and the end nothing is decoded.
            let paths =
                if between == "/" && encoded != self.path { vec![encoded, &self.path] } else { vec![&*self.path] };
            spellings.extend(paths.into_iter().map(|path| format!("{before}{}{between}{path}", self.host)));
        }
        spellings
    }

    fn new(host: &str, path: &str) -> Result<Self, GitAddressError> {
        let malformed = |rule| Err(GitAddressError::Malformed { rule });
        let host = host.to_ascii_lowercase();
        if host.starts_with('-') {
            return Err(GitAddressError::Option { part: host });
        }
        let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if host.is_empty() || host.starts_with('.') || host.contains("..") || !host.bytes().all(in_host) {
            return malformed("it has no host, or one with other characters than letters, digits, '.', '-' and '_'");
        }
        if host.len() > MAX_FILE_NAME {
            return malformed("its host is longer than 255 bytes");
        }
        let path = path.trim_end_matches('/');
        let path = path.strip_prefix('/').unwrap_or(path);
        // The displayed path is read by this function again, so nothing may be left to take off: not of `two.git.git` either.
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
            // A repository's folder ends so and holds nothing but the repository.
            if component.ends_with(".git") && index < last {
                return malformed("a folder of its path ends in .git");
            }
            if component.contains([':', '\\']) || component.contains(is_ignored_by_hfs) || is_git_own(component) {
                return malformed("its path has a component that git refuses in a tree");
            }
            let suffix = if index == last { ".git".len() } else { 0 };
            if component.len() + suffix > MAX_FILE_NAME {
                return malformed("its path has a component that is too long for a file's name (255 bytes with .git)");
            }
        }
        // Clients ask for it with `.git` at its end.
        let displayed = host.len() + 1 + path.bytes().map(displayed_length).sum::<usize>() + ".git".len();
        if displayed > MAX_LENGTH {
            return malformed("it is longer than 1024 bytes when it is percent-encoded");
        }
        Ok(Self { host, path: path.to_owned() })
    }
}

/// Returns whether a byte of a path is displayed as it is, and not percent-encoded.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~+@!$&'()*,;=".contains(&byte)
}

/// Returns how many bytes a byte of a path takes when it is displayed.
fn displayed_length(byte: u8) -> usize {
    if is_plain(byte) { 1 } else { "%XX".len() }
}

/// Returns whether HFS+ ignores a character in file names, so that `.git` with one of them is `.git`
/// (`next_hfs_char` in git's `utf8.c`).
fn is_ignored_by_hfs(character: char) -> bool {
    matches!(character, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

/// Tells whether git, on some file system, takes a name for one of its own files (`fsck.c`, `path.c`). On the safe side.
fn is_git_own(component: &str) -> bool {
    let ascii: String = component.chars().filter(char::is_ascii).collect::<String>().to_ascii_lowercase();
    let name = ascii.trim_end_matches(['.', ' ']);
    let own = [".git", ".gitmodules", ".gitattributes", ".gitignore", ".mailmap"].contains(&name);
    // The short names of FAT and NTFS.
    own || (name.starts_with("gi") || name.starts_with("mai")) && name.contains('~')
}

impl FromStr for GitAddress {
    type Err = GitAddressError;

    /// Reads `host/path` as it is displayed.
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

/// Refuses what no address may have, whatever its form.
fn check_text(text: &str) -> Result<(), GitAddressError> {
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

/// Resolves `%XX`.
fn decoded(text: &str) -> Result<String, GitAddressError> {
    let malformed = || GitAddressError::Malformed { rule: "its percent-encoding is wrong" };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let (high, low) = (digit().ok_or_else(malformed)?, digit().ok_or_else(malformed)?);
                u8::try_from(high * 16 + low).map_err(|_| malformed())?
            }
            byte => byte,
        });
    }
    let text = String::from_utf8(bytes).map_err(|_| malformed())?;
    check_text(&text).map(|()| text)
}

impl GitUrl {
    /// Returns which repository it leads to.
    pub fn address(&self) -> &GitAddress {
        &self.address
    }

    /// Returns the text as it is, for git alone: it may hold a password.
    pub fn secret_text(&self) -> &str {
        &self.text
    }

    /// Returns how the repository is reached: `https`, `http`, `git`, or `ssh`, in whatever form it is written.
    pub fn scheme(&self) -> &'static str {
        let scheme = self.text.split_once("://").map(|(scheme, _)| scheme);
        let known = SCHEMES.into_iter().find(|known| scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(known)));
        known.filter(|known| !known.contains("ssh")).unwrap_or("ssh")
    }

    /// Tells whether it is sure who answers there: over `http` and `git` anybody in between can.
    pub fn is_authenticated(&self) -> bool {
        !matches!(self.scheme(), "http" | "git")
    }

    /// Returns the address of a submodule that a repository at this one names. Those that begin with `./` or `../` are
    /// relative to it, as `git-submodule(1)` explains under `add`.
    ///
    /// # Errors
    /// Fails where what results is none that can be mirrored.
    pub fn submodule(&self, url: &str) -> Result<Self, GitAddressError> {
        if !(url.starts_with("./") || url.starts_with("../")) {
            return url.parse();
        }
        let (mut base, mut relative, mut separator) = (without_slash(&self.text), url, '/');
        let top = base.find("://").map_or(0, |start| start + 3);
        loop {
            if let Some(rest) = relative.strip_prefix("../") {
                let end = base.rfind('/').or_else(|| base.rfind(':'));
                let end = end.filter(|end| *end > top);
                let end = end.ok_or(GitAddressError::Malformed { rule: "it leads above the parent's address" })?;
                separator = if base[end..].starts_with('/') { '/' } else { ':' };
                (base, relative) = (&base[..end], rest);
            } else if let Some(rest) = relative.strip_prefix("./") {
                relative = rest;
            } else {
                break;
            }
        }
        format!("{base}{separator}{}", without_slash(relative)).parse()
    }
}

/// Removes one `/` from the end, as git does.
fn without_slash(text: &str) -> &str {
    text.strip_suffix('/').unwrap_or(text)
}

impl FromStr for GitUrl {
    type Err = GitAddressError;

    /// Reads `https://…`, `http://…`, `git://…`, `ssh://…` and `user@host:path`.
    fn from_str(text: &str) -> Result<Self, GitAddressError> {
        check_text(text)?;
        let name = text.split(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).next().unwrap_or_default();
        if text[name.len()..].starts_with("::") {
            return Err(GitAddressError::Helper { name: name.to_owned() });
        }
        let address = match text.split_once("://") {
            Some((scheme, rest)) => of_scheme(scheme, rest)?,
            None => of_scp_like(text)?,
        };
        Ok(Self { text: text.to_owned(), address })
    }
}

fn of_scheme(scheme: &str, rest: &str) -> Result<GitAddress, GitAddressError> {
    let lower = scheme.to_ascii_lowercase();
    if lower == "file" {
        return Err(GitAddressError::Local);
    }
    if !SCHEMES.contains(&lower.as_str()) {
        return Err(GitAddressError::Scheme { scheme: scheme.chars().take(80).collect() });
    }
    if rest.contains(['?', '#']) {
        return Err(GitAddressError::Malformed { rule: "it has a query or a fragment" });
    }
    let (authority, path) = rest.split_once('/').ok_or(GitAddressError::Malformed { rule: "it has no path" })?;
    if path.starts_with('/') {
        return Err(GitAddressError::Malformed { rule: "its path has an empty component, '.' or '..'" });
    }
    let host = without_user(authority)?;
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    };
    GitAddress::new(host, &decoded(path)?)
}

/// Reads `[user@]host:path`. As git does, takes what has a `/` before the first `:`, or no `:` at all, for a path of this
/// machine; so too a drive of Windows.
fn of_scp_like(text: &str) -> Result<GitAddress, GitAddressError> {
    match text.split_once(':') {
        Some((authority, path)) if !authority.contains('/') && authority.len() > 1 => {
            GitAddress::new(without_user(authority)?, path)
        }
        _ => Err(GitAddressError::Local),
    }
}

fn without_user(authority: &str) -> Result<&str, GitAddressError> {
    match authority.rsplit_once('@') {
        // `-oProxyCommand=…@host` reaches ssh as one word.
        Some((user, _)) if user.starts_with('-') => Err(GitAddressError::Option { part: "the user".into() }),
        Some((_, host)) => Ok(host),
        None => Ok(authority),
    }
}

impl fmt::Display for GitUrl {
    /// Shows the address without what stands before its host, except for the user of ssh, which is no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted_address(&self.text))
    }
}

impl fmt::Debug for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GitUrl({self})")
    }
}

as_text!(GitAddress: GitAddressError);

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Result<String, GitAddressError> {
        url.parse::<GitUrl>().map(|url| url.address().to_string())
    }

    #[test]
    fn every_form_leads_to_one_place() {
        for url in [
            "https://github.com/basho/lager.git",
            "https://github.com/basho/lager",
            "http://GitHub.com/basho/lager/",
            "git://github.com/basho/lager.git",
            "ssh://git@github.com/basho/lager.git",
            "ssh://git@github.com:22/basho/lager",
            "git+ssh://git@github.com/basho/lager",
            "HTTPS://user:pa%40ss@github.com:8443/basho/lager.git",
            "git@github.com:basho/lager.git",
            "git@github.com:/basho/lager",
            "github.com:basho/lager",
        ] {
            assert_eq!(place(url).as_deref(), Ok("github.com/basho/lager"), "{url}");
        }
        assert_eq!(place("https://h/Basho/Lager").as_deref(), Ok("h/Basho/Lager"), "the path's case counts");
    }

    #[test]
    fn what_is_displayed_is_read_back() {
        let address: GitAddress = "dev.azure.com/a/My%20Project/_git/%C3%A4.git".parse().unwrap();
        assert_eq!(address.tree_path(), "git/dev.azure.com/a/My Project/_git/ä.git");
        assert_eq!(address.to_string(), "dev.azure.com/a/My%20Project/_git/%C3%A4");
        assert_eq!(address.to_string().parse(), Ok(address.clone()));
        assert_eq!(serde_json::to_string(&address).unwrap(), "\"dev.azure.com/a/My%20Project/_git/%C3%A4\"");
        assert_eq!(place("git@h:100%/x").as_deref(), Ok("h/100%25/x"));
        assert_eq!(place("https://git.sr.ht/~user/x").as_deref(), Ok("git.sr.ht/~user/x"));
        assert_eq!(place("https://github.com/a/.github").as_deref(), Ok("github.com/a/.github"));
    }

    #[test]
    fn every_address_is_read_back_from_what_it_displays() {
        let umlauts = ["ü".repeat(60), "ü".repeat(60), "ü".repeat(60), "x".into()].join("/");
        assert!(place(&format!("https://github.com/{umlauts}")).is_err(), "percent-encoded, it has 1093 bytes");
        let longest = |last: usize| format!("h/{}/{}", "x".repeat(255), "y".repeat(last));
        assert!(place(&format!("https://{}", longest(251))).is_ok());
        assert!(place(&format!("https://{}", longest(252))).is_err(), "with .git it is no file's name");
        assert!(place(&format!("https://h/{}/y", "x".repeat(256))).is_err());
        assert!(place(&format!("https://{}/y", "x".repeat(256))).is_err());
        let folder = "x".repeat(250);
        let path = format!("{folder}/{folder}/{folder}/{folder}");
        assert!(place(&format!("hh:{path}/{}.git", "y".repeat(13))).is_ok(), "1024 bytes, in either form");
        assert!(place(&format!("hh:{path}/{} .git", "y".repeat(12))).is_err(), "1026 bytes, percent-encoded");
        for url in
            ["https://github.com/two.git.git", "https://github.com/two.git.git/", "git@github.com:two.git.git.git"]
        {
            assert_eq!(place(url).as_deref(), Ok("github.com/two"), "{url}");
        }
        for path in ["\u{200c}", "a/.\u{200d}git", "x\u{feff}y"] {
            assert!(place(&format!("https://h/{path}")).is_err(), "{path:?}: HFS+ ignores a character of it");
        }
    }

    #[test]
    fn paths_of_this_machine_are_told_apart() {
        for url in ["file:///srv/x.git", "/srv/x", "../x", "./x", "x", "x/y:z", "C:\\x", "C:/x", "", "~/x"] {
            assert_eq!(place(url), Err(GitAddressError::Local), "{url}");
        }
    }

    #[test]
    fn hostile_addresses_are_refused() {
        use GitAddressError as E;
        let cases: [(&str, fn(&E) -> bool); 28] = [
            ("ext::sh -c touch% x", |e| matches!(e, E::Helper { .. })),
            ("fd::7", |e| matches!(e, E::Helper { .. })),
            ("https::https://h/x", |e| matches!(e, E::Helper { .. })),
            ("-u", |e| matches!(e, E::Option { .. })),
            ("--upload-pack=touch x", |e| matches!(e, E::Option { .. })),
            ("ssh://-oProxyCommand=x/y", |e| matches!(e, E::Option { .. })),
            ("ssh://-oProxyCommand=x@h/y", |e| matches!(e, E::Option { .. })),
            ("-oProxyCommand=x@h:y", |e| matches!(e, E::Option { .. })),
            ("git@-h:y", |e| matches!(e, E::Option { .. })),
            ("git@h:-y", |e| matches!(e, E::Option { .. })),
            ("git://h/-y", |e| matches!(e, E::Option { .. })),
            ("https://h/a\nb", |e| matches!(e, E::Control)),
            ("https://h/a\0b", |e| matches!(e, E::Control)),
            ("https://h/a%0ab", |e| matches!(e, E::Control)),
            ("ftp://h/a", |e| matches!(e, E::Scheme { .. })),
            ("https://h", |e| matches!(e, E::Malformed { .. })),
            ("https://h/", |e| matches!(e, E::Malformed { .. })),
            ("https:///x", |e| matches!(e, E::Malformed { .. })),
            ("https://../x", |e| matches!(e, E::Malformed { .. })),
            ("https://h/a/../b", |e| matches!(e, E::Malformed { .. })),
            ("https://h/a/%2e%2e/b", |e| matches!(e, E::Malformed { .. })),
            ("https://h/a//b", |e| matches!(e, E::Malformed { .. })),
            ("https://h//a", |e| matches!(e, E::Malformed { .. })),
            ("https://h/.git", |e| matches!(e, E::Malformed { .. })),
            ("https://h/.GIT/x", |e| matches!(e, E::Malformed { .. })),
            ("https://h/git~1/x", |e| matches!(e, E::Malformed { .. })),
            ("https://h/a.git/b", |e| matches!(e, E::Malformed { .. })),
            ("https://h/a?x=1", |e| matches!(e, E::Malformed { .. })),
        ];
        for (url, expected) in cases {
            let error = place(url).expect_err(url);
            assert!(expected(&error), "{url}: {error:?}");
        }
    }

    #[test]
    fn relative_submodules_are_resolved_as_git_does() {
        for (parent, url, expected) in [
            ("https://h/a/b.git", "../c.git", "https://h/a/c.git"),
            ("https://h/a/b/", "./c", "https://h/a/b/c"),
            ("git@h:a/b.git", "../c.git", "git@h:a/c.git"),
            ("git@h:a.git", "../c.git", "git@h:c.git"),
            ("https://h/a/b", "../../x/y/", "https://h/x/y"),
            ("https://h/a/b", "https://i/j", "https://i/j"),
            ("https://h/a//", "../c", "https://h/a/c"),
            ("https://h/a", "./c//", "https://h/a/c/"),
        ] {
            let resolved = parent.parse::<GitUrl>().unwrap().submodule(url);
            assert_eq!(resolved.unwrap().secret_text(), expected, "{parent} {url}");
        }
        let parent: GitUrl = "https://h/a".parse().unwrap();
        assert_eq!(parent.submodule("/srv/x"), Err(GitAddressError::Local));
        for url in ["../../../x", "../../../../../x"] {
            assert!(parent.submodule(url).is_err(), "{url}");
        }
    }

    #[test]
    fn passwords_are_never_shown() {
        for (url, shown) in [
            ("https://user:secret@h/x", "https://***@h/x"),
            ("https://secret@h/x", "https://***@h/x"),
            ("https://a@b:secret@h/x", "https://***@h/x"),
            ("ssh://git:secret@h/x", "ssh://git@h/x"),
            ("git@h:x", "git@h:x"),
        ] {
            let url: GitUrl = url.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("secret"));
        }
    }
}
