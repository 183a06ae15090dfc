//! Positions in a text.

use std::ops::Range;

/// A range of bytes in a text. Texts have at most [`super::MAX_BYTES`] bytes, so 32 bits are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The offset of the first byte.
    pub start: u32,
    /// The offset after the last byte.
    pub end: u32,
}

impl Span {
    /// Creates a span from two offsets, which are truncated to 32 bits.
    pub fn new(start: usize, end: usize) -> Self {
        let clamp = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { start: clamp(start), end: clamp(end) }
    }

    /// Returns the span as a range of offsets, for slicing the text.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Returns the line and the column of the span's beginning in `source`, both counted from 1. Columns count UTF-8
    /// characters, or bytes if the text is not UTF-8.
    pub fn line_column(self, source: impl AsRef<[u8]>) -> (usize, usize) {
        let source = source.as_ref();
        let before = &source[..source.len().min(self.start as usize)];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let in_line = &before[line_start..];
        let column = std::str::from_utf8(in_line).map_or(in_line.len(), |text| text.chars().count()) + 1;
        (line, column)
    }
}

/// The lines of a text, for finding those of many spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    /// The offsets of the line breaks.
    breaks: Vec<usize>,
}

impl Lines {
    /// Finds the lines of a text.
    pub fn of(source: impl AsRef<[u8]>) -> Self {
        let bytes = source.as_ref().iter().enumerate();
        Self { breaks: bytes.filter(|(_, byte)| **byte == b'\n').map(|(offset, _)| offset).collect() }
    }

    /// Returns the line of the span's beginning, counted from 1, as [`Span::line_column`] does.
    pub fn line_of(&self, span: Span) -> usize {
        self.breaks.partition_point(|end| *end < span.start as usize) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_spans() {
        let text = "a\n\nbc\n";
        let lines = Lines::of(text);
        for start in 0..10 {
            let span = Span::new(start, start);
            assert_eq!(lines.line_of(span), span.line_column(text).0, "{start}");
        }
    }

    #[test]
    fn lines_and_columns_count_from_one_and_columns_are_characters() {
        let text = "ab\näöü c\r\n";
        assert_eq!(Span::new(0, 1).line_column(text), (1, 1));
        assert_eq!(Span::new(2, 3).line_column(text), (1, 3));
        assert_eq!(Span::new(text.find('c').unwrap(), 0).line_column(text), (2, 5));
        assert_eq!(Span::new(text.len(), text.len()).line_column(text), (3, 1));
        assert_eq!(Span::new(1000, 1000).line_column(text), (3, 1));
        assert_eq!(Span::new(3, 4).line_column(b"\xff\xff\xffa"), (1, 4));
    }
}
