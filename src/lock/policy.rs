//! The policy that a mix.exs names for Hex.

use crate::model::PolicyId;
use crate::term::{Spanned, Term, elixir};

/// Returns the first policy that a mix.exs names in `hex: [policy: …]`, as a literal. A mix.exs is never evaluated, so
/// a name that is computed is not found.
///
/// Like Hex, accepts `"REPOSITORY/NAME"`, `[org: ORGANISATION, name: NAME]` and `[repo: REPOSITORY, name: NAME]`
/// (`Hex.Policy.parse_config/1`).
pub fn policy_of_mix_exs(source: &[u8]) -> Option<PolicyId> {
    let has_word = source.windows(b"policy".len()).any(|window| window == b"policy");
    let source = std::str::from_utf8(source).ok().filter(|_| has_word)?;
    elixir::values_of(source, "hex").iter().find_map(|hex| policy(field(&hex.term, "policy")?))
}

fn policy(value: &Term<'_>) -> Option<PolicyId> {
    if let Some(text) = value.as_bytes().and_then(|bytes| std::str::from_utf8(bytes).ok()) {
        return text.trim().parse().ok();
    }
    let text = |key: &str| Some(std::str::from_utf8(field(value, key)?.as_bytes()?).ok());
    match (text("repo"), text("org"), text("name")) {
        (None, Some(Some(organization)), Some(Some(name))) => format!("hexpm:{organization}/{name}").parse().ok(),
        (Some(Some(repository)), None, Some(Some(name))) => format!("{repository}/{name}").parse().ok(),
        _ => None,
    }
}

/// Returns the first value of a key in a keyword list.
fn field<'a>(keywords: &'a Term<'a>, key: &str) -> Option<&'a Term<'a>> {
    let pairs = keywords.as_list()?.iter().filter_map(|element: &Spanned<'_>| element.term.as_pair());
    pairs.filter(|(name, _)| name.term.as_atom() == Some(key)).map(|(_, value)| &value.term).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_project(hex: &str) -> Option<String> {
        let source = format!(
            "defmodule A.MixProject do\n  use Mix.Project\n\n  # hex: [policy: \"no/comment\"]\n  def project do\n    [\n      \
             app: :a,\n      deps: [{{:b, \"1.0.0\", hex: :c}}],\n      {hex}\n    ]\n  end\nend\n"
        );
        policy_of_mix_exs(source.as_bytes()).map(|policy| policy.to_string())
    }

    #[test]
    fn each_form_of_a_literal_is_read() {
        for (hex, expected) in [
            ("hex: [policy: \"hexpm:acme/strict\"]", "hexpm:acme/strict"),
            ("hex: [policy: \" hexpm:acme/strict \", cooldown: \"7d\"],", "hexpm:acme/strict"),
            ("hex: [policy: [org: \"acme\", name: \"strict\"]]", "hexpm:acme/strict"),
            ("hex: [{:policy, [name: \"strict\", repo: \"acme\"]}]", "acme/strict"),
        ] {
            assert_eq!(of_project(hex).as_deref(), Some(expected), "{hex}");
        }
    }

    #[test]
    fn nothing_else_is_a_policy() {
        for hex in [
            "",
            "hex: [policy: nil]",
            "hex: [policy: policy()]",
            "hex: [policy: System.get_env(\"HEX_POLICY\")]",
            "hex: [policy: \"hexpm/strict\"]",
            "hex: [policy: \"../../x/y\"]",
            "hex: [policy: [org: \"acme\", repo: \"acme\", name: \"strict\"]]",
            "hex: [policy: [org: \"acme\"]]",
            "hex: [policy: 'acme/strict']",
            "hex: :policy",
            "policy: \"acme/strict\"",
        ] {
            assert_eq!(of_project(hex), None, "{hex}");
        }
        assert_eq!(policy_of_mix_exs(b"hex: [policy: \"a/b\"] \xff"), None);
    }
}
