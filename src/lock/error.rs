//! What is wrong with a lock, and where.

use crate::term::{Span, SyntaxError};

/// What is wrong with a lock, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LockError {
    /// What is wrong, as one sentence without a full stop.
    pub message: String,
    /// What to write at the marked place: a few words.
    pub label: String,
    /// The place, in bytes of the file.
    pub span: Span,
}

impl From<SyntaxError> for LockError {
    fn from(error: SyntaxError) -> Self {
        Self { message: error.message, label: error.label, span: error.span }
    }
}

/// What is said of a lock with conflict marks.
const CONFLICT: &str = "unresolved merge conflict";

impl LockError {
    /// Tells whether the lock has conflict marks that are to blame.
    pub fn is_conflict(&self) -> bool {
        self.message == CONFLICT
    }

    /// Returns the line and the column of the place in the file's contents, both counted from 1, the column in characters.
    pub fn line_column(&self, contents: impl AsRef<[u8]>) -> (usize, usize) {
        self.span.line_column(contents)
    }

    /// Returns the error itself or, where conflict marks are to blame for it, one that says so.
    ///
    /// They are to blame if the error is on a line that is one, or if the file holds a whole conflict anywhere.
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
                label: "keep one of the sides and remove the conflict marks".to_owned(),
                span: *span,
            },
        }
    }
}

/// Returns the character that a line of conflict marks consists of: seven of them, then a blank or the line's end.
fn conflict_mark(line: &[u8]) -> Option<u8> {
    let mark = *line.first().filter(|byte| b"<=>|".contains(byte))?;
    let (marks, rest) = line.split_at_checked(7)?;
    let is_mark = marks.iter().all(|&byte| byte == mark) && rest.first().is_none_or(u8::is_ascii_whitespace);
    is_mark.then_some(mark)
}
