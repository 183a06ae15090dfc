//! A small lexer for highlighting: comments, strings, keywords, atoms, numbers and names. It takes a fraction of the time, the
//! memory and the binary's size of grammars for syntect, and never looks at a byte more than a few times. Where it is wrong, a
//! colour is, and nothing else.

use std::ops::Range;

use super::language::{Family, Language};

/// The kind of a part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A comment.
    Comment,
    /// A string, a sigil or a character.
    String,
    /// A word of the language itself.
    Keyword,
    /// An atom.
    Atom,
    /// A number.
    Number,
    /// The name of a module or a type, or a variable of Erlang.
    Name,
    /// An attribute.
    Attribute,
}

/// A part of a text with a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Where it is, in bytes.
    pub range: Range<usize>,
    /// Its kind.
    pub class: Class,
}

/// The depth of interpolations up to which strings inside of them are told from their ends.
const MAX_DEPTH: usize = 8;

/// Returns the parts of a text that are highlighted, in order.
pub fn highlight(text: &str, language: &Language) -> Vec<Token> {
    let (mut tokens, mut lexer) = (Vec::new(), Lexer { text, language, at: 0 });
    while lexer.at < text.len() {
        let start = lexer.at;
        if let Some(class) = lexer.token() {
            tokens.push(Token { range: start..lexer.at, class });
        }
    }
    tokens
}

struct Lexer<'a> {
    text: &'a str,
    language: &'a Language,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip(&mut self, fits: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|c| !fits(c)).unwrap_or(rest.len());
    }

    /// Moves behind what follows, which is at least one character. Returns its class, if it has one.
    fn token(&mut self) -> Option<Class> {
        let (language, rest) = (self.language, self.rest());
        let first = rest.chars().next()?;
        if language.line_comments.iter().any(|begin| rest.starts_with(begin)) && self.may_comment() {
            self.skip(|c| c != '\n');
            return Some(Class::Comment);
        }
        if let Some([begin, end]) = language.block_comment
            && let Some(inside) = rest.strip_prefix(begin)
        {
            self.at += inside.find(end).map_or(rest.len(), |length| begin.len() + length + end.len());
            return Some(Class::Comment);
        }
        if let Some(delimiter) = language.strings.iter().find(|delimiter| rest.starts_with(delimiter.text)) {
            let is_atom = language.family == Family::Erlang && delimiter.text == "'";
            self.string(delimiter.text, delimiter.spans_lines, true, 0);
            return Some(if is_atom { Class::Atom } else { Class::String });
        }
        match (language.family, first) {
            (Family::Elixir, '~') => self.sigil(),
            (Family::Elixir, ':') => self.atom(),
            (Family::Elixir, '?') | (Family::Erlang, '$') => self.character(),
            (Family::Elixir, '@') => {
                self.at += 1;
                self.skip(is_word);
                Some(Class::Attribute)
            }
            (Family::Erlang, '-')
                if self.is_first_in_line() && rest[1..].starts_with(|c: char| c.is_ascii_lowercase()) =>
            {
                self.at += 1;
                self.skip(is_word);
                Some(Class::Attribute)
            }
            (_, '0'..='9') => {
                self.skip(is_word);
                Some(Class::Number)
            }
            (_, first) if is_word(first) || first == '#' && language.line_comments != ["#"] => self.word(first),
            (_, first) => {
                self.at += first.len_utf8();
                None
            }
        }
    }

    /// Returns whether a comment may begin here: not in the middle of a shell's word.
    fn may_comment(&self) -> bool {
        self.language.family != Family::Other
            || !self.rest().starts_with('#')
            || self.text[..self.at].chars().next_back().is_none_or(char::is_whitespace)
    }

    fn is_first_in_line(&self) -> bool {
        self.at == 0 || self.text[..self.at].ends_with('\n')
    }

    fn word(&mut self, first: char) -> Option<Class> {
        let start = self.at;
        self.at += first.len_utf8();
        self.skip(is_word);
        let elixir = self.language.family == Family::Elixir;
        if elixir && self.rest().starts_with(['?', '!']) && !self.rest()[1..].starts_with('=') {
            self.at += 1;
        }
        let word = &self.text[start..self.at];
        if elixir && self.rest().starts_with(':') && !self.rest()[1..].starts_with(':') {
            self.at += 1;
            return Some(Class::Atom);
        }
        // `is_call.if` and `a.end` are names, whatever the language.
        let is_field = self.text[..start].ends_with('.') && !self.text[..start].ends_with("..");
        if !is_field && self.language.keywords.contains(&word) {
            return Some(Class::Keyword);
        }
        let is_name = first.is_uppercase() || first == '_' && self.language.family == Family::Erlang;
        is_name.then_some(Class::Name)
    }

    /// Moves behind an atom such as `:ok` or `:"an atom"`, or behind a colon.
    fn atom(&mut self) -> Option<Class> {
        self.at += 1;
        let rest = self.rest();
        if rest.starts_with('"') {
            self.string("\"", true, true, 0);
        } else if rest.starts_with(is_word) && !self.text[..self.at - 1].ends_with([':', ')', ']', '}']) {
            self.skip(|c| is_word(c) || "@?!".contains(c));
        } else {
            return None;
        }
        Some(Class::Atom)
    }

    /// Moves behind a character such as `?a`, `?\n` or `$"`.
    fn character(&mut self) -> Option<Class> {
        self.at += 1;
        let escaped = self.rest().starts_with('\\');
        self.at += usize::from(escaped);
        match self.rest().chars().next().filter(|c| *c != '\n' && *c != ' ') {
            Some(c) => {
                self.at += c.len_utf8();
                Some(Class::String)
            }
            None => None,
        }
    }

    /// Moves behind a sigil such as `~r/x/i` or a heredoc of one, or behind a tilde.
    fn sigil(&mut self) -> Option<Class> {
        self.at += 1;
        let start = self.at;
        self.skip(|c| c.is_ascii_alphabetic());
        let is_raw = self.text[start..self.at].starts_with(|c: char| c.is_ascii_uppercase());
        let closing = match (self.at > start).then(|| self.rest().chars().next()).flatten() {
            Some('"') if self.rest().starts_with("\"\"\"") => "\"\"\"",
            Some('\'') if self.rest().starts_with("'''") => "'''",
            Some('(') => ")",
            Some('[') => "]",
            Some('{') => "}",
            Some('<') => ">",
            Some('"') => "\"",
            Some('\'') => "'",
            Some('/') => "/",
            Some('|') => "|",
            _ => return None,
        };
        self.string(closing, true, !is_raw, 0);
        self.skip(|c| c.is_ascii_alphabetic());
        Some(Class::String)
    }

    /// Moves behind a string whose delimiter of this length follows. A string that does not end goes to the end of the line or
    /// of the text. In Elixir, ends inside of `#{…}` do not count.
    fn string(&mut self, closing: &str, spans_lines: bool, has_escapes: bool, depth: usize) {
        self.at += closing.len();
        let interpolates = has_escapes && self.language.family == Family::Elixir && depth < MAX_DEPTH;
        while let Some(c) = self.rest().chars().next() {
            if self.rest().starts_with(closing) {
                self.at += closing.len();
                return;
            } else if c == '\\' {
                // Also in a raw sigil, a backslash keeps the delimiter from ending it.
                self.at += 1;
                self.at += self.rest().chars().next().map_or(0, char::len_utf8);
            } else if c == '\n' && !spans_lines {
                return;
            } else if interpolates && self.rest().starts_with("#{") {
                self.interpolation(depth);
            } else {
                self.at += c.len_utf8();
            }
        }
    }

    /// Moves behind `#{…}`.
    fn interpolation(&mut self, depth: usize) {
        let mut open = 0_usize;
        while let Some(c) = self.rest().chars().next() {
            match c {
                '"' => {
                    self.string("\"", true, true, depth + 1);
                    continue;
                }
                '{' => open += 1,
                '}' => open = open.saturating_sub(1),
                _ => {}
            }
            self.at += c.len_utf8();
            if c == '}' && open == 0 {
                return;
            }
        }
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns what is highlighted, with the first letter of its class.
    fn shown(path: &str, text: &str) -> Vec<String> {
        let tokens = highlight(text, Language::of(path).unwrap());
        tokens
            .iter()
            .map(|token| format!("{:.1}{}", format!("{:?}", token.class), &text[token.range.clone()]))
            .collect()
    }

    #[test]
    fn elixir() {
        let text =
            "defmodule A.B do # x\n  @doc \"a #{f(\"b}\")} \\\" c\"\n  def ok?(x), do: x == :a and ?\" != 0x1F\nend";
        assert_eq!(
            shown("a.ex", text),
            [
                "Kdefmodule",
                "NA",
                "NB",
                "Kdo",
                "C# x",
                "A@doc",
                "S\"a #{f(\"b}\")} \\\" c\"",
                "Kdef",
                "Ado:",
                "A:a",
                "Kand",
                "S?\"",
                "N0x1F",
                "Kend"
            ]
        );
        assert_eq!(
            shown("a.exs", "~r/a\\/\"/i ~S(#{\") ~w[a b]a ~s\"\"\"\n\"x\"\n\"\"\" x"),
            ["S~r/a\\/\"/i", "S~S(#{\")", "S~w[a b]a", "S~s\"\"\"\n\"x\"\n\"\"\""]
        );
        assert_eq!(shown("a.ex", "x::integer | a.end | [\"k\": 1] | :\"a b\""), ["S\"k\"", "N1", "A:\"a b\""]);
    }

    #[test]
    fn erlang() {
        assert_eq!(
            shown("a.erl", "-module(a). % c\nf(X) -> {'A b', $\", \"s\n\"}, case X of _ -> 1-x end."),
            ["A-module", "C% c", "NX", "A'A b'", "S$\"", "S\"s\n\"", "Kcase", "NX", "Kof", "N_", "N1", "Kend"]
        );
    }

    #[test]
    fn other_languages() {
        assert_eq!(
            shown("a.c", "#include <a.h> // x\nint a = 'b'; /* \n */ char"),
            ["K#include", "C// x", "Kint", "S'b'", "C/* \n */", "Kchar"]
        );
        assert_eq!(shown("a.sh", "x=$# # c\nif \"a\nfi"), ["C# c", "Kif", "S\"a", "Kfi"]);
        assert_eq!(shown("a.css", "a { /* unended"), ["C/* unended"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever the text, tokens are in order, not empty and on the boundaries of characters.
        #[test]
        fn tokens_are_in_order(text in "[a-cA:@~#{}\"'\\\\$?/*\n<!\u{e9}%_0 -]{0,60}", path in "a\\.(ex|erl|c|sh|html|js)") {
            let mut end = 0;
            for token in highlight(&text, Language::of(&path).unwrap()) {
                prop_assert!(end <= token.range.start && token.range.start < token.range.end);
                prop_assert!(text.get(token.range.clone()).is_some());
                end = token.range.end;
            }
        }
    }

    #[test]
    fn a_hostile_text_takes_linear_time() {
        for unit in ["\"", "\"#{", "~s(", "/*", "'", "#", "\"\\"] {
            let text = unit.repeat((1 << 20) / unit.len());
            let start = std::time::Instant::now();
            for path in ["a.ex", "a.erl", "a.js"] {
                highlight(&text, Language::of(path).unwrap());
            }
            assert!(start.elapsed().as_secs() < 20, "{unit}: {:?}", start.elapsed());
        }
    }
}
