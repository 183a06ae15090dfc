//! The Hex client's configuration for repositories that `HEX_MIRROR` does not redirect: organisations that the user has
//! configured, and self-hosted repositories.
//!
//! `HEX_MIRROR` replaces only the address of hexpm itself. The client merges `hex.config` over it
//! (`Hex.Config.read_repos/1`), and from Hex 2.4 it first exchanges an organisation's key for a token at hex.pm's API.
//! A client whose `HEX_HOME` contains this file asks the mirror for all of them, and has no key to exchange.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::model::RepositoryName;

/// The name of the file in `HEX_HOME`.
pub const HEX_CONFIG: &str = "hex.config";

/// Returns the content of a `hex.config` with which Hex asks the server for some repositories, given their public keys
/// in PEM. `options` are further terms, as text.
///
/// It contains no credentials. `trusted => false` is how Hex marks an untrusted mirror: neither `HEX_REPOS_KEY` nor a
/// token is sent for hexpm or an organisation (`update_organizations/1` in `hex/repo.ex`).
pub fn hex_config(base_url: &str, keys: &BTreeMap<RepositoryName, String>, options: &[u8]) -> Vec<u8> {
    // The client requires the repository of each organisation.
    let sources = keys.keys().filter(|name| name.organization().is_some()).map(RepositoryName::source);
    let names: BTreeSet<&str> = keys.keys().map(RepositoryName::as_str).chain(sources).chain(["hexpm"]).collect();
    let by_name: BTreeMap<&str, &str> = keys.iter().map(|(name, key)| (name.as_str(), key.as_str())).collect();
    let repository = |name: &&str| {
        let key = by_name.get(name).map(|key| format!("public_key => {}", binary(key)));
        // An organisation has the address of its repository and `/repos/NAME`. Whether it has the field `auth_key`
        // decides whether keys are sent.
        let fields = match (*name, name.contains(':')) {
            (_, true) => "oauth_exchange => false".to_owned(),
            ("hexpm", _) => {
                format!("url => {}, auth_key => nil, oauth_exchange => false, trusted => false", binary(base_url))
            }
            (own, _) => {
                let url = binary(&format!("{base_url}/repos/{own}"));
                let key = if key.is_none() { ", public_key => nil" } else { "" };
                format!("url => {url}, auth_key => nil, oauth_exchange => false, trusted => false{key}")
            }
        };
        let fields: Vec<String> = [fields].into_iter().chain(key).collect();
        format!("{} => #{{{}}}", binary(name), fields.join(", "))
    };
    let repositories: Vec<String> = names.iter().map(repository).collect();
    let mut text = format!("{{'$repos', #{{\n  {}\n}}}}.\n", repositories.join(",\n  ")).into_bytes();
    text.extend_from_slice(options);
    text
}

/// Writes a text as an Erlang binary. Characters outside of ASCII become escapes.
fn binary(text: &str) -> String {
    let mut written = String::from("<<\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => written.extend(['\\', character]),
            '\n' => written.push_str("\\n"),
            ' '..='~' => written.push(character),
            other => write!(written, "\\x{{{:X}}}", u32::from(other)).expect("writing to memory does not fail"),
        }
    }
    written + if text.is_ascii() { "\">>" } else { "\"/utf8>>" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::term::{Term, erlang};

    fn keys(names: &[&str]) -> BTreeMap<RepositoryName, String> {
        names.iter().map(|name| (name.parse().unwrap(), format!("-----BEGIN-----\n{name}\n"))).collect()
    }

    #[test]
    fn every_repository_is_at_the_mirror_and_none_has_a_credential() {
        let options = b"{cooldown, <<\"7d\">>}.\n";
        let text =
            String::from_utf8(hex_config("http://m:1", &keys(&["acme", "hexpm:one", "other:x"]), options)).unwrap();
        insta::assert_snapshot!(text, @r#"
        {'$repos', #{
          <<"acme">> => #{url => <<"http://m:1/repos/acme">>, auth_key => nil, oauth_exchange => false, trusted => false, public_key => <<"-----BEGIN-----\nacme\n">>},
          <<"hexpm">> => #{url => <<"http://m:1">>, auth_key => nil, oauth_exchange => false, trusted => false},
          <<"hexpm:one">> => #{oauth_exchange => false, public_key => <<"-----BEGIN-----\nhexpm:one\n">>},
          <<"other">> => #{url => <<"http://m:1/repos/other">>, auth_key => nil, oauth_exchange => false, trusted => false, public_key => nil},
          <<"other:x">> => #{oauth_exchange => false, public_key => <<"-----BEGIN-----\nother:x\n">>}
        }}.
        {cooldown, <<"7d">>}.
        "#);
    }

    proptest! {
        #[test]
        fn any_text_is_read_back(text in "\\PC{0,40}", names in prop::collection::btree_set("[a-z]{1,5}(:[a-z]{1,5})?", 0..5)) {
            let keys = names.iter().map(|name| (name.parse::<RepositoryName>().unwrap(), text.clone())).collect();
            let written = hex_config(&format!("http://h/{text}"), &keys, b"");
            let terms = erlang::consult(&written).unwrap();
            let (_, repositories) = terms[0].term.as_pair().unwrap();
            let repositories = repositories.term.as_map().unwrap();
            for name in keys.keys() {
                let (_, fields) = repositories.iter().find(|(key, _)| key.term.as_text() == Some(name.as_str())).unwrap();
                let fields = fields.term.as_map().unwrap();
                let field = |wanted| fields.iter().find(|(key, _)| key.term.as_atom() == Some(wanted)).map(|(_, value)| &value.term);
                prop_assert_eq!(field("public_key").and_then(Term::as_text), Some(text.as_str()));
                prop_assert_eq!(field("oauth_exchange").and_then(Term::as_bool), Some(false));
                prop_assert!(field("auth_key").is_none_or(|key| key.as_atom() == Some("nil")));
            }
        }
    }
}
