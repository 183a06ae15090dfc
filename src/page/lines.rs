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
/// The size from which on a line is cut, in bytes of HTML. A character or a token can take much more HTML than text.
const MAX_HTML: usize = 6000;
/// The size of the note at the end of a line that is cut, and of what its last character can take, in bytes of HTML.
const CUT: usize = 200;
/// The size of what a token adds, in bytes of HTML.
const PER_TOKEN: usize = 24;
/// The size of what a mark adds, in bytes of HTML: its own tags, and those of the token that it splits.
const PER_MARK: usize = 40;
/// The number of bytes that are shown before the first mark in a line that is not shown from its beginning.
const BEFORE_MARK: usize = 100;

/// A text whose lines can be shown.
pub(super) struct Code<'a> {
    text: &'a str,
    /// Where each line begins in the text, and where the last one ends.
    starts: Vec<usize>,
    tokens: Vec<Token>,
    /// Whether the carriage return at the end of a line is left out.
    hides_cr: bool,
}

/// How lines end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnds {
    /// All with a line feed.
    Lf,
    /// All with a carriage return before the line feed.
    Crlf,
    /// Some with one, and some without.
    Mixed,
}

impl LineEnds {
    /// Returns how the lines of texts end, in all of them.
    pub fn of(texts: &[&Text]) -> Self {
        let ends = |end: &str| texts.iter().map(|text| text.as_str().matches(end).count()).sum::<usize>();
        match (ends("\r\n"), ends("\n")) {
            (0, _) => Self::Lf,
            (crlf, all) if crlf == all => Self::Crlf,
            _ => Self::Mixed,
        }
    }
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
        let tokens = language.map(|language| highlight(text, language)).unwrap_or_default();
        Self { text, starts, tokens, hides_cr: false }
    }

    /// Leaves out the carriage returns at the ends of lines, for a page that says how all lines end.
    #[must_use]
    pub fn without_cr(self) -> Self {
        Self { hides_cr: true, ..self }
    }

    /// Returns the number of lines.
    pub fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// Returns a line, counted from 0, with its line feed.
    pub fn text(&self, line: usize) -> &'a str {
        &self.text[self.starts[line]..self.starts[line + 1]]
    }

    /// Returns about how many bytes of HTML a line without marks takes.
    pub fn weight(&self, line: usize) -> usize {
        self.measure(line, 0, &[]).1
    }

    /// Returns how many bytes of HTML a line takes at most, however it is marked.
    pub fn most(&self, line: usize) -> usize {
        let text = self.text(line);
        if text.len() > MAX_LINE {
            return MAX_HTML + CUT;
        }
        // Between two marks is at least one character, and letters and digits are marked together.
        let borders = text.as_bytes().windows(2).filter(|pair| !pair.iter().all(u8::is_ascii_alphanumeric)).count();
        (self.weight(line) + PER_MARK * (borders / 2 + 1)).min(MAX_HTML + CUT)
    }

    /// Returns the length of a line without its end.
    fn length(&self, line: usize) -> usize {
        let text = self.text(line);
        let text = text.strip_suffix('\n').unwrap_or(text);
        if self.hides_cr { text.strip_suffix('\r').unwrap_or(text).len() } else { text.len() }
    }

    /// Returns where a line that is shown from `start` has to be cut, and about how many bytes of HTML it takes.
    fn measure(&self, line: usize, start: usize, marks: &[Range<usize>]) -> (usize, usize) {
        let (text, end, mut size) = (self.text(line), self.length(line), 0);
        let tokens = self.tokens_in(&(self.starts[line] + start..self.starts[line] + end));
        let mut tokens = tokens.iter().map(|token| token.range.start.saturating_sub(self.starts[line])).peekable();
        let mut marks = marks.iter().map(|mark| mark.start).peekable();
        for (offset, c) in text[start..end].char_indices() {
            if offset >= MAX_LINE || size >= MAX_HTML {
                return (start + offset, size.min(MAX_HTML) + CUT);
            }
            size += weight_of_char(c);
            while tokens.next_if(|token| *token <= start + offset).is_some() {
                size += PER_TOKEN;
            }
            while marks.next_if(|mark| *mark <= start + offset).is_some() {
                size += PER_MARK;
            }
        }
        (end, size)
    }

    /// Returns the part of a line that is shown: all, or the part around the first mark.
    fn window(&self, line: usize, marks: &[Range<usize>]) -> Range<usize> {
        let first = marks.first().map_or(0, |mark| mark.start);
        let mut start = 0;
        if first > MAX_LINE - BEFORE_MARK || self.measure(line, 0, marks).0 <= first {
            start = first.saturating_sub(BEFORE_MARK);
            while !self.text(line).is_char_boundary(start) {
                start -= 1;
            }
        }
        start..self.measure(line, start, marks).0.max(start)
    }

    fn tokens_in(&self, range: &Range<usize>) -> &[Token] {
        let first = self.tokens.partition_point(|token| token.range.end <= range.start);
        let end = self.tokens.partition_point(|token| token.range.start < range.end);
        &self.tokens[first..end.max(first)]
    }

    /// Returns a line as HTML. `marks` are ranges in it.
    pub fn line(&self, line: usize, marks: &[Range<usize>]) -> Markup {
        let (start, text) = (self.starts[line], self.text(line));
        let (end, shown) = (self.length(line), self.window(line, marks));
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

/// Returns how many bytes of HTML a text takes.
pub(super) fn weight_of(text: &str) -> usize {
    text.chars().map(weight_of_char).sum()
}

fn weight_of_char(c: char) -> usize {
    match c {
        '&' => 5,
        '<' | '>' => 4,
        '"' => 6,
        c if is_invisible(c) => mark(c).len(),
        c => c.len_utf8(),
    }
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

    #[test]
    fn a_line_weighs_what_its_html_does() {
        let marked: Vec<_> = (0..400).map(|at| 4 * at..4 * at + 1).collect();
        for (path, text) in [
            ("x", "\u{1b}".repeat(3000)),
            ("x", "\u{ad}\u{202e}".repeat(700)),
            ("x", "<&\">".repeat(1000)),
            ("a.ex", "1+:a;".repeat(600)),
            ("a.ex", "def x, do: \"<a>\"\r".to_owned()),
            ("x", String::new()),
        ] {
            let text = (text + "\n").as_str().into();
            let code = Code::new(&text, path);
            let html = code.line(0, &[]).into_string();
            assert!(html.len() <= code.weight(0) && code.weight(0) <= MAX_HTML + CUT, "{path} {}", html.len());
            assert!(code.weight(0) <= html.len() + html.len() / 2 + CUT, "{path} {} {}", code.weight(0), html.len());
            let end = code.length(0);
            let marks: Vec<_> = marked
                .iter()
                .filter(|mark| {
                    mark.end <= end
                        && code.text(0).is_char_boundary(mark.start)
                        && code.text(0).is_char_boundary(mark.end)
                })
                .cloned()
                .collect();
            let html = code.line(0, &marks).into_string();
            assert!(
                html.len() <= code.most(0) && code.most(0) <= MAX_HTML + CUT,
                "{path} {} {}",
                html.len(),
                code.most(0)
            );
        }
    }

    #[test]
    fn a_mark_far_behind_in_html_is_shown() {
        let text = format!("{}x", "\u{1b}".repeat(1000));
        let shown = line("x", &text, std::slice::from_ref(&(1000..1001)));
        assert!(shown.starts_with("<i class=\"cut\">… 900 bytes before this</i>") && shown.ends_with("<mark>x</mark>"));
    }

    #[test]
    fn the_ends_of_lines_are_all_the_same_or_mixed() {
        for (texts, expected) in [
            (["", ""], LineEnds::Lf),
            (["a\nb", ""], LineEnds::Lf),
            (["a\r\nb", ""], LineEnds::Crlf),
            (["a\r\nb\r\n", "c\r\n"], LineEnds::Crlf),
            (["a\r\n", "a\n"], LineEnds::Mixed),
            (["a\r\nb\n", ""], LineEnds::Mixed),
        ] {
            let texts = texts.map(Text::from);
            assert_eq!(LineEnds::of(&[&texts[0], &texts[1]]), expected, "{texts:?}");
        }
        let text = "a\r\n\r\nb\r".into();
        let code = Code::new(&text, "x").without_cr();
        assert_eq!([0, 1].map(|line| code.line(line, &[]).into_string()), ["a", ""]);
    }
}
