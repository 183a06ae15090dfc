//! Lock files: text to [`Lock`], with errors that mark the place.
//!
//! Names, versions and addresses are kept as they are written, each with its span: they are untrusted until a plan turns
//! them into the validated types of [`crate::model`], and an error about one can still mark it in the file.

mod error;
mod json;
mod mix;
mod rebar;

use std::fmt;
use std::ops::Deref;

pub use error::LockError;

use crate::term::{Span, Spanned, Term};

/// Which of the two formats a lock has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// mix.lock: one literal term of Elixir.
    Mix,
    /// rebar.lock: literal terms of Erlang.
    Rebar,
}

/// What a lock file pins.
#[derive(Debug, Clone, PartialEq)]
pub struct Lock {
    /// The name of the file, as it was given.
    pub file: String,
    /// Its format.
    pub kind: LockKind,
    /// The entries, sorted by application, each application once.
    pub entries: Vec<Entry>,
}

/// One pinned dependency.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The name of the application.
    pub app: Located,
    /// What it is pinned to.
    pub source: Source,
    /// How far it is from the project in the tree of dependencies, 0 being its own; rebar.lock only.
    pub level: Option<i64>,
    /// Where the pinned value stands.
    pub span: Span,
}

/// What an application is pinned to.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A release of a Hex package.
    Hex(HexSource),
    /// A revision of a git repository; in a rebar.lock also one that a custom resource keeps in its own source.
    Git(GitSource),
    /// A release as mix.lock named it in 2014, before there were checksums: the package is called like the application.
    Package {
        /// Its version.
        version: Located,
    },
    /// A kind that this program does not know, such as `hg`.
    Unknown {
        /// The first element of the entry, or what it is instead of a tuple.
        kind: String,
    },
}

/// A pinned release of a Hex package.
#[derive(Debug, Clone, PartialEq)]
pub struct HexSource {
    /// The name of the package.
    pub package: Located,
    /// Its version.
    pub version: Located,
    /// The repository; `hexpm`, with the span of the entry, where the lock names none.
    pub repository: Located,
    /// The checksum of the tarball's parts: hexadecimal, in lower case.
    pub inner_checksum: Option<Located>,
    /// The checksum of the whole tarball: hexadecimal, in lower case.
    pub outer_checksum: Option<Located>,
    /// What the release depends on; empty for rebar.lock, which does not say.
    pub dependencies: Vec<Dependency>,
}

/// A package that a pinned release depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The name of its application.
    pub app: String,
    /// The name of the package.
    pub package: String,
    /// The repository; `hexpm` where the lock names none.
    pub repository: String,
    /// The versions that will do, such as `~> 1.0`, if that is given.
    pub requirement: Option<String>,
    /// Whether the release works without it.
    pub optional: bool,
}

/// A pinned revision of a git repository.
#[derive(Debug, Clone, PartialEq)]
pub struct GitSource {
    /// Its address, in any form that git knows.
    pub url: Located,
    /// The commit. A rebar.lock written by hand may name a tag or branch only, which then is among the options.
    pub revision: Option<Located>,
    /// Everything else that is said of it (`branch`, `tag`, `ref`, `depth`, `sparse`, `subdir`, …), in the order of the lock.
    pub options: Vec<(String, serde_json::Value)>,
}

/// A piece of text and where it stands in the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The text, without quotes and escapes.
    pub text: String,
    /// The bytes of the file that it was read from, quotes included.
    pub span: Span,
}

impl Lock {
    /// Reads the lock in `contents`. `file` is its name: one that ends in `rebar.lock` has that format, any other mix's.
    ///
    /// Where an application stands twice, the entry counts that the tool would use: mix's last, rebar3's first. A blank
    /// file is a lock without entries.
    ///
    /// # Errors
    /// Where the contents are no literal terms, are too large or too deeply nested, hold conflict marks, or do not have
    /// the shape of a lock. An entry of an unknown kind is no error, see [`Source::Unknown`].
    pub fn parse(file: &str, contents: impl AsRef<[u8]>) -> Result<Self, LockError> {
        Self::parse_as(LockKind::of(file), file, contents)
    }

    /// Reads a lock of a known format, whatever its name.
    ///
    /// # Errors
    /// As for [`Lock::parse`].
    pub fn parse_as(kind: LockKind, file: &str, contents: impl AsRef<[u8]>) -> Result<Self, LockError> {
        let contents = contents.as_ref();
        let read = match kind {
            LockKind::Mix => mix::read(contents),
            LockKind::Rebar => rebar::read(contents),
        };
        let mut entries = read.map_err(|error| error.or_merge_conflict(contents))?;
        if kind == LockKind::Mix {
            entries.reverse();
        }
        // The sort is stable and the first of its equals is kept.
        entries.sort_by(|a, b| a.app.text.cmp(&b.app.text));
        entries.dedup_by(|a, b| a.app.text == b.app.text);
        Ok(Self { file: file.to_owned(), kind, entries })
    }
}

impl LockKind {
    /// Returns the format of the file of this name.
    pub fn of(file: &str) -> Self {
        if file.ends_with("rebar.lock") { Self::Rebar } else { Self::Mix }
    }

    /// Returns the format that contents without a name most likely have: rebar3 begins with a tuple or a list of tuples, mix
    /// with a map or, long ago, a keyword list.
    pub fn of_contents(contents: &[u8]) -> Self {
        let mut signs = contents.iter().filter(|byte| !byte.is_ascii_whitespace());
        match (signs.next(), signs.next()) {
            (Some(b'{'), _) | (Some(b'['), Some(b'{')) => Self::Rebar,
            _ => Self::Mix,
        }
    }
}

impl Located {
    /// Returns the text of an atom or string and where it stands.
    fn name(term: &Spanned<'_>) -> Option<Self> {
        let text = term.term.as_atom().or_else(|| term.term.as_text())?;
        Some(Self { text: text.to_owned(), span: term.span })
    }

    /// Returns the same, but nothing for the atoms that mean nothing: Elixir's `nil`, Erlang's `undefined`.
    fn of(term: &Spanned<'_>) -> Option<Self> {
        let absent = matches!(term.term.as_atom(), Some("nil" | "undefined"));
        if absent { None } else { Self::name(term) }
    }

    /// Returns a checksum, of which only the case is made one.
    fn checksum(term: Option<&Spanned<'_>>) -> Option<Self> {
        let mut checksum = Self::of(term?)?;
        checksum.text.make_ascii_lowercase();
        Some(checksum)
    }

    /// Returns the text of `term`, which has to have one as `what` of `app`.
    fn required(term: Option<&Spanned<'_>>, what: &str, app: &str, entry: Span) -> Result<Self, LockError> {
        let located = term.and_then(Self::of);
        located.ok_or_else(|| match term {
            Some(term) => LockError {
                message: format!("the {what} of `{}` is {}, not a string", app.escape_debug(), term.term.describe()),
                label: "expected a string".to_owned(),
                span: term.span,
            },
            None => LockError {
                message: format!("the entry of `{}` has no {what}", app.escape_debug()),
                label: format!("{what} expected in this tuple"),
                span: entry,
            },
        })
    }
}

impl Deref for Located {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Returns the text of a lock.
fn utf8(contents: &[u8]) -> Result<&str, LockError> {
    std::str::from_utf8(contents).map_err(|error| LockError {
        message: "the file is not UTF-8".to_owned(),
        label: "these bytes are no text".to_owned(),
        span: Span::new(error.valid_up_to(), error.valid_up_to() + error.error_len().unwrap_or(1)),
    })
}

/// Returns the entry's kind for what is no tuple that begins with an atom.
fn unknown(term: &Term<'_>) -> Source {
    let first = term.as_tuple().and_then(<[_]>::first).map_or(term, |first| &first.term);
    let kind = first.as_atom().unwrap_or_else(|| first.describe().trim_start_matches("an ").trim_start_matches("a "));
    Source::Unknown { kind: kind.to_owned() }
}
