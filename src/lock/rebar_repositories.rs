//! The Hex repositories that a configuration of rebar3 names: `{hex, [{repos, […]}]}` (`repos/1` in rebar3's
//! `rebar_hex_repos.erl`).

use super::LockError;
use crate::term::{Spanned, erlang};

/// A repository in a configuration of rebar3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebarRepository {
    /// The name, such as `hexpm:acme`.
    pub name: String,
    /// The public key, as PEM.
    pub public_key: Option<String>,
}

/// Reads the repositories of a configuration, in its order. What has another form is left to rebar3.
///
/// # Errors
/// Fails if the configuration is not a sequence of literal terms.
pub fn rebar_repositories(contents: &[u8]) -> Result<Vec<RebarRepository>, LockError> {
    let terms = erlang::consult(contents)?;
    let pairs = terms.iter().filter_map(|term| term.term.as_pair());
    let settings =
        pairs.filter(|(key, _)| key.term.as_atom() == Some("hex")).filter_map(|(_, value)| value.term.as_list());
    Ok(settings.flatten().flat_map(list_of_repositories).filter_map(repository).collect())
}

/// Returns the elements of `{repos, List}` or `{repos, replace, List}`.
fn list_of_repositories<'t>(setting: &'t Spanned<'t>) -> &'t [Spanned<'t>] {
    match setting.term.as_tuple() {
        Some([key, .., list]) if key.term.as_atom() == Some("repos") => list.term.as_list().unwrap_or_default(),
        _ => &[],
    }
}

fn repository(repository: &Spanned<'_>) -> Option<RebarRepository> {
    let fields = repository.term.as_map()?;
    let field = |wanted: &str| {
        let (_, value) = fields.iter().find(|(key, _)| key.term.as_atom() == Some(wanted))?;
        value.term.as_text().map(str::to_owned)
    };
    Some(RebarRepository { name: field("name")?, public_key: field("repo_public_key") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, Option<String>)> {
        let found = rebar_repositories(text.as_bytes()).unwrap();
        found.into_iter().map(|repository| (repository.name, repository.public_key)).collect()
    }

    #[test]
    fn repositories_and_their_keys_are_read() {
        let text = "{deps, [a]}.\n{hex, [{doc, x}, {repos, [#{name => <<\"hexpm:acme\">>}, \
                    #{name => <<\"hexpm\">>, repo_public_key => <<\"a\\nb\">>}]}]}.\n{hex, [{repos, replace, [#{name => <<\"own\">>}]}]}.\n";
        let expected = [("hexpm:acme", None), ("hexpm", Some("a\nb")), ("own", None)];
        assert_eq!(read(text), expected.map(|(name, key)| (name.to_owned(), key.map(str::to_owned))));
        for other in
            ["", "{hex, x}.", "{hex, [{repos, x}, repos, {}, {repos}]}.", "{hex, [{repos, [x, #{}, #{name => 1}]}]}."]
        {
            assert_eq!(read(other), [], "{other}");
        }
        assert!(rebar_repositories(b"{hex, os:cmd(\"x\")}.").is_err());
    }
}
