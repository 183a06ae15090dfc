//! Erlang's literal terms, as `file:consult/1` reads them: each is ended by a full stop.
//!
//! Left out, because nothing that prints terms writes it: improper lists, binaries with sizes or types other than `utf8`,
//! and the strings of OTP 27 (triple-quoted, sigils).

use std::borrow::Cow;

use super::cursor::{Cursor, error};
use super::{Spanned, SyntaxError, Term, number};

/// Returns the terms of a text, in order.
///
/// The text is UTF-8, or Latin-1 where it is not valid UTF-8 (as hex_core's `hex_tarball:do_decode_metadata/2` has it)
/// or where a comment in its first two lines says so (`%% coding: latin-1`, see `epp:read_encoding/1`). Spans count the
/// text's own bytes either way. A binary `<<"…">>` has one byte per character, whatever the encoding of the text, and
/// `<<"…"/utf8>>` has the characters as UTF-8.
///
/// # Errors
/// Where the text is not a sequence of literal terms, or exceeds a bound ([`super::MAX_BYTES`], [`super::MAX_NESTING`],
/// [`super::MAX_TERMS`]).
pub fn consult(source: &[u8]) -> Result<Vec<Spanned<'_>>, SyntaxError> {
    let cursor = Cursor::new(source)?;
    let utf8 = if says_latin1(source) { None } else { std::str::from_utf8(source).ok() };
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
    }
}

/// Says whether a comment in the first two lines declares the text to be Latin-1.
fn says_latin1(source: &[u8]) -> bool {
    source.split(|&byte| byte == b'\n').take(2).map(<[u8]>::trim_ascii_start).any(|line| {
        let line = String::from_utf8_lossy(&line[..line.len().min(200)]).to_ascii_lowercase();
        let value =
            line.starts_with('%').then(|| line.split_once("coding")).flatten().map(|(_, rest)| rest.trim_start());
        value.is_some_and(|rest| rest.starts_with([':', '=']) && rest[1..].trim_start().starts_with("latin-1"))
    })
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    /// The text, if it is UTF-8; otherwise each byte is a character.
    utf8: Option<&'a str>,
}

impl<'a> Reader<'a> {
    fn skip_blank(&mut self) {
        self.cursor.skip_blank(b'%');
    }

    fn term(&mut self) -> Result<Spanned<'a>, SyntaxError> {
        let start = self.cursor.at;
        let term = match self.cursor.peek() {
            Some(b'{') => Term::Tuple(self.sequence("tuple", "{", "}")?),
            Some(b'[') => Term::List(self.sequence("list", "[", "]")?),
            Some(b'"') => Term::Charlist(self.strings()?),
            Some(b'\'') => Term::Atom(self.quoted("quoted atom")?),
            Some(b'<') if self.cursor.starts_with("<<") => Term::Binary(self.binary()?),
            Some(b'#') if self.cursor.starts_with("#{") => Term::Map(self.map()?),
            Some(b'a'..=b'z') => Term::Atom(self.bare_atom()),
            Some(byte) if byte >= 0x80 && self.character_at(start).is_lowercase() => Term::Atom(self.bare_atom()),
            Some(b'0'..=b'9' | b'-' | b'+' | b'$') => self.number()?,
            Some(b'A'..=b'Z' | b'_') => {
                let message = "variables have no value here: only literal terms are read";
                self.bare_atom();
                return Err(error(self.cursor.span(start), message, "a variable"));
            }
            _ => return Err(self.cursor.unexpected("a term")),
        };
        self.cursor.spanned(start, term)
    }

    /// Reads the elements between `open`, which stands here, and `close`.
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

    /// Calls `element` at each place where an element begins, with commas in between.
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
            _ => Err(error(self.cursor.span(start), "a binary holds bytes", "not a byte")),
        }
    }

    /// Reads an integer, a floating point number, or a character.
    fn number(&mut self) -> Result<Term<'a>, SyntaxError> {
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
            return Err(error(self.cursor.span(digits), "the base of a number is between 2 and 36", "not a base"));
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

    fn bare_atom(&mut self) -> Cow<'a, str> {
        let start = self.cursor.at;
        while let Some(byte) = self.cursor.peek() {
            let character = if byte < 0x80 { char::from(byte) } else { self.character_at(self.cursor.at) };
            if !character.is_alphanumeric() && character != '_' && character != '@' {
                break;
            }
            self.cursor.at += self.width(character);
        }
        self.text(start, self.cursor.at)
    }

    /// Reads one string, and those after it that only blanks separate: they are one.
    fn strings(&mut self) -> Result<Cow<'a, str>, SyntaxError> {
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

    /// Reads what stands between the quote here and the next one like it.
    fn quoted(&mut self, what: &str) -> Result<Cow<'a, str>, SyntaxError> {
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

    /// Reads an escape sequence, whose backslash stands here (`erl_scan:scan_escape/2`).
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
                    Some(b'?') => '\x7f',
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

    /// Reads the one to three digits of an octal escape.
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
        let invalid = || error(self.cursor.span(start), "this escape sequence names no character", "not a character");
        number.and_then(char::from_u32).ok_or_else(invalid)
    }

    /// Returns the text between two offsets, both of which begin a character.
    fn text(&self, start: usize, end: usize) -> Cow<'a, str> {
        match self.utf8 {
            Some(text) => Cow::Borrowed(&text[start..end]),
            None => match std::str::from_utf8(&self.cursor.source[start..end]) {
                Ok(text) if text.is_ascii() => Cow::Borrowed(text),
                _ => Cow::Owned(self.cursor.source[start..end].iter().map(|&byte| char::from(byte)).collect()),
            },
        }
    }

    fn character_at(&self, at: usize) -> char {
        let character = match self.utf8 {
            Some(text) => text.get(at..).and_then(|rest| rest.chars().next()),
            None => self.cursor.source.get(at).map(|&byte| char::from(byte)),
        };
        character.unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// Returns how many bytes of the text `character` takes.
    fn width(&self, character: char) -> usize {
        if self.utf8.is_some() { character.len_utf8() } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a single term, without its span.
    fn read(source: &[u8]) -> Term<'_> {
        let mut terms = consult(source).unwrap_or_else(|error| panic!("{}: {error:?}", source.escape_ascii()));
        assert_eq!(terms.len(), 1);
        terms.pop().unwrap().term
    }

    fn binary(bytes: &[u8]) -> Term<'_> {
        Term::Binary(bytes.into())
    }

    #[test]
    fn metadata_terms_are_read_in_order_with_their_places() {
        let source = br#"{<<"name">>,<<"ranch">>}. % the name
            {<<"build_tools">>,[<<"make">>,rebar3]}."#;
        let terms = consult(source).unwrap();
        let (key, value) = terms[0].term.as_pair().unwrap();
        assert_eq!((key.term.as_text(), value.term.as_text()), (Some("name"), Some("ranch")));
        assert_eq!(&source[value.span.range()], br#"<<"ranch">>"#);
        let tools = terms[1].term.as_pair().unwrap().1.term.as_list().unwrap();
        assert_eq!((tools[0].term.as_text(), tools[1].term.as_atom()), (Some("make"), Some("rebar3")));
        assert_eq!(consult(b" % nothing\n").unwrap(), []);
    }

    #[test]
    fn a_plain_binary_has_a_byte_per_character_and_a_typed_one_has_utf8() {
        assert_eq!(read("<<\"é\">>.".as_bytes()), binary(b"\xe9"));
        assert_eq!(read("<<\"é\"/utf8>>.".as_bytes()), binary("é".as_bytes()));
        assert_eq!(read("<<\"a\" % and\n \"ł\" / utf8, \"b\", 10, -1, $c>>.".as_bytes()), binary(b"a\xc5\x82b\n\xffc"));
        assert_eq!(read(b"<<1,2,255>>."), binary(&[1, 2, 255]));
        assert_eq!(read(b"<<>>."), binary(b""));
    }

    #[test]
    fn text_that_is_not_utf8_or_says_so_is_latin1() {
        assert_eq!(read(b"<<\"\xe9\"/utf8>>."), binary("é".as_bytes()));
        assert_eq!(read(b"'\xe9t\xe9'."), Term::Atom("été".into()));
        assert_eq!(read("\"é\".".as_bytes()), Term::Charlist("é".into()));
        assert_eq!(read("%% -*- coding: latin-1 -*-\n\"é\".".as_bytes()), Term::Charlist("Ã©".into()));
        assert_eq!(read("%% coding: utf-8\n\"é\".".as_bytes()), Term::Charlist("é".into()));
    }

    #[test]
    fn escapes_and_character_literals() {
        let escapes = br#""\n\r\t\v\b\f\e\s\d\0\12\1234\x41\x{1F600}\^A\"\\\q""#;
        let text = "\n\r\t\x0b\x08\x0c\x1b \x7f\0\nS4A😀\x01\"\\q";
        assert_eq!(read(&[escapes.as_slice(), b"."].concat()), Term::Charlist(text.into()));
        for (source, code) in [("$a.", 97), ("$\\n.", 10), ("$\\x{e9}.", 233), ("$é.", 233), ("$ .", 32), ("-$a.", -97)]
        {
            assert_eq!(read(source.as_bytes()), Term::Integer(code), "{source}");
        }
    }

    #[test]
    fn numbers() {
        for (source, integer) in [("0.", 0), ("-1_000.", -1000), ("16#fF.", 255), ("-2#101.", -5), ("+7.", 7)] {
            assert_eq!(read(source.as_bytes()), Term::Integer(integer), "{source}");
        }
        assert_eq!(read(b"-9223372036854775808."), Term::Integer(i64::MIN));
        assert_eq!(read(b"9223372036854775808."), Term::BigInteger("9223372036854775808".into()));
        assert_eq!(read(b"-1.5e-3."), Term::Float(-0.0015));
        assert_eq!(read(b"2.").as_integer(), Some(2));
    }

    #[test]
    fn maps_atoms_and_nesting() {
        let source = b"#{ 'a b' => {}, <<\"k\">> => [#{}] }.";
        let Term::Map(pairs) = read(source) else { panic!("not a map") };
        assert_eq!(pairs[0].0.term, Term::Atom("a b".into()));
        assert_eq!(pairs[1].1.term.as_list().unwrap()[0].term, Term::Map(vec![]));
        assert_eq!(read(b"foo_Bar@1."), Term::Atom("foo_Bar@1".into()));
    }

    #[test]
    fn what_is_not_a_literal_term_is_refused_with_its_place() {
        let cases: &[(&str, &str, &str)] = &[
            ("{a, B}.", "B", "variables have no value here"),
            ("{a b}.", "b", "unexpected `b`"),
            ("[1,", "[", "this list is never closed"),
            ("{<<\"a>>}.", "\"", "this string is never closed"),
            ("a", "", "unexpected end of the text"),
            ("f(x).", "(", "unexpected `(`"),
            ("[a|b].", "|", "unexpected `|`"),
            ("\"\\x{110000}\".", "\\x{110000}", "names no character"),
            ("\"\\xq\".", "q", "unexpected `q`"),
            ("1.0e999.", "1.0e999", "out of range"),
            ("37#1.", "37", "base"),
            ("<<1:8>>.", ":", "unexpected `:`"),
            ("<<300000000000000000000>>.", "300000000000000000000", "bytes"),
        ];
        for (source, marked, message) in cases {
            let error = consult(source.as_bytes()).unwrap_err();
            assert_eq!(&source[error.span.range()], *marked, "{source}: {error:?}");
            assert!(error.message.contains(message), "{source}: {error:?}");
        }
    }

    #[test]
    fn nesting_and_number_of_terms_are_bounded() {
        let nested = |levels: usize| [b"[".repeat(levels), b"]".repeat(levels), b".".to_vec()].concat();
        assert!(consult(&nested(crate::term::MAX_NESTING)).is_ok());
        assert!(consult(&nested(1_000_000)).unwrap_err().message.contains("nested"));
        let many = format!("[{}1].", "1,".repeat(crate::term::MAX_TERMS));
        assert!(consult(many.as_bytes()).unwrap_err().message.contains("more than 4000000 terms"));
    }
}
