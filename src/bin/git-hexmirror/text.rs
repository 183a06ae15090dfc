//! Lines of output for users, made of pieces of text with a style.
//!
//! Names, settings, paths and messages of servers are untrusted. They are escaped when a line is printed, so that they cannot
//! move the cursor, change colors or the terminal's title, or reverse the reading order. Styles are values, so no text can
//! contain one.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::io;
use std::ops::Add;

use anstyle::Style;

/// A line of output for users.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    /// Unescaped text, in a style.
    Shown(Style, String),
    /// The output of a renderer for text that was escaped, with styles and line breaks.
    Rendered(String),
}

/// Text in a style.
pub fn styled(style: Style, text: impl Display) -> Text {
    Text(vec![Piece::Shown(style, text.to_string())])
}

impl Text {
    /// Wraps the output of a renderer for text that was [`escaped`] before.
    pub fn rendered(text: impl Into<String>) -> Self {
        Self(vec![Piece::Rendered(text.into())])
    }

    /// Returns the line without styles, not escaped.
    pub fn plain(&self) -> String {
        let Self(pieces) = self;
        pieces.iter().map(|(Piece::Shown(_, text) | Piece::Rendered(text))| text.as_str()).collect()
    }

    /// Writes the line.
    pub fn write(&self, output: &mut impl io::Write) -> io::Result<()> {
        for piece in &self.0 {
            match piece {
                Piece::Shown(style, text) => write!(output, "{style}{}{style:#}", escaped(text))?,
                Piece::Rendered(text) => output.write_all(text.as_bytes())?,
            }
        }
        output.write_all(b"\n")
    }
}

impl<T: Display> From<T> for Text {
    fn from(text: T) -> Self {
        styled(Style::new(), text)
    }
}

impl<T: Into<Self>> Add<T> for Text {
    type Output = Self;

    fn add(mut self, more: T) -> Self {
        self.0.extend(more.into().0);
        self
    }
}

/// Returns whether a character has an effect other than being visible: control characters, characters that change the direction
/// of text (Unicode Standard Annex 9), and characters that are invisible or end a line.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Escapes all characters that are invisible or have an effect; a tab becomes a space.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\t' => shown.push(' '),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            hidden if is_hidden(hidden) => shown.extend(hidden.escape_unicode()),
            seen => shown.push(seen),
        }
    }
    Cow::Owned(shown)
}

/// Escapes, with JSON's own escapes, the hidden characters that serde leaves unescaped in a document.
pub fn escaped_json(document: &str) -> Cow<'_, str> {
    // Everything outside of strings is visible ASCII or a newline, so only strings change.
    let is_left = |character: char| character != '\n' && is_hidden(character);
    if !document.contains(is_left) {
        return Cow::Borrowed(document);
    }
    let mut escaped = String::with_capacity(document.len() + 8);
    for character in document.chars() {
        if is_left(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use anstyle::AnsiColor;

    use super::*;

    fn printed(text: impl Into<Text>) -> String {
        let mut output = Vec::new();
        text.into().write(&mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn what_does_something_is_shown_instead() {
        for (text, expected) in [
            ("äöü → 漢字 🦀", "äöü → 漢字 🦀"),
            ("\x1b[31mred\x07", "\\u{1b}[31mred\\u{7}"),
            ("\u{9b}31m\x7f", "\\u{9b}31m\\u{7f}"),
            ("a\u{202e}b\u{2066}c\u{200f}", "a\\u{202e}b\\u{2066}c\\u{200f}"),
            ("one\nerror: two\r\n\tthree", "one\\nerror: two\\r\\n three"),
            ("zero\u{200b}width\u{feff}\u{e0041}", "zero\\u{200b}width\\u{feff}\\u{e0041}"),
        ] {
            assert_eq!(escaped(text), expected);
            assert_eq!(printed(text), format!("{expected}\n"));
        }
    }

    #[test]
    fn styles_stand_around_text_and_not_in_it() {
        let red = AnsiColor::Red.on_default();
        let line = styled(red, "bad\x1b[0m") + ": " + format!("{} left", 3);
        assert_eq!(printed(line), format!("{red}bad\\u{{1b}}[0m{red:#}: 3 left\n"));
        assert_eq!(printed(Text::rendered("a\nb")), "a\nb\n");
    }

    #[test]
    fn json_says_the_same_after_it_is_escaped() {
        let value = serde_json::json!({ "a\u{202e}": ["\x1b[31m", "\u{9b}\x7f", "\u{e0041}ä"], "b": "\n" });
        let document = serde_json::to_string_pretty(&value).unwrap();
        let escaped = escaped_json(&document);
        assert!(!escaped.contains(|c| c != '\n' && is_hidden(c)), "{escaped}");
        assert!(escaped.contains("\\u202e") && escaped.contains("\\udb40\\udc41ä"), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
        assert!(matches!(escaped_json("{}"), Cow::Borrowed(_)));
    }
}
