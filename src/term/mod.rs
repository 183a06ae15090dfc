//! The literal terms of Erlang and Elixir: text to [`Term`] with the place each stands at.
//!
//! [`erlang::consult`] reads what `file:consult/1` reads (rebar.lock, a tarball's metadata.config); [`elixir::parse`] reads
//! the literal subset of Elixir that a mix.lock is written in. Neither evaluates anything, and both are bounded in size,
//! nesting and number of terms, because either text may come from a stranger. Nothing here does I/O.

mod cursor;
pub mod elixir;
pub mod erlang;
mod number;
mod span;

use std::borrow::Cow;

pub use cursor::{MAX_BYTES, MAX_NESTING, MAX_TERMS};
pub use span::Span;

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// What is wrong, as one sentence without a full stop.
    pub message: String,
    /// What to write at the marked place: a few words.
    pub label: String,
    /// The place, in bytes of the text.
    pub span: Span,
}

/// A term and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Spanned<'a> {
    /// The term.
    pub term: Term<'a>,
    /// The bytes that it is written in, quotes and brackets included.
    pub span: Span,
}

/// A literal term. It borrows from the text wherever no escape stands in between.
#[derive(Debug, Clone, PartialEq)]
pub enum Term<'a> {
    /// An atom, without quotes or colon; Elixir's `nil`, `true` and `false` are atoms too.
    Atom(Cow<'a, str>),
    /// An Elixir string or an Erlang binary. Usually UTF-8, but it need not be.
    Binary(Cow<'a, [u8]>),
    /// An Erlang string or an Elixir charlist: to both languages a list of code points.
    Charlist(Cow<'a, str>),
    /// An integer; a character literal is one too.
    Integer(i64),
    /// An integer that does not fit, as it is written, but without underscores.
    BigInteger(Cow<'a, str>),
    /// A floating point number, always finite.
    Float(f64),
    /// A tuple.
    Tuple(Vec<Spanned<'a>>),
    /// A proper list. A keyword list is a list of tuples of an atom and a value.
    List(Vec<Spanned<'a>>),
    /// The pairs of a map in the order they are written, repeated keys included (the last one counts).
    Map(Vec<(Spanned<'a>, Spanned<'a>)>),
}

impl Term<'_> {
    /// Returns the name of an atom.
    pub fn as_atom(&self) -> Option<&str> {
        match self {
            Self::Atom(name) => Some(name),
            _ => None,
        }
    }

    /// Returns the text of a binary that is UTF-8, or of a charlist.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Binary(bytes) => std::str::from_utf8(bytes).ok(),
            Self::Charlist(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the bytes of a binary, which need not be UTF-8.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Returns an integer that fits.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(*integer),
            _ => None,
        }
    }

    /// Returns `true` or `false` for the atom of that name.
    pub fn as_bool(&self) -> Option<bool> {
        match self.as_atom()? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// Returns the elements of a tuple.
    pub fn as_tuple(&self) -> Option<&[Spanned<'_>]> {
        match self {
            Self::Tuple(elements) => Some(elements),
            _ => None,
        }
    }

    /// Returns the elements of a list. The empty charlist is the empty list; other charlists are not taken apart.
    pub fn as_list(&self) -> Option<&[Spanned<'_>]> {
        match self {
            Self::List(elements) => Some(elements),
            Self::Charlist(text) if text.is_empty() => Some(&[]),
            _ => None,
        }
    }

    /// Returns the pairs of a map.
    pub fn as_map(&self) -> Option<&[(Spanned<'_>, Spanned<'_>)]> {
        match self {
            Self::Map(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// Returns the key and the value of a tuple of two elements.
    pub fn as_pair(&self) -> Option<(&Spanned<'_>, &Spanned<'_>)> {
        match self.as_tuple()? {
            [key, value] => Some((key, value)),
            _ => None,
        }
    }

    /// Returns what to call a term of this type in a message, such as `a list`.
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
