//! Errors in a lock file, with their positions.

use crate::term::{Span, SyntaxError};

/// An error in a lock file and its position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LockError {
    /// The problem, as one sentence without a full stop.
    pub message: String,
    /// A short label for the highlighted position.
    pub label: String,
    /// The position, in bytes of the file.
    pub span: Span,
}

impl From<SyntaxError> for LockError {
    fn from(error: SyntaxError) -> Self {
        Self { message: error.message, label: error.label, span: error.span }
    }
}

/// The message for a lock with conflict markers.
const CONFLICT: &str = "unresolved merge conflict";

impl LockError {
    /// Returns whether conflict markers cause this error.
    pub fn is_conflict(&self) -> bool {
        self.message == CONFLICT
    }

    /// Returns the line and the column of the error in the file's contents, both counted from 1. Columns count
    /// characters.
    pub fn line_column(&self, contents: impl AsRef<[u8]>) -> (usize, usize) {
        self.span.line_column(contents)
    }

    /// Returns the error itself, or a more specific one if conflict markers cause it.
    ///
    /// They do if the error is on a line that is a conflict marker, or if the file contains a complete conflict
    /// anywhere.
    pub(super) fn or_merge_conflict(self, contents: &[u8]) -> Self {
        let mut marks = Vec::new();
        let mut offset = 0;
        for line in contents.split_inclusive(|&byte| byte == b'\n') {
            if let Some(mark) = conflict_mark(line) {
                marks.push((mark, Span::new(offset, offset + line.trim_ascii_end().len())));
            }
            offset += line.len();
        }
        let at_error = marks.iter().find(|(_, span)| (span.start..=span.end).contains(&self.span.start));
        let whole = marks.iter().any(|(mark, _)| *mark == b'>');
        let first = marks.iter().find(|(mark, _)| *mark == b'<').filter(|_| whole);
        match first.or(at_error) {
            None => self,
            Some((_, span)) => Self {
                message: CONFLICT.to_owned(),
                label: "resolve the conflict and remove the conflict markers".to_owned(),
                span: *span,
            },
        }
    }
}

/// Returns the character of a conflict marker if the line is one: seven equal characters, followed by a blank or the end
/// of the line.
fn conflict_mark(line: &[u8]) -> Option<u8> {
    let mark = *line.first().filter(|byte| b"<=>|".contains(byte))?;
    let (marks, rest) = line.split_at_checked(7)?;
    let is_mark = marks.iter().all(|&byte| byte == mark) && rest.first().is_none_or(u8::is_ascii_whitespace);
    is_mark.then_some(mark)
}
