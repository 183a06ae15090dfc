//! Leads git to the server: `url.<base>.insteadOf` for each mirrored repository (git-config(1)).
//!
//! git replaces the longest prefix of an address that any `insteadOf` names, and of equally long ones takes the first it
//! reads. A whole repository is named here, not its whole host: so what is not mirrored still goes where it went before (the
//! project's own remote at the same host, above all), and the user's own shorter rules (`git@github.com:` instead of
//! `https://github.com/`) do not win. The prefix has no `.git`, so addresses with and without it match; the price is that the
//! address of an unmirrored repository whose name goes on (`…/lib` and `…/lib_extra`) matches too, and is answered with 404.
//!
//! What is stored as the address of a remote (`remote.origin.url`) stays as it is, and mix compares that with the lock.

use std::collections::BTreeMap;

use super::environment::Variable;
use crate::model::{GitAddress, GitUrl};

/// What stands before a host and between it and the path, in the usual forms of address.
const FORMS: [(&str, &str); 9] = [
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

/// The most settings that are looked at among those that are there already.
const MAX_EXISTING: usize = 10_000;

/// The prefixes of addresses that lead to the server, each with the repository that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redirects(BTreeMap<String, GitAddress>);

impl Redirects {
    /// Takes all usual forms of the address of a mirrored repository.
    pub fn add(&mut self, address: &GitAddress) {
        let (host, shown) = (address.host(), address.to_string());
        let encoded = shown.strip_prefix(host).unwrap_or(&shown).trim_start_matches('/');
        for (before, between) in FORMS {
            // Between `:` and the end nothing is decoded.
            let paths = if between == "/" { [encoded, address.path()] } else { [address.path(); 2] };
            for path in paths {
                self.0.insert(format!("{before}{host}{between}{path}"), address.clone());
            }
        }
    }

    /// Takes an address as a lock has it: with a user, a port, capital letters. It may hold a password, which is then part of
    /// the prefix.
    pub fn add_url(&mut self, url: &GitUrl) {
        let text = url.secret_text().trim_end_matches('/');
        let prefix = text.strip_suffix(".git").unwrap_or(text);
        self.0.insert(prefix.to_owned(), url.address().clone());
    }

    /// Returns the settings that lead to the server at `base_url`: keys and values.
    fn settings(&self, base_url: &str) -> impl Iterator<Item = (String, &str)> {
        let key = move |address: &GitAddress| format!("url.{base_url}/git/{address}.insteadOf");
        self.0.iter().map(move |(prefix, address)| (key(address), prefix.as_str()))
    }

    /// Returns the variables that add the settings to those which are there already (git-config(1), `GIT_CONFIG_COUNT`).
    ///
    /// A setting for the same prefix is replaced: it is one of an earlier server, and git would take the first.
    pub(super) fn variables(&self, base_url: &str, existing: &impl Fn(&str) -> Option<String>) -> Vec<Variable> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let count = existing("GIT_CONFIG_COUNT").and_then(|count| count.trim().parse().ok()).unwrap_or(0_usize);
        // One that is missing makes git refuse all of them.
        let present = |number: &usize| existing(&format!("GIT_CONFIG_KEY_{number}")).is_some();
        let mut next = (0..count.min(MAX_EXISTING)).take_while(present).count();
        let ours = |number: &usize| existing(&format!("GIT_CONFIG_KEY_{number}")).is_some_and(|key| is_ours(&key));
        let replaced = (0..next).filter(ours);
        let replaced = replaced.filter_map(|number| Some((existing(&format!("GIT_CONFIG_VALUE_{number}"))?, number)));
        let replaced: BTreeMap<String, usize> = replaced.collect();
        let mut variables = Vec::new();
        for (key, prefix) in self.settings(base_url) {
            let number = replaced.get(prefix).copied().unwrap_or_else(|| {
                next += 1;
                next - 1
            });
            variables.push(Variable::set(format!("GIT_CONFIG_KEY_{number}"), &key));
            variables.push(Variable::set(format!("GIT_CONFIG_VALUE_{number}"), prefix));
        }
        variables.insert(0, Variable::set("GIT_CONFIG_COUNT", &next.to_string()));
        variables
    }

    /// Returns the settings as a configuration file to include.
    pub(super) fn file(&self, base_url: &str) -> String {
        let mut by_address: BTreeMap<&GitAddress, String> = BTreeMap::new();
        for (prefix, address) in &self.0 {
            *by_address.entry(address).or_default() += &format!("\tinsteadOf = {}\n", quoted(prefix));
        }
        let section = |(address, lines): (&GitAddress, String)| {
            format!("[url {}]\n{lines}", quoted(&format!("{base_url}/git/{address}")))
        };
        by_address.into_iter().map(section).collect()
    }
}

/// Tells whether a setting leads to a server of this program.
fn is_ours(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.starts_with("url.") && key.contains("/git/") && key.ends_with(".insteadof")
}

/// Quotes text for a configuration file (git-config(1), "Syntax").
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirects() -> Redirects {
        let mut redirects = Redirects::default();
        redirects.add(&"github.com/a/lib".parse().unwrap());
        redirects
    }

    fn settings(variables: &[Variable], existing: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut all: BTreeMap<String, String> =
            existing.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        for Variable { name, value } in variables {
            all.insert(name.to_string(), value.clone().unwrap());
        }
        let count: usize = all["GIT_CONFIG_COUNT"].parse().unwrap();
        let pair = |number| {
            (all[&format!("GIT_CONFIG_KEY_{number}")].clone(), all[&format!("GIT_CONFIG_VALUE_{number}")].clone())
        };
        let pairs: Vec<_> = (0..count).map(pair).collect();
        assert_eq!(all.len(), 2 * count + 1, "each number has a key and a value");
        pairs
    }

    fn variables(existing: &[(&str, &str)], base_url: &str) -> Vec<Variable> {
        let find = |name: &str| existing.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        redirects().variables(base_url, &find)
    }

    #[test]
    fn what_is_set_already_stays() {
        let existing = [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "user.name"), ("GIT_CONFIG_VALUE_0", "Me")];
        let settings = settings(&variables(&existing, "http://h"), &existing);
        assert_eq!(settings.len(), 1 + FORMS.len());
        assert_eq!(settings[0], ("user.name".into(), "Me".into()));
        let key = "url.http://h/git/github.com/a/lib.insteadOf";
        assert!(settings.contains(&(key.into(), "git@github.com:a/lib".into())));
        assert!(settings[1..].iter().all(|(found, _)| found == key));
    }

    #[test]
    fn those_of_an_earlier_server_are_replaced() {
        let first = variables(&[], "http://first");
        let owned: Vec<(String, String)> =
            first.into_iter().map(|Variable { name, value }| (name.to_string(), value.unwrap())).collect();
        let existing: Vec<(&str, &str)> = owned.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let settings = settings(&variables(&existing, "http://second"), &existing);
        assert_eq!(settings.len(), FORMS.len());
        assert!(settings.iter().all(|(key, _)| key.starts_with("url.http://second/")));
    }

    #[test]
    fn a_count_that_is_wrong_is_not_trusted() {
        for count in ["x", "-1", "99999999999999999999", "4000000000"] {
            assert_eq!(settings(&variables(&[("GIT_CONFIG_COUNT", count)], "http://h"), &[]).len(), FORMS.len());
        }
    }

    #[test]
    fn a_lock_s_own_spelling_counts_too() {
        let mut redirects = Redirects::default();
        for url in ["ssh://Me@Git.Example.org:2222/a/b.git/", "https://u:p@h/My%20Lib.git", "HTTPS://H/x"] {
            redirects.add_url(&url.parse().unwrap());
        }
        let found: Vec<(String, &str)> = redirects.settings("B").collect();
        assert_eq!(
            found,
            [
                ("url.B/git/h/x.insteadOf".to_owned(), "HTTPS://H/x"),
                ("url.B/git/h/My%20Lib.insteadOf".to_owned(), "https://u:p@h/My%20Lib"),
                ("url.B/git/git.example.org/a/b.insteadOf".to_owned(), "ssh://Me@Git.Example.org:2222/a/b"),
            ]
        );
    }

    #[test]
    fn a_path_is_named_encoded_and_not() {
        let mut redirects = Redirects::default();
        redirects.add(&"h/My%20Lib".parse().unwrap());
        for prefix in ["https://h/My%20Lib", "https://h/My Lib", "git@h:My Lib"] {
            assert!(redirects.0.contains_key(prefix), "{prefix}");
        }
    }
}
