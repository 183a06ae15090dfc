//! mix.lock: a map from applications to what they are pinned to. In 2014 it was a keyword list.

use super::{BuildTool, Dependency, Entry, GitSource, HexSource, Located, LockError, Source, json, unknown, utf8};
use crate::term::{Span, Spanned, elixir};

/// Returns the entries in the order of the file, including repeated ones.
pub(super) fn read(contents: &[u8]) -> Result<Vec<Entry>, LockError> {
    let text = utf8(contents)?;
    let mut entries = Vec::new();
    elixir::pairs(text, |key, value| -> Result<(), LockError> {
        entries.push(entry(&key, &value)?);
        Ok(())
    })?;
    Ok(entries)
}

fn entry(key: &Spanned<'_>, value: &Spanned<'_>) -> Result<Entry, LockError> {
    let app = Located::name(key).ok_or_else(|| LockError {
        message: format!("the name of an application is {}", key.term.describe()),
        label: "expected a name".to_owned(),
        span: key.span,
    })?;
    let elements = value.term.as_tuple().unwrap_or_default();
    let source = match elements.first().and_then(|kind| kind.term.as_atom()) {
        Some("hex") => Source::Hex(hex(&app, elements, value.span)?),
        Some("git") => Source::Git(git(&app, elements, value.span)?),
        Some("package") => {
            Source::Package { version: Located::required(elements.get(1), "version", &app, value.span)? }
        }
        _ => unknown(&value.term),
    };
    Ok(Entry { app, source, level: None, span: value.span })
}

/// Reads `{:hex, package, version, inner checksum, managers, dependencies, repository, outer checksum, …}`. Later
/// versions of Hex added the elements after the version one by one (`Hex.Utils.lock/1`).
fn hex(app: &str, elements: &[Spanned<'_>], span: Span) -> Result<HexSource, LockError> {
    let default = || Located { text: "hexpm".to_owned(), span };
    let managers = elements.get(4).and_then(|list| list.term.as_list()).unwrap_or_default();
    let dependencies = elements.get(5).and_then(|list| list.term.as_list()).unwrap_or_default();
    Ok(HexSource {
        package: Located::required(elements.get(1), "package", app, span)?,
        version: Located::required(elements.get(2), "version", app, span)?,
        repository: elements.get(6).and_then(Located::of).unwrap_or_else(default),
        inner_checksum: Located::checksum(elements.get(3)),
        outer_checksum: Located::checksum(elements.get(7)),
        build_tool: build_tool(managers),
        dependencies: dependencies.iter().filter_map(dependency).collect(),
    })
}

/// Returns the tool that mix prefers among the managers of a package (`Mix.Dep.Loader.load/3`). It looks for others by the
/// package's files.
fn build_tool(managers: &[Spanned<'_>]) -> Option<BuildTool> {
    let has = |name| managers.iter().any(|manager| manager.term.as_atom() == Some(name));
    let tools = [("mix", BuildTool::Mix), ("rebar3", BuildTool::Rebar3)];
    tools.into_iter().find(|(name, _)| has(name)).map(|(_, tool)| tool)
}

/// Reads `{app, requirement, [hex: package, repo: repository, optional: true]}`. Dependencies of another shape are
/// skipped, because the release's registry entry lists them too.
fn dependency(term: &Spanned<'_>) -> Option<Dependency> {
    let [app, rest @ ..] = term.term.as_tuple()? else { return None };
    let app = Located::of(app)?.text;
    let options = rest.last().and_then(|options| options.term.as_list()).unwrap_or_default();
    let option = |name: &str| {
        let pairs = options.iter().filter_map(|option| option.term.as_pair());
        pairs.into_iter().find(|(key, _)| key.term.as_atom() == Some(name)).map(|(_, value)| value)
    };
    let text = |name: &str| option(name).and_then(Located::of).map(|located| located.text);
    Some(Dependency {
        package: text("hex").unwrap_or_else(|| app.clone()),
        repository: text("repo").unwrap_or_else(|| "hexpm".to_owned()),
        requirement: rest.first().and_then(|requirement| requirement.term.as_text()).map(str::to_owned),
        optional: option("optional").and_then(|optional| optional.term.as_bool()).unwrap_or(false),
        app,
    })
}

/// Reads `{:git, url, revision, options}`.
fn git(app: &str, elements: &[Spanned<'_>], span: Span) -> Result<GitSource, LockError> {
    let options = elements.get(3).and_then(|options| options.term.as_list()).unwrap_or_default();
    let options = options.iter().filter_map(|option| option.term.as_pair());
    Ok(GitSource {
        url: Located::required(elements.get(1), "address", app, span)?,
        revision: elements.get(2).and_then(Located::of),
        options: options.filter_map(|(key, value)| Some((Located::of(key)?.text, json::value(&value.term)))).collect(),
    })
}
