//! What a term of Elixir is made of: names, numbers, and what stands between quotes.

use std::borrow::Cow;

use super::Reader;
use crate::term::cursor::error;
use crate::term::{Span, SyntaxError, Term, number};

impl<'a> Reader<'a> {
    /// Reads letters, digits, `_` and `@`, and a `?` or `!` at the end.
    pub(super) fn name(&mut self) -> &'a str {
        let start = self.cursor.at;
        self.cursor.skip_while(is_ascii_inner);
        if self.cursor.peek().is_some_and(|byte| byte >= 0x80) {
            let rest = &self.source[self.cursor.at..];
            let is_inner = |inner: char| inner.is_alphanumeric() || u8::try_from(inner).is_ok_and(is_ascii_inner);
            self.cursor.at += rest.find(|character| !is_inner(character)).unwrap_or(rest.len());
        }
        if matches!(self.cursor.peek(), Some(b'?' | b'!')) {
            self.cursor.at += 1;
        }
        if self.cursor.at == start {
            // Not a letter after all: take the character, for the error that follows.
            self.cursor.at += self.source[start..].chars().next().map_or(0, char::len_utf8);
        }
        &self.source[start..self.cursor.at]
    }

    /// Reads an integer, a floating point number, or a character (`?a`).
    pub(super) fn number(&mut self) -> Result<Term<'a>, SyntaxError> {
        let start = self.cursor.at;
        if self.cursor.eat("?") {
            return self.character();
        }
        if matches!(self.cursor.peek(), Some(b'-' | b'+')) {
            self.cursor.at += 1;
        }
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
            if self.cursor.eat(prefix) {
                return number::integer(&mut self.cursor, start, radix);
            }
        }
        number::decimal(&mut self.cursor, start)
    }

    fn character(&mut self) -> Result<Term<'a>, SyntaxError> {
        let escaped = self.cursor.eat("\\");
        let Some(character) = self.source[self.cursor.at..].chars().next() else {
            return Err(self.cursor.unexpected("a character"));
        };
        self.cursor.at += character.len_utf8();
        let plain = u8::try_from(character).ok().filter(|_| escaped).and_then(unescaped);
        Ok(Term::Integer(plain.map_or(i64::from(u32::from(character)), i64::from)))
    }

    /// Reads `~c"…"`, a charlist, or `~s"…"`, a string, with any of the delimiters.
    pub(super) fn sigil(&mut self) -> Result<Term<'a>, SyntaxError> {
        let start = self.cursor.at;
        let (kind, open) = (self.cursor.peek_at(1), self.cursor.peek_at(2));
        let close = match open {
            Some(same @ (b'"' | b'\'' | b'/' | b'|')) => same,
            Some(b'(') => b')',
            Some(b'[') => b']',
            Some(b'{') => b'}',
            Some(b'<') => b'>',
            _ => return Err(self.cursor.unexpected("a term")),
        };
        if !matches!(kind, Some(b'c' | b's')) {
            let message = "only the sigils `~c` and `~s` are read";
            return Err(error(Span::new(start, start + 2), message, "not a literal term"));
        }
        self.cursor.at += 2;
        let text = self.quoted("sigil", close)?;
        if kind == Some(b's') { Ok(Term::Binary(text)) } else { Ok(Term::Charlist(self.utf8(start, text)?)) }
    }

    /// Reads what stands between the delimiter here and the next `close`.
    pub(super) fn quoted(&mut self, what: &str, close: u8) -> Result<Cow<'a, [u8]>, SyntaxError> {
        let start = self.cursor.at;
        if self.cursor.starts_with("\"\"\"") || self.cursor.starts_with("'''") {
            return Err(error(Span::new(start, start + 3), "heredocs are not read", "not a string in quotes"));
        }
        self.cursor.at += 1;
        let mut text = Cow::Borrowed(&[][..]);
        loop {
            let run = self.cursor.at;
            self.cursor.skip_while(|byte| byte != close && byte != b'\\' && byte != b'#');
            if self.cursor.starts_with("#") && !self.cursor.starts_with("#{") {
                self.cursor.at += 1;
            }
            let plain = &self.cursor.source[run..self.cursor.at];
            if text.is_empty() {
                text = Cow::Borrowed(plain);
            } else {
                text.to_mut().extend_from_slice(plain);
            }
            match self.cursor.peek() {
                None => {
                    let close = char::from(close).to_string();
                    return Err(self.cursor.unterminated(what, start, 1, &close));
                }
                Some(byte) if byte == close => {
                    self.cursor.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => self.escape(text.to_mut())?,
                Some(_) if self.cursor.starts_with("#{") => {
                    let span = Span::new(self.cursor.at, self.cursor.at + 2);
                    return Err(error(span, "interpolation is code: only literal terms are read", "not evaluated"));
                }
                Some(_) => {}
            }
        }
    }

    /// Reads an escape sequence, whose backslash stands here (`elixir_interpolation:unescape_chars/3`).
    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let start = self.cursor.at;
        self.cursor.at += 1;
        match self.cursor.peek() {
            None => {}
            Some(b'\n') => self.cursor.at += 1,
            Some(b'\r') if self.cursor.starts_with("\r\n") => self.cursor.at += 2,
            Some(b'x') => {
                self.cursor.at += 1;
                text.push(self.hexadecimal(start, 2, 2)? as u8);
            }
            Some(b'u') => {
                self.cursor.at += 1;
                let code = if self.cursor.eat("{") {
                    let code = self.hexadecimal(start, 1, 6)?;
                    if !self.cursor.eat("}") {
                        return Err(self.cursor.unexpected("`}` after at most six digits"));
                    }
                    code
                } else {
                    self.hexadecimal(start, 4, 4)?
                };
                let Some(character) = char::from_u32(code) else {
                    let message = "this escape sequence names no character";
                    return Err(error(self.cursor.span(start), message, "not a character"));
                };
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Some(byte) => {
                self.cursor.at += 1;
                text.push(unescaped(byte).unwrap_or(byte));
            }
        }
        Ok(())
    }

    fn hexadecimal(&mut self, start: usize, least: usize, most: usize) -> Result<u32, SyntaxError> {
        let digits = self.cursor.at;
        while self.cursor.at < digits + most && self.cursor.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
            self.cursor.at += 1;
        }
        match u32::from_str_radix(&self.source[digits..self.cursor.at], 16) {
            Ok(code) if self.cursor.at >= digits + least => Ok(code),
            _ => {
                let message = "this escape sequence lacks hexadecimal digits";
                Err(error(self.cursor.span(start), message, format!("expected {least} of them")))
            }
        }
    }

    /// Returns text that has to be UTF-8: an atom's name or a charlist, which began at `start`.
    pub(super) fn utf8(&self, start: usize, text: Cow<'a, [u8]>) -> Result<Cow<'a, str>, SyntaxError> {
        let utf8 = match text {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        };
        utf8.ok_or_else(|| error(self.cursor.span(start), "only a string may hold what is not UTF-8", "not UTF-8"))
    }
}

pub(super) fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// Returns what a backslash makes of `byte`, if that is not the byte itself (`elixir_interpolation:unescape_map/1`).
fn unescaped(byte: u8) -> Option<u8> {
    Some(match byte {
        b'0' => 0,
        b'a' => 7,
        b'b' => 8,
        b'd' => 127,
        b'e' => 27,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b's' => b' ',
        b't' => b'\t',
        b'v' => 11,
        _ => return None,
    })
}

fn is_ascii_inner(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@')
}
