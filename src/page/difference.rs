//! Differences between two texts as tables.

use std::ops::Range;

use maud::{Markup, html};

use super::changed_file::{ChangedFile, Difference, PER_ROW};
use super::lines::{Code, LineEnds};
use crate::code::{Block, MarkedLines, Text, marks};

/// The rows of a table. A row has a line of the old text, of the new text, or of both.
pub(super) struct Rows<'a> {
    codes: Option<[Code<'a>; 2]>,
    blocks: Vec<Block>,
    rows: Vec<Row>,
    is_split: bool,
}

/// A row.
enum Row {
    /// Where the next lines are.
    Place([Range<usize>; 2]),
    /// Lines of a block.
    Lines { block: usize, before: Option<usize>, after: Option<usize> },
}

impl<'a> Rows<'a> {
    /// Returns the rows about a file. There are none if its text does not differ. With `is_split`, old and new lines are beside
    /// each other.
    pub fn of(file: &'a ChangedFile, is_split: bool) -> Self {
        let Difference::Text { texts, diff } = &file.difference else {
            return Self { codes: None, blocks: Vec::new(), rows: Vec::new(), is_split };
        };
        let (mut blocks, mut rows) = (Vec::new(), Vec::new());
        for hunk in &diff.hunks {
            rows.push(Row::Place(hunk.lines()));
            for block in &hunk.blocks {
                let (index, before, after) = (blocks.len(), block.before.clone(), block.after.clone());
                let row = |before, after| Row::Lines { block: index, before, after };
                if is_split || block.is_same {
                    let pair = |at: usize| {
                        let line = |lines: &Range<usize>| Some(lines.start + at).filter(|line| *line < lines.end);
                        row(line(&before), line(&after))
                    };
                    rows.extend((0..before.len().max(after.len())).map(pair));
                } else {
                    rows.extend(before.map(|line| row(Some(line), None)));
                    rows.extend(after.map(|line| row(None, Some(line))));
                }
                blocks.push(block.clone());
            }
        }
        // If only some lines end with a carriage return, it may be all that differs.
        let hides_cr = LineEnds::of(&[&texts[0], &texts[1]]) == LineEnds::Crlf
            && !texts.iter().any(|text| text.as_str().ends_with('\r'));
        let code = |text: &'a Text| {
            let code = Code::new(text, &file.path);
            if hides_cr { code.without_cr() } else { code }
        };
        let codes = Some([code(&texts[0]), code(&texts[1])]);
        Self { codes, blocks, rows, is_split }
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns about how many bytes of HTML all rows take.
    pub fn weight(&self) -> usize {
        self.rows.iter().map(|row| self.weight_of(row)).sum()
    }

    fn weight_of(&self, row: &Row) -> usize {
        let (Row::Lines { before, after, block }, Some([old, new])) = (row, &self.codes) else { return PER_ROW };
        let old = before.map_or(0, |line| old.weight(line));
        let new = after.map_or(0, |line| new.weight(line));
        PER_ROW + if self.blocks[*block].is_same && !self.is_split { old } else { old + new }
    }

    /// Returns how many bytes of HTML all rows take at most, whatever is marked in them.
    pub fn most(&self) -> usize {
        self.rows.iter().map(|row| self.most_of(row)).sum()
    }

    fn most_of(&self, row: &Row) -> usize {
        let (Row::Lines { before, after, block }, Some([old, new])) = (row, &self.codes) else { return PER_ROW };
        if self.blocks[*block].is_same {
            return self.weight_of(row);
        }
        PER_ROW + before.map_or(0, |line| old.most(line)) + after.map_or(0, |line| new.most(line))
    }

    /// Splits the rows into pages of about this size, and of at most about twice the size.
    pub fn pages(&self, size: usize) -> Vec<Range<usize>> {
        let (mut pages, mut first, mut weight, mut most) = (Vec::new(), 0, 0, 0);
        for (index, row) in self.rows.iter().enumerate() {
            let of_row = self.most_of(row);
            if weight > size || first < index && most + of_row > 2 * size {
                pages.push(first..index);
                (first, weight, most) = (index, 0, 0);
            }
            weight += self.weight_of(row);
            most += of_row;
        }
        if first < self.rows.len() {
            pages.push(first..self.rows.len());
        }
        pages
    }
}

/// Returns some of the rows as a table.
pub(super) fn table(rows: &Rows<'_>, range: Range<usize>) -> Markup {
    let Some(codes) = &rows.codes else { return html! {} };
    if range.is_empty() {
        return html! { p.none { "The text is the same." } };
    }
    let mut table = Table { codes, blocks: &rows.blocks, marked: None };
    let columns: &[&str] =
        if rows.is_split { &["Old", "±", "Line", "New", "±", "Line"] } else { &["Old", "New", "±", "Line"] };
    html! {
        div.wide tabindex="0" role="region" aria-label="Difference" {
            table.diff.(if rows.is_split { "split" } else { "unified" }) {
                thead { tr { @for name in columns { th scope="col" { (name) } } } }
                @for row in &rows.rows[range] {
                    @match row {
                        Row::Place([old, new]) => { tr.place { td colspan=(if rows.is_split { 6 } else { 4 }) { (place(old, new)) } } }
                        Row::Lines { block, before, after } => {
                            @if rows.is_split { (table.beside(*block, *before, *after)) } @else { (table.below(*block, *before, *after)) }
                        }
                    }
                }
            }
        }
    }
}

fn place(old: &Range<usize>, new: &Range<usize>) -> String {
    let lines = |lines: &Range<usize>| match lines.len() {
        0 => format!("after line {}", lines.start),
        1 => format!("line {}", lines.start + 1),
        _ => format!("lines {}–{}", lines.start + 1, lines.end),
    };
    format!("Old {}, new {}", lines(old), lines(new))
}

struct Table<'a> {
    codes: &'a [Code<'a>; 2],
    blocks: &'a [Block],
    /// The words that differ in the block of the last row.
    marked: Option<(usize, [MarkedLines; 2])>,
}

impl Table<'_> {
    /// Returns a row of a unified difference.
    fn below(&mut self, block: usize, before: Option<usize>, after: Option<usize>) -> Markup {
        let (class, sign) = match (before, after) {
            (Some(_), Some(_)) => ("same", " "),
            (Some(_), None) => ("old", "−"),
            (None, _) => ("new", "+"),
        };
        let side = usize::from(before.is_none());
        let code = self.code(block, side, before.or(after));
        html! { tr.(class) { (number(before)) (number(after)) td.sign { (sign) } td { (code) } } }
    }

    /// Returns a row with old and new lines beside each other.
    fn beside(&mut self, block: usize, before: Option<usize>, after: Option<usize>) -> Markup {
        let [old, new] = [(0, before), (1, after)].map(|(side, line)| self.code(block, side, line));
        let is_same = self.blocks[block].is_same;
        let class = |line: Option<usize>, class| match line {
            None => "none",
            Some(_) if is_same => "same",
            Some(_) => class,
        };
        let sign = |line: Option<usize>, sign| if is_same || line.is_none() { " " } else { sign };
        html! { tr {
            (number(before)) td.sign { (sign(before, "−")) } td.(class(before, "old")) { (old) }
            (number(after)) td.sign { (sign(after, "+")) } td.(class(after, "new")) { (new) }
        } }
    }

    fn code(&mut self, block: usize, side: usize, line: Option<usize>) -> Markup {
        let Some(line) = line else { return html! {} };
        let code = &self.codes[side];
        let Block { before, after, is_same } = &self.blocks[block];
        let marked = match &mut self.marked {
            _ if *is_same => None,
            Some((of, marked)) if *of == block => Some(marked),
            known => {
                let texts = |code: &Code<'_>, lines: &Range<usize>| {
                    lines.clone().map(|line| code.text(line).to_owned()).collect::<Vec<_>>()
                };
                let [old, new] = [texts(&self.codes[0], before), texts(&self.codes[1], after)];
                let [old, new] = [&old, &new].map(|lines| lines.iter().map(String::as_str).collect::<Vec<_>>());
                Some(&mut known.insert((block, marks(&old, &new))).1)
            }
        };
        let first = if side == 0 { before.start } else { after.start };
        let marks = marked.map_or(&[][..], |marked| &marked[side][line - first]);
        html! { (code.line(line, marks)) @if !code.text(line).ends_with('\n') { i.cut { "no line feed at the end" } } }
    }
}

fn number(line: Option<usize>) -> Markup {
    html! { td.line { @if let Some(line) = line { (line + 1) } } }
}
