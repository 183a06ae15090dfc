//! Shortening of texts in messages.

use std::borrow::Cow;

/// The maximum length of a shortened text, in characters.
const MAX: usize = 200;
/// The number of characters that a shortened text keeps of the end.
const END: usize = 80;
/// The length of a word that may be cut, in bytes.
const WORD: usize = 30;

/// Returns a text for a message, with at most 200 characters. Omits the middle of a longer text, because an error
/// message begins and ends with its own words rather than with what it quotes.
pub fn shortened(text: &str) -> Cow<'_, str> {
    if text.char_indices().nth(MAX).is_none() {
        return Cow::Borrowed(text);
    }
    let start = text.char_indices().nth(MAX - END - 1).map_or(0, |(offset, _)| offset);
    let end = text.char_indices().rev().nth(END - 1).map_or(0, |(offset, _)| offset);
    let (start, end) = (&text[..start], &text[end..]);
    // Whole words, unless one is long.
    let start = start.rfind(' ').filter(|at| start.len() - at < WORD).map_or(start, |at| &start[..=at]);
    let end = end.find(' ').filter(|at| *at < WORD).map_or(end, |at| &end[at..]);
    Cow::Owned(format!("{start}…{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_middle_of_a_long_text_is_omitted() {
        for length in [0, 1, 199, 200] {
            let text = "ä".repeat(length);
            assert_eq!(shortened(&text), text);
        }
        for length in [201, 1_000_000] {
            let text = format!("begin{}end", "ä".repeat(length - 8));
            let shortened = shortened(&text);
            assert_eq!(shortened.chars().count(), 200);
            assert!(shortened.starts_with("beginää") && shortened.ends_with("ääend"), "{shortened}");
        }
    }

    #[test]
    fn words_are_not_cut() {
        let text = "several words ".repeat(30);
        let shortened = shortened(text.trim_end());
        assert!(shortened.chars().count() <= 200);
        let words: Vec<&str> = shortened.split([' ', '…']).filter(|word| !word.is_empty()).collect();
        assert!(words.iter().all(|word| ["several", "words"].contains(word)), "{shortened}");
    }
}
