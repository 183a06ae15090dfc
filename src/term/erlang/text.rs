//! The parts of Erlang's terms: atoms, numbers and quoted text.

use std::borrow::Cow;

use super::Reader;
use crate::term::cursor::{check_atom, error};
use crate::term::{SyntaxError, Term, number};

/// The keywords of Erlang (`erl_scan:reserved_word/1`), including those of OTP 27.
const RESERVED: &[&str] = &[
    "after", "and", "andalso", "band", "begin", "bnot", "bor", "bsl", "bsr", "bxor", "case", "catch", "cond", "div",
    "else", "end", "fun", "if", "let", "maybe", "not", "of", "or", "orelse", "receive", "rem", "try", "when", "xor",
];

impl<'a> Reader<'a> {
    /// Reads an integer, a floating point number, or a character.
    pub(super) fn number(&mut self) -> Result<Term<'a>, SyntaxError> {
        let start = self.cursor.at;
        if matches!(self.cursor.peek(), Some(b'-' | b'+')) {
            self.cursor.at += 1;
        }
        if self.cursor.peek() == Some(b'$') {
            let negative = self.cursor.source[start] == b'-';
            let character = i64::from(u32::from(self.character_literal()?));
            return Ok(Term::Integer(if negative { -character } else { character }));
        }
        let digits = self.cursor.at;
        let decimal = number::decimal(&mut self.cursor, start)?;
        if self.cursor.peek() != Some(b'#') {
            return Ok(decimal);
        }
        let radix = match decimal {
            Term::Integer(radix) => u32::try_from(radix.unsigned_abs()).unwrap_or(0),
            _ => 0,
        };
        if !(2..=36).contains(&radix) {
            return Err(error(self.cursor.span(digits), "the base of a number must be between 2 and 36", "not a base"));
        }
        self.cursor.at += 1;
        number::integer(&mut self.cursor, start, radix)
    }

    fn character_literal(&mut self) -> Result<char, SyntaxError> {
        self.cursor.at += 1;
        match self.cursor.peek() {
            None => Err(self.cursor.unexpected("a character after `$`")),
            Some(b'\\') => self.escape(),
            Some(_) => {
                let character = self.character_at(self.cursor.at);
                self.cursor.at += self.width(character);
                Ok(character)
            }
        }
    }

    /// Reads an unquoted atom.
    pub(super) fn atom(&mut self) -> Result<Cow<'a, str>, SyntaxError> {
        let start = self.cursor.at;
        let name = self.bare_atom();
        let span = self.cursor.span(start);
        check_atom(name.chars().count(), span)?;
        if RESERVED.contains(&&*name) {
            let message = format!("`{name}` is a keyword and must be quoted as an atom");
            return Err(error(span, message, "expected a term"));
        }
        Ok(name)
    }

    pub(super) fn bare_atom(&mut self) -> Cow<'a, str> {
        let start = self.cursor.at;
        while let Some(byte) = self.cursor.peek() {
            let character = if byte < 0x80 { char::from(byte) } else { self.character_at(self.cursor.at) };
            if !matches!(character, 'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '@' | 'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ÿ')
            {
                break;
            }
            self.cursor.at += self.width(character);
        }
        self.text(start, self.cursor.at)
    }

    /// Reads a string. Adjacent strings that only blanks separate are one string.
    pub(super) fn strings(&mut self) -> Result<Cow<'a, str>, SyntaxError> {
        // Since OTP 27, three quotes begin a triple-quoted string.
        if self.cursor.starts_with("\"\"\"") {
            return Err(self.cursor.unexpected("a string in single double quotes"));
        }
        let mut text = self.quoted("string")?;
        loop {
            let end = self.cursor.at;
            self.skip_blank();
            if self.cursor.peek() != Some(b'"') {
                self.cursor.at = end;
                return Ok(text);
            }
            text.to_mut().push_str(&self.quoted("string")?);
        }
    }

    /// Reads quoted text. The quote is at the current position, and the text ends at the next quote of this kind.
    pub(super) fn quoted(&mut self, what: &str) -> Result<Cow<'a, str>, SyntaxError> {
        let start = self.cursor.at;
        let quote = self.cursor.source[start];
        self.cursor.at += 1;
        let mut text = Cow::Borrowed("");
        loop {
            let run = self.cursor.at;
            self.cursor.skip_while(|byte| byte != quote && byte != b'\\');
            let plain = self.text(run, self.cursor.at);
            if text.is_empty() {
                text = plain;
            } else {
                text.to_mut().push_str(&plain);
            }
            match self.cursor.peek() {
                None => {
                    return Err(self.cursor.unterminated(what, start, 1, char::from(quote).encode_utf8(&mut [0; 4])));
                }
                Some(b'\\') => text.to_mut().push(self.escape()?),
                Some(_) => {
                    self.cursor.at += 1;
                    return Ok(text);
                }
            }
        }
    }

    /// Reads an escape sequence whose backslash is at the current position (`erl_scan:scan_escape/2`).
    fn escape(&mut self) -> Result<char, SyntaxError> {
        let start = self.cursor.at;
        self.cursor.at += 1;
        let Some(byte) = self.cursor.peek() else {
            return Err(self.cursor.unexpected("a character after the backslash"));
        };
        let plain = match byte {
            b'0'..=b'7' => return self.octal(start),
            b'x' => return self.hexadecimal(start),
            b'^' => {
                self.cursor.at += 1;
                match self.cursor.peek() {
                    // Since OTP 27, `\^?` is another character.
                    Some(control @ (b'@'..=b'_' | b'a'..=b'z')) => char::from(control & 31),
                    _ => return Err(self.cursor.unexpected("a control character's letter")),
                }
            }
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'v' => '\x0b',
            b'b' => '\x08',
            b'f' => '\x0c',
            b'e' => '\x1b',
            b's' => ' ',
            b'd' => '\x7f',
            _ => {
                let character = self.character_at(self.cursor.at);
                self.cursor.at += self.width(character);
                return Ok(character);
            }
        };
        self.cursor.at += 1;
        Ok(plain)
    }

    /// Reads an octal escape of one to three digits.
    fn octal(&mut self, start: usize) -> Result<char, SyntaxError> {
        let digits = self.cursor.at;
        while self.cursor.at < digits + 3 && matches!(self.cursor.peek(), Some(b'0'..=b'7')) {
            self.cursor.at += 1;
        }
        self.code_point(start, digits, self.cursor.at, 8)
    }

    /// Reads `xHH` or `x{H…}`.
    fn hexadecimal(&mut self, start: usize) -> Result<char, SyntaxError> {
        self.cursor.at += 1;
        let braced = self.cursor.eat("{");
        let digits = self.cursor.at;
        let most = if braced { 8 } else { 2 };
        while self.cursor.at < digits + most && self.cursor.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
            self.cursor.at += 1;
        }
        let end = self.cursor.at;
        if braced && !self.cursor.eat("}") || !braced && end != digits + 2 {
            return Err(self.cursor.unexpected(if braced {
                "hexadecimal digits and `}`"
            } else {
                "two hexadecimal digits"
            }));
        }
        self.code_point(start, digits, end, 16)
    }

    fn code_point(&self, start: usize, digits: usize, end: usize, radix: u32) -> Result<char, SyntaxError> {
        let number = u32::from_str_radix(&self.text(digits, end), radix).ok();
        let invalid = || error(self.cursor.span(start), "invalid escape sequence: not a character", "not a character");
        number.and_then(char::from_u32).ok_or_else(invalid)
    }

    /// Returns the text between two offsets, both of which are character boundaries.
    fn text(&self, start: usize, end: usize) -> Cow<'a, str> {
        match self.utf8 {
            Some(text) => Cow::Borrowed(&text[start..end]),
            None => match std::str::from_utf8(&self.cursor.source[start..end]) {
                Ok(text) if text.is_ascii() => Cow::Borrowed(text),
                _ => Cow::Owned(self.cursor.source[start..end].iter().map(|&byte| char::from(byte)).collect()),
            },
        }
    }

    pub(super) fn character_at(&self, at: usize) -> char {
        let character = match self.utf8 {
            Some(text) => text.get(at..).and_then(|rest| rest.chars().next()),
            None => self.cursor.source.get(at).map(|&byte| char::from(byte)),
        };
        character.unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// Returns the length of `character` in the text's encoding, in bytes.
    fn width(&self, character: char) -> usize {
        if self.utf8.is_some() { character.len_utf8() } else { 1 }
    }
}
