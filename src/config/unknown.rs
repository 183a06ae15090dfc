//! Keys of git's configuration that no setting has, such as a misspelt one. Git ignores them, and so does every command, so
//! they have to be named; so do misspelt environment variables. An unknown key of the tracked file is an error ([`Layer::from_toml`](super::Layer::from_toml)).

/// The keys of settings: `hexmirror.KEY`.
const KEYS: [&str; 23] = [
    "branch",
    "locks",
    "jobs",
    "timeout",
    "opaque",
    "submodules",
    "extra",
    "policies",
    "downloads",
    "git",
    "tools",
    "artefacts",
    "docs",
    "assetTools",
    "npmKeys",
    "internalHosts",
    "noVerifyRepoOrigin",
    "shallow",
    "maxAge",
    "prePush",
    "postCheckout",
    "keepDays",
    "keepTags",
];
/// The keys of settings of a Hex repository: `hexmirror.REPOSITORY.KEY`.
const KEYS_OF_REPOSITORY: [&str; 3] = ["url", "publicKey", "signer"];
/// The key with what the user allowed.
const TRUST: &str = "trust";

/// How the variables of settings begin.
const PREFIX: &str = "HEXMIRROR_";
/// Variables that are no settings, without the prefix.
const OTHER_VARIABLES: [&str; 6] = ["PREVIOUS", "PRIVATE_KEY", "PRIVATE_KEY_FILE", "SERVER", "SHELL", "TRUST"];

/// A key of git's configuration that no setting has, or the name of such a variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnknownKey {
    /// The key.
    pub key: String,
    /// The most similar key of a setting, if one is similar.
    pub nearest: Option<String>,
}

/// Finds the unknown keys among those of the section `hexmirror`, each given with its subsection. Git does not distinguish
/// upper and lower case in keys.
pub fn unknown_keys(keys: impl IntoIterator<Item = (Option<String>, String)>) -> Vec<UnknownKey> {
    let has = |known: &[&str], name: &str| known.iter().any(|known| known.eq_ignore_ascii_case(name));
    let mut unknown: Vec<UnknownKey> = keys
        .into_iter()
        .filter(|(repository, name)| match repository {
            Some(_) => !has(&KEYS_OF_REPOSITORY, name),
            None => !has(&KEYS, name) && !has(&[TRUST], name),
        })
        .map(|(repository, name)| {
            let nearest = nearest(repository.as_deref(), &name);
            let repository = repository.map(|name| name + ".").unwrap_or_default();
            UnknownKey { key: format!("hexmirror.{repository}{name}"), nearest }
        })
        .collect();
    unknown.sort();
    unknown.dedup();
    unknown
}

/// Returns the key of the setting with the most similar name, which may be one for another place.
fn nearest(repository: Option<&str>, name: &str) -> Option<String> {
    let of_repository =
        KEYS_OF_REPOSITORY.map(|key| (key, format!("hexmirror.{}.{key}", repository.unwrap_or("REPOSITORY"))));
    let all = KEYS.map(|key| (key, format!("hexmirror.{key}"))).into_iter().chain(of_repository);
    let most = most_edits(name);
    let lower = name.to_ascii_lowercase();
    let distance = |key: &str| strsim::osa_distance(&key.to_ascii_lowercase(), &lower);
    let near = all.map(|(key, full)| (distance(key), full)).filter(|(distance, _)| *distance <= most);
    near.min_by_key(|(distance, _)| *distance).map(|(_, full)| full)
}

/// Finds the misspelt ones among the names of variables. Only a name that is similar to a known one is, because scripts have
/// variables of their own with this prefix.
pub fn misspelt_variables<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<UnknownKey> {
    let of_settings = KEYS.into_iter().chain(["url", "publicKey"]).map(variable);
    let known: Vec<String> = of_settings.chain(OTHER_VARIABLES.map(str::to_owned)).collect();
    let misspelt = |name: &str| {
        let rest = name.strip_prefix(PREFIX).filter(|rest| !known.iter().any(|known| known == rest))?;
        let distances = known.iter().map(|known| (strsim::osa_distance(known, rest), known));
        let near = distances.filter(|(distance, _)| *distance <= most_edits(rest));
        let (_, nearest) = near.min_by_key(|(distance, _)| *distance)?;
        Some(UnknownKey { key: name.to_owned(), nearest: Some(format!("{PREFIX}{nearest}")) })
    };
    names.into_iter().filter_map(misspelt).collect()
}

/// Returns the variable of a key, without the prefix: `PRE_PUSH` for `prePush`.
fn variable(key: &str) -> String {
    let mut name = String::new();
    for letter in key.chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// Returns how many edits a similar name may differ by.
fn most_edits(name: &str) -> usize {
    name.chars().count().div_ceil(3).min(3)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::config::Layer;

    #[test]
    fn a_misspelt_key_is_found_with_the_nearest_one() {
        for (repository, name, nearest) in [
            (None, "prePsh", Some("hexmirror.prePush")),
            (None, "jbos", Some("hexmirror.jobs")),
            (None, "publickey", Some("hexmirror.REPOSITORY.publicKey")),
            (Some("acme"), "ulr", Some("hexmirror.acme.url")),
            (Some("hooks"), "prepush", Some("hexmirror.prePush")),
            (None, "colour", None),
        ] {
            let found = unknown_keys([(repository.map(str::to_owned), name.to_owned())]);
            assert_eq!(found.len(), 1, "{name}");
            assert_eq!(found[0].nearest.as_deref(), nearest, "{name}");
        }
        let known = [(None, "PREPUSH"), (None, "trust"), (Some("acme"), "publickey")];
        assert_eq!(unknown_keys(known.map(|(of, name)| (of.map(str::to_owned), name.to_owned()))), []);
    }

    #[test]
    fn every_setting_has_a_known_variable_and_a_misspelt_one_is_found() {
        let asked = RefCell::new(Vec::new());
        let get = |name: &str| -> Option<String> {
            asked.borrow_mut().push(name.to_owned());
            None
        };
        Layer::from_environment(get).unwrap();
        let asked = asked.into_inner();
        assert!(asked.iter().any(|name| name == "HEXMIRROR_PRE_PUSH"));
        assert_eq!(misspelt_variables(asked.iter().map(String::as_str)), []);
        for (name, nearest) in [
            ("BRANHC", Some("BRANCH")),
            ("PREPUSH", Some("PRE_PUSH")),
            ("LOCK", Some("LOCKS")),
            ("VERSION", None),
            ("SOURCE", None),
            ("BEFORE_HEX_MIRROR", None),
        ] {
            let found = misspelt_variables([&*format!("{PREFIX}{name}")]).pop().and_then(|found| found.nearest);
            assert_eq!(found, nearest.map(|nearest| format!("{PREFIX}{nearest}")), "{name}");
        }
        assert_eq!(misspelt_variables(["HEX_MIRORR"]), []);
    }
}
