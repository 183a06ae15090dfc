//! Leads git to the server: `url.<base>.insteadOf` for each mirrored repository (git-config(1)).
//!
//! git replaces the longest prefix of an address that any `insteadOf` names, and of equally long ones takes the first it
//! reads. A whole repository is named here, not its whole host: so what is not mirrored still goes where it went before (the
//! project's own remote at the same host, above all), and the user's own shorter rules (`git@github.com:` instead of
//! `https://github.com/`) do not win. The prefix has no `.git`, so addresses with and without it match; the price is that the
//! address of an unmirrored repository whose name goes on (`…/lib` and `…/lib_extra`) matches too: the server sends git on to
//! that repository's own address.
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

/// A rule of the user's own for addresses: `url.<base>.insteadOf` or `pushInsteadOf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What is put in place of the prefix.
    pub base: String,
    /// What an address begins with.
    pub prefix: String,
    /// Whether it is for pushes alone.
    pub is_for_push: bool,
}

/// The prefixes of addresses that lead to the server, each with the repository that it names.
///
/// A push goes where it would go without the server: `pushInsteadOf` wins over `insteadOf`, so each prefix has one of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redirects {
    prefixes: BTreeMap<String, GitAddress>,
    /// The user's.
    rules: Vec<Rule>,
}

impl Redirects {
    /// Begins with the rules that the user has already; those that lead to a server of this program do not count.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        let users = |rule: &Rule| rule.is_for_push || !is_ours(&format!("url.{}.insteadof", rule.base));
        Self { prefixes: BTreeMap::new(), rules: rules.into_iter().filter(users).collect() }
    }

    /// Takes all usual forms of the address of a mirrored repository.
    pub fn add(&mut self, address: &GitAddress) {
        let (host, shown) = (address.host(), address.to_string());
        let encoded = shown.strip_prefix(host).unwrap_or(&shown).trim_start_matches('/');
        for (before, between) in FORMS {
            // Between `:` and the end nothing is decoded.
            let paths = if between == "/" { [encoded, address.path()] } else { [address.path(); 2] };
            for path in paths {
                self.prefixes.insert(format!("{before}{host}{between}{path}"), address.clone());
            }
        }
    }

    /// Takes an address as a lock has it: with a user, a port, capital letters. It may hold a password, which is then part of
    /// the prefix.
    pub fn add_url(&mut self, url: &GitUrl) {
        let text = url.secret_text().trim_end_matches('/');
        let prefix = text.strip_suffix(".git").unwrap_or(text);
        self.prefixes.insert(prefix.to_owned(), url.address().clone());
    }

    /// Returns the settings that lead to the server at `base_url`, and pushes away from it.
    pub(super) fn settings(&self, base_url: &str) -> Vec<Setting> {
        let leading = self.prefixes.iter().map(|(prefix, address)| Setting {
            section: "url",
            subsection: format!("{base_url}/git/{address}"),
            name: "insteadOf",
            value: prefix.clone(),
        });
        let pushing = self.prefixes.keys().map(|prefix| Setting {
            section: "url",
            subsection: self.pushed_to(prefix),
            name: "pushInsteadOf",
            value: prefix.clone(),
        });
        leading.chain(pushing).collect()
    }

    /// Returns where a push to such an address goes without the server: by the longest rule for pushes, else by the longest
    /// of all (`alias_url` in git's `remote.c`).
    fn pushed_to(&self, address: &str) -> String {
        let longest = |is_for_push| {
            let rules = self.rules.iter().filter(|rule| rule.is_for_push == is_for_push);
            let matching = rules.filter_map(|rule| Some((rule, address.strip_prefix(&rule.prefix)?)));
            // Of equally long ones the first counts.
            matching.rev().max_by_key(|(rule, _)| rule.prefix.len())
        };
        let rule = longest(true).or_else(|| longest(false));
        rule.map_or_else(|| address.to_owned(), |(rule, rest)| format!("{}{rest}", rule.base))
    }
}

/// A setting of git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) section: &'static str,
    pub(super) subsection: String,
    pub(super) name: &'static str,
    pub(super) value: String,
}

impl Setting {
    fn key(&self) -> String {
        match self.subsection.as_str() {
            "" => format!("{}.{}", self.section, self.name),
            subsection => format!("{}.{subsection}.{}", self.section, self.name),
        }
    }
}

/// Returns what a setting is about, if it is one that this program makes: two with one subject cannot both be in force.
fn subject(key: &str, value: &str) -> Option<String> {
    let lower = key.to_ascii_lowercase();
    match lower.rsplit_once('.')?.1 {
        "insteadof" if is_ours(key) => Some(format!("insteadof {value}")),
        "pushinsteadof" => Some(format!("pushinsteadof {value}")),
        "sslcainfo" => Some(lower),
        _ => None,
    }
}

/// Returns the variables that add settings to those which are there already (git-config(1), `GIT_CONFIG_COUNT`).
///
/// One with the same subject is replaced: it is of an earlier server, and git would take the first.
pub(super) fn variables(settings: &[Setting], existing: &impl Fn(&str) -> Option<String>) -> Vec<Variable> {
    if settings.is_empty() {
        return Vec::new();
    }
    let count = existing("GIT_CONFIG_COUNT").and_then(|count| count.trim().parse().ok()).unwrap_or(0_usize);
    // One that is missing makes git refuse all of them.
    let keys = (0..count.min(MAX_EXISTING)).map_while(|number| existing(&format!("GIT_CONFIG_KEY_{number}")));
    let keys: Vec<String> = keys.collect();
    let subject_of = |(number, key): (usize, &String)| {
        Some((subject(key, &existing(&format!("GIT_CONFIG_VALUE_{number}"))?)?, number))
    };
    let replaced: BTreeMap<String, usize> = keys.iter().enumerate().filter_map(subject_of).collect();
    let mut next = keys.len();
    let mut variables = Vec::new();
    for setting in settings {
        let key = setting.key();
        let there = subject(&key, &setting.value).and_then(|subject| replaced.get(&subject).copied());
        let number = there.unwrap_or_else(|| {
            next += 1;
            next - 1
        });
        variables.push(Variable::set(format!("GIT_CONFIG_KEY_{number}"), &key));
        variables.push(Variable::set(format!("GIT_CONFIG_VALUE_{number}"), &setting.value));
    }
    variables.insert(0, Variable::set("GIT_CONFIG_COUNT", &next.to_string()));
    variables
}

/// Writes settings as a configuration file to include.
pub(super) fn file(settings: &[Setting]) -> String {
    let mut by_section: BTreeMap<(&str, &str), String> = BTreeMap::new();
    for Setting { section, subsection, name, value } in settings {
        *by_section.entry((section, subsection)).or_default() += &format!("\t{name} = {}\n", quoted(value));
    }
    let section = |((section, subsection), lines): ((&str, &str), String)| match subsection {
        "" => format!("[{section}]\n{lines}"),
        subsection => format!("[{section} {}]\n{lines}", quoted(subsection)),
    };
    by_section.into_iter().map(section).collect()
}

/// Tells whether a setting leads to a server of this program.
fn is_ours(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.starts_with("url.") && key.contains("/git/") && key.ends_with(".insteadof")
}

/// Quotes text for a configuration file (git-config(1), "Syntax").
fn quoted(text: &str) -> String {
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
        super::variables(&redirects().settings(base_url), &find)
    }

    /// For each form one setting that leads to the server, and one that leads pushes away from it.
    const EACH: usize = 2 * FORMS.len();

    #[test]
    fn what_is_set_already_stays() {
        let existing = [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "user.name"), ("GIT_CONFIG_VALUE_0", "Me")];
        let settings = settings(&variables(&existing, "http://h"), &existing);
        assert_eq!(settings.len(), 1 + EACH);
        assert_eq!(settings[0], ("user.name".into(), "Me".into()));
        let key = "url.http://h/git/github.com/a/lib.insteadOf";
        let own = "git@github.com:a/lib";
        assert!(settings.contains(&(key.into(), own.into())));
        assert!(settings.contains(&(format!("url.{own}.pushInsteadOf"), own.into())));
        assert_eq!(settings.iter().filter(|(found, _)| found == key).count(), FORMS.len());
    }

    #[test]
    fn those_of_an_earlier_server_are_replaced() {
        let first = variables(&[], "http://first");
        let owned: Vec<(String, String)> =
            first.into_iter().map(|Variable { name, value }| (name.to_string(), value.unwrap())).collect();
        let existing: Vec<(&str, &str)> = owned.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let settings = settings(&variables(&existing, "http://second"), &existing);
        assert_eq!(settings.len(), EACH);
        assert!(settings.iter().all(|(key, _)| !key.contains("http://first/")));
    }

    #[test]
    fn a_count_that_is_wrong_is_not_trusted() {
        for count in ["x", "-1", "99999999999999999999", "4000000000"] {
            assert_eq!(settings(&variables(&[("GIT_CONFIG_COUNT", count)], "http://h"), &[]).len(), EACH);
        }
    }

    #[test]
    fn a_push_goes_where_it_went_without_the_server() {
        let rule =
            |base: &str, prefix: &str, is_for_push| Rule { base: base.into(), prefix: prefix.into(), is_for_push };
        let ssh = rule("git@github.com:", "https://github.com/", false);
        let earlier = rule("http://first/git/github.com/a/lib", "https://github.com/a/lib", false);
        let other = rule("ssh://push/", "https://github.com/", true);
        let pushed =
            |rules: &[&Rule]| Redirects::new(rules.iter().copied().cloned()).pushed_to("https://github.com/a/lib");
        assert_eq!(pushed(&[]), "https://github.com/a/lib");
        assert_eq!(pushed(&[&earlier]), "https://github.com/a/lib");
        assert_eq!(pushed(&[&ssh, &earlier]), "git@github.com:a/lib");
        assert_eq!(pushed(&[&ssh, &other, &earlier]), "ssh://push/a/lib");
    }

    #[test]
    fn a_lock_s_own_spelling_counts_too() {
        let mut redirects = Redirects::default();
        for url in ["ssh://Me@Git.Example.org:2222/a/b.git/", "https://u:p@h/My%20Lib.git", "HTTPS://H/x"] {
            redirects.add_url(&url.parse().unwrap());
        }
        let leading = redirects.settings("B").into_iter().filter(|setting| setting.name == "insteadOf");
        let found: Vec<(String, String)> = leading.map(|setting| (setting.key(), setting.value)).collect();
        assert_eq!(
            found,
            [
                ("url.B/git/h/x.insteadOf".to_owned(), "HTTPS://H/x".to_owned()),
                ("url.B/git/h/My%20Lib.insteadOf".to_owned(), "https://u:p@h/My%20Lib".to_owned()),
                ("url.B/git/git.example.org/a/b.insteadOf".to_owned(), "ssh://Me@Git.Example.org:2222/a/b".to_owned()),
            ]
        );
    }

    #[test]
    fn a_path_is_named_encoded_and_not() {
        let mut redirects = Redirects::default();
        redirects.add(&"h/My%20Lib".parse().unwrap());
        for prefix in ["https://h/My%20Lib", "https://h/My Lib", "git@h:My Lib"] {
            assert!(redirects.prefixes.contains_key(prefix), "{prefix}");
        }
    }
}
