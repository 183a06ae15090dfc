//! Redirects git to the server with a `url.<base>.insteadOf` setting for each redirected repository (git-config(1)).
//!
//! git replaces the longest prefix of an address that any `insteadOf` setting names, and among equally long ones the
//! first that it reads. The prefixes here name whole repositories rather than hosts. Addresses that are not mirrored
//! are therefore unaffected, above all the project's own remote on the same host, and the user's own shorter rules
//! (`git@github.com:` instead of `https://github.com/`) do not take precedence. A prefix has no `.git`, so addresses
//! with and without it match. The disadvantage is that the address of an unmirrored repository with a longer name
//! (`…/lib_extra` for `…/lib`) matches too. If that address is a remote of the project, a longer rule preserves it.
//! Otherwise, the server redirects git to that repository's own address.
//!
//! The stored address of a remote (`remote.origin.url`) does not change, and mix compares it with the lock.

use std::collections::{BTreeMap, BTreeSet};

use super::git_config::Setting;
use crate::model::{GitAddress, GitUrl, Remotes, redacted};

/// The address prefixes to redirect to the server, each with the repository that it names.
///
/// A push goes to the original address: `pushInsteadOf` takes precedence over `insteadOf`, so each prefix has a
/// `pushInsteadOf` setting too.
#[derive(Debug, Clone, Default)]
pub struct InsteadOfRules {
    prefixes: BTreeMap<String, GitAddress>,
    remotes: Remotes,
    with_secrets: bool,
    omitted: usize,
}

impl InsteadOfRules {
    /// Creates an empty set of rules that never redirects the project's remotes. Addresses that contain a password are
    /// omitted unless `with_secrets`, because settings may be printed.
    pub fn new(remotes: Remotes, with_secrets: bool) -> Self {
        Self { remotes, with_secrets, ..Self::default() }
    }

    /// Adds all usual forms of a repository's address, unless the repository is a remote of the project.
    pub fn add(&mut self, address: &GitAddress) {
        if !self.remotes.has(address) {
            self.prefixes.extend(address.spellings().into_iter().map(|spelling| (spelling, address.clone())));
        }
    }

    /// Adds an address as written in a lock, with its user, port and capital letters, unless it belongs to a remote. It
    /// may contain a password, which then becomes part of the prefix.
    pub fn add_url(&mut self, url: &GitUrl) {
        let text = url.secret_text().trim_end_matches('/');
        let is_secret = redacted(text) != text;
        if self.remotes.has(url.address()) || self.remotes.has_url(text) {
            return;
        }
        if is_secret && !self.with_secrets {
            self.omitted += 1;
            return;
        }
        let prefix = text.strip_suffix(".git").unwrap_or(text);
        self.prefixes.insert(prefix.to_owned(), url.address().clone());
    }

    /// Returns what is not redirected because the rule would show a password.
    pub fn omission(&self) -> Option<String> {
        let addresses = match self.omitted {
            0 => return None,
            1 => "one address of a git dependency in the locks has a password and is".to_owned(),
            number => format!("{number} addresses of git dependencies in the locks have passwords and are"),
        };
        Some(format!("{addresses} not redirected, because the rule would show it; `git hexmirror run` redirects all"))
    }

    /// Returns the settings that redirect fetches to the server at `base_url`, but neither pushes nor remotes.
    pub(super) fn settings(&self, base_url: &str) -> Vec<Setting> {
        let url = |base: String, name, prefix: &str| Setting {
            section: "url",
            subsection: base,
            name,
            value: prefix.to_owned(),
        };
        let (remotes, rules) = (self.remotes_beside(), self.remotes.rules());
        let prefixes: BTreeMap<&String, _> =
            self.prefixes.iter().filter(|(prefix, _)| self.spares_remotes(prefix, &remotes)).collect();
        let leading = prefixes.iter().map(|(prefix, to)| url(format!("{base_url}/git/{to}"), "insteadOf", prefix));
        let staying = remotes.iter().map(|at| url(self.printable(rules.fetch_address(at), at), "insteadOf", at));
        // A rule for pushes wins over every rule for fetches, even over a longer one of the user's.
        let longer = rules.prefixes().filter(|at| self.extends_a_prefix(at)).map(str::to_owned);
        let pushed: BTreeSet<String> = prefixes.keys().copied().chain(&remotes).cloned().chain(longer).collect();
        let pushing = pushed.iter().map(|at| url(self.printable(rules.push_address(at), at), "pushInsteadOf", at));
        leading.chain(staying).chain(pushing).collect()
    }

    /// Returns whether every remote that the prefix matches has a rule that keeps it where it is. A remote whose address
    /// cannot be written into a rule may have none.
    fn spares_remotes(&self, prefix: &str, beside: &BTreeSet<String>) -> bool {
        let longer = |text: &str, rule: &String| rule.len() > prefix.len() && text.starts_with(rule.as_str());
        let mut matched = self.remotes.texts().filter(|text| text.starts_with(prefix));
        matched.all(|text| beside.iter().any(|rule| longer(text, rule)))
    }

    /// Returns whether a text can be written into a rule, and some prefix matches it that is not all of it.
    fn extends_a_prefix(&self, text: &str) -> bool {
        let can_be_written = !text.contains(char::is_control) && (self.with_secrets || redacted(text) == text);
        can_be_written && self.prefixes.keys().any(|prefix| text.len() > prefix.len() && text.starts_with(prefix))
    }

    /// Returns the addresses of remotes that a prefix would lead to the server: as the remotes have them, and spelled as
    /// the prefix is.
    fn remotes_beside(&self) -> BTreeSet<String> {
        let texts = self.remotes.texts().filter(|text| self.extends_a_prefix(text));
        let mut beside: BTreeSet<String> = texts.map(str::to_owned).collect();
        for (prefix, address) in &self.prefixes {
            for remote in self.remotes.with_prefix(address) {
                let (shown, begin) = (remote.to_string(), address.to_string());
                let encoded = shown.strip_prefix(&begin).into_iter();
                let rests = encoded.chain(remote.path().strip_prefix(address.path()));
                beside.extend(rests.map(|rest| format!("{prefix}{rest}")));
            }
        }
        beside
    }

    /// Returns the target of an address, or the address itself if the target contains a password that must not be
    /// printed.
    fn printable(&self, target: String, address: &str) -> String {
        if self.with_secrets || redacted(&target) == target { target } else { address.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AddressRule, AddressRules};

    #[test]
    fn each_form_has_a_setting_for_fetches_and_one_for_pushes() {
        let mut instead_of = InsteadOfRules::default();
        instead_of.add(&"github.com/a/lib".parse().unwrap());
        let settings = instead_of.settings("http://h");
        assert_eq!(settings.len(), 2 * 9);
        let has = |key: &str, value: &str| settings.iter().any(|found| found.key() == key && found.value == value);
        let own = "git@github.com:a/lib";
        assert!(has("url.http://h/git/github.com/a/lib.insteadOf", own));
        assert!(has(&format!("url.{own}.pushInsteadOf"), own));
    }

    fn remotes(urls: &[&str], rules: &[(&str, &str)]) -> Remotes {
        let rule = |(base, prefix): &(&str, &str)| AddressRule {
            base: (*base).into(),
            prefix: (*prefix).into(),
            is_for_push: false,
        };
        Remotes::new(urls.iter().map(|url| (*url).to_owned()), AddressRules::new(rules.iter().map(rule)))
    }

    fn leading(instead_of: &InsteadOfRules) -> Vec<(String, String)> {
        let settings = instead_of.settings("B").into_iter().filter(|setting| setting.name == "insteadOf");
        settings.map(|setting| (setting.key(), setting.value)).collect()
    }

    #[test]
    fn a_remote_is_never_redirected() {
        let app: GitUrl = "ssh://me@GitHub.com:22/Acme/app.git".parse().unwrap();
        let mut instead_of = InsteadOfRules::new(remotes(&["https://github.com/acme/App"], &[]), true);
        instead_of.add(app.address());
        instead_of.add_url(&app);
        assert_eq!(leading(&instead_of), []);
        // The user's own rule rewrites the pinned address to the remote's.
        let mut instead_of =
            InsteadOfRules::new(remotes(&["/srv/app"], &[("file:///srv/", "https://github.com/acme/")]), true);
        instead_of.add(&"github.com/acme/app".parse().unwrap());
        assert_eq!(leading(&instead_of), []);
    }

    #[test]
    fn a_remote_with_the_prefix_of_a_pinned_repository_is_preserved() {
        let rules = [("git@github.com:", "https://github.com/")];
        let mut instead_of = InsteadOfRules::new(remotes(&["git@github.com:acme/app-web.git"], &rules), false);
        instead_of.add(&"github.com/acme/app".parse().unwrap());
        let found = leading(&instead_of);
        let has = |key: &str, value: &str| found.contains(&(format!("url.{key}.insteadOf"), value.to_owned()));
        assert!(has("B/git/github.com/acme/app", "https://github.com/acme/app"));
        assert!(has("git@github.com:acme/app-web", "https://github.com/acme/app-web"));
        assert!(has("git@github.com:acme/app-web", "git@github.com:acme/app-web"));
        assert_eq!(found.len(), 2 * 9 + 1, "each spelling leads to the server, and has a longer one that does not");
    }

    #[test]
    fn a_remote_that_begins_with_a_prefix_stays_where_it_is_in_any_spelling() {
        for remote in [
            "https://github.com/acme/app%2Dweb",
            "https://github.com/acme/app//web",
            "https://github.com/acme/app/./web",
            "https://github.com/acme/app/web/../x",
            "https://github.com/acme/app.git/../other",
            "git://github.com/acme/app%2dweb",
            "https://github.com/acme/app-web?x=1",
        ] {
            let rules = [("ssh://inner/git/", "https://github.com/")];
            let mut instead_of = InsteadOfRules::new(remotes(&[remote], &rules), true);
            instead_of.add(&"github.com/acme/app".parse().unwrap());
            let settings = instead_of.settings("B");
            let to = remote
                .strip_prefix("https://github.com/")
                .map_or(remote.to_owned(), |rest| format!("ssh://inner/git/{rest}"));
            for name in ["insteadOf", "pushInsteadOf"] {
                let found = settings.iter().find(|s| s.name == name && s.value == remote);
                assert_eq!(found.map(|s| &s.subsection), Some(&to), "{remote} {name}");
            }
        }
    }

    #[test]
    fn a_prefix_is_omitted_if_a_remote_cannot_be_kept_out_of_it() {
        for (remote, is_led) in [
            ("https://github.com/acme/app%2Dweb?token=x", false),
            ("https://github.com/acme/app-web?token=x", true),
            ("https://github.com/other%2Dweb?token=x", true),
        ] {
            let mut instead_of = InsteadOfRules::new(remotes(&[remote], &[]), false);
            instead_of.add(&"github.com/acme/app".parse().unwrap());
            let found = leading(&instead_of);
            let rule = ("url.B/git/github.com/acme/app.insteadOf".into(), "https://github.com/acme/app".into());
            assert_eq!(found.contains(&rule), is_led, "{remote}");
            assert!(!format!("{found:?}").contains("token"), "{found:?}");
        }
    }

    #[test]
    fn a_longer_rule_of_the_users_is_kept_for_pushes() {
        let rules = [("ssh://inner/", "https://github.com/acme/app-")];
        let mut instead_of = InsteadOfRules::new(remotes(&[], &rules), false);
        instead_of.add(&"github.com/acme/app".parse().unwrap());
        let settings = instead_of.settings("B");
        let found = settings.iter().find(|s| s.name == "pushInsteadOf" && s.value == "https://github.com/acme/app-");
        assert_eq!(found.unwrap().subsection, "ssh://inner/");
    }

    #[test]
    fn a_password_in_the_users_rules_is_printed_only_if_permitted() {
        for with_secrets in [false, true] {
            let rules = [("https://me:secret@github.com/", "https://github.com/")];
            let mut instead_of =
                InsteadOfRules::new(remotes(&["https://github.com/a/lib_extra"], &rules), with_secrets);
            instead_of.add(&"github.com/a/lib".parse().unwrap());
            instead_of.add_url(&"https://u:secret@github.com/a/lib".parse().unwrap());
            let settings = instead_of.settings("B");
            let has_secret = settings.iter().any(|setting| format!("{setting:?}").contains("secret"));
            assert_eq!(has_secret, with_secrets);
            let omission = instead_of.omission();
            assert_eq!(omission.is_some(), !with_secrets);
            assert!(!omission.unwrap_or_default().contains("secret"));
            let pushed = settings.iter().find(|s| s.name == "pushInsteadOf" && s.value == "https://github.com/a/lib");
            let user = if with_secrets { "me:secret@" } else { "" };
            assert_eq!(pushed.unwrap().subsection, format!("https://{user}github.com/a/lib"));
        }
    }

    #[test]
    fn a_locks_own_form_is_redirected_too() {
        let mut instead_of = InsteadOfRules::new(Remotes::default(), true);
        for url in ["ssh://Me@Git.Example.org:2222/a/b.git/", "https://u:p@h/My%20Lib.git", "HTTPS://H/x"] {
            instead_of.add_url(&url.parse().unwrap());
        }
        assert_eq!(
            leading(&instead_of),
            [
                ("url.B/git/h/x.insteadOf".to_owned(), "HTTPS://H/x".to_owned()),
                ("url.B/git/h/My%20Lib.insteadOf".to_owned(), "https://u:p@h/My%20Lib".to_owned()),
                ("url.B/git/git.example.org/a/b.insteadOf".to_owned(), "ssh://Me@Git.Example.org:2222/a/b".to_owned()),
            ]
        );
    }

    #[test]
    fn a_path_is_redirected_encoded_and_decoded() {
        let mut instead_of = InsteadOfRules::default();
        instead_of.add(&"h/My%20Lib".parse().unwrap());
        for prefix in ["https://h/My%20Lib", "https://h/My Lib", "git@h:My Lib"] {
            assert!(instead_of.prefixes.contains_key(prefix), "{prefix}");
        }
    }
}
