//! The parts of Elixir's terms: names, numbers and quoted text.

use std::borrow::Cow;

use super::Reader;
use super::characters::{is_ascii_inner, is_disguise, unescaped};
use crate::term::cursor::{check_atom, error};
use crate::term::{Span, SyntaxError, Term, number};

impl<'a> Reader<'a> {
    /// Reads ASCII letters, digits, `_` and `@`, and an optional final `?` or `!`.
    ///
    /// Elixir allows other letters if the name does not mix scripts and cannot be confused with another name. No lock
    /// needs such a name without quotes.
    pub(super) fn name(&mut self) -> Result<&'a str, SyntaxError> {
        let start = self.cursor.at;
        self.cursor.skip_while(is_ascii_inner);
        if self.cursor.peek().is_some_and(|byte| byte >= 0x80) {
            let message = "a name with non-ASCII letters must be quoted";
            self.cursor.at += self.source[self.cursor.at..].chars().next().map_or(0, char::len_utf8);
            return Err(error(self.cursor.span(start), message, "not a plain name"));
        }
        if matches!(self.cursor.peek(), Some(b'?' | b'!')) {
            self.cursor.at += 1;
        }
        let name = &self.source[start..self.cursor.at];
        check_atom(name.len(), self.cursor.span(start))?;
        Ok(name)
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
        if is_disguise(character) {
            return Err(self.cursor.unexpected("a visible character, or an escape sequence"));
        }
        self.cursor.at += character.len_utf8();
        let plain = u8::try_from(character).ok().filter(|_| escaped).and_then(unescaped);
        Ok(Term::Integer(plain.map_or(i64::from(u32::from(character)), i64::from)))
    }

    /// Reads `~c"…"` (a charlist) or `~s"…"` (a string), with any delimiters.
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
            let message = "only the sigils `~c` and `~s` are supported";
            return Err(error(Span::new(start, start + 2), message, "not a literal term"));
        }
        self.cursor.at += 2;
        let text = self.quoted("sigil", close)?;
        if kind == Some(b's') { Ok(Term::Binary(text)) } else { Ok(Term::Charlist(self.utf8(start, text)?)) }
    }

    /// Reads quoted text. The opening delimiter is at the current position, and the text ends at the next `close`.
    pub(super) fn quoted(&mut self, what: &str, close: u8) -> Result<Cow<'a, [u8]>, SyntaxError> {
        let start = self.cursor.at;
        if self.cursor.starts_with("\"\"\"") || self.cursor.starts_with("'''") {
            return Err(error(Span::new(start, start + 3), "heredocs are not supported", "not a string in quotes"));
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
                    self.check_quoted(start + 1)?;
                    self.cursor.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => self.escape(text.to_mut())?,
                Some(_) if self.cursor.starts_with("#{") => {
                    let span = Span::new(self.cursor.at, self.cursor.at + 2);
                    return Err(error(span, "interpolation is not supported: only literal terms are", "not evaluated"));
                }
                Some(_) => {}
            }
        }
    }

    /// Rejects the characters that Elixir rejects in quoted text, from `start` to the current position: those of
    /// [`is_disguise`], except in CRLF line endings.
    fn check_quoted(&mut self, start: usize) -> Result<(), SyntaxError> {
        // The first bytes of these characters. They are rare in ordinary text, so this check usually avoids the slow
        // one.
        let suspicious = |byte: &u8| matches!(byte, 0x0b..=0x0d | 0xc2 | 0xe2);
        if !self.cursor.source[start..self.cursor.at].iter().any(suspicious) {
            return Ok(());
        }
        let text = &self.source[start..self.cursor.at];
        let refused = |(at, character): &(usize, char)| is_disguise(*character) && !text[*at..].starts_with("\r\n");
        let Some((at, _)) = text.char_indices().find(refused) else { return Ok(()) };
        self.cursor.at = start + at;
        Err(self.cursor.unexpected("its escape sequence"))
    }

    /// Reads an escape sequence whose backslash is at the current position (`elixir_interpolation:unescape_chars/3`).
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
                    let message = "invalid escape sequence: not a character";
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
                let message = "invalid escape sequence: missing hexadecimal digits";
                Err(error(self.cursor.span(start), message, format!("expected {least} of them")))
            }
        }
    }

    /// Converts the name of an atom or a charlist, both of which must be UTF-8. `start` is where the term begins.
    pub(super) fn utf8(&self, start: usize, text: Cow<'a, [u8]>) -> Result<Cow<'a, str>, SyntaxError> {
        let utf8 = match text {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        };
        utf8.ok_or_else(|| error(self.cursor.span(start), "only a string may contain invalid UTF-8", "not UTF-8"))
    }
}
