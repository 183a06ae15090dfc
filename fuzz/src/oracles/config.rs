//! The tracked settings file. It is TOML, its meaning does not depend on its spelling, and it is never trusted.

use std::collections::BTreeSet;
use std::time::Duration;

use git_hexmirror::config::{Config, Layer, PostCheckout, Tracked};
use toml::{Table, Value};

/// Arbitrary text as `.hexmirror.toml`.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let layer = Layer::from_toml(text);
    let Ok(table) = text.parse::<Table>() else {
        assert!(layer.is_err(), "it is no TOML");
        return;
    };
    let other_spelling: String =
        table.iter().map(|(key, value)| format!("{} = {}\n", quoted(key), written(value))).collect();
    let again = Layer::from_toml(&other_spelling);
    assert_eq!(layer.as_ref().ok(), again.as_ref().ok(), "{other_spelling}");
    let Ok(layer) = layer else { return };
    let Ok(config) = Config::from_layers(&[], &layer) else { return };
    check_bounds(&config);
    check_untrusted(&layer);
    assert!(config.repositories.values().all(|repository| !repository.trusted));
    // The same values as git settings have the same meaning, except that they are trusted.
    let Some(own) = as_git_settings(&layer) else { return };
    let own = Config::from_layers(&[own], &Layer::default()).expect("the same values");
    assert!(own.repositories.values().all(|repository| repository.trusted == repository.url.is_some()));
    let mut untrusted = own.clone();
    untrusted.repositories.values_mut().for_each(|repository| repository.trusted = false);
    assert_eq!(untrusted, config);
    // The user's own settings take precedence over the file.
    assert_eq!(Config::from_layers(&[as_git_settings(&layer).expect("as before")], &layer).ok(), Some(own));
}

/// Writes a value on one line, with every key quoted.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}").to_lowercase(),
        Value::Boolean(value) => value.to_string(),
        Value::Datetime(moment) => moment.to_string(),
        Value::Array(values) => format!("[{}]", values.iter().map(written).collect::<Vec<_>>().join(",")),
        Value::Table(table) => {
            let pairs: Vec<_> =
                table.iter().map(|(key, value)| format!("{}={}", quoted(key), written(value))).collect();
            format!("{{{}}}", pairs.join(","))
        }
    }
}

/// Writes a basic string in which everything except letters and digits is escaped.
fn quoted(text: &str) -> String {
    let escaped = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' => character.to_string(),
        _ => format!("\\U{:08x}", u32::from(character)),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

/// Checks that without the user's permission, the file neither triggers actions nor decides whom to trust, and that all
/// of it is in force with the permission.
fn check_untrusted(layer: &Layer) {
    let judge =
        |own: &[Layer], allowed| Tracked::judge(layer, own, &Layer::default(), &allowed).expect("the names are valid");
    let tracked = judge(&[], BTreeSet::new());
    let counts = Config::from_layers(&[], &tracked.in_force()).expect("what counts is some of it");
    assert!(
        counts.branch.starts_with("hexmirror")
            || counts.branch.starts_with("refs/heads/hexmirror")
            || counts.branch.starts_with("refs/hexmirror/")
    );
    assert!(matches!(counts.post_checkout, PostCheckout::Notify | PostCheckout::Off) && counts.keep_days >= 30);
    assert!(counts.repositories.keys().all(|name| name.source() != "hexpm"));
    let hash = tracked.hash;
    assert_eq!(hash.is_some(), tracked.inactive().next().is_some());
    assert_eq!(judge(&[], hash.into_iter().collect()).in_force().settings().ok(), layer.settings().ok());
    // A user who has set all values is not asked for permission.
    assert_eq!(judge(std::slice::from_ref(layer), BTreeSet::new()).in_force(), Layer::default());
}

fn check_bounds(config: &Config) {
    assert!(config.jobs.is_none_or(|jobs| (1..=256).contains(&jobs)));
    assert!(
        config
            .timeout
            .is_none_or(|time| (1..=3600).contains(&time.as_secs()) && time == Duration::from_secs(time.as_secs()))
    );
    assert!(config.keep_days <= 100_000);
    assert!(!config.locks.iter().flatten().any(|glob| glob.starts_with("./")));
}

/// Reads the same values as git settings; `None` if git cannot store them.
fn as_git_settings(layer: &Layer) -> Option<Layer> {
    let is_word = |word: &String| !word.is_empty() && !word.contains(char::is_whitespace);
    let lists = [&layer.locks, &layer.prune.keep_tags];
    if lists.into_iter().flatten().any(|list| list.is_empty() || !list.iter().all(is_word)) {
        return None;
    }
    let word = |shown: String| shown.to_lowercase();
    let values = |key: &str| -> Vec<String> {
        let number = |number: Option<usize>| number.map(|number| number.to_string()).into_iter().collect();
        match key {
            "hexmirror.branch" => layer.branch.iter().cloned().collect(),
            "hexmirror.jobs" => number(layer.jobs),
            "hexmirror.timeout" => number(layer.timeout),
            "hexmirror.keepDays" => number(layer.prune.keep_days),
            "hexmirror.keepTags" => layer.prune.keep_tags.iter().flatten().cloned().collect(),
            "hexmirror.locks" => layer.locks.iter().map(|globs| globs.join("\t")).collect(),
            "hexmirror.prePush" => layer.hooks.pre_push.map(|what| word(format!("{what:?}"))).into_iter().collect(),
            "hexmirror.postCheckout" => {
                layer.hooks.post_checkout.map(|what| word(format!("{what:?}"))).into_iter().collect()
            }
            _ => Vec::new(),
        }
    };
    let by_subsection = |key: &str| {
        let of = layer.repositories.iter().filter_map(|(name, repository)| {
            let key_text = || repository.public_key.as_ref().map(ToString::to_string);
            let value = match key {
                "url" => repository.url.clone(),
                "publicKey" => key_text(),
                // The tracked file cannot contain this setting.
                _ => None,
            };
            Some((name.clone(), value?))
        });
        of.collect::<Vec<_>>()
    };
    // A repository without any values does not exist as a git setting.
    let said =
        layer.repositories.values().all(|repository| repository.url.is_some() || repository.public_key.is_some());
    said.then(|| Layer::from_git(values, by_subsection).expect("the values were read once"))
}
