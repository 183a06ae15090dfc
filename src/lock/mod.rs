//! Lock files: parses text to [`Lock`], with errors that point to a position.
//!
//! Names, versions and addresses are kept as text with their spans. They are untrusted until a plan converts them to the
//! validated types of [`crate::model`]. Because of the spans, errors of that conversion can point into the file.

mod app_folders;
mod error;
mod gleam;
mod hexmirror;
mod hexmirror_text;
mod json;
mod mix;
mod parse;
mod policy;
mod rebar;
mod rebar_config;
mod rebar_repositories;
mod versions;

use std::fmt;
use std::ops::Deref;

pub use app_folders::AppFolders;
pub use error::LockError;
pub use hexmirror_text::HexmirrorText;
pub use policy::policy_of_mix_exs;
pub use rebar_config::{DefinedSource, Definition, GitCheckout, RebarConfig};
pub use rebar_repositories::{RebarRepository, rebar_repositories};
pub use versions::pair_of_tool_versions;

use crate::term::{Span, Spanned, Term};

/// The name of this program's own lock.
pub const OWN_LOCK: &str = "hexmirror.lock";

/// The option of a git entry in a hexmirror.lock with the day when the revision was the tip of its branch.
pub const AS_OF: &str = "as_of";
/// Stands for the revision of a plugin whose repository does not have it. Only in a hexmirror.lock.
pub const ABSENT: &str = "none";

/// Returns the path of this program's own lock in the folder of another lock.
pub fn own_lock_beside(file: &str) -> String {
    match file.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{OWN_LOCK}"),
        None => OWN_LOCK.to_owned(),
    }
}

/// The formats of locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// mix.lock: one literal Elixir term.
    Mix,
    /// rebar.lock: literal Erlang terms.
    Rebar,
    /// Gleam's manifest.toml.
    Gleam,
    /// hexmirror.lock: this program's own.
    Hexmirror,
}

/// The contents of a lock file.
#[derive(Debug, Clone, PartialEq)]
pub struct Lock {
    /// The name of the file, as given by the caller.
    pub file: String,
    /// Its format.
    pub kind: LockKind,
    /// The entries, sorted by application. Each application occurs once, but a hexmirror.lock can pin several versions.
    pub entries: Vec<Entry>,
}

/// One pinned dependency.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The name of the application.
    pub app: Located,
    /// What the application is pinned to.
    pub source: Source,
    /// The distance from the project in the dependency tree; 0 for the project's own dependencies. Only in a rebar.lock.
    pub level: Option<i64>,
    /// The position of the entry's value.
    pub span: Span,
}

/// What an application is pinned to.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A release of a Hex package.
    Hex(HexSource),
    /// A revision of a git repository. In a rebar.lock, this includes git sources that a custom resource embeds in its
    /// own.
    Git(GitSource),
    /// A release in the format of 2014, when mix.lock had no checksums. The package has the name of the application.
    Package {
        /// The version of the release.
        version: Located,
    },
    /// A file that an address names. Only in a hexmirror.lock.
    Download(DownloadSource),
    /// The documentation of a release. Only in a hexmirror.lock.
    Docs(DocsSource),
    /// Hex and rebar3 for a version of Elixir and of OTP. Only in a hexmirror.lock.
    Tools(ToolsSource),
    /// A build of a program that builds assets. Only in a hexmirror.lock.
    AssetTool(AssetSource),
    /// A machine that precompiled files of packages are needed for. Only in a hexmirror.lock.
    Target(Located),
    /// A kind that this program does not support, such as `hg`.
    Unknown {
        /// The first element of the entry, or the type of an entry that is not a tuple.
        kind: String,
    },
}

/// A pinned release of a Hex package.
#[derive(Debug, Clone, PartialEq)]
pub struct HexSource {
    /// The name of the package.
    pub package: Located,
    /// The version of the release.
    pub version: Located,
    /// The repository. If the lock names none, `hexpm` with the span of the entry.
    pub repository: Located,
    /// The checksum over the parts of the tarball: hexadecimal, in lower case.
    pub inner_checksum: Option<Located>,
    /// The checksum of the whole tarball: hexadecimal, in lower case.
    pub outer_checksum: Option<Located>,
    /// What mix builds the release with, if the lock says so. Only a mix.lock can.
    pub build_tool: Option<BuildTool>,
    /// The dependencies of the release. Empty for a rebar.lock, which does not list them.
    pub dependencies: Vec<Dependency>,
}

/// The tool that builds a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BuildTool {
    /// mix.
    Mix,
    /// rebar3.
    Rebar3,
}

/// A dependency of a pinned release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The name of the dependency's application.
    pub app: String,
    /// The name of the dependency's package.
    pub package: String,
    /// The repository; `hexpm` if the lock names none.
    pub repository: String,
    /// The version requirement, such as `~> 1.0`, if the lock has one.
    pub requirement: Option<String>,
    /// Whether the dependency is optional.
    pub optional: bool,
}

/// A pinned revision of a git repository.
#[derive(Debug, Clone, PartialEq)]
pub struct GitSource {
    /// The address of the repository, in any form that git accepts.
    pub url: Located,
    /// The commit. A rebar.lock written by hand may only name a tag or a branch, which are stored in `options`.
    pub revision: Option<Located>,
    /// The other properties (`branch`, `tag`, `ref`, `depth`, `sparse`, `subdir`, …), in the order of the lock.
    pub options: Vec<(String, serde_json::Value)>,
}

/// A pinned file that an address names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadSource {
    /// The address.
    pub url: Located,
    /// The SHA-256 of the file.
    pub checksum: Located,
    /// The size in bytes.
    pub bytes: Located,
    /// The day when it was first fetched, if nothing else vouches for its checksum.
    pub first_use: Option<Located>,
}

/// The pinned documentation of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocsSource {
    /// The repository.
    pub repository: Located,
    /// The name of the package.
    pub package: Located,
    /// The version of the release.
    pub version: Located,
    /// What is pinned.
    pub file: DocsFile,
}

/// What a lock says about the documentation of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocsFile {
    /// It is pinned.
    Pinned {
        /// The SHA-256 of the file.
        checksum: Located,
        /// The size in bytes.
        bytes: Located,
        /// The day when it was first fetched, if nothing else vouches for its checksum.
        first_use: Option<Located>,
    },
    /// None was published on this day.
    Absent(Located),
}

/// The pinned installers of Hex and rebar3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolsSource {
    /// The version of Elixir.
    pub elixir: Located,
    /// The release of OTP.
    pub otp: Located,
    /// The paths and SHA-256 of the lists, their signatures and what they choose. Empty if they are not pinned yet.
    pub files: Vec<(Located, Located)>,
}

/// A pinned build of a program that builds assets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetSource {
    /// The tool, its version and the build, separated by blanks.
    pub id: Located,
    /// The published file. `None` if there is no such build.
    pub file: Option<DownloadSource>,
    /// The signature of npm that vouches for the file, if there is one.
    pub npm: Option<Located>,
}

/// A text and its position in the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The text, without quotes and escapes.
    pub text: String,
    /// The bytes of the file that the text was read from, including quotes.
    pub span: Span,
}

impl LockKind {
    /// Returns the format of a lock file with this name.
    pub fn of(file: &str) -> Self {
        match file {
            _ if file.ends_with("rebar.lock") => Self::Rebar,
            _ if file.ends_with("manifest.toml") => Self::Gleam,
            _ if file.ends_with(OWN_LOCK) => Self::Hexmirror,
            _ => Self::Mix,
        }
    }

    /// Guesses the format of contents without a file name. rebar3's begin with a tuple or a list of tuples, mix's with a
    /// map or, in the oldest format, a keyword list. After comments, Gleam's begin with the packages or requirements, and
    /// hexmirror.lock with an entry.
    pub fn of_contents(contents: &[u8]) -> Self {
        let is_blank = |line: &&[u8]| line.trim_ascii().is_empty() || line.starts_with(b"#");
        let first = contents.split(|byte| *byte == b'\n').find(|line| !is_blank(line)).unwrap_or_default();
        if ["packages", "[[packages]]", "[requirements]"].iter().any(|begin| first.starts_with(begin.as_bytes())) {
            return Self::Gleam;
        }
        if [&b"plugin"[..], b"download ", b"docs ", b"git ", b"target ", b"tools ", b"asset-tool "]
            .iter()
            .any(|begin| first.starts_with(begin))
        {
            return Self::Hexmirror;
        }
        let mut signs = contents.iter().filter(|byte| !byte.is_ascii_whitespace());
        match (signs.next(), signs.next()) {
            (Some(b'{'), _) | (Some(b'['), Some(b'{')) => Self::Rebar,
            _ => Self::Mix,
        }
    }
}

impl Located {
    /// Returns the text of an atom or string with its position.
    fn name(term: &Spanned<'_>) -> Option<Self> {
        let text = term.term.as_atom().or_else(|| term.term.as_text())?;
        Some(Self { text: text.to_owned(), span: term.span })
    }

    /// Like [`Self::name`], but returns `None` for the atoms that stand for a missing value: Elixir's `nil`, Erlang's
    /// `undefined`.
    fn of(term: &Spanned<'_>) -> Option<Self> {
        let absent = matches!(term.term.as_atom(), Some("nil" | "undefined"));
        if absent { None } else { Self::name(term) }
    }

    /// Returns a checksum in lower case. Does not validate it.
    fn checksum(term: Option<&Spanned<'_>>) -> Option<Self> {
        let mut checksum = Self::of(term?)?;
        checksum.text.make_ascii_lowercase();
        Some(checksum)
    }

    /// Returns the text of `term`, which must have one. `what` and `app` describe it in the error.
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

/// Returns the contents as UTF-8 text.
fn utf8(contents: &[u8]) -> Result<&str, LockError> {
    std::str::from_utf8(contents).map_err(|error| LockError {
        message: "the file is not UTF-8".to_owned(),
        label: "invalid bytes".to_owned(),
        span: Span::new(error.valid_up_to(), error.valid_up_to() + error.error_len().unwrap_or(1)),
    })
}

/// Returns the source of an entry that is not a tuple beginning with a known atom.
fn unknown(term: &Term<'_>) -> Source {
    let first = term.as_tuple().and_then(<[_]>::first).map_or(term, |first| &first.term);
    let kind = first.as_atom().unwrap_or_else(|| first.describe().trim_start_matches("an ").trim_start_matches("a "));
    Source::Unknown { kind: kind.to_owned() }
}
