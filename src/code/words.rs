//! The words that differ between two groups of lines.

use std::ops::Range;

use similar::{Algorithm, DiffTag};

use super::diff::operations;

/// For each line, the bytes that differ.
pub type MarkedLines = Vec<Vec<Range<usize>>>;

/// The largest number of words in each group. Two groups without a common word take the square of it.
const MAX_WORDS: usize = 1000;

/// The share of the words, in percent, that both groups must have in common. Marks in unrelated lines would only distract.
const LEAST_SHARE: usize = 30;

/// Returns what differs in each line of two groups. Nothing is marked if one group is empty, if they have too little in common,
/// or if they are too long.
pub fn marks(before: &[&str], after: &[&str]) -> [MarkedLines; 2] {
    let none = || [vec![Vec::new(); before.len()], vec![Vec::new(); after.len()]];
    let [Some(old), Some(new)] = [before, after].map(words) else { return none() };
    if old.is_empty() || new.is_empty() {
        return none();
    }
    let [old_texts, new_texts] = [&old, &new].map(|words| words.iter().map(|word| word.text).collect::<Vec<_>>());
    let operations = operations(Algorithm::Myers, &old_texts, &new_texts, None);
    let is_equal = |tag| tag == DiffTag::Equal;
    let bytes = |words: &[Word<'_>]| words.iter().map(Word::weight).sum::<usize>();
    let equal: usize = operations
        .iter()
        .filter(|operation| is_equal(operation.tag()))
        .map(|operation| bytes(&old[operation.old_range()]))
        .sum();
    if 200 * equal < LEAST_SHARE * (bytes(&old) + bytes(&new)) {
        return none();
    }
    let mut marks = none();
    for operation in operations.iter().filter(|operation| !is_equal(operation.tag())) {
        for (words, marks) in [&old[operation.old_range()], &new[operation.new_range()]].into_iter().zip(&mut marks) {
            words.iter().filter(|word| word.text != "\n").for_each(|word| add(&mut marks[word.line], word.range()));
        }
    }
    marks
}

/// Adds a mark after the last one, or makes that longer.
fn add(marks: &mut Vec<Range<usize>>, range: Range<usize>) {
    match marks.last_mut().filter(|last| last.end == range.start) {
        Some(last) => last.end = range.end,
        None => marks.push(range),
    }
}

/// A run of letters and digits, a run of blanks, or another character.
struct Word<'a> {
    text: &'a str,
    line: usize,
    start: usize,
}

impl Word<'_> {
    fn range(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    /// Returns how much a word matters for whether lines are related.
    fn weight(&self) -> usize {
        if self.text.trim().is_empty() { 0 } else { self.text.len() }
    }
}

/// Splits lines into words. `None` if there are too many.
fn words<'a>(lines: &[&'a str]) -> Option<Vec<Word<'a>>> {
    #[derive(PartialEq)]
    enum Kind {
        Letters,
        Blanks,
    }
    let kind = |c: char| match c {
        '_' => Some(Kind::Letters),
        ' ' | '\t' => Some(Kind::Blanks),
        c => c.is_alphanumeric().then_some(Kind::Letters),
    };
    let mut words = Vec::new();
    for (line, text) in lines.iter().enumerate() {
        let mut rest = *text;
        while let Some(first) = rest.chars().next() {
            if words.len() == MAX_WORDS {
                return None;
            }
            let end = match kind(first) {
                Some(own) => rest.find(|c| kind(c).as_ref() != Some(&own)).unwrap_or(rest.len()),
                None => first.len_utf8(),
            };
            let (word, after) = rest.split_at(end);
            words.push(Word { text: word, line, start: text.len() - rest.len() });
            rest = after;
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marked(before: &[&str], after: &[&str]) -> [Vec<String>; 2] {
        let marks = marks(before, after);
        let show = |lines: &[&str], marks: &MarkedLines| {
            let show = |(line, marks): (&&str, &Vec<Range<usize>>)| {
                let mut shown = line.trim_end_matches('\n').to_owned();
                for mark in marks.iter().rev() {
                    shown.insert(mark.end, ']');
                    shown.insert(mark.start, '[');
                }
                shown
            };
            lines.iter().zip(marks).map(show).collect()
        };
        [show(before, &marks[0]), show(after, &marks[1])]
    }

    #[test]
    fn the_words_that_differ_are_marked() {
        let [before, after] = marked(&["  def call(conn, opts) do\n"], &["  def call(conn, _opts), do: conn\n"]);
        assert_eq!(
            (&*before[0], &*after[0]),
            ("  def call(conn, [opts]) do", "  def call(conn, [_opts])[,] do[: conn]")
        );
        let [before, after] = marked(&["a = é\n", "same\n"], &["a = ü\n", "same\n", "and one more\n"]);
        assert_eq!(before, ["a = [é]", "same"]);
        assert_eq!(after, ["a = [ü]", "same", "[and one more]"]);
    }

    #[test]
    fn unrelated_and_long_lines_are_not_marked() {
        let unrelated = [&["defmodule A do\n"][..], &["  import Config, only: [env: 0]\n"]];
        assert_eq!(marked(unrelated[0], unrelated[1]), unrelated.map(|lines| vec![lines[0].trim_end().to_owned()]));
        let [long, other] = ["a ".repeat(MAX_WORDS), "b ".repeat(MAX_WORDS)];
        assert_eq!(marked(&[&long], &[&other]), [vec![long.clone()], vec![other.clone()]]);
        assert_eq!(marked(&["a\n"], &[]), [vec!["a".to_owned()], Vec::new()]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Without what is marked, both groups are the same, but for the ends of lines.
        #[test]
        fn what_is_not_marked_is_the_same(before in "([a-cé ]{0,4}\n){1,6}", after in "([a-cé ]{0,4}\n){1,6}") {
            let [old, new] = [&before, &after].map(|text| text.split_inclusive('\n').collect::<Vec<_>>());
            let both = marks(&old, &new);
            let unmarked = |lines: &[&str], marks: &MarkedLines| {
                let without = |(line, marks): (&&str, &Vec<Range<usize>>)| {
                    let mut left = (*line).to_owned();
                    marks.iter().rev().for_each(|mark| left.replace_range(mark.clone(), ""));
                    left.replace('\n', "")
                };
                lines.iter().zip(marks).map(without).collect::<String>()
            };
            if both.iter().flatten().any(|marks| !marks.is_empty()) {
                prop_assert_eq!(unmarked(&old, &both[0]), unmarked(&new, &both[1]));
            }
        }
    }
}
