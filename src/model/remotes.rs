//! The remotes of the project. The program never redirects clients away from their addresses.

use std::collections::BTreeSet;

use super::canonical_address::{CanonicalAddress, address_of, host};
use super::{AddressRules, GitAddress};

/// The addresses of a project's remotes.
///
/// Comparisons use the canonical form of an address and apply the user's rewrite rules.
#[derive(Debug, Clone, Default)]
pub struct Remotes {
    /// The addresses, as the remotes have them.
    texts: BTreeSet<String>,
    addresses: BTreeSet<GitAddress>,
    canonical: BTreeSet<CanonicalAddress>,
    rules: AddressRules,
}

impl Remotes {
    /// Creates the set from the addresses of remotes, in any form, and the user's rewrite rules.
    pub fn new(urls: impl IntoIterator<Item = String>, rules: AddressRules) -> Self {
        let mut remotes = Self { rules, ..Self::default() };
        for url in urls {
            for text in [&remotes.rules.fetch_address(&url), &remotes.rules.push_address(&url), &url] {
                remotes.canonical.insert(CanonicalAddress::of_text(text));
                remotes.addresses.extend(address_of(text));
            }
            // Such an address cannot be written into a rule, so nothing could keep it from being redirected.
            if url.contains(char::is_control)
                && let CanonicalAddress::Repository { host, .. } = CanonicalAddress::of_text(&url)
            {
                remotes.canonical.insert(CanonicalAddress::Unclear { host });
            }
            remotes.texts.insert(url);
        }
        remotes
    }

    /// Returns the user's rewrite rules.
    pub fn rules(&self) -> &AddressRules {
        &self.rules
    }

    /// Returns the addresses of the remotes, as the remotes have them.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }

    /// Returns whether a text is the address of a remote, directly or after the user's rewrite rules.
    pub fn has_url(&self, text: &str) -> bool {
        self.has_canonical(&CanonicalAddress::of_text(text)) || self.is_rewritten_to_remote(text)
    }

    /// Returns whether any spelling of a repository's address is the address of a remote, directly or after the user's
    /// rewrite rules.
    pub fn has(&self, of: &GitAddress) -> bool {
        self.has_canonical(&CanonicalAddress::of(of))
            || of.spellings().iter().any(|spelling| self.is_rewritten_to_remote(spelling))
    }

    /// Returns whether an address is that of a remote. If a remote's path is unclear, every repository on its host may be
    /// the remote.
    fn has_canonical(&self, canonical: &CanonicalAddress) -> bool {
        let is_unclear = |host: &str| self.canonical.contains(&CanonicalAddress::Unclear { host: host.to_owned() });
        self.canonical.contains(canonical)
            || matches!(canonical, CanonicalAddress::Repository { host, .. } if is_unclear(host))
    }

    fn is_rewritten_to_remote(&self, text: &str) -> bool {
        self.rules.rewritten(text).is_some_and(|target| self.has_canonical(&CanonicalAddress::of_text(&target)))
    }

    /// Returns the remotes whose addresses begin with the given address. git's rewrite rules match prefixes, so a rule
    /// for the given address would also apply to these remotes.
    pub fn with_prefix<'a>(&'a self, address: &'a GitAddress) -> impl Iterator<Item = &'a GitAddress> {
        let host = host(address.host());
        let begins = move |remote: &GitAddress| {
            remote.host() == host && remote != address && remote.path().starts_with(address.path())
        };
        self.addresses.iter().filter(move |remote| begins(remote))
    }
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
    fn a_remote_is_recognised_in_every_spelling() {
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
    fn a_remote_with_an_unclear_path_may_be_any_repository_of_its_host() {
        for remote in
            ["https://github.com/a%zz", "https://github.com/a\\b", "https://github.com/x\ty", "git@GitHub.com:a\\b"]
        {
            let remotes = remotes(&[remote], &[]);
            for pinned in ["github.com/acme/app", "github.com/x"] {
                assert!(remotes.has(&pinned.parse().unwrap()), "{remote} {pinned}");
                assert!(remotes.has_url(&format!("https://{pinned}.git")), "{remote} {pinned}");
            }
            assert!(!remotes.has(&"gitlab.com/acme/app".parse().unwrap()), "{remote}");
        }
    }

    #[test]
    fn addresses_that_rules_rewrite_to_a_remote_are_recognised() {
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
    fn remotes_with_the_address_as_prefix_are_found() {
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
