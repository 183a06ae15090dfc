//! The metadata of a release, from `metadata.config`
//! (<https://github.com/hexpm/specifications/blob/main/package_metadata.md>).

use std::collections::BTreeSet;

use super::registry::Dependency;
use crate::model::{PackageName, Version};
use crate::term::{SyntaxError, Term, erlang};

/// The build tool that a file in a release's root implies if the metadata names none, as in hex_core.
const BUILD_TOOL_FILES: [(&str, &str); 5] = [
    ("mix.exs", "mix"),
    ("rebar.config", "rebar3"),
    ("rebar", "rebar3"),
    ("Makefile", "make"),
    ("Makefile.win", "make"),
];

/// Why `metadata.config` is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The text does not consist of Erlang terms.
    #[error("metadata.config does not consist of Erlang terms")]
    Syntax {
        /// The syntax error with its position.
        source: SyntaxError,
    },
    /// A required field is missing.
    #[error("metadata.config has no {field}")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field has an invalid value.
    #[error("metadata.config: {field}: {problem}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with the value.
        problem: String,
    },
}

/// The fields of `metadata.config` that a mirror uses. Other fields are allowed and ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The package.
    pub name: PackageName,
    /// The version.
    pub version: Version,
    /// The OTP application; by default the package's name.
    pub app: String,
    /// The dependencies, in the order of the text. [`Dependency::app`] is only set if it differs from the package's
    /// name.
    pub requirements: Vec<Dependency>,
    /// The tools that can build the package; by default guessed from the files.
    pub build_tools: Vec<String>,
    /// The files and folders, as the client listed them.
    pub files: Vec<String>,
    /// A short description of the package.
    pub description: Option<String>,
    /// The licenses of the package.
    pub licenses: Vec<String>,
    /// The addresses that the package links to.
    pub links: Vec<String>,
    /// The version requirement on Elixir.
    pub elixir: Option<String>,
}

impl Metadata {
    /// Parses the text of `metadata.config`.
    ///
    /// # Errors
    /// Returns an error if the text does not consist of Erlang terms, has no name or version, or contains an invalid
    /// name, version or requirement.
    pub fn parse(text: &[u8]) -> Result<Self, MetadataError> {
        let terms = erlang::consult(text).map_err(|source| MetadataError::Syntax { source })?;
        let field = |name: &str| {
            // The last of repeated fields wins, as with `maps:from_list` in hex_core.
            let pairs = terms.iter().rev().filter_map(|term| term.term.as_pair());
            pairs.filter(|(key, _)| key.term.as_text() == Some(name)).map(|(_, value)| &value.term).next()
        };
        let text = |name: &str| field(name).and_then(Term::as_text).map(ToOwned::to_owned);
        let texts = |name: &str| field(name).map(texts).unwrap_or_default();
        let required = |name: &'static str| text(name).ok_or(MetadataError::Missing { field: name });
        let name: PackageName = required("name")?.parse().map_err(|error| invalid("name", &error))?;
        let files = texts("files");
        Ok(Self {
            version: required("version")?.parse().map_err(|error| invalid("version", &error))?,
            app: text("app").unwrap_or_else(|| name.to_string()),
            requirements: field("requirements").map(requirements).transpose()?.unwrap_or_default(),
            build_tools: if field("build_tools").is_some() { texts("build_tools") } else { guess_build_tools(&files) },
            description: text("description"),
            licenses: texts("licenses"),
            links: field("links")
                .and_then(pairs)
                .unwrap_or_default()
                .into_iter()
                .filter_map(|(_, link)| link.as_text().map(ToOwned::to_owned))
                .collect(),
            elixir: text("elixir"),
            files,
            name,
        })
    }
}

fn invalid(field: &'static str, problem: &dyn std::fmt::Display) -> MetadataError {
    MetadataError::Invalid { field, problem: problem.to_string() }
}

fn texts(term: &Term<'_>) -> Vec<String> {
    let elements = term.as_list().unwrap_or_default();
    elements.iter().filter_map(|element| element.term.as_text()).map(ToOwned::to_owned).collect()
}

/// Returns the pairs of a map or a list of pairs.
fn pairs<'t, 'a>(term: &'t Term<'a>) -> Option<Vec<(&'t Term<'a>, &'t Term<'a>)>> {
    match term {
        Term::Map(pairs) => Some(pairs.iter().map(|(key, value)| (&key.term, &value.term)).collect()),
        Term::List(elements) => elements
            .iter()
            .map(|element| match &element.term {
                Term::Tuple(pair) => match &pair[..] {
                    [key, value] => Some((&key.term, &value.term)),
                    _ => None,
                },
                _ => None,
            })
            .collect(),
        _ => term.as_list().filter(|list| list.is_empty()).map(|_| Vec::new()),
    }
}

/// Reads requirements in each form that clients have written: a list of lists that contain the name (mix), a list of
/// names with fields (rebar3), a map of these, or names with a bare requirement.
fn requirements(term: &Term<'_>) -> Result<Vec<Dependency>, MetadataError> {
    let nested = |element: &Term<'_>| matches!(element, Term::List(_) | Term::Map(_));
    match term.as_list() {
        Some(elements) if elements.iter().all(|element| nested(&element.term)) => {
            elements.iter().map(|element| requirement(None, &element.term)).collect()
        }
        _ => pairs(term)
            .ok_or_else(|| invalid("requirements", &"a list of packages is expected"))?
            .into_iter()
            .map(|(name, value)| requirement(name.as_text(), value))
            .collect(),
    }
}

fn requirement(name: Option<&str>, value: &Term<'_>) -> Result<Dependency, MetadataError> {
    let problem = |problem: &dyn std::fmt::Display| invalid("requirements", problem);
    let fields = match value.as_text() {
        Some(_) => Vec::new(),
        None => pairs(value).ok_or_else(|| problem(&"a package's fields are expected"))?,
    };
    let field =
        |key: &str| fields.iter().rev().find(|(found, _)| found.as_text() == Some(key)).map(|(_, value)| *value);
    let text = |key: &str| field(key).and_then(Term::as_text);
    let name = name.or_else(|| text("name")).ok_or_else(|| problem(&"a package has no name"))?;
    let package: PackageName = name.parse().map_err(|error| problem(&error))?;
    let requirement = value.as_text().or_else(|| text("requirement")).unwrap_or(">= 0.0.0").to_owned();
    let repository = text("repository").map(str::parse).transpose();
    Ok(Dependency {
        requirement,
        optional: field("optional").and_then(Term::as_bool).unwrap_or_default(),
        app: text("app").filter(|app| *app != name).map(ToOwned::to_owned),
        repository: repository.map_err(|error| problem(&error))?,
        package,
    })
}

fn guess_build_tools(files: &[String]) -> Vec<String> {
    let tools = BUILD_TOOL_FILES.iter().filter(|(file, _)| files.iter().any(|found| found == file));
    tools.map(|(_, tool)| *tool).collect::<BTreeSet<_>>().into_iter().map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(package: &str, requirement: &str, optional: bool, app: Option<&str>) -> Dependency {
        Dependency {
            package: package.parse().unwrap(),
            requirement: requirement.into(),
            optional,
            app: app.map(Into::into),
            repository: None,
        }
    }

    fn requirements_of(text: &str) -> Result<Vec<Dependency>, MetadataError> {
        let text = format!(
            "{{<<\"name\">>,<<\"a\">>}}.\n{{<<\"version\">>,<<\"1.0.0\">>}}.\n{{<<\"requirements\">>,{text}}}."
        );
        Metadata::parse(text.as_bytes()).map(|metadata| metadata.requirements)
    }

    #[test]
    fn requirements_read_in_every_shape() {
        let expected = vec![dependency("b", "~> 1.0", true, Some("bb")), dependency("c", "2.0.0", false, None)];
        let b = r#"{<<"app">>,<<"bb">>},{<<"optional">>,true},{<<"requirement">>,<<"~> 1.0">>}"#;
        let c = r#"{<<"app">>,<<"c">>},{<<"optional">>,false},{<<"requirement">>,<<"2.0.0">>}"#;
        for text in [
            format!(r#"[[{{<<"name">>,<<"b">>}},{b}],[{c},{{<<"name">>,<<"c">>}}]]"#),
            format!(r#"[{{<<"b">>,[{b}]}},{{<<"c">>,[{c}]}}]"#),
            format!(r#"[{{<<"b">>,[{b}]}},{{<<"c">>,<<"2.0.0">>}}]"#),
            format!(r#"#{{<<"b">> => [{b}],<<"c">> => #{{<<"requirement">> => <<"2.0.0">>}}}}"#),
        ] {
            assert_eq!(requirements_of(&text).as_ref(), Ok(&expected), "{text}");
        }
        for text in ["[]", "#{}"] {
            assert_eq!(requirements_of(text), Ok(vec![]), "{text}");
        }
    }

    #[test]
    fn hostile_requirements_are_refused() {
        for text in [r#"[{<<"../b">>,<<"1">>}]"#, r#"[[{<<"app">>,<<"b">>}]]"#, "[[1]]", "1", "[1]", "[{1,2}]"] {
            assert!(matches!(requirements_of(text), Err(MetadataError::Invalid { .. })), "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_named_or_guessed() {
        let parse = |text: &str| Metadata::parse(text.as_bytes());
        assert_eq!(parse(""), Err(MetadataError::Missing { field: "name" }));
        assert_eq!(parse("{<<\"name\">>,<<\"a\">>}."), Err(MetadataError::Missing { field: "version" }));
        assert!(matches!(parse("{<<\"name\""), Err(MetadataError::Syntax { .. })));
        let metadata = parse(
            "{<<\"name\">>,<<\"a\">>}.\n{<<\"version\">>,<<\"1.0.0\">>}.\n\
             {<<\"files\">>,[<<\"Makefile\">>,<<\"rebar.config\">>,<<\"rebar\">>]}.\n",
        )
        .unwrap();
        assert_eq!(metadata.app, "a");
        assert_eq!(metadata.build_tools, ["make", "rebar3"]);
    }
}
