//! rebar.lock: a list of `{Name, Source, Level}`. Since 2016 the file begins with `{Version, List}` and a list with the
//! checksums follows (`rebar_config:consult_lock_file/1`).

use std::collections::HashMap;

use serde_json::Value;

use super::{Entry, GitSource, HexSource, Located, LockError, Source, json, unknown, utf8};
use crate::term::{Span, Spanned, erlang};

/// Checksums by application name.
type Checksums<'a> = HashMap<&'a str, &'a Spanned<'a>>;

/// Returns the entries in the order of the file, including repeated ones.
pub(super) fn read(contents: &[u8]) -> Result<Vec<Entry>, LockError> {
    if !erlang::declares_latin1(contents) {
        utf8(contents)?;
    }
    let terms = erlang::consult(contents)?;
    let Some(lock) = terms.first() else { return Ok(Vec::new()) };
    let list = lock.term.as_pair().map_or(lock, |(_version, list)| list);
    let entries = list.term.as_list().ok_or_else(|| LockError {
        message: format!("expected a list of entries, found {}", list.term.describe()),
        label: "expected `[…]` or `{\"1.2.0\", […]}`".to_owned(),
        span: list.span,
    })?;
    let attributes = terms.get(1);
    let (inner, outer) = (checksums(attributes, "pkg_hash"), checksums(attributes, "pkg_hash_ext"));
    entries.iter().map(|element| entry(element, &inner, &outer)).collect()
}

/// Returns the checksums of the attribute with this name. The first checksum of an application wins.
fn checksums<'a>(attributes: Option<&'a Spanned<'a>>, name: &str) -> Checksums<'a> {
    let attributes = attributes.and_then(|list| list.term.as_list()).unwrap_or_default();
    let mut named = attributes.iter().filter_map(|attribute| attribute.term.as_pair());
    let list = named.find(|(key, _)| key.term.as_atom() == Some(name)).and_then(|(_, list)| list.term.as_list());
    let list = list.unwrap_or_default();
    let mut checksums = HashMap::with_capacity(list.len());
    for (app, checksum) in list.iter().filter_map(|pair| pair.term.as_pair()) {
        if let Some(app) = text(app) {
            checksums.entry(app).or_insert(checksum);
        }
    }
    checksums
}

fn entry(element: &Spanned<'_>, inner: &Checksums<'_>, outer: &Checksums<'_>) -> Result<Entry, LockError> {
    let malformed = || LockError {
        message: format!("expected an entry in the list, found {}", element.term.describe()),
        label: "expected `{Name, Source, Level}`".to_owned(),
        span: element.span,
    };
    let [name, source, rest @ ..] = element.term.as_tuple().ok_or_else(malformed)? else { return Err(malformed()) };
    let app = Located::name(name).ok_or_else(malformed)?;
    let level = rest.first().and_then(|level| level.term.as_integer());
    let elements = source.term.as_tuple().unwrap_or_default();
    let read = match elements.first().and_then(|kind| kind.term.as_atom()) {
        Some("pkg") => Source::Hex(package(&app, elements, source.span, inner, outer)?),
        Some("git") => Source::Git(git(&app, elements, source.span, None)?),
        Some("git_subdir") => Source::Git(git(&app, elements, source.span, elements.get(3))?),
        _ => match &git_pins(source)[..] {
            [elements] => {
                let subdir = elements.get(3).filter(|_| elements[0].term.as_atom() == Some("git_subdir"));
                Source::Git(git(&app, elements, source.span, subdir)?)
            }
            _ => unknown(&source.term),
        },
    };
    Ok(Entry { app, source: read, level, span: source.span })
}

/// Reads `{pkg, Package, Version}`. rebar3 itself appends the inner and the outer checksum to this tuple, so they are
/// accepted there, too.
fn package(
    app: &str,
    elements: &[Spanned<'_>],
    span: Span,
    inner: &Checksums<'_>,
    outer: &Checksums<'_>,
) -> Result<HexSource, LockError> {
    let listed = |checksums: &Checksums<'_>| Located::checksum(checksums.get(app).copied());
    Ok(HexSource {
        package: Located::required(elements.get(1), "package", app, span)?,
        version: Located::required(elements.get(2), "version", app, span)?,
        repository: Located { text: "hexpm".to_owned(), span },
        inner_checksum: listed(inner).or_else(|| Located::checksum(elements.get(3))),
        outer_checksum: listed(outer).or_else(|| Located::checksum(elements.get(4))),
        build_tool: None,
        dependencies: Vec::new(),
    })
}

/// Reads `{git, Url, Checkout}`. The checkout is `{ref, R}` (which rebar3 writes), `{tag, T}`, `{branch, B}`, or the
/// text of any of these.
fn git(app: &str, elements: &[Spanned<'_>], span: Span, subdir: Option<&Spanned<'_>>) -> Result<GitSource, LockError> {
    let url = Located::required(elements.get(1), "address", app, span)?;
    let mut options = Vec::new();
    let revision = match elements.get(2).map(|checkout| (checkout, checkout.term.as_pair())) {
        Some((_, Some((kind, name)))) if kind.term.as_atom() == Some("ref") => Located::of(name),
        Some((_, Some((kind, name)))) => {
            options.extend(text(kind).map(|kind| (kind.to_owned(), json::value(&name.term))));
            None
        }
        Some((checkout, None)) => Located::of(checkout),
        None => None,
    };
    options.extend(subdir.and_then(text).map(|path| ("subdir".to_owned(), Value::from(path))));
    Ok(GitSource { url, revision, options })
}

/// Returns the git pins in the source of a custom resource, such as `{raw, {git, Url, {ref, R}}}`. A pin is a tuple
/// `{git, Url, {ref | tag | branch, Name}, …}`, or a similar one whose first element begins with `git_`.
///
/// A resource decides what it writes to the lock (`rebar_resource_v2:lock/2`). Resources that fetch with git embed the
/// source of rebar3's own git resource, or imitate it.
fn git_pins<'a>(source: &'a Spanned<'a>) -> Vec<&'a [Spanned<'a>]> {
    let (mut pins, mut next) = (Vec::new(), vec![source]);
    while let Some(term) = next.pop() {
        let elements = term.term.as_tuple().or_else(|| term.term.as_list()).unwrap_or_default();
        if is_git_pin(term) {
            pins.push(elements);
        } else {
            next.extend(elements);
        }
    }
    pins
}

fn is_git_pin(term: &Spanned<'_>) -> bool {
    let Some([kind, url, checkout, ..]) = term.term.as_tuple() else { return false };
    let is_git = kind.term.as_atom().is_some_and(|kind| kind == "git" || kind.starts_with("git_"));
    let is_checkout = checkout.term.as_pair().is_some_and(|(kind, name)| {
        matches!(kind.term.as_atom(), Some("ref" | "tag" | "branch")) && name.term.as_text().is_some()
    });
    is_git && url.term.as_text().is_some() && is_checkout
}

/// Returns the text of an atom or string.
fn text<'a>(term: &'a Spanned<'_>) -> Option<&'a str> {
    term.term.as_atom().or_else(|| term.term.as_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_utf8_needs_a_coding_comment() {
        let lock =
            |comment: &str| [comment.as_bytes(), b"[{<<\"a\">>,{pkg,<<\"a\">>,<<\"1.0.0\">>},0}].\n%\xe9\n"].concat();
        assert_eq!(read(&lock("%% coding: latin-1\n")).unwrap().len(), 1);
        assert_eq!(read(&lock("%% coding: utf-8\n")).unwrap_err().message, "the file is not UTF-8");
        assert!(read(&lock("")).is_err());
    }
}
