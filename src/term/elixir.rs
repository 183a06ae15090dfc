//! Elixir's literal terms: the part of the language that `inspect/2` writes, which is what a mix.lock consists of.
//!
//! Whatever Elixir would have to evaluate (calls, operators, variables, interpolation, aliases) is refused, and so are
//! heredocs and all sigils but `~c` and `~s`.

use std::borrow::Cow;

use super::cursor::{Cursor, error};
use super::{Span, Spanned, SyntaxError, Term, number};

/// Returns the term that the whole text is; `nil` if it is blank, as Elixir has it.
///
/// # Errors
/// Where the text is not one literal term, or exceeds a bound ([`super::MAX_BYTES`], [`super::MAX_NESTING`],
/// [`super::MAX_TERMS`]).
pub fn parse(source: &str) -> Result<Spanned<'_>, SyntaxError> {
    let mut reader = Reader { cursor: Cursor::new(source.as_bytes())?, source };
    reader.skip_blank();
    if reader.cursor.peek().is_none() {
        return reader.cursor.spanned(reader.cursor.at, Term::Atom("nil".into()));
    }
    let term = reader.term()?;
    reader.end()?;
    Ok(term)
}

/// Gives `take` each key and value of the map or list of pairs that the whole text is, in order; none if it is blank.
///
/// No more than one pair is in memory at a time, which is also what makes this faster than [`parse`].
///
/// # Errors
/// As [`parse`], where the text is neither a map nor a list of pairs, and whatever `take` returns.
pub fn pairs<'a, E: From<SyntaxError>>(
    source: &'a str,
    mut take: impl FnMut(Spanned<'a>, Spanned<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = Reader { cursor: Cursor::new(source.as_bytes())?, source };
    reader.skip_blank();
    if reader.cursor.starts_with("%{") {
        reader.map_pairs(|_, key, value| take(key, value))?;
    } else if reader.cursor.starts_with("[") {
        reader.elements("list", "[", "]", |_, element| match element {
            Element::Keyword(key, value) => take(key, value),
            Element::Term(Spanned { term: Term::Tuple(mut pair), .. }) if pair.len() == 2 => {
                let value = pair.pop().expect("a pair has two elements");
                take(pair.pop().expect("a pair has two elements"), value)
            }
            Element::Term(Spanned { term, span }) => {
                let message = format!("{} stands where a key and its value should", term.describe());
                Err(error(span, message, "expected `key: value`").into())
            }
        })?;
    } else if reader.cursor.peek().is_some() {
        return Err(reader.cursor.unexpected("a map or a keyword list").into());
    }
    reader.end().map_err(E::from)
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    source: &'a str,
}

/// What may stand between two commas.
enum Element<'a> {
    Term(Spanned<'a>),
    /// `key: value`, which has to come after all elements without a key.
    Keyword(Spanned<'a>, Spanned<'a>),
}

impl<'a> Reader<'a> {
    fn skip_blank(&mut self) {
        self.cursor.skip_blank(b'#');
    }

    /// Reads what may follow the only term.
    fn end(&mut self) -> Result<(), SyntaxError> {
        self.skip_blank();
        match self.cursor.peek() {
            None => Ok(()),
            Some(_) => Err(self.cursor.unexpected("the end of the text, after its only term")),
        }
    }

    fn term(&mut self) -> Result<Spanned<'a>, SyntaxError> {
        let start = self.cursor.at;
        match self.element()? {
            Element::Term(term) => Ok(term),
            Element::Keyword(key, _) => {
                let span = Span { start: Span::new(start, start).start, end: key.span.end };
                Err(error(span, "a key without the brackets of its list", "expected a term"))
            }
        }
    }

    fn element(&mut self) -> Result<Element<'a>, SyntaxError> {
        let start = self.cursor.at;
        let term = match self.cursor.peek() {
            Some(quote @ (b'"' | b'\'')) => {
                let text = self.quoted("string", quote)?;
                if self.at_keyword_colon() {
                    let key = Term::Atom(self.utf8(start, text)?);
                    return self.keyword(start, key);
                }
                if quote == b'"' { Term::Binary(text) } else { Term::Charlist(self.utf8(start, text)?) }
            }
            Some(byte) if is_name_start(byte) => {
                let name = self.name();
                if self.at_keyword_colon() {
                    return self.keyword(start, Term::Atom(name.into()));
                }
                if !matches!(name, "nil" | "true" | "false") {
                    let message = format!("`{}` is code: only literal terms are read", name.escape_debug());
                    return Err(error(self.cursor.span(start), message, "not a literal term"));
                }
                Term::Atom(name.into())
            }
            Some(b':') => self.atom()?,
            Some(b'{') => self.tuple()?,
            Some(b'[') => self.list()?,
            Some(b'%') if self.cursor.starts_with("%{") => self.map()?,
            Some(b'0'..=b'9' | b'-' | b'+' | b'?') => self.number()?,
            Some(b'<') if self.cursor.starts_with("<<") => self.binary()?,
            Some(b'~') => self.sigil()?,
            _ => return Err(self.cursor.unexpected("a term")),
        };
        Ok(Element::Term(self.cursor.spanned(start, term)?))
    }

    /// Says whether the colon that makes a key of what was just read stands here; it needs a blank after it.
    fn at_keyword_colon(&self) -> bool {
        self.cursor.peek() == Some(b':') && self.cursor.peek_at(1).is_some_and(|byte| byte.is_ascii_whitespace())
    }

    /// Reads the value of a key that stands from `start` to the colon here.
    fn keyword(&mut self, start: usize, key: Term<'a>) -> Result<Element<'a>, SyntaxError> {
        let key = self.cursor.spanned(start, key)?;
        self.cursor.enter(start)?;
        self.cursor.at += 1;
        self.skip_blank();
        let value = self.term()?;
        self.cursor.leave();
        Ok(Element::Keyword(key, value))
    }

    fn list(&mut self) -> Result<Term<'a>, SyntaxError> {
        let mut elements = Vec::new();
        self.elements("list", "[", "]", |reader, element| -> Result<(), SyntaxError> {
            elements.push(match element {
                Element::Term(term) => term,
                Element::Keyword(key, value) => reader.pair(key, value)?,
            });
            Ok(())
        })?;
        Ok(Term::List(elements))
    }

    /// Reads a tuple; keys at its end make a keyword list, which is its last element.
    fn tuple(&mut self) -> Result<Term<'a>, SyntaxError> {
        // The entries of a lock, its largest tuples, have eight elements.
        let mut elements = Vec::with_capacity(8);
        let mut keywords = Vec::new();
        self.elements("tuple", "{", "}", |reader, element| -> Result<(), SyntaxError> {
            match element {
                Element::Term(term) => elements.push(term),
                Element::Keyword(key, _) if elements.is_empty() => {
                    return Err(error(key.span, "a tuple cannot begin with a key", "expected a term or `}`"));
                }
                Element::Keyword(key, value) => keywords.push(reader.pair(key, value)?),
            }
            Ok(())
        })?;
        if let (Some(first), Some(last)) = (keywords.first(), keywords.last()) {
            let span = Span { start: first.span.start, end: last.span.end };
            elements.push(Spanned { term: Term::List(keywords), span });
        }
        Ok(Term::Tuple(elements))
    }

    fn map(&mut self) -> Result<Term<'a>, SyntaxError> {
        let mut pairs = Vec::new();
        self.map_pairs(|_, key, value| -> Result<(), SyntaxError> {
            pairs.push((key, value));
            Ok(())
        })?;
        Ok(Term::Map(pairs))
    }

    /// Gives `take` each key and value of the map that begins here.
    fn map_pairs<E: From<SyntaxError>>(
        &mut self,
        mut take: impl FnMut(&mut Self, Spanned<'a>, Spanned<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.elements("map", "%{", "}", |reader, element| match element {
            Element::Keyword(key, value) => take(reader, key, value),
            Element::Term(key) => {
                reader.skip_blank();
                if !reader.cursor.eat("=>") {
                    return Err(reader.cursor.unexpected("`=>` after the key").into());
                }
                reader.skip_blank();
                let value = reader.term()?;
                take(reader, key, value)
            }
        })
    }

    /// Gives `take` each element between `open`, which stands here, and `close`. A comma may follow the last one.
    fn elements<E: From<SyntaxError>>(
        &mut self,
        what: &str,
        open: &str,
        close: &str,
        mut take: impl FnMut(&mut Self, Element<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.cursor.at;
        self.cursor.enter(start)?;
        self.cursor.at += open.len();
        self.skip_blank();
        let mut only_keywords = false;
        while !self.cursor.eat(close) {
            if self.cursor.peek().is_none() {
                return Err(self.cursor.unterminated(what, start, open.len(), close).into());
            }
            let element = self.element()?;
            match &element {
                Element::Keyword(..) => only_keywords = true,
                Element::Term(term) if only_keywords => {
                    let message = format!("in a {what}, what has a key comes last");
                    return Err(error(term.span, message, "expected a key").into());
                }
                Element::Term(_) => {}
            }
            take(self, element)?;
            self.skip_blank();
            if !self.cursor.eat(",") && !self.cursor.starts_with(close) && self.cursor.peek().is_some() {
                return Err(self.cursor.unexpected(&format!("`,` or `{close}`")).into());
            }
            self.skip_blank();
        }
        self.cursor.leave();
        Ok(())
    }

    fn pair(&mut self, key: Spanned<'a>, value: Spanned<'a>) -> Result<Spanned<'a>, SyntaxError> {
        let start = key.span.start as usize;
        self.cursor.spanned(start, Term::Tuple(vec![key, value]))
    }

    /// Reads strings and bytes between `<<` and `>>`, as `inspect/2` writes what is not printable.
    fn binary(&mut self) -> Result<Term<'a>, SyntaxError> {
        let mut bytes = Vec::new();
        self.elements("binary", "<<", ">>", |_, element| -> Result<(), SyntaxError> {
            match element {
                Element::Term(Spanned { term: Term::Binary(part), .. }) => bytes.extend_from_slice(&part),
                Element::Term(Spanned { term: Term::Integer(byte), .. }) => bytes.push(byte.rem_euclid(256) as u8),
                Element::Term(Spanned { span, .. }) | Element::Keyword(Spanned { span, .. }, _) => {
                    return Err(error(span, "a binary holds strings and bytes", "neither a string nor a byte"));
                }
            }
            Ok(())
        })?;
        Ok(Term::Binary(Cow::Owned(bytes)))
    }

    fn atom(&mut self) -> Result<Term<'a>, SyntaxError> {
        self.cursor.at += 1;
        match self.cursor.peek() {
            Some(quote @ (b'"' | b'\'')) => {
                let start = self.cursor.at;
                let name = self.quoted("quoted atom", quote)?;
                Ok(Term::Atom(self.utf8(start, name)?))
            }
            Some(byte) if is_name_start(byte) => Ok(Term::Atom(self.name().into())),
            _ => Err(self.cursor.unexpected("the name of an atom")),
        }
    }

    /// Reads letters, digits, `_` and `@`, and a `?` or `!` at the end.
    fn name(&mut self) -> &'a str {
        let start = self.cursor.at;
        let rest = &self.source[start..];
        let is_inner = |character: char| character.is_alphanumeric() || matches!(character, '_' | '@');
        self.cursor.at += rest.find(|character| !is_inner(character)).unwrap_or(rest.len());
        if matches!(self.cursor.peek(), Some(b'?' | b'!')) {
            self.cursor.at += 1;
        }
        if self.cursor.at == start {
            // Not a letter after all: take the character, for the error that follows.
            self.cursor.at += rest.chars().next().map_or(0, char::len_utf8);
        }
        &self.source[start..self.cursor.at]
    }

    /// Reads an integer, a floating point number, or a character (`?a`).
    fn number(&mut self) -> Result<Term<'a>, SyntaxError> {
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
    fn sigil(&mut self) -> Result<Term<'a>, SyntaxError> {
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
    fn quoted(&mut self, what: &str, close: u8) -> Result<Cow<'a, [u8]>, SyntaxError> {
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
    fn utf8(&self, start: usize, text: Cow<'a, [u8]>) -> Result<Cow<'a, str>, SyntaxError> {
        let utf8 = match text {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        };
        utf8.ok_or_else(|| error(self.cursor.span(start), "only a string may hold what is not UTF-8", "not UTF-8"))
    }
}

fn is_name_start(byte: u8) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> Term<'_> {
        parse(source).unwrap_or_else(|error| panic!("{source}: {error:?}")).term
    }

    fn binary(bytes: &[u8]) -> Term<'_> {
        Term::Binary(bytes.into())
    }

    fn atom(name: &str) -> Term<'_> {
        Term::Atom(name.into())
    }

    #[test]
    fn keys_are_read_in_every_way_they_are_written() {
        let source = r#"%{"k" => 1, :"q r" => 2, "s t": 3, 'u': 4, v?: 5,}"#;
        let Term::Map(pairs) = read(source) else { panic!("not a map") };
        let keys: Vec<_> = pairs.iter().map(|(key, _)| key.term.clone()).collect();
        assert_eq!(keys, [binary(b"k"), atom("q r"), atom("s t"), atom("u"), atom("v?")]);
        assert_eq!(&source[pairs[2].0.span.range()], "\"s t\"");
        assert_eq!(&source[pairs[4].1.span.range()], "5");
    }

    #[test]
    fn keys_at_the_end_of_a_tuple_are_a_list() {
        let source = "{:git, \"u\", tag: \"v1\", depth: 1}";
        let Term::Tuple(elements) = read(source) else { panic!("not a tuple") };
        assert_eq!(elements.len(), 3);
        assert_eq!(&source[elements[2].span.range()], "tag: \"v1\", depth: 1");
        let (key, value) = elements[2].term.as_list().unwrap()[1].term.as_pair().unwrap();
        assert_eq!((key.term.as_atom(), value.term.as_integer()), (Some("depth"), Some(1)));
        assert_eq!(read("[a: 1]").as_list().unwrap()[0].term.as_pair().unwrap().0.term, atom("a"));
        assert!(matches!(read("[1, a: 1]"), Term::List(elements) if elements.len() == 2));
    }

    #[test]
    fn strings_charlists_and_binaries() {
        let escapes = r#""\0\a\b\d\e\f\n\r\s\t\v\"\\\q\#{x}#\x41\xff\u00e9\u{1F600}é""#;
        let expected = b"\0\x07\x08\x7f\x1b\x0c\n\r \t\x0b\"\\q#{x}#A\xff\xc3\xa9\xf0\x9f\x98\x80\xc3\xa9";
        assert_eq!(read(escapes), binary(expected));
        assert_eq!(read("\"a\\\nb\\\r\nc\nd\""), binary(b"abc\nd"));
        for source in ["'a\\'b'", "~c\"a'b\"", "~c(a'b)", "~c|a'b|", "~c'a\\'b'"] {
            assert_eq!(read(source), Term::Charlist("a'b".into()), "{source}");
        }
        assert_eq!(read("~s<a\\>b>"), binary(b"a>b"));
        assert_eq!(read("<<1, \"a\", ?b, 0xff>>"), binary(b"\x01ab\xff"));
        assert_eq!(read("\"a#\""), binary(b"a#"));
    }

    #[test]
    fn numbers_and_atoms() {
        let integers =
            [("-1_000", -1000), ("0xfF", 255), ("-0b11", -3), ("0o17", 15), ("?a", 97), ("?\\n", 10), ("?é", 233)];
        for (source, integer) in integers {
            assert_eq!(read(source), Term::Integer(integer), "{source}");
        }
        assert_eq!(read("1.5e3"), Term::Float(1500.0));
        assert_eq!(read("123456789012345678901"), Term::BigInteger("123456789012345678901".into()));
        for (source, name) in [(":a@b!", "a@b!"), (":\"a b\"", "a b"), (":é", "é"), ("nil", "nil"), (" # c\n ", "nil")]
        {
            assert_eq!(read(source), atom(name), "{source}");
        }
    }

    #[test]
    fn code_and_mistakes_are_refused_with_their_place() {
        let cases: &[(&str, &str, &str)] = &[
            ("%{\"a\": System.halt(1)}", "System", "`System` is code"),
            ("[\"a#{b}\"]", "#{", "interpolation is code"),
            ("{1, 2", "{", "this tuple is never closed"),
            ("%{\"a: 1}", "\"", "this string is never closed"),
            ("[1 2]", "2", "unexpected `2`"),
            ("[1,, 2]", ",", "unexpected `,`"),
            ("\"a\" <> \"b\"", "<", "unexpected `<`"),
            ("%{a:1}", "a", "`a` is code"),
            ("[a: 1, 2]", "2", "what has a key comes last"),
            ("{a: 1}", "a", "cannot begin with a key"),
            ("a: 1", "a", "without the brackets"),
            ("~w[a b]", "~w", "only the sigils"),
            ("\"\"\"\na\n\"\"\"", "\"\"\"", "heredocs"),
            ("\"\\x4\"", "\\x4", "lacks hexadecimal digits"),
            ("\"\\u{d800}\"", "\\u{d800}", "names no character"),
            (":\"\\xff\"", "\"\\xff\"", "not UTF-8"),
            ("%{} %{}", "%", "unexpected `%`"),
            ("%Foo{}", "%", "unexpected `%`"),
            ("[1 | 2]", "|", "unexpected `|`"),
            (":", "", "unexpected end of the text"),
            ("→", "→", "`→` is code"),
        ];
        for (source, marked, message) in cases {
            let error = parse(source).expect_err(source);
            assert_eq!(&source[error.span.range()], *marked, "{source}: {error:?}");
            assert!(error.message.contains(message), "{source}: {error:?}");
        }
    }

    #[test]
    fn nesting_and_number_of_terms_are_bounded() {
        let nested = |levels: usize| format!("{}{}", "{".repeat(levels), "}".repeat(levels));
        assert!(parse(&nested(crate::term::MAX_NESTING)).is_ok());
        assert!(parse(&nested(1_000_000)).unwrap_err().message.contains("nested"));
        assert!(parse(&"a: ".repeat(1_000_000)).unwrap_err().message.contains("nested"));
        let many = format!("[{}1]", "1,".repeat(crate::term::MAX_TERMS));
        assert!(parse(&many).unwrap_err().message.contains("more than 4000000 terms"));
    }
}
