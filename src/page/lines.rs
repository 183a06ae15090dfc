//! Lines of code as HTML.

use std::fmt::Write;
use std::ops::Range;

use maud::{Escaper, Markup, PreEscaped};

use super::invisible::{is_invisible, mark};
use crate::code::{Class, Language, Text, Token, highlight};

/// The largest text, in bytes, that is highlighted.
const MAX_HIGHLIGHTED: usize = 512 << 10;
/// The largest part of a line that is shown, in bytes.
const MAX_LINE: usize = 2000;
/// The number of bytes that are shown before the first mark in a line that is not shown from its beginning.
const BEFORE_MARK: usize = 100;

/// A text whose lines can be shown.
pub(super) struct Code<'a> {
    text: &'a str,
    /// Where each line begins in the text, and where the last one ends.
    starts: Vec<usize>,
    tokens: Vec<Token>,
}

impl<'a> Code<'a> {
    /// Prepares the text of the file at a path.
    pub fn new(text: &'a Text, path: &str) -> Self {
        let text = text.as_str();
        let mut starts = vec![0];
        starts.extend(text.split_inclusive('\n').scan(0, |end, line| {
            *end += line.len();
            Some(*end)
        }));
        let language = Language::of(path).filter(|_| text.len() <= MAX_HIGHLIGHTED);
        Self { text, starts, tokens: language.map(|language| highlight(text, language)).unwrap_or_default() }
    }

    /// Returns the number of lines.
    pub fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// Returns a line, counted from 0, with its line feed.
    pub fn text(&self, line: usize) -> &'a str {
        &self.text[self.starts[line]..self.starts[line + 1]]
    }

    /// Returns about how many bytes of HTML a line takes.
    pub fn weight(&self, line: usize) -> usize {
        let range = self.starts[line]..self.starts[line + 1];
        range.len().min(MAX_LINE) + 24 * self.tokens_in(&range).len()
    }

    fn tokens_in(&self, range: &Range<usize>) -> &[Token] {
        let first = self.tokens.partition_point(|token| token.range.end <= range.start);
        let end = self.tokens.partition_point(|token| token.range.start < range.end);
        &self.tokens[first..end.max(first)]
    }

    /// Returns a line as HTML. `marks` are ranges in it.
    pub fn line(&self, line: usize, marks: &[Range<usize>]) -> Markup {
        let (start, text) = (self.starts[line], self.text(line));
        let end = text.strip_suffix('\n').unwrap_or(text).len();
        let shown = window(text, end, marks);
        let mut html = String::new();
        if shown.start > 0 {
            note(&mut html, &format!("… {} bytes before this", shown.start));
        }
        let in_line = |range: &Range<usize>| range.start.saturating_sub(start)..(range.end - start).min(end);
        let tokens = self.tokens_in(&(start..start + end));
        let mut at = shown.start;
        while at < shown.end {
            // Up to the next place where a token or a mark begins or ends.
            let token = tokens.iter().find(|token| in_line(&token.range).end > at);
            let mark = marks.iter().find(|mark| mark.end > at);
            let ranges = token.iter().map(|token| in_line(&token.range)).chain(mark.cloned());
            let next = ranges.flat_map(|range| [range.start, range.end]).filter(|place| *place > at).min();
            let next = next.unwrap_or(shown.end).min(shown.end);
            let class = token.filter(|token| in_line(&token.range).start <= at).map(|token| token.class);
            part(&mut html, &text[at..next], class, mark.is_some_and(|mark| mark.start <= at));
            at = next;
        }
        if shown.end < end {
            note(&mut html, &format!("… {} more bytes", end - shown.end));
        }
        PreEscaped(html)
    }
}

/// Returns the part of a line that is shown: all, or the part around the first mark.
fn window(text: &str, end: usize, marks: &[Range<usize>]) -> Range<usize> {
    let first = marks.first().map_or(0, |mark| mark.start);
    let start = if first > MAX_LINE - BEFORE_MARK { first - BEFORE_MARK } else { 0 };
    let boundary = |mut at: usize| {
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    boundary(start)..boundary((start + MAX_LINE).min(end))
}

fn note(html: &mut String, text: &str) {
    html.push_str("<i class=\"cut\">");
    escape(html, text);
    html.push_str("</i>");
}

/// Adds a part of a line, all of the same class.
fn part(html: &mut String, text: &str, class: Option<Class>, is_marked: bool) {
    html.push_str(if is_marked { "<mark>" } else { "" });
    let class = class.map(|class| match class {
        Class::Comment => "c",
        Class::String => "s",
        Class::Keyword => "k",
        Class::Atom => "a",
        Class::Number => "n",
        Class::Name => "m",
        Class::Attribute => "t",
    });
    if let Some(class) = class {
        html.push_str("<b class=\"");
        html.push_str(class);
        html.push_str("\">");
    }
    visible(html, text);
    html.push_str(if class.is_some() { "</b>" } else { "" });
    html.push_str(if is_marked { "</mark>" } else { "" });
}

/// Adds a text whose invisible characters are shown.
fn visible(html: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(is_invisible) {
        escape(html, &rest[..at]);
        let c = rest[at..].chars().next().unwrap_or_default();
        html.push_str(&mark(c));
        rest = &rest[at + c.len_utf8()..];
    }
    escape(html, rest);
}

fn escape(html: &mut String, text: &str) {
    Escaper::new(html).write_str(text).expect("a string has room");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(path: &str, text: &str, marks: &[Range<usize>]) -> String {
        Code::new(&text.into(), path).line(0, marks).into_string()
    }

    #[test]
    fn tokens_and_marks_overlap() {
        assert_eq!(
            line("a.ex", "def \"<a>\"\n", std::slice::from_ref(&(1..6))),
            "<b class=\"k\">d</b><mark><b class=\"k\">ef</b></mark><mark> </mark><mark><b class=\"s\">&quot;&lt;</b></mark>\
             <b class=\"s\">a&gt;&quot;</b>"
        );
        let text = "x\n# a\nb".into();
        let code = Code::new(&text, "a.ex");
        assert_eq!((code.count(), code.line(1, &[]).into_string()), (3, "<b class=\"c\"># a</b>".to_owned()));
        assert_eq!(code.line(2, &[]).into_string(), "b");
        assert_eq!(line("x", "<script>alert('&')</script>", &[]), "&lt;script&gt;alert('&amp;')&lt;/script&gt;");
    }

    #[test]
    fn invisible_characters_are_shown() {
        assert_eq!(
            line("x", "a\u{202e}b\u{1b}\u{200b}\tc\r\n", &[]),
            "a<i class=\"u\">U+202E</i>b<i class=\"u\">U+001B</i><i class=\"u\">U+200B</i>\tc<i class=\"u\">CR</i>"
        );
    }

    #[test]
    fn long_lines_are_cut_around_the_difference() {
        let long = "é".repeat(5000);
        let shown = line("x", &long, &[]);
        assert!(shown.ends_with("<i class=\"cut\">… 8000 more bytes</i>") && shown.len() < 2100, "{}", shown.len());
        let shown = line("x", &long, std::slice::from_ref(&(8000..8002)));
        assert!(shown.starts_with("<i class=\"cut\">… 7900 bytes before this</i>é"), "{shown}");
        assert!(shown.contains("<mark>é</mark>"));
        assert!(line("a.ex", &format!("\"{}", "\n".repeat(3)), &[]).ends_with("</b>"));
    }
}
