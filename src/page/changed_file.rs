//! Files that differ between two versions of a dependency.

use crate::code::{Diff, Text};

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
    /// Bytes that are not text.
    Binary,
    /// The file, or all files before it, are too large to compare.
    TooLarge,
    /// This page is not about it.
    Unread,
}

impl ChangedFile {
    pub(super) fn counts(&self) -> [usize; 2] {
        match &self.difference {
            Difference::Text { diff, .. } => [diff.added, diff.removed],
            Difference::Binary | Difference::TooLarge | Difference::Unread => [0, 0],
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
