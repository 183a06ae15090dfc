//! Renders an error in a lock or in the tracked settings: the line that contains it, with the position marked.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use git_hexmirror::lock::LockError;
use git_hexmirror::model::redacted;
use git_hexmirror::term::Span;

use crate::text::{Text, escaped};

/// How many characters of a long line are shown before and after the marked text.
const AROUND: usize = 50;
/// How many characters of the marked text itself are shown.
const MARKED: usize = 60;
/// How many bytes before, in and after the marked text are read: enough for the characters shown, however many bytes each takes.
const LOOKED_AT: usize = 400;

/// An error in a file, and its position.
pub struct Marked<'a> {
    message: &'a str,
    label: &'a str,
    span: Range<usize>,
}

impl<'a> From<&'a LockError> for Marked<'a> {
    fn from(error: &'a LockError) -> Self {
        Self { message: &error.message, label: &error.label, span: error.span.range() }
    }
}

impl<'a> Marked<'a> {
    /// An error in the tracked settings.
    pub fn setting(message: &'a str, span: Range<usize>) -> Self {
        Self { message, label: "", span }
    }
}

/// Renders the error in a few lines, including the line of the file that contains it. `contents` are those of the file.
pub fn render<'a>(error: impl Into<Marked<'a>>, file: &str, contents: &[u8], color: bool) -> Text {
    let error = error.into();
    let (line, column) = Span::new(error.span.start, error.span.end).line_column(contents);
    let (before, marked, after) = pieces(&error.span, contents);
    let cut = before.chars().count() > AROUND;
    let moved = cut || before.chars().count() + 1 != column;
    let before = if cut { format!("…{}", last(&before, AROUND)) } else { before };
    let (marked, after) = (first(&marked, MARKED), first(&after, AROUND));
    let span = before.len()..before.len() + marked.len();
    let mark = AnnotationKind::Primary.span(span).label(escaped(error.label));
    let snippet = Snippet::source(format!("{before}{marked}{after}")).line_start(line).annotation(mark);
    let file = &*escaped(file);
    let title = Level::ERROR.primary_title(escaped(error.message));
    // A snippet with a path prints the column within the text that it is given, which is wrong if that was cut or escaped.
    let report = if moved {
        title.element(Origin::path(file).line(line).char_column(column)).element(snippet)
    } else {
        title.element(snippet.path(file))
    };
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    Text::rendered(renderer.render(&[report]).trim_end())
}

/// Returns the line that contains the error in three pieces: the text before, in and after the marked span.
fn pieces(span: &Range<usize>, contents: &[u8]) -> (String, String, String) {
    let start = span.start.min(contents.len());
    let line_start = contents[..start].iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let line_end = contents[start..].iter().position(|&byte| byte == b'\n').map_or(contents.len(), |end| start + end);
    // A line may be as long as the whole lock, so only as much of it is read as can be shown.
    let line_start = line_start.max(start.saturating_sub(LOOKED_AT));
    let end = span.end.clamp(start, line_end).min(start + LOOKED_AT);
    let line_end = line_end.min(end + LOOKED_AT);
    (printable(&contents[line_start..start]), printable(&contents[start..end]), printable(&contents[end..line_end]))
}

/// Converts bytes to printable text without passwords.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    escaped(&redacted(text.trim_end_matches('\r'))).into_owned()
}

/// Returns the first `count` characters, followed by `…` if there are more.
fn first(text: &str, count: usize) -> String {
    match text.char_indices().nth(count) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns the last `count` characters.
fn last(text: &str, count: usize) -> &str {
    let start = text.char_indices().rev().nth(count.saturating_sub(1)).map_or(0, |(start, _)| start);
    &text[start..]
}

#[cfg(test)]
mod tests {
    use git_hexmirror::lock::Lock;

    use super::*;

    fn shown(contents: &str) -> String {
        shown_in(contents, false)
    }

    fn shown_in(contents: &str, color: bool) -> String {
        let error = Lock::parse("mix.lock", contents).unwrap_err();
        let mut shown = Vec::new();
        render(&error, "mix.lock", contents.as_bytes(), color).write(&mut shown).unwrap();
        String::from_utf8(shown).unwrap().trim_end().to_owned()
    }

    #[test]
    fn the_line_is_shown_with_the_place_marked() {
        let expected = "\
error: the version of `äpple` is a float, not a string
 --> mix.lock:2:27
  |
2 |   \"äpple\": {:hex, :apple, 1.0},
  |                           ^^^ expected a string";
        assert_eq!(shown("%{\n  \"äpple\": {:hex, :apple, 1.0},\n}\n"), expected);
    }

    #[test]
    fn a_long_line_is_cut_and_control_characters_are_escaped() {
        let text =
            shown(&format!("%{{ \"a\x1b[31m\": \"{}\", b, \"{}\"", "x".repeat(1_000_000), "y".repeat(1_000_000)));
        assert!(text.contains("mix.lock:1:1000018\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() < 180), "{text}");
        assert!(text.contains("…xxx") && text.contains("yyy…") && text.contains("^ not a literal term"), "{text}");
        let escaped = shown("%{ \"\x1b[31m\u{202e}\" b");
        assert!(escaped.contains("mix.lock:1:10\n") && escaped.contains("\"\\u{1b}[31m\\u{202e}\" b"), "{escaped}");
        assert!(shown_in("[", true).contains('\x1b'));
    }

    #[test]
    fn a_password_in_the_line_is_hidden() {
        let text = shown("%{\"a\": {:git, \"https://me:s3cret@h/x\", b}");
        assert!(text.contains("https://***@h/x") && !text.contains("s3cret"), "{text}");
    }

    #[test]
    fn the_end_of_the_file_can_be_marked() {
        assert!(shown("%{a: ").contains("expected a term"));
        assert!(shown("{\n").contains("unexpected `{`"));
    }
}
