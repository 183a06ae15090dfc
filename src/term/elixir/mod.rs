//! Elixir's literal terms: the part of the language that `inspect/2` writes, and in which a mix.lock is written.
//!
//! Everything that Elixir would have to evaluate (calls, operators, variables, interpolation, aliases) is an error, and
//! so are heredocs and all sigils except `~c` and `~s`.

mod calls;
mod characters;
mod code;
mod text;

use std::borrow::Cow;

pub use self::calls::{Keyword, keywords_of_calls};
use self::characters::{is_disguise, is_name_start};
pub use self::code::values_of;
use super::cursor::{Cursor, check_atom, error};
use super::{Span, Spanned, SyntaxError, Term};

/// Parses a text that consists of one term. Returns `nil` if it is blank, as Elixir does.
///
/// # Errors
/// Returns an error if the text is not one literal term or exceeds a limit ([`super::MAX_BYTES`],
/// [`super::MAX_NESTING`], [`super::MAX_TERMS`]).
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

/// Parses a text that consists of one map or list of pairs, and passes each key and value to `take`, in order. Does not
/// call `take` if the text is blank.
///
/// Only one pair is in memory at a time, which also makes this function faster than [`parse`].
///
/// # Errors
/// Fails in the same cases as [`parse`], if the text is neither a map nor a list of pairs, and if `take` fails.
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
                let message = format!("expected a key and its value, found {}", term.describe());
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

/// An element between two commas.
enum Element<'a> {
    Term(Spanned<'a>),
    /// `key: value`, which must come after all elements without a key.
    Keyword(Spanned<'a>, Spanned<'a>),
}

impl<'a> Reader<'a> {
    /// Skips blanks, line endings and comments. Returns whether a line ended.
    ///
    /// Stops at characters that Elixir accepts neither as blanks nor in comments (`elixir_tokenizer:tokenize/5`):
    /// vertical tabs, form feeds and lone carriage returns, and inside comments also the characters of
    /// [`characters::is_disguise`].
    fn skip_blank(&mut self) -> bool {
        let mut line_ended = false;
        loop {
            match self.cursor.peek() {
                Some(b' ' | b'\t') => self.cursor.at += 1,
                Some(b'\n') => {
                    line_ended = true;
                    self.cursor.at += 1;
                }
                Some(b'\r') if self.cursor.starts_with("\r\n") => self.cursor.at += 1,
                Some(b'#') => {
                    let rest = &self.source[self.cursor.at..];
                    let comment =
                        rest.find('\n').map_or(rest, |end| rest[..end].strip_suffix('\r').unwrap_or(&rest[..end]));
                    self.cursor.at += comment.find(is_disguise).unwrap_or(comment.len());
                    if self.cursor.peek().is_some_and(|byte| byte != b'\n' && !self.cursor.starts_with("\r\n")) {
                        return line_ended;
                    }
                }
                _ => return line_ended,
            }
        }
    }

    /// Checks that only blanks and comments follow the term.
    fn end(&mut self) -> Result<(), SyntaxError> {
        self.skip_blank();
        match self.cursor.peek() {
            None => Ok(()),
            Some(_) => Err(self.cursor.unexpected("the end of the text after the term")),
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
                    let key = self.atom_of(start, text)?;
                    return self.keyword(start, key);
                }
                if quote == b'"' { Term::Binary(text) } else { Term::Charlist(self.utf8(start, text)?) }
            }
            Some(byte) if is_name_start(byte) => {
                let name = self.name()?;
                if self.at_keyword_colon() {
                    return self.keyword(start, Term::Atom(name.into()));
                }
                if !matches!(name, "nil" | "true" | "false") {
                    let message = format!("`{}` is code, but only literal terms are supported", name.escape_debug());
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

    /// Returns whether a colon follows that turns the preceding name or string into a key. Such a colon needs a blank
    /// after it.
    fn at_keyword_colon(&self) -> bool {
        self.cursor.peek() == Some(b':') && self.cursor.peek_at(1).is_some_and(|byte| byte.is_ascii_whitespace())
    }

    /// Reads the value of a key. The key extends from `start` to the colon at the current position.
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

    /// Reads a tuple. Keys at its end form a keyword list, which becomes the last element.
    fn tuple(&mut self) -> Result<Term<'a>, SyntaxError> {
        // A lock's entries are its largest tuples and have eight elements.
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

    /// Passes each key and value of the map at the current position to `take`.
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

    /// Passes each element between `open`, which is at the current position, and `close` to `take`. A trailing comma is
    /// allowed.
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
                    let message = format!("in a {what}, elements with a key must come last");
                    return Err(error(term.span, message, "expected a key").into());
                }
                Element::Term(_) => {}
            }
            take(self, element)?;
            let line_ended = self.skip_blank();
            let comma = !line_ended && self.cursor.eat(",");
            if !comma && !self.cursor.starts_with(close) && self.cursor.peek().is_some() {
                let expected = if line_ended {
                    format!("`{close}`, or `,` before the end of the line")
                } else {
                    format!("`,` or `{close}`")
                };
                return Err(self.cursor.unexpected(&expected).into());
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

    /// Reads strings and bytes between `<<` and `>>`, the form in which `inspect/2` writes unprintable binaries.
    fn binary(&mut self) -> Result<Term<'a>, SyntaxError> {
        if self.cursor.starts_with("<<<") {
            return Err(self.cursor.unexpected("a space between the brackets of two binaries"));
        }
        let mut bytes = Vec::new();
        self.elements("binary", "<<", ">>", |_, element| -> Result<(), SyntaxError> {
            match element {
                Element::Term(Spanned { term: Term::Binary(part), .. }) => bytes.extend_from_slice(&part),
                Element::Term(Spanned { term: Term::Integer(byte), .. }) => bytes.push(byte.rem_euclid(256) as u8),
                Element::Term(Spanned { span, .. }) | Element::Keyword(Spanned { span, .. }, _) => {
                    return Err(error(span, "a binary contains strings and bytes", "neither a string nor a byte"));
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
                self.atom_of(start, name)
            }
            Some(byte) if is_name_start(byte) => Ok(Term::Atom(self.name()?.into())),
            _ => Err(self.cursor.unexpected("the name of an atom")),
        }
    }

    /// Creates an atom from its quoted name, which begins at `start`.
    fn atom_of(&self, start: usize, name: Cow<'a, [u8]>) -> Result<Term<'a>, SyntaxError> {
        let name = self.utf8(start, name)?;
        check_atom(name.len(), self.cursor.span(start))?;
        Ok(Term::Atom(name))
    }
}

#[cfg(test)]
mod tests;
