//! Erlang's literal terms, each followed by a full stop, as `file:consult/1` reads them.
//!
//! Improper lists, binaries with sizes or types other than `utf8`, and the string forms of OTP 27 (triple-quoted
//! strings, sigils) are not supported, because no tool writes them when it prints terms.

mod text;

use std::borrow::Cow;

use super::cursor::{Cursor, check_atom, error};
use super::{Spanned, SyntaxError, Term};

/// Parses the terms of a text, in order.
///
/// The text is read as UTF-8. It is read as Latin-1 if it is not valid UTF-8 (as in hex_core's
/// `hex_tarball:do_decode_metadata/2`) or if a comment in its first two lines declares Latin-1 (`%% coding: latin-1`,
/// see `epp:read_encoding/1`). In both cases, spans count the bytes of the original text. A binary `<<"…">>` has one
/// byte per character, whatever the encoding of the text; `<<"…"/utf8>>` contains the UTF-8 form of its characters.
///
/// # Errors
/// Returns an error if the text is not a sequence of literal terms or exceeds a limit ([`super::MAX_BYTES`],
/// [`super::MAX_NESTING`], [`super::MAX_TERMS`]).
pub fn consult(source: &[u8]) -> Result<Vec<Spanned<'_>>, SyntaxError> {
    let cursor = Cursor::new(source)?;
    let utf8 = if declares_latin1(source) { None } else { std::str::from_utf8(source).ok() };
    let mut reader = Reader { cursor, utf8 };
    let mut terms = Vec::new();
    loop {
        reader.skip_blank();
        if reader.cursor.peek().is_none() {
            return Ok(terms);
        }
        terms.push(reader.term()?);
        reader.skip_blank();
        if !reader.cursor.eat(".") {
            return Err(reader.cursor.unexpected("a full stop after the term"));
        }
        // Otherwise the full stop is an operator (`erl_scan:scan_dot/6`).
        if !matches!(reader.cursor.peek(), None | Some(b'\t'..=b'\r' | b' ' | b'%')) {
            return Err(reader.cursor.unexpected("whitespace after the full stop"));
        }
    }
}

/// Returns whether a comment in the first two lines declares the text to be Latin-1. The encoding follows the first
/// `coding` that is followed by `=` or `:` (`epp:read_encoding/1`).
pub(crate) fn declares_latin1(source: &[u8]) -> bool {
    source.split(|&byte| byte == b'\n').take(2).any(|line| {
        let line = String::from_utf8_lossy(&line[..line.len().min(1000)]).to_ascii_lowercase();
        let comment = line.split_once('%').map_or("", |(_, comment)| comment);
        let mut values = comment.split("coding").skip(1).map(str::trim_start);
        let named = values.find_map(|rest| rest.strip_prefix([':', '=']));
        let name = named.map_or("", str::trim_start);
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(name.len());
        &name[..end] == "latin-1"
    })
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    /// The text if it is UTF-8; otherwise `None`, and each byte is a character.
    utf8: Option<&'a str>,
}

impl<'a> Reader<'a> {
    /// Skips white space and comments.
    fn skip_blank(&mut self) {
        while let Some(byte) = self.cursor.peek() {
            match byte {
                b'%' => self.cursor.skip_while(|byte| byte != b'\n'),
                b' ' | b'\t' | b'\n' | b'\x0b' | b'\x0c' | b'\r' => self.cursor.at += 1,
                // Erlang treats other control characters as blanks. This reader does not: a power cut can leave a file
                // full of zeros, which must not be read as an empty lock.
                _ => return,
            }
        }
    }

    fn term(&mut self) -> Result<Spanned<'a>, SyntaxError> {
        let start = self.cursor.at;
        let term = match self.cursor.peek() {
            Some(b'{') => Term::Tuple(self.sequence("tuple", "{", "}")?),
            Some(b'[') => Term::List(self.sequence("list", "[", "]")?),
            Some(b'"') => Term::Charlist(self.strings()?),
            Some(b'\'') => {
                let name = self.quoted("quoted atom")?;
                check_atom(name.chars().count(), self.cursor.span(start))?;
                Term::Atom(name)
            }
            Some(b'<') if self.cursor.starts_with("<<") => Term::Binary(self.binary()?),
            Some(b'#') if self.cursor.starts_with("#{") => Term::Map(self.map()?),
            Some(b'a'..=b'z') => Term::Atom(self.atom()?),
            Some(byte) if byte >= 0x80 && matches!(self.character_at(start), 'ß'..='ö' | 'ø'..='ÿ') => {
                Term::Atom(self.atom()?)
            }
            Some(b'0'..=b'9' | b'-' | b'+' | b'$') => self.number()?,
            Some(b'A'..=b'Z' | b'_') => {
                let message = "variables are not supported: only literal terms are";
                self.bare_atom();
                return Err(error(self.cursor.span(start), message, "a variable"));
            }
            _ => return Err(self.cursor.unexpected("a term")),
        };
        self.cursor.spanned(start, term)
    }

    /// Reads the elements between `open`, which is at the current position, and `close`.
    fn sequence(&mut self, what: &str, open: &str, close: &str) -> Result<Vec<Spanned<'a>>, SyntaxError> {
        let mut elements = Vec::new();
        self.elements(what, open, close, |reader| {
            elements.push(reader.term()?);
            Ok(())
        })?;
        Ok(elements)
    }

    fn map(&mut self) -> Result<Vec<(Spanned<'a>, Spanned<'a>)>, SyntaxError> {
        let mut pairs = Vec::new();
        self.elements("map", "#{", "}", |reader| {
            let key = reader.term()?;
            reader.skip_blank();
            if !reader.cursor.eat("=>") {
                return Err(reader.cursor.unexpected("`=>` after the key"));
            }
            reader.skip_blank();
            pairs.push((key, reader.term()?));
            Ok(())
        })?;
        Ok(pairs)
    }

    /// Calls `element` at the beginning of each element of a comma-separated sequence.
    fn elements(
        &mut self,
        what: &str,
        open: &str,
        close: &str,
        mut element: impl FnMut(&mut Self) -> Result<(), SyntaxError>,
    ) -> Result<(), SyntaxError> {
        let start = self.cursor.at;
        self.cursor.enter(start)?;
        self.cursor.at += open.len();
        self.skip_blank();
        if !self.cursor.eat(close) {
            loop {
                if self.cursor.peek().is_none() {
                    return Err(self.cursor.unterminated(what, start, open.len(), close));
                }
                element(self)?;
                self.skip_blank();
                if self.cursor.eat(close) {
                    break;
                }
                if self.cursor.peek().is_some() && !self.cursor.eat(",") {
                    return Err(self.cursor.unexpected(&format!("`,` or `{close}`")));
                }
                self.skip_blank();
            }
        }
        self.cursor.leave();
        Ok(())
    }

    /// Reads the segments of a binary: strings, with or without `/utf8`, and bytes.
    fn binary(&mut self) -> Result<Cow<'a, [u8]>, SyntaxError> {
        let mut bytes = Cow::Borrowed(&[][..]);
        self.elements("binary", "<<", ">>", |reader| {
            let segment = match reader.cursor.peek() {
                Some(b'"') => reader.string_segment()?,
                Some(b'0'..=b'9' | b'-' | b'+' | b'$') => Cow::Owned(vec![reader.byte_segment()?]),
                _ => return Err(reader.cursor.unexpected("a string or a byte")),
            };
            if bytes.is_empty() {
                bytes = segment;
            } else {
                bytes.to_mut().extend_from_slice(&segment);
            }
            Ok(())
        })?;
        Ok(bytes)
    }

    fn string_segment(&mut self) -> Result<Cow<'a, [u8]>, SyntaxError> {
        let text = self.strings()?;
        self.skip_blank();
        if self.cursor.eat("/") {
            self.skip_blank();
            if !self.cursor.eat("utf8") {
                return Err(self.cursor.unexpected("the type `utf8`"));
            }
        } else if !text.is_ascii() {
            // The bit syntax keeps the lowest byte of each code point.
            return Ok(Cow::Owned(text.chars().map(|character| character as u32 as u8).collect()));
        }
        Ok(match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })
    }

    fn byte_segment(&mut self) -> Result<u8, SyntaxError> {
        let start = self.cursor.at;
        match self.number()? {
            Term::Integer(integer) => Ok(integer.rem_euclid(256) as u8),
            _ => Err(error(self.cursor.span(start), "a binary contains bytes", "not a byte")),
        }
    }
}

#[cfg(test)]
mod tests;
