//! Addresses of git repositories as locks spell them.

use std::fmt;
use std::str::FromStr;

use super::git_address::{GitAddress, GitAddressError, check_text, decoded};
use super::redacted::redacted_address;

/// The schemes that can be mirrored (`git-fetch(1)`, "GIT URLS"). The last two are old names of `ssh`.
const SCHEMES: [&str; 6] = ["https", "http", "git", "ssh", "git+ssh", "ssh+git"];

/// An address as a lock spells it, in any form that git accepts. The address may contain a password, which is never
/// displayed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitUrl {
    text: String,
    address: GitAddress,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Result<String, GitAddressError> {
        url.parse::<GitUrl>().map(|url| url.address().to_string())
    }

    #[test]
    fn all_forms_of_an_address_are_one_repository() {
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
            assert_eq!(address(url).as_deref(), Ok("github.com/basho/lager"), "{url}");
        }
        assert_eq!(address("https://h/Basho/Lager").as_deref(), Ok("h/Basho/Lager"), "the path's case counts");
    }

    #[test]
    fn local_paths_are_refused() {
        for url in ["file:///srv/x.git", "/srv/x", "../x", "./x", "x", "x/y:z", "C:\\x", "C:/x", "", "~/x"] {
            assert_eq!(address(url), Err(GitAddressError::Local), "{url}");
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
            let error = address(url).expect_err(url);
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
