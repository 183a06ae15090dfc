//! The remotes of the project. The program never redirects clients away from their addresses.

use std::collections::BTreeSet;

use super::{AddressRules, GitAddress, GitUrl};

/// The addresses of a project's remotes.
///
/// Comparisons ignore the scheme, the user, the port, the case, a final `.git` and repeated slashes, and they apply the
/// user's rewrite rules.
#[derive(Debug, Clone, Default)]
pub struct Remotes {
    addresses: BTreeSet<GitAddress>,
    /// The normalized addresses and folders.
    places: BTreeSet<Place>,
    rules: AddressRules,
}

/// A normalized address: equal for all spellings of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Address { host: String, path: String },
    Folder(String),
}

impl Place {
    fn of(address: &GitAddress) -> Self {
        // A fully qualified host name may end in a dot. Many forges ignore the case of a path.
        let host = address.host().trim_end_matches('.').to_owned();
        Self::Address { host, path: address.path().to_ascii_lowercase() }
    }
}

impl Remotes {
    /// Creates the set from the addresses of remotes, in any form, and the user's rewrite rules.
    pub fn new(urls: impl IntoIterator<Item = String>, rules: AddressRules) -> Self {
        let mut remotes = Self { rules, ..Self::default() };
        for url in urls {
            for text in [remotes.rules.fetch_address(&url), remotes.rules.push_address(&url), url] {
                let address = address(&text);
                remotes.places.insert(address.as_ref().map_or_else(|| folder(&text), Place::of));
                remotes.addresses.extend(address);
            }
        }
        remotes
    }

    /// Returns the user's rewrite rules.
    pub fn rules(&self) -> &AddressRules {
        &self.rules
    }

    /// Returns whether a text is the address of a remote, directly or after the user's rewrite rules.
    pub fn has_url(&self, text: &str) -> bool {
        self.is_remote_url(text) || self.is_rewritten_to_remote(text)
    }

    /// Returns whether any spelling of a repository's address is the address of a remote, directly or after the user's
    /// rewrite rules.
    pub fn has(&self, of: &GitAddress) -> bool {
        self.places.contains(&Place::of(of))
            || of.spellings().iter().any(|spelling| self.is_rewritten_to_remote(spelling))
    }

    fn is_remote_url(&self, text: &str) -> bool {
        self.places.contains(&address(text).as_ref().map_or_else(|| folder(text), Place::of))
    }

    fn is_rewritten_to_remote(&self, text: &str) -> bool {
        self.rules.rewritten(text).is_some_and(|target| self.is_remote_url(&target))
    }

    /// Returns the remotes whose addresses begin with the given address. git's rewrite rules match prefixes, so a rule
    /// for the given address would also apply to these remotes.
    pub fn with_prefix<'a>(&'a self, address: &'a GitAddress) -> impl Iterator<Item = &'a GitAddress> {
        let begins = move |remote: &GitAddress| {
            remote.host() == address.host() && remote != address && remote.path().starts_with(address.path())
        };
        self.addresses.iter().filter(move |remote| begins(remote))
    }
}

/// Parses the address of a remote, for which git accepts more than a lock may contain.
fn address(text: &str) -> Option<GitAddress> {
    let strict = text.parse::<GitUrl>().ok();
    let lenient = || {
        // In `https::https://host/path`, the part before `::` names the remote helper.
        let text = text.split_once("::").map_or(text, |(_, rest)| rest);
        let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let mut plain = String::with_capacity(rest.len());
        rest.chars().filter(|c| !c.is_control()).for_each(|c| {
            if c != '/' || !plain.ends_with('/') {
                plain.push(c);
            }
        });
        let separator = if scheme.is_empty() { "" } else { "://" };
        format!("{scheme}{separator}{plain}").parse::<GitUrl>().ok()
    };
    strict.or_else(lenient).map(|url| url.address().clone())
}

fn folder(text: &str) -> Place {
    let path = text.strip_prefix("file://").unwrap_or(text).trim_end_matches('/');
    Place::Folder(path.trim_end_matches(".git").trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::AddressRule;
    use super::*;

    fn remotes(urls: &[&str], rules: &[(&str, &str, bool)]) -> Remotes {
        let rule = |(base, prefix, is_for_push): &(&str, &str, bool)| AddressRule {
            base: (*base).into(),
            prefix: (*prefix).into(),
            is_for_push: *is_for_push,
        };
        Remotes::new(urls.iter().map(|url| (*url).to_owned()), AddressRules::new(rules.iter().map(rule)))
    }

    const SPELLINGS: [&str; 16] = [
        "https://github.com/acme/app",
        "https://github.com/acme/app.git",
        "https://github.com/acme/app/",
        "https://github.com/acme/app.git/",
        "https://github.com//acme//app",
        "https://GitHub.com/Acme/App",
        "https://github.com./acme/app",
        "https://user:secret@github.com:8443/acme/app",
        "https://github.com/%61cme/app",
        "http://github.com/acme/app",
        "git://github.com/acme/app",
        "ssh://git@github.com:22/acme/app.git",
        "git+ssh://git@github.com/acme/app",
        "git@github.com:acme/app.git",
        "git@github.com:/acme/app",
        "https::https://github.com/acme/app",
    ];

    #[test]
    fn a_remote_in_one_spelling_is_one_in_all() {
        let address: GitAddress = "github.com/acme/app".parse().unwrap();
        for remote in SPELLINGS {
            let remotes = remotes(&[remote], &[]);
            assert!(remotes.has(&address), "{remote}");
            for spelling in SPELLINGS {
                assert!(remotes.has_url(spelling), "{spelling} of {remote}");
            }
            for other in ["https://github.com/acme/app2", "https://github.com/acme", "https://gitlab.com/acme/app"] {
                assert!(!remotes.has_url(other), "{other}");
            }
            assert!(!remotes.has(&"github.com/acme/application".parse().unwrap()));
        }
    }

    #[test]
    fn the_user_s_own_rules_lead_to_a_remote_too() {
        let has = |remotes: Remotes, address: &str| remotes.has(&address.parse().unwrap());
        let short = [("https://github.com/", "gh:", false)];
        assert!(has(remotes(&["gh:acme/app"], &short), "github.com/acme/app"));
        let push = [("ssh://git@github.com/", "work:", true)];
        assert!(has(remotes(&["work:acme/app"], &push), "github.com/acme/app"));
        // The remote is the target of a rule that rewrites the address in the lock.
        let inner = [("https://git.corp/", "https://github.com/acme/", false)];
        assert!(has(remotes(&["ssh://git@git.corp/app.git"], &inner), "github.com/acme/app"));
        let local = [("file:///srv/", "https://forge.test/", false)];
        assert!(has(remotes(&["/srv/app.git"], &local), "forge.test/app"));
        assert!(!has(remotes(&["/srv/app.git"], &local), "forge.test/lib"));
        assert!(!has(remotes(&[], &inner), "github.com/acme/app"));
    }

    #[test]
    fn what_begins_like_a_repository_is_found() {
        let remotes = remotes(&["git@github.com:acme/app-web.git", "https://github.com/acme/other"], &[]);
        let beside = |address: &str| {
            let address = address.parse().unwrap();
            remotes.with_prefix(&address).map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(beside("github.com/acme/app"), ["github.com/acme/app-web"]);
        assert_eq!(beside("github.com/acme/app-web"), [""; 0]);
        assert_eq!(beside("gitlab.com/acme/app"), [""; 0]);
    }
}
