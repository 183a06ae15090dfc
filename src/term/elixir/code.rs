//! Finds literal values in code that is never evaluated, such as a mix.exs.

use super::Reader;
use super::characters::{is_ascii_inner, is_name_start};
use crate::term::cursor::{Cursor, MAX_NESTING};
use crate::term::{Span, Spanned};

/// The maximum number of values that are parsed, because a text can contain the key any number of times.
const MAX_VALUES: usize = 16;

/// Returns the literal values that code gives to `key` in keyword lists and maps (`key: value`), in order. Ignores
/// values that would have to be evaluated, and whatever is in comments, strings and sigils.
pub fn values_of<'a>(source: &'a str, key: &str) -> Vec<Spanned<'a>> {
    let Some(mut scanner) = Scanner::new(source) else { return Vec::new() };
    let (mut found, mut parsed) = (Vec::new(), 0);
    while let Some(at) = scanner.next_key(key) {
        parsed += 1;
        if parsed > MAX_VALUES {
            break;
        }
        found.extend(value(source, at));
    }
    found
}

/// Parses the value at a position. `None` if it is not a literal term, or only a part of an expression.
pub(super) fn value(source: &str, at: usize) -> Option<Spanned<'_>> {
    let mut cursor = Cursor::new(source.as_bytes()).ok()?;
    cursor.at = at;
    let mut reader = Reader { cursor, source };
    reader.skip_blank();
    let term = reader.term().ok()?;
    let line_ended = reader.skip_blank();
    let is_whole = match reader.cursor.peek() {
        None | Some(b',' | b']' | b'}' | b')') => true,
        Some(next) => line_ended && is_name_start(next),
    };
    is_whole.then_some(term)
}

/// What surrounds the current position.
enum Within {
    /// Text up to this delimiter, which may contain code in `#{…}`.
    Text { close: &'static str, interpolates: bool },
    /// Code in a text, with the number of its open braces.
    Code { braces: usize },
}

/// A part of code, outside of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lexeme {
    /// A name or a number, and whether a colon follows that makes it a key.
    Name { is_key: bool },
    /// An atom that is not a key.
    Atom,
    /// An opening bracket, brace or parenthesis.
    Open,
    /// A closing one.
    Close,
    /// The begin of a string, a charlist or a sigil.
    Text,
    /// A comment, up to the end of its line.
    Comment,
    /// A single character.
    Other(u8),
}

/// Splits code into its parts.
pub(super) struct Scanner<'a> {
    reader: Reader<'a>,
    within: Vec<Within>,
}

impl<'a> Scanner<'a> {
    /// Starts at the begin of code. `None` if it is too long.
    pub(super) fn new(source: &'a str) -> Option<Self> {
        let cursor = Cursor::new(source.as_bytes()).ok()?;
        Some(Self { reader: Reader { cursor, source }, within: Vec::new() })
    }

    /// Returns the next part of code that no text interpolates, with its position.
    pub(super) fn next(&mut self) -> Option<(Lexeme, Span)> {
        loop {
            let (lexeme, span, is_outermost) = self.step()?;
            if is_outermost {
                return Some((lexeme, span));
            }
        }
    }

    /// Returns the next part of any code, with its position and whether no text interpolates it.
    fn step(&mut self) -> Option<(Lexeme, Span, bool)> {
        // Code nested deeper than any literal is not searched.
        while self.within.len() <= MAX_NESTING {
            let byte = self.reader.cursor.peek()?;
            if let Some(Within::Text { close, interpolates }) = self.within.last() {
                self.text(byte, close, *interpolates);
            } else {
                let (start, is_outermost) = (self.reader.cursor.at, self.within.is_empty());
                let lexeme = self.code(byte);
                let end = self.reader.cursor.at.min(self.reader.source.len());
                return Some((lexeme, Span::new(start, end), is_outermost));
            }
        }
        None
    }

    /// Returns the position after the colon of the next `key:` in code.
    fn next_key(&mut self, key: &str) -> Option<usize> {
        loop {
            let (lexeme, span, _) = self.step()?;
            let is_key = lexeme == (Lexeme::Name { is_key: true });
            if is_key && self.reader.source.as_bytes()[span.range()] == *key.as_bytes() {
                return Some(span.end as usize + 1);
            }
        }
    }

    /// Advances within a text.
    fn text(&mut self, byte: u8, close: &str, interpolates: bool) {
        let cursor = &mut self.reader.cursor;
        if cursor.eat(close) {
            self.within.pop();
        } else if byte == b'\\' {
            cursor.at += 2;
        } else if interpolates && cursor.eat("#{") {
            self.within.push(Within::Code { braces: 0 });
        } else {
            cursor.at += 1;
        }
    }

    /// Advances within code.
    fn code(&mut self, byte: u8) -> Lexeme {
        let cursor = &mut self.reader.cursor;
        match byte {
            b'#' => {
                cursor.skip_while(|byte| byte != b'\n');
                Lexeme::Comment
            }
            b'"' | b'\'' => {
                self.open(byte, true);
                Lexeme::Text
            }
            b'~' => {
                self.sigil();
                Lexeme::Text
            }
            b'?' => {
                cursor.at += if cursor.peek_at(1) == Some(b'\\') { 3 } else { 2 };
                Lexeme::Other(byte)
            }
            b':' => {
                cursor.at += 1;
                let start = cursor.at;
                cursor.skip_while(is_ascii_inner);
                if cursor.at > start { Lexeme::Atom } else { Lexeme::Other(byte) }
            }
            b'{' | b'}' => {
                cursor.at += 1;
                self.brace(byte);
                if byte == b'{' { Lexeme::Open } else { Lexeme::Close }
            }
            b'[' | b'(' | b']' | b')' => {
                cursor.at += 1;
                if matches!(byte, b'[' | b'(') { Lexeme::Open } else { Lexeme::Close }
            }
            byte if is_name_start(byte) || byte.is_ascii_digit() => {
                cursor.skip_while(|byte| is_ascii_inner(byte) || byte >= 0x80 || matches!(byte, b'?' | b'!'));
                Lexeme::Name { is_key: self.reader.at_keyword_colon() }
            }
            _ => {
                cursor.at += 1;
                Lexeme::Other(byte)
            }
        }
    }

    fn brace(&mut self, byte: u8) {
        match self.within.last_mut() {
            Some(Within::Code { braces }) if byte == b'{' => *braces += 1,
            Some(Within::Code { braces: 0 }) => drop(self.within.pop()),
            Some(Within::Code { braces }) => *braces -= 1,
            _ => {}
        }
    }

    /// Enters a text whose opening delimiter is at the current position.
    fn open(&mut self, delimiter: u8, interpolates: bool) {
        let cursor = &mut self.reader.cursor;
        let close = match delimiter {
            b'"' if cursor.starts_with("\"\"\"") => "\"\"\"",
            b'\'' if cursor.starts_with("'''") => "'''",
            b'"' => "\"",
            b'\'' => "'",
            b'/' => "/",
            b'|' => "|",
            b'(' => ")",
            b'[' => "]",
            b'{' => "}",
            b'<' => ">",
            _ => {
                cursor.at += 1;
                return;
            }
        };
        cursor.at += close.len();
        self.within.push(Within::Text { close, interpolates });
    }

    /// Enters a sigil. Those with names in upper case do not interpolate.
    fn sigil(&mut self) {
        let cursor = &mut self.reader.cursor;
        cursor.at += 1;
        let interpolates = cursor.peek().is_some_and(|byte| byte.is_ascii_lowercase());
        let start = cursor.at;
        cursor.skip_while(|byte| byte.is_ascii_alphanumeric());
        if let (true, Some(delimiter)) = (cursor.at > start, cursor.peek()) {
            self.open(delimiter, interpolates);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(source: &str) -> Vec<&str> {
        values_of(source, "hex").iter().map(|value| &source[value.span.range()]).collect()
    }

    #[test]
    fn literal_values_are_found() {
        for (source, expected) in [
            ("def project, do: [app: :a, hex: [policy: \"x/y\"]]", &["[policy: \"x/y\"]"][..]),
            (
                "[hex: [\n policy: [org: \"x\", # y\n name: \"z\"]\n]\n]",
                &["[\n policy: [org: \"x\", # y\n name: \"z\"]\n]"],
            ),
            ("[hex: 1\n]\nend", &["1"]),
            ("f hex: 1\nend", &["1"]),
            ("[\"a#{f(hex: 1)}\", %{hex: 2}]", &["1", "2"]),
            ("{:a, \"~> 1.0\", hex: :b}", &[":b"]),
            ("[?\", hex: 1]", &["1"]),
            ("[?\\\", hex: 1, d: '\\'', hex: 2]", &["1", "2"]),
            ("~s(a\\) hex: 1) hex: 2)", &["2"]),
        ] {
            assert_eq!(values(source), expected, "{source}");
        }
    }

    #[test]
    fn code_comments_and_texts_are_not_values() {
        for source in [
            "[hex: hex()]",
            "[hex: [policy: System.get_env(\"P\")]]",
            "[hex: [a: 1] ++ more()]",
            "[hex: [a: 1]\n |> f()]",
            "# hex: 1\n",
            "\"hex: 1\"",
            "\"\"\"\n\" hex: 1\n\"\"\"",
            "'hex: 1'",
            "~S|hex: 1|",
            "~w[hex: 1]",
            "@moduledoc \"\"\"\nsays \\\"\"\" hex: 1\n\"\"\"",
            ":hex: 1",
            "vhex: 1",
            "hex:1",
            "hex?: 1",
            "[hex: ",
            "",
        ] {
            assert_eq!(values(source), [""; 0], "{source}");
        }
    }

    #[test]
    fn nesting_and_the_number_of_values_are_limited() {
        assert_eq!(values(&"hex: 1, ".repeat(MAX_VALUES + 4)).len(), MAX_VALUES);
        assert_eq!(values(&("\"#{".repeat(MAX_NESTING) + "hex: 1}")), [""; 0]);
    }

    proptest! {
        #[test]
        fn no_code_panics(source in "(hex: |\\[|\\]|\"|'|#|#\\{|\\}|\\{|~s|\\\\|\\?|\n|\\PC){0,60}") {
            let _ = values_of(&source, "hex");
        }
    }
}
