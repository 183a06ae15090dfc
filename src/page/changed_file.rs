//! Files that differ between two versions of a dependency.

use super::source::PAGE;
use crate::code::{Diff, Text};

/// The size of a row of a difference without its code, in bytes of HTML.
pub(super) const PER_ROW: usize = 110;

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    /// The path, as far as it is UTF-8.
    pub path: String,
    /// Whether the path is UTF-8, so that a link can lead to it.
    pub has_page: bool,
    /// What the file is on each side; `None` if it does not exist there.
    pub sides: [Option<FileSide>; 2],
    /// What differs.
    pub difference: Difference,
}

/// A file on one side of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSide {
    /// What else it is, such as a link. Empty for an ordinary file.
    pub note: &'static str,
    /// The size in bytes.
    pub bytes: u64,
}

/// What differs in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Lines.
    Text {
        /// Both texts.
        texts: [Text; 2],
        /// The lines.
        diff: Diff,
    },
    /// Lines that are only counted, because the page about all files has no room for them.
    Counted {
        /// The number of added and of removed lines.
        lines: [usize; 2],
        /// Whether there may be fewer.
        is_rough: bool,
    },
    /// Bytes that are not text.
    Binary,
    /// The file, or all files before it, are too large to compare.
    TooLarge,
    /// The files before it took all the time that a page has.
    OutOfTime,
    /// This page is not about it.
    Unread,
}

impl Difference {
    /// Returns whether the page about all files may have room for it.
    pub fn fits_among_others(&self) -> bool {
        !matches!(self, Self::Text { diff, .. } if (diff.added + diff.removed) * PER_ROW > PAGE)
    }

    /// Forgets the texts.
    #[must_use]
    pub fn counted(self) -> Self {
        match self {
            Self::Text { diff, .. } => Self::Counted { lines: [diff.added, diff.removed], is_rough: diff.is_rough },
            other => other,
        }
    }

    /// Returns whether more lines may be shown than needed.
    pub(super) fn is_rough(&self) -> bool {
        match self {
            Self::Text { diff, .. } => diff.is_rough,
            Self::Counted { is_rough, .. } => *is_rough,
            Self::Binary | Self::TooLarge | Self::OutOfTime | Self::Unread => false,
        }
    }

    /// Returns whether only the page about the file can say more.
    pub(super) fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Counted { .. } | Self::OutOfTime)
    }
}

impl ChangedFile {
    pub(super) fn counts(&self) -> [usize; 2] {
        match &self.difference {
            Difference::Text { diff, .. } => [diff.added, diff.removed],
            Difference::Counted { lines, .. } => *lines,
            Difference::Binary | Difference::TooLarge | Difference::OutOfTime | Difference::Unread => [0, 0],
        }
    }

    pub(super) fn kind(&self) -> (&'static str, &'static str) {
        match self.sides {
            [None, _] => ("added", "good"),
            [_, None] => ("removed", "bad"),
            _ => ("changed", "plain"),
        }
    }

    /// Returns whether the file is code that runs when the dependency is compiled, or native code.
    pub(super) fn runs_at_build(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let native = ["c_src/", "native/", "priv/"].iter().any(|folder| self.path.starts_with(folder));
        let scripts = ["mix.exs", "rebar.config", "rebar.config.script", "Makefile", "build.rs", "CMakeLists.txt"];
        native
            || scripts.contains(&name)
            || [".so", ".dll", ".dylib", ".sh", ".ez", ".beam"].iter().any(|end| name.ends_with(end))
    }
}
