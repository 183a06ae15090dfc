//! The literal terms of Erlang and Elixir: parses text to [`Term`]s with their positions.
//!
//! [`erlang::consult`] reads what `file:consult/1` reads (rebar.lock, a tarball's metadata.config). [`elixir::parse`]
//! reads the literal subset of Elixir, in which a mix.lock is written. Neither evaluates anything. Because the texts are
//! untrusted, both functions limit size, nesting and number of terms. This module does no I/O.

mod cursor;
pub mod elixir;
pub mod erlang;
mod number;
mod span;

use std::borrow::Cow;

pub use cursor::{MAX_BYTES, MAX_NESTING, MAX_TERMS};
pub use span::{Lines, Span};

/// A syntax error and its position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// The problem, as one sentence without a full stop.
    pub message: String,
    /// A short label for the highlighted position.
    pub label: String,
    /// The position, in bytes of the text.
    pub span: Span,
}

/// A term and its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Spanned<'a> {
    /// The term.
    pub term: Term<'a>,
    /// The bytes of the text that the term was read from, including quotes and brackets.
    pub span: Span,
}

/// A literal term. It borrows from the text unless the text contains escapes.
#[derive(Debug, Clone, PartialEq)]
pub enum Term<'a> {
    /// An atom, without quotes or colon. Elixir's `nil`, `true` and `false` are atoms, too.
    Atom(Cow<'a, str>),
    /// An Elixir string or an Erlang binary. Usually, but not always, UTF-8.
    Binary(Cow<'a, [u8]>),
    /// An Erlang string or an Elixir charlist. In both languages, this is a list of code points.
    Charlist(Cow<'a, str>),
    /// An integer or a character literal.
    Integer(i64),
    /// An integer that does not fit into 64 bits, as written but without underscores.
    BigInteger(Cow<'a, str>),
    /// A floating point number, always finite.
    Float(f64),
    /// A tuple.
    Tuple(Vec<Spanned<'a>>),
    /// A proper list. A keyword list is a list of tuples of an atom and a value.
    List(Vec<Spanned<'a>>),
    /// The pairs of a map in the order of the text, including repeated keys (the last one wins).
    Map(Vec<(Spanned<'a>, Spanned<'a>)>),
}

impl Term<'_> {
    /// Returns the name if this is an atom.
    pub fn as_atom(&self) -> Option<&str> {
        match self {
            Self::Atom(name) => Some(name),
            _ => None,
        }
    }

    /// Returns the text if this is a charlist or a UTF-8 binary.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Binary(bytes) => std::str::from_utf8(bytes).ok(),
            Self::Charlist(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the bytes if this is a binary. They need not be UTF-8.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Returns the value if this is an integer that fits into 64 bits.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(*integer),
            _ => None,
        }
    }

    /// Returns the value if this is the atom `true` or `false`.
    pub fn as_bool(&self) -> Option<bool> {
        match self.as_atom()? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// Returns the elements if this is a tuple.
    pub fn as_tuple(&self) -> Option<&[Spanned<'_>]> {
        match self {
            Self::Tuple(elements) => Some(elements),
            _ => None,
        }
    }

    /// Returns the elements if this is a list. The empty charlist is the empty list; other charlists are not split into
    /// elements.
    pub fn as_list(&self) -> Option<&[Spanned<'_>]> {
        match self {
            Self::List(elements) => Some(elements),
            Self::Charlist(text) if text.is_empty() => Some(&[]),
            _ => None,
        }
    }

    /// Returns the pairs if this is a map.
    pub fn as_map(&self) -> Option<&[(Spanned<'_>, Spanned<'_>)]> {
        match self {
            Self::Map(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// Returns the key and the value if this is a tuple of two elements.
    pub fn as_pair(&self) -> Option<(&Spanned<'_>, &Spanned<'_>)> {
        match self.as_tuple()? {
            [key, value] => Some((key, value)),
            _ => None,
        }
    }

    /// Returns the name of the term's type for use in a message, such as `a list`.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Atom(_) => "an atom",
            Self::Binary(_) => "a string",
            Self::Charlist(_) => "a charlist",
            Self::Integer(_) | Self::BigInteger(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}
