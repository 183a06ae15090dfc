//! Decodes the content of a file.

/// The number of bytes at the beginning of a file in which git looks for a zero byte (`buffer_is_binary` in its
/// `xdiff-interface.c`).
const SEARCHED: usize = 8000;

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Lines of text.
    Text(Text),
    /// Something else.
    Binary,
}

/// A text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    text: String,
    /// Whether the bytes were valid UTF-8. Otherwise, replacement characters stand for what was not.
    pub is_utf8: bool,
}

impl Content {
    /// Decodes the bytes of a file. As git does, takes a file with a zero byte near its beginning for binary.
    pub fn of(bytes: Vec<u8>) -> Self {
        if bytes.iter().take(SEARCHED).any(|byte| *byte == 0) {
            return Self::Binary;
        }
        Self::Text(match String::from_utf8(bytes) {
            Ok(text) => Text { text, is_utf8: true },
            Err(error) => Text { text: String::from_utf8_lossy(error.as_bytes()).into_owned(), is_utf8: false },
        })
    }
}

impl Text {
    /// Returns the whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the number of lines, without collecting them.
    pub fn count(&self) -> usize {
        self.text.split_inclusive('\n').count()
    }

    /// Returns the lines, each with its line feed. Only the last one may have none.
    pub fn lines(&self) -> Vec<&str> {
        self.text.split_inclusive('\n').collect()
    }
}

impl Default for Text {
    /// The empty text, for the missing side of a file that was added or removed.
    fn default() -> Self {
        Self::from("")
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), is_utf8: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_side_of_a_new_file_is_valid() {
        assert!(Text::default().is_utf8 && Text::default().as_str().is_empty());
    }

    #[test]
    fn text_is_told_from_binary_files_as_git_does() {
        let late = [vec![b'x'; SEARCHED], vec![0]].concat();
        assert_eq!(Content::of(b"\0".to_vec()), Content::Binary);
        assert!(matches!(Content::of(late), Content::Text(text) if text.is_utf8));
        let Content::Text(text) = Content::of(b"a\xff\nb".to_vec()) else { panic!("it is text") };
        assert_eq!((text.is_utf8, text.lines()), (false, vec!["a\u{fffd}\n", "b"]));
        assert_eq!(Text::from("").lines(), [""; 0]);
    }
}
