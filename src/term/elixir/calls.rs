//! Finds what calls of a function give to keys, in code that is never evaluated, such as a config.exs.

use super::code::{Lexeme, Scanner, value};
use crate::term::{Span, Spanned};

/// The maximum number of values that are parsed, because a text can contain a key any number of times.
const MAX_KEYWORDS: usize = 64;
/// The bytes at the end of a line after which an expression continues.
const CONTINUED: &[u8] = b",:+-*/|&<>=.";

/// A value that a call gives to a key, or to a key in the list of another key.
#[derive(Debug, Clone, PartialEq)]
pub struct Keyword<'a> {
    /// The keys, the outer one first.
    pub keys: Vec<&'a str>,
    /// The value. `None` if it would have to be evaluated.
    pub value: Option<Spanned<'a>>,
    /// The position of the last key.
    pub span: Span,
}

/// Returns what calls of `function` whose first argument is the atom `first` give to some keys: `f :first, key: 1`,
/// `f(:first, [outer: [key: 1]])`, `f :first, :key, 1`, `f :first, :outer, key: 1`. Ignores whatever is in comments, strings and
/// sigils.
pub fn keywords_of_calls<'a>(source: &'a str, function: &str, first: &str, wanted: &[&str]) -> Vec<Keyword<'a>> {
    let Some(scanner) = Scanner::new(source) else { return Vec::new() };
    let mut calls = Calls { scanner, source, wanted, found: Vec::new() };
    while calls.found.len() < MAX_KEYWORDS
        && let Some((lexeme, span)) = calls.scanner.next()
    {
        if lexeme == (Lexeme::Name { is_key: false }) && calls.text(span) == function {
            calls.call(first);
        }
    }
    calls.found
}

struct Calls<'a, 'w> {
    scanner: Scanner<'a>,
    source: &'a str,
    wanted: &'w [&'w str],
    found: Vec<Keyword<'a>>,
}

impl<'a> Calls<'a, '_> {
    fn text(&self, span: Span) -> &'a str {
        self.source.get(span.range()).unwrap_or_default()
    }

    /// Returns the next part that is neither a blank nor a comment, nor the end of a line if `skips_breaks`.
    fn significant(&mut self, skips_breaks: bool) -> Option<(Lexeme, Span)> {
        loop {
            match self.scanner.next()? {
                (Lexeme::Comment | Lexeme::Other(b' ' | b'\t' | b'\r'), _) => {}
                (Lexeme::Other(b'\n'), _) if skips_breaks => {}
                found => return Some(found),
            }
        }
    }

    /// Reads the arguments of a call, up to its end.
    fn call(&mut self, first: &str) -> Option<()> {
        let (mut lexeme, mut span) = self.significant(false)?;
        let in_parentheses = lexeme == Lexeme::Open;
        if in_parentheses {
            (lexeme, span) = self.significant(true)?;
        }
        if lexeme != Lexeme::Atom || self.text(span).strip_prefix(':') != Some(first) {
            return None;
        }
        if self.significant(in_parentheses)?.0 != Lexeme::Other(b',') {
            return None;
        }
        let next = self.significant(true)?;
        let (outer, mut depth) = match next.0 {
            // The key is an argument of its own.
            Lexeme::Atom => {
                let key = self.text(next.1).strip_prefix(':')?;
                let (lexeme, comma) = self.significant(in_parentheses)?;
                if lexeme != Lexeme::Other(b',') {
                    return None;
                }
                self.add(vec![key], next.1, comma);
                (Some(key), 0)
            }
            Lexeme::Open => (None, 1),
            _ => (None, 0),
        };
        let base = depth;
        let mut keys: Vec<&str> = Vec::new();
        let mut pending = (next.0 != Lexeme::Atom && next.0 != Lexeme::Open).then_some(next);
        let mut last = Lexeme::Other(b',');
        loop {
            let (lexeme, span) = match pending.take() {
                Some(next) => next,
                None => self.significant(in_parentheses || depth > 0)?,
            };
            match lexeme {
                // The next line is another statement.
                Lexeme::Other(b'\n') => match last {
                    Lexeme::Other(byte) if CONTINUED.contains(&byte) => continue,
                    _ => return Some(()),
                },
                Lexeme::Open => depth += 1,
                Lexeme::Close if depth == 0 => return Some(()),
                Lexeme::Close => depth -= 1,
                Lexeme::Name { is_key: true } if depth >= base => {
                    keys.truncate(depth - base);
                    keys.resize(depth - base, "");
                    keys.push(self.text(span));
                    let all: Vec<&str> = outer.into_iter().chain(keys.iter().copied()).collect();
                    // The colon, after which the value begins.
                    self.add(all, span, Span { start: span.end, end: span.end + 1 });
                }
                _ => {}
            }
            last = lexeme;
        }
    }

    /// Adds the value of a key after a delimiter.
    fn add(&mut self, keys: Vec<&'a str>, span: Span, delimiter: Span) {
        let is_wanted = keys.last().is_some_and(|key| self.wanted.contains(key));
        if is_wanted && keys.len() <= 2 && self.found.len() < MAX_KEYWORDS {
            let value = value(self.source, delimiter.range().end);
            self.found.push(Keyword { keys, value, span });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(source: &str) -> Vec<String> {
        let found = keywords_of_calls(source, "config", "x", &["v"]);
        let shown = |keyword: &Keyword<'_>| {
            let value = keyword.value.as_ref().map_or("?", |value| &source[value.span.range()]);
            format!("{}={value}", keyword.keys.join("."))
        };
        found.iter().map(shown).collect()
    }

    #[test]
    fn every_form_of_a_call_is_read() {
        for (source, expected) in [
            ("config :x, v: \"1\"", &["v=\"1\""][..]),
            ("config(:x, v: \"1\")", &["v=\"1\""]),
            ("config(\n  :x,\n  v: \"1\"\n)\n", &["v=\"1\""]),
            ("config :x, [v: \"1\", p: [v: \"2\"]]", &["v=\"1\"", "p.v=\"2\""]),
            ("config :x, :v, \"1\"\n\nconfig :y, v: \"2\"", &["v=\"1\""]),
            ("config :x, :p, v: \"1\", args: ~w(v: 3)", &["p.v=\"1\""]),
            (
                "config :x,\n  # v: 0\n  v: \"1\", # why\n  p: [\n    args:\n      ~w(a\n v: 2),\n    cd: f(\"..\", __DIR__),\n    v: \"3\"\n  ]\n\nconfig :y,\n  v: \"4\"\n",
                &["v=\"1\"", "p.v=\"3\""],
            ),
            ("if a do\n  config :x, v: \"1\"\nend\nconfig :x, v: \"2\"\n", &["v=\"1\"", "v=\"2\""]),
            ("config :x, v: f(\"1\")", &["v=?"]),
            ("config :x, v: \"#{a}\"", &["v=?"]),
            ("config :x, :v, g()", &["v=?"]),
            ("config :x, p: [env: %{\"A\" => [v: 1]}]", &[]),
        ] {
            assert_eq!(found(source), expected, "{source}");
        }
    }

    #[test]
    fn other_calls_comments_and_texts_are_not_read() {
        for source in [
            "",
            "config",
            "config :x",
            "config :x,",
            "config :x, :v",
            "config :y, v: \"1\"",
            "config :xy, v: \"1\"",
            "config x, v: \"1\"",
            "configure :x, v: \"1\"",
            "# config :x, v: \"1\"",
            "\"config :x, v: 1\"",
            "\"#{config :x, v: 1}\"",
            "~s(config :x, v: 1)",
            "config :x, p: 1\nv: 2",
            "config: :x, v: 1",
        ] {
            assert_eq!(found(source), [""; 0], "{source}");
        }
        assert_eq!(found(&"config :x, v: 1\n".repeat(100)).len(), MAX_KEYWORDS);
    }

    proptest! {
        #[test]
        fn no_code_panics(source in "(config|:x|,|v: |p: |\"1\"|\\[|\\]|\\(|\\)|\"|'|#|#\\{|\\}|\\{|~s|\\\\|\\?|\n| |\\PC){0,60}") {
            let _ = found(&source);
        }
    }
}
