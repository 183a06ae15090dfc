//! Literal terms and locks. Spans are within the text, and terms survive a round trip.

use std::fmt::Write;

use git_hexmirror::lock::{Entry, Lock, Source};
use git_hexmirror::term::{Spanned, Term, elixir, erlang};

/// Arbitrary bytes as each kind of lock.
pub fn lock(contents: &[u8]) {
    for file in ["mix.lock", "rebar.lock", "manifest.toml"] {
        match Lock::parse(file, contents) {
            Ok(lock) => {
                drop(serde_json::to_string(&lock).expect("a lock is JSON"));
                lock.entries.iter().for_each(|entry| check_entry(entry, contents));
                assert!(lock.entries.windows(2).all(|pair| pair[0].app.text < pair[1].app.text), "sorted, each once");
            }
            Err(error) => {
                error.line_column(contents);
                assert!(contents.get(error.span.range()).is_some());
            }
        }
    }
}

fn check_entry(entry: &Entry, contents: &[u8]) {
    assert!(contents.get(entry.span.range()).is_some() && contents.get(entry.app.span.range()).is_some());
    if let Source::Hex(release) = &entry.source {
        let checksums = [&release.inner_checksum, &release.outer_checksum];
        for checksum in checksums.into_iter().flatten() {
            assert!(contents.get(checksum.span.range()).is_some());
        }
    }
}

/// Arbitrary text as an Elixir term.
pub fn elixir(source: &[u8]) {
    let Ok(text) = std::str::from_utf8(source) else { return };
    match elixir::parse(text) {
        Ok(term) => {
            check_spans(&term, source);
            let written = write(&term.term, Language::Elixir);
            let again = elixir::parse(&written).unwrap_or_else(|error| panic!("{error:?} of {written}"));
            assert!(same(&again.term, &term.term), "{written}");
        }
        Err(error) => assert!(source.get(error.span.range()).is_some()),
    }
}

/// Arbitrary bytes as Erlang terms.
pub fn erlang(source: &[u8]) {
    match erlang::consult(source) {
        Ok(terms) => {
            terms.iter().for_each(|term| check_spans(term, source));
            let written: String = terms.iter().map(|term| write(&term.term, Language::Erlang) + ".\n").collect();
            let again = erlang::consult(written.as_bytes()).unwrap_or_else(|error| panic!("{error:?} of {written}"));
            assert_eq!(again.len(), terms.len(), "{written}");
            assert!(again.iter().zip(&terms).all(|(again, term)| same(&again.term, &term.term)), "{written}");
        }
        Err(error) => assert!(source.get(error.span.range()).is_some()),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Language {
    Elixir,
    Erlang,
}

/// Writes a term in a language's syntax, with everything quoted and escaped.
fn write(term: &Term<'_>, language: Language) -> String {
    let is_elixir = language == Language::Elixir;
    let join = |terms: &[Spanned<'_>]| {
        terms.iter().map(|element| write(&element.term, language)).collect::<Vec<_>>().join(",")
    };
    let escaped = |text: &str| {
        text.chars().fold(String::new(), |mut written, character| {
            let _ = match character {
                'a'..='z' | '0'..='9' | ' ' | '_' => write!(written, "{character}"),
                _ if is_elixir => write!(written, "\\u{{{:x}}}", u32::from(character)),
                _ => write!(written, "\\x{{{:x}}}", u32::from(character)),
            };
            written
        })
    };
    match term {
        Term::Atom(name) if is_elixir => format!(":\"{}\"", escaped(name)),
        Term::Atom(name) => format!("'{}'", escaped(name)),
        Term::Binary(bytes) => {
            let bytes: Vec<String> = bytes.iter().map(u8::to_string).collect();
            format!("<<{}>>", bytes.join(","))
        }
        Term::Charlist(text) if is_elixir => format!("'{}'", escaped(text)),
        Term::Charlist(text) => format!("\"{}\"", escaped(text)),
        Term::Integer(integer) => integer.to_string(),
        Term::BigInteger(digits) => digits.to_string(),
        Term::Float(float) => {
            let written = format!("{float:e}");
            if written.contains('.') { written } else { written.replace('e', ".0e") }
        }
        Term::Tuple(elements) => format!("{{{}}}", join(elements)),
        Term::List(elements) => format!("[{}]", join(elements)),
        Term::Map(pairs) => {
            let pair = |(key, value): &(Spanned<'_>, Spanned<'_>)| {
                format!("{} => {}", write(&key.term, language), write(&value.term, language))
            };
            let pairs: Vec<String> = pairs.iter().map(pair).collect();
            format!("{}{{{}}}", if is_elixir { "%" } else { "#" }, pairs.join(","))
        }
    }
}

/// Compares two terms without their spans.
fn same(one: &Term<'_>, other: &Term<'_>) -> bool {
    let all = |one: &[Spanned<'_>], other: &[Spanned<'_>]| {
        one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(&one.term, &other.term))
    };
    match (one, other) {
        (Term::Tuple(one), Term::Tuple(other)) | (Term::List(one), Term::List(other)) => all(one, other),
        (Term::Map(one), Term::Map(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| same(&one.0.term, &other.0.term) && same(&one.1.term, &other.1.term))
        }
        _ => one == other,
    }
}

/// Asserts that the span of a term is within the text and contains the spans of its elements.
fn check_spans(term: &Spanned<'_>, source: &[u8]) {
    let own = term.span.range();
    assert!(source.get(own.clone()).is_some());
    let check = |inner: &Spanned<'_>| {
        let range = inner.span.range();
        assert!(own.start <= range.start && range.end <= own.end);
        check_spans(inner, source);
    };
    match &term.term {
        Term::Tuple(elements) | Term::List(elements) => elements.iter().for_each(check),
        Term::Map(pairs) => pairs.iter().for_each(|(key, value)| [key, value].into_iter().for_each(check)),
        _ => {}
    }
}
