//! Recognises an environment that already directs clients to a server of this program, and restores the one before.
//!
//! `run`, `shell` and `env` record the server's address and the previous values of the variables that they change.
//! Commands of this program use the restored environment. So `update` inside of `run` fetches from upstream rather than
//! from the mirror that it updates, and a nested `run` starts from the environment outside.
//!
//! A variable that someone has changed since then is not restored. This requires no record of the values that were set:
//! they follow from the address and the previous values.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::access::{Access, changes};
use super::git_config;
use super::outer_server::{OuterServer, SERVER};
use super::variable::Variable;
use crate::model::redacted;

/// The variable with the previous values.
pub(super) const PREVIOUS: &str = "HEXMIRROR_PREVIOUS";

/// The maximum length of the recorded values, in bytes. Linux limits a variable to 128 KiB.
const MAX_RECORD: usize = 64 << 10;

/// The variables that may be recorded and restored. A record with another name is invalid.
const RECORDED: [&str; 17] = [
    "GIT_ALLOW_PROTOCOL",
    "GIT_SSL_CAINFO",
    "HEX_BUILDS_URL",
    "HEX_CACERTS_PATH",
    "HEX_CDN",
    "HEX_HOME",
    "HEX_MIRROR",
    "HEX_MIRROR_URL",
    "HEX_OFFLINE",
    "HEX_TRUSTED_MIRROR",
    "HEX_TRUSTED_MIRROR_URL",
    "HTTP_PROXY",
    "NO_PROXY",
    "REBAR_OFFLINE",
    "XDG_CACHE_HOME",
    "http_proxy",
    "no_proxy",
];

/// What the environment was before.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Previous {
    /// The values of variables. Those that are not listed were not set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    variables: BTreeMap<String, String>,
    /// The server's CA certificate file, if clients were made to trust one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authority: Option<String>,
    /// The `HEX_HOME` that Hex was given, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hex_home: Option<String>,
    /// The `XDG_CACHE_HOME` that gleam was given, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_home: Option<String>,
    /// The numbers of the settings that were added to `GIT_CONFIG_COUNT`.
    #[serde(default, skip_serializing_if = "Range::is_empty")]
    git_config: Range<usize>,
}

impl Previous {
    /// Returns `None` if the record is too long or invalid.
    fn parse(text: &str) -> Option<Self> {
        let previous: Self = serde_json::from_str(Some(text).filter(|text| text.len() <= MAX_RECORD)?).ok()?;
        previous.variables.keys().all(|name| RECORDED.contains(&name.as_str())).then_some(previous)
    }
}

/// Returns the variables that record a server and what the environment was before. `git_config` are the numbers of the
/// settings that were added to git's. Values with a password are omitted unless [`Access::records_passwords`].
pub(super) fn record(
    access: &Access,
    git_config: Range<usize>,
    existing: &impl Fn(&str) -> Option<String>,
) -> [Variable; 2] {
    let may_record = |value: &String| access.records_passwords || redacted(value) == *value;
    let value = |name: &str| Some((name.to_owned(), existing(name).filter(may_record)?));
    let variables = RECORDED.into_iter().filter_map(value).collect();
    let previous = Previous {
        variables,
        authority: access.authority.clone(),
        hex_home: access.hex_home.clone(),
        cache_home: access.cache_home.clone(),
        git_config,
    };
    let text = serde_json::to_string(&previous).expect("texts and numbers can be written as JSON");
    // Without a record, everything that refers to the server is unset instead of restored.
    let text = if text.len() <= MAX_RECORD { text.as_str() } else { "{}" };
    [Variable::set(SERVER, &access.base_url), Variable::set(PREVIOUS, text)]
}

/// Returns the changes that restore the environment of before an outer `run`, `shell` or `env`.
pub fn restoration(existing: impl Fn(&str) -> Option<String>) -> Vec<Variable> {
    let server = OuterServer::of_environment(&existing);
    if existing(SERVER).or_else(|| existing(PREVIOUS)).is_none() {
        return Vec::new();
    }
    let recorded = [SERVER, PREVIOUS].into_iter().map(Variable::unset);
    let Some(url) = server.url() else { return recorded.collect() };
    let Previous { variables, authority, hex_home, cache_home, git_config } =
        existing(PREVIOUS).and_then(|text| Previous::parse(&text)).unwrap_or_default();
    let previous = |name: &str| variables.get(name).cloned();
    let access = Access { base_url: url.to_owned(), authority, hex_home, cache_home, ..Access::default() };
    let unchanged = changes(&access, previous).into_iter().filter(|set| existing(&set.name) == set.value);
    let restored = unchanged.map(|Variable { name, .. }| match previous(&name) {
        Some(value) => Variable::set(name, &value),
        None => Variable::unset(name),
    });
    let restored = restored.filter(|variable| existing(&variable.name) != variable.value);
    restored.chain(git_config::removed(&server, git_config, &existing)).chain(recorded).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::environment::{InsteadOfRules, environment};
    use super::*;

    type Variables = BTreeMap<String, String>;

    fn lookup(variables: &Variables) -> impl Fn(&str) -> Option<String> + '_ {
        |name| variables.get(name).filter(|value| !value.is_empty()).cloned()
    }

    fn apply(changes: Vec<Variable>, variables: &mut Variables) {
        for Variable { name, value } in changes {
            match value {
                Some(value) => variables.insert(name.into_owned(), value),
                None => variables.remove(&*name),
            };
        }
    }

    fn direct(access: &Access, variables: &mut Variables) {
        let changes = environment(access, lookup(variables));
        apply(changes, variables);
    }

    fn restore(variables: &mut Variables) {
        let changes = restoration(lookup(variables));
        apply(changes, variables);
    }

    fn access(url: &str, authority: Option<&str>, records_passwords: bool) -> Access {
        let mut instead_of = InsteadOfRules::default();
        instead_of.add(&"h/lib".parse().unwrap());
        let folder = |name: &str| authority.map(|_| format!("/x/{name}"));
        let (hex_home, cache_home) = (folder("hex"), folder("cache"));
        let authority = authority.map(str::to_owned);
        Access { base_url: url.into(), instead_of, authority, hex_home, cache_home, records_passwords, is_proxy: false }
    }

    fn any_environment() -> impl Strategy<Value = Variables> {
        let value = prop_oneof!["[ -~]{1,20}", "https?://[a-z]{1,5}(:[0-9]{2})?", Just("1".to_owned())];
        let recorded = prop::collection::btree_map(prop::sample::select(&RECORDED[..]), value, 0..8);
        let settings = prop::collection::vec(("[a-z]{1,5}\\.[a-z]{1,5}", "[ -~]{0,9}"), 0..4);
        (recorded, settings).prop_map(|(recorded, settings)| {
            let mut variables: Variables = recorded.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            for (number, (key, value)) in settings.iter().enumerate() {
                variables.insert(format!("GIT_CONFIG_KEY_{number}"), key.clone());
                variables.insert(format!("GIT_CONFIG_VALUE_{number}"), value.clone());
                variables.insert("GIT_CONFIG_COUNT".into(), (number + 1).to_string());
            }
            variables
        })
    }

    proptest! {
        #[test]
        fn the_environment_of_before_is_restored(before in any_environment(), tls: bool) {
            let mut variables = before.clone();
            direct(&access("http://127.0.0.1:4040", tls.then_some("/x/ca.pem"), true), &mut variables);
            prop_assert_eq!(variables.get("HEX_MIRROR").map(String::as_str), Some("http://127.0.0.1:4040"));
            restore(&mut variables);
            prop_assert_eq!(variables, before);
        }

        #[test]
        fn no_text_in_place_of_a_record_sets_another_variable(text in ".{0,99}") {
            let mut variables = Variables::new();
            direct(&access("http://127.0.0.1:4040", None, true), &mut variables);
            variables.insert(PREVIOUS.into(), text);
            restore(&mut variables);
            prop_assert!(variables.keys().all(|name| name.starts_with("GIT_CONFIG_")), "{:?}", variables);
        }
    }

    fn variables(list: &[(&str, &str)]) -> Variables {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_variable_that_was_changed_meanwhile_stays() {
        let mut variables = variables(&[("HEX_MIRROR", "http://corp"), ("no_proxy", "a")]);
        direct(&access("http://127.0.0.1:4040", None, true), &mut variables);
        variables.insert("HEX_MIRROR".into(), "http://mine".into());
        variables.insert("http_proxy".into(), "http://proxy".into());
        variables.remove("HEX_CDN");
        restore(&mut variables);
        let expected =
            self::variables(&[("HEX_MIRROR", "http://mine"), ("http_proxy", "http://proxy"), ("no_proxy", "a")]);
        assert_eq!(variables, expected);
    }

    #[test]
    fn an_invalid_record_restores_nothing_but_leads_out() {
        let long = format!("{{\"variables\":{{\"no_proxy\":\"{}\"}}}}", "x".repeat(MAX_RECORD));
        for text in ["", "x", "[]", "{\"variables\":{\"LD_PRELOAD\":\"/evil.so\"}}", "{\"future\":1}", &long] {
            let mut variables = variables(&[("no_proxy", "a"), ("PATH", "/bin")]);
            direct(&access("http://127.0.0.1:4040", None, true), &mut variables);
            variables.insert(PREVIOUS.into(), text.into());
            restore(&mut variables);
            variables.retain(|name, _| !name.starts_with("GIT_CONFIG_"));
            // This value does not follow from an empty record, so it is treated as changed meanwhile.
            let no_proxy =
                self::variables(&[("PATH", "/bin"), ("no_proxy", "a,127.0.0.1"), ("NO_PROXY", "a,127.0.0.1")]);
            assert_eq!(variables, no_proxy, "{}", &text[..text.len().min(50)]);
        }
    }

    #[test]
    fn an_address_that_is_none_is_removed_with_the_record() {
        let mut variables = variables(&[(SERVER, "file:///etc"), (PREVIOUS, "{}"), ("HEX_MIRROR", "file:///etc")]);
        restore(&mut variables);
        assert_eq!(variables, self::variables(&[("HEX_MIRROR", "file:///etc")]));
    }

    #[test]
    fn a_password_is_recorded_only_if_permitted() {
        let before = variables(&[("HEX_MIRROR", "https://me:secret@corp"), ("HEX_CDN", "https://corp")]);
        for records_passwords in [false, true] {
            let mut variables = before.clone();
            direct(&access("http://127.0.0.1:4040", None, records_passwords), &mut variables);
            assert_eq!(variables[PREVIOUS].contains("secret"), records_passwords);
            assert!(variables[PREVIOUS].contains("https://corp"));
        }
    }
}
