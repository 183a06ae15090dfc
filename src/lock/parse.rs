//! Parses a lock in any format.

use super::{Lock, LockError, LockKind, gleam, hexmirror, mix, rebar};

impl Lock {
    /// Parses the contents of a lock. `file` is its name: if it ends in `rebar.lock`, the contents have rebar3's format,
    /// if it ends in `manifest.toml`, Gleam's, if it ends in `hexmirror.lock`, this program's own, otherwise mix's.
    ///
    /// If an application occurs twice, the entry that the tool itself would use wins: the last one for mix and Gleam,
    /// the first one for rebar3. A blank file is a lock without entries.
    ///
    /// # Errors
    /// Returns an error if the contents are not literal terms or TOML, are too large or too deeply nested, contain conflict
    /// markers, or do not have the structure of a lock. An entry of an unknown kind is not an error, see
    /// [`Source::Unknown`](super::Source::Unknown).
    pub fn parse(file: &str, contents: impl AsRef<[u8]>) -> Result<Self, LockError> {
        Self::parse_as(LockKind::of(file), file, contents)
    }

    /// Parses the contents of a lock of a known format, whatever the name of the file.
    ///
    /// # Errors
    /// Fails in the same cases as [`Lock::parse`].
    pub fn parse_as(kind: LockKind, file: &str, contents: impl AsRef<[u8]>) -> Result<Self, LockError> {
        let contents = contents.as_ref();
        let read = match kind {
            LockKind::Mix => mix::read(contents),
            LockKind::Rebar => rebar::read(contents),
            LockKind::Gleam => gleam::read(contents),
            LockKind::Hexmirror => hexmirror::read(contents),
        };
        let mut entries = read.map_err(|error| error.or_merge_conflict(contents))?;
        if matches!(kind, LockKind::Mix | LockKind::Gleam) {
            entries.reverse();
        }
        // The sort is stable, and `dedup_by` keeps the first of equal entries.
        entries.sort_by(|a, b| a.app.text.cmp(&b.app.text));
        if kind != LockKind::Hexmirror {
            entries.dedup_by(|a, b| a.app.text == b.app.text);
        }
        Ok(Self { file: file.to_owned(), kind, entries })
    }
}
