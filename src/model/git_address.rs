//! Addresses of git repositories.
//!
//! All addresses of a repository map to one path on the branch. The scheme, the user, the port, a final `.git` and the
//! case of the host are ignored. Two servers on one host can therefore share a path. That is harmless, because
//! everything stored there is named by its commit.

use std::fmt::{self, Write};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::percent_decoded;
use super::redacted::redacted_address;

/// The longest address accepted, in bytes. The limit applies to the address as given and as displayed.
const MAX_LENGTH: usize = 1024;
/// The longest file name that file systems support, in bytes. Each component of [`GitAddress::tree_path`] becomes a file
/// name when the branch is checked out or exported.
const MAX_FILE_NAME: usize = 255;
/// The maximum number of components in a repository's path, which bounds the depth of trees.
const MAX_COMPONENTS: usize = 32;
/// The schemes that can be mirrored (`git-fetch(1)`, "GIT URLS"). The last two are old names of `ssh`.
const SCHEMES: [&str; 6] = ["https", "http", "git", "ssh", "git+ssh", "ssh+git"];

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
/// values for which it would not. [`GitUrl`] reads addresses as they occur in locks.
///
/// The value is safe as a path in a git tree ([`GitAddress::tree_path`]). Its displayed form (`host/path`,
/// percent-encoded where needed) is safe in a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GitAddress {
    host: String,
    path: String,
}

/// An address as a lock spells it, in any form that git accepts. The address may contain a password, which is never
/// displayed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitUrl {
    text: String,
    address: GitAddress,
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

/// Decodes `%XX` sequences.
fn decoded(text: &str) -> Result<String, GitAddressError> {
    let malformed = || GitAddressError::Malformed { rule: "its percent-encoding is wrong" };
    let text = percent_decoded(text).ok_or_else(malformed)?;
    check_text(&text).map(|()| text)
}

impl GitUrl {
    /// Returns the repository that the address refers to.
    pub fn address(&self) -> &GitAddress {
        &self.address
    }

    /// Returns the unredacted text, which may contain a password. Pass it to git only.
    pub fn secret_text(&self) -> &str {
        &self.text
    }

    /// Returns the transport: `https`, `http`, `git`, or `ssh` for every form of an ssh address.
    pub fn scheme(&self) -> &'static str {
        let scheme = self.text.split_once("://").map(|(scheme, _)| scheme);
        let known = SCHEMES.into_iter().find(|known| scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(known)));
        known.filter(|known| !known.contains("ssh")).unwrap_or("ssh")
    }

    /// Returns whether the transport authenticates the server. Over `http` and `git`, anyone on the network path can
    /// answer.
    pub fn is_authenticated(&self) -> bool {
        !matches!(self.scheme(), "http" | "git")
    }

    /// Resolves the address of a submodule against the address of the repository that contains it. Addresses that begin
    /// with `./` or `../` are relative (see `add` in `git-submodule(1)`).
    ///
    /// # Errors
    /// Returns an error if the resulting address cannot be mirrored.
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
                let end = end.ok_or(GitAddressError::Malformed { rule: "it leads above the parent's URL" })?;
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

/// Removes one trailing `/`, as git does.
fn without_slash(text: &str) -> &str {
    text.strip_suffix('/').unwrap_or(text)
}

impl FromStr for GitUrl {
    type Err = GitAddressError;

    /// Parses `https://…`, `http://…`, `git://…`, `ssh://…` and `user@host:path`.
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

/// Parses `[user@]host:path`. As git does, treats a text without `:`, a text with a `/` before the first `:`, and a
/// Windows drive as a local path.
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
        // ssh receives `-oProxyCommand=…@host` as a single argument.
        Some((user, _)) if user.starts_with('-') => Err(GitAddressError::Option { part: "the user".into() }),
        Some((_, host)) => Ok(host),
        None => Ok(authority),
    }
}

impl fmt::Display for GitUrl {
    /// Writes the address without its credentials. The user of an ssh address is kept, because it is not secret.
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
