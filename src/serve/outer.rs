//! Recognises an environment that already directs clients to a server of this program, and restores the one before.
//!
//! `run`, `shell` and `env` record the server's address and the previous values of the variables that they change.
//! Commands of this program use the restored environment. So `update` inside of `run` fetches from upstream rather than
//! from the mirror that it updates, and a nested `run` starts from the environment outside.
//!
//! A variable that someone has changed since then is not restored. This requires no record of the values that were set:
//! they follow from the address and the previous values. The commands of a server's `/env` leave a record of another form
//! ([`shell_record`]), possibly over one of this form.

use std::ops::Range;

use super::access::{Access, changes, hex_url};
use super::contents::Registry;
use super::git_config;
use super::outer_server::{OuterServer, SERVER};
use super::record::{MAX_RECORD, PREVIOUS, Previous, RECORDED};
use super::shell_record;
use super::variable::Variable;
use crate::model::redacted;

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
        artefact_folders: access.artefact_folders.clone(),
        any_origin: access.any_origin,
        git_config,
    };
    let text = serde_json::to_string(&previous).expect("texts and numbers can be written as JSON");
    // Without a record, everything that refers to the server is unset instead of restored.
    let text = if text.len() <= MAX_RECORD { text.as_str() } else { "{}" };
    [Variable::set(SERVER, &access.base_url), Variable::set(PREVIOUS, text)]
}

/// Returns the changes that restore the environment of before an outer `run`, `shell` or `env`, or the commands of a
/// server's `/env`. `existing` also returns variables without a value.
pub fn restoration(existing: impl Fn(&str) -> Option<String>) -> Vec<Variable> {
    let of_shell = shell_record::restoration(&existing);
    let of_program = restoration_of_program(|name| match of_shell.iter().find(|change| change.name == name) {
        Some(change) => change.value.clone(),
        None => existing(name),
    });
    let is_replaced = |change: &Variable| of_program.iter().any(|later| later.name == change.name);
    let of_shell: Vec<_> = of_shell.iter().filter(|change| !is_replaced(change)).cloned().collect();
    of_shell.into_iter().chain(of_program).collect()
}

fn restoration_of_program(existing: impl Fn(&str) -> Option<String>) -> Vec<Variable> {
    let effective = |name: &str| existing(name).filter(|value| !value.is_empty());
    let server = OuterServer::of_environment(&existing);
    if effective(SERVER).or_else(|| effective(PREVIOUS)).is_none() {
        return Vec::new();
    }
    let recorded = [SERVER, PREVIOUS].into_iter().map(Variable::unset);
    let Some(url) = server.url() else { return recorded.collect() };
    let Previous { variables, authority, hex_home, cache_home, artefact_folders, any_origin, git_config } =
        existing(PREVIOUS).and_then(|text| Previous::parse(&text)).unwrap_or_default();
    let base_url = url.to_owned();
    let registry = registry(url, &existing);
    let access = Access {
        base_url,
        registry,
        authority,
        hex_home,
        cache_home,
        artefact_folders,
        any_origin,
        ..Access::default()
    };
    let previous = |name: &str| variables.get(name).filter(|value| !value.is_empty()).cloned();
    let unchanged = changes(&access, previous).into_iter().filter(|set| existing(&set.name) == set.value);
    let restored = unchanged.map(|Variable { name, .. }| match variables.get(&*name) {
        Some(value) => Variable::restored(name, value.clone()),
        None => Variable::unset(name),
    });
    let restored = restored.filter(|variable| existing(&variable.name) != variable.value);
    restored.chain(git_config::removed(&server, git_config, &effective)).chain(recorded).collect()
}

/// Returns the registry at the root of the server that the environment directs clients to.
fn registry(url: &str, existing: &impl Fn(&str) -> Option<String>) -> Registry {
    let of_pinned = Some(hex_url(url, Registry::Pinned));
    let is_pinned = ["HEX_MIRROR", "HEX_CDN"].iter().any(|name| existing(name) == of_pinned);
    if is_pinned { Registry::Pinned } else { Registry::Signed }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::environment::{InsteadOfRules, environment};
    use super::*;

    type Variables = BTreeMap<String, String>;

    fn lookup(variables: &Variables) -> impl Fn(&str) -> Option<String> + '_ {
        |name| variables.get(name).cloned()
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
        let artefact_folders = folder("xla").map(|folder| ("XLA_CACHE_DIR".to_owned(), folder)).into_iter().collect();
        let authority = authority.map(str::to_owned);
        Access {
            base_url: url.into(),
            registry: Registry::Signed,
            instead_of,
            any_origin: authority.is_some(),
            authority,
            hex_home,
            cache_home,
            artefact_folders,
            records_passwords,
            is_proxy: false,
        }
    }

    fn any_environment() -> impl Strategy<Value = Variables> {
        let value = prop_oneof!["[ -~\n\t]{0,20}", "https?://[a-z]{1,5}(:[0-9]{2})?", Just("1".to_owned())];
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
        fn the_environment_of_before_is_restored(before in any_environment(), tls: bool, pinned: bool) {
            let mut variables = before.clone();
            let (registry, mirror) = match pinned {
                true => (Registry::Pinned, "http://127.0.0.1:4040/signed"),
                false => (Registry::Signed, "http://127.0.0.1:4040"),
            };
            let access = access("http://127.0.0.1:4040", tls.then_some("/x/ca.pem"), true);
            direct(&Access { registry, ..access }, &mut variables);
            prop_assert_eq!(variables.get("HEX_MIRROR").map(String::as_str), Some(mirror));
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
        for text in [
            "",
            "x",
            "[]",
            "{\"variables\":{\"LD_PRELOAD\":\"/evil.so\"}}",
            "{\"future\":1}",
            "{\"artefact_folders\":{\"LD_PRELOAD\":\"/evil.so\"}}",
            &long,
        ] {
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
