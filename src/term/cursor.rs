//! What both readers share: a position in the bytes, the limits, and the wording of errors.

use super::{Span, Spanned, SyntaxError, Term};

/// The longest text accepted, in bytes.
pub const MAX_BYTES: usize = 64 << 20;
/// The maximum nesting of lists, tuples, maps and binaries. Locks and metadata need about six levels.
pub const MAX_NESTING: usize = 64;
/// The maximum number of terms in a text, counting every element. A lock of 10,000 packages contains about 200,000.
pub const MAX_TERMS: usize = 4_000_000;
/// The longest atom (`MAX_ATOM_CHARACTERS` in Erlang's runtime, `unsafe_to_atom/4` in Elixir's tokenizer).
const MAX_ATOM: usize = 255;

/// A position in a text, and how much of each limit is used up.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    pub(super) source: &'a [u8],
    pub(super) at: usize,
    nesting: usize,
    terms: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(source: &'a [u8]) -> Result<Self, SyntaxError> {
        if source.len() > MAX_BYTES {
            let message = format!("the text is larger than {} MB", MAX_BYTES >> 20);
            return Err(error(Span::new(0, 0), message, "of this text"));
        }
        Ok(Self { source, at: 0, nesting: 0, terms: 0 })
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    /// Returns the byte `ahead` bytes after the current one.
    pub(super) fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.source.get(self.at + ahead).copied()
    }

    #[inline]
    pub(super) fn starts_with(&self, token: &str) -> bool {
        // Most tokens differ in their first byte, which is cheaper to compare.
        self.peek() == token.bytes().next() && self.source[self.at..].starts_with(token.as_bytes())
    }

    /// Consumes `token` if it comes next. Returns whether it does.
    #[inline]
    pub(super) fn eat(&mut self, token: &str) -> bool {
        let found = self.starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Consumes bytes as long as they match.
    pub(super) fn skip_while(&mut self, matches: impl Fn(u8) -> bool) {
        let rest = &self.source[self.at..];
        self.at += rest.iter().position(|&byte| !matches(byte)).unwrap_or(rest.len());
    }

    /// Returns the span from `start` to the current position.
    pub(super) fn span(&self, start: usize) -> Span {
        Span::new(start, self.at)
    }

    /// Attaches the span from `start` to the current position to `term`, and counts the term.
    pub(super) fn spanned(&mut self, start: usize, term: Term<'a>) -> Result<Spanned<'a>, SyntaxError> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(error(
                self.span(start),
                format!("there are more than {MAX_TERMS} terms"),
                "reading stopped here",
            ));
        }
        Ok(Spanned { term, span: self.span(start) })
    }

    /// Enters one level of nesting, opened at `start`.
    pub(super) fn enter(&mut self, start: usize) -> Result<(), SyntaxError> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            let message = format!("terms are nested more than {MAX_NESTING} levels deep");
            return Err(error(Span::new(start, start + 1), message, "one level too many"));
        }
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.nesting -= 1;
    }

    /// Returns an error for finding something other than `expected` at the current position.
    pub(super) fn unexpected(&self, expected: &str) -> SyntaxError {
        let span = self.token_span();
        let message = match &self.source[span.range()] {
            [] => "unexpected end of the text".to_owned(),
            token => format!("unexpected `{}`", printable(token)),
        };
        error(span, message, format!("expected {expected}"))
    }

    /// Returns an error for a term that is never closed. Its opening token is the `opened` bytes at `start`.
    pub(super) fn unterminated(&self, what: &str, start: usize, opened: usize, close: &str) -> SyntaxError {
        let span = Span::new(start, start + opened);
        error(span, format!("this {what} is never closed"), format!("opened here, but `{close}` is missing"))
    }

    /// Returns the span to highlight at the current position: a word, or else a single character.
    fn token_span(&self) -> Span {
        let rest = &self.source[self.at..];
        let word = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        let character = rest.iter().skip(1).take_while(|byte| **byte & 0xc0 == 0x80).count() + 1;
        let length = if word > 0 { word } else { character };
        Span::new(self.at, (self.at + length).min(self.source.len()))
    }
}

/// Rejects an atom that is too long. Erlang counts its characters, Elixir's reader its bytes.
pub(super) fn check_atom(length: usize, span: Span) -> Result<(), SyntaxError> {
    if length > MAX_ATOM { Err(error(span, "this atom is too long", format!("more than {MAX_ATOM}"))) } else { Ok(()) }
}

/// Creates a syntax error.
pub(super) fn error(span: Span, message: impl Into<String>, label: impl Into<String>) -> SyntaxError {
    SyntaxError { message: message.into(), label: label.into(), span }
}

/// Returns at most 40 characters of `token`, with those escaped that would move a terminal's cursor.
fn printable(token: &[u8]) -> String {
    String::from_utf8_lossy(&token[..token.len().min(160)]).chars().take(40).flat_map(char::escape_debug).collect()
}
