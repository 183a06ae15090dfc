//! The lines that differ between two texts.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;
use std::time::Instant;

use similar::algorithms::{Capture, Replace, diff_slices_deadline};
use similar::{Algorithm, DiffOp, DiffTag, group_diff_ops};

/// The number of equal lines around each difference.
const CONTEXT: usize = 3;

/// How two texts differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    /// The differences, with the lines around them.
    pub hunks: Vec<Hunk>,
    /// The number of lines that only the new text has.
    pub added: usize,
    /// The number of lines that only the old text has.
    pub removed: usize,
    /// Whether the comparison reached its deadline, so that it may show more lines than needed.
    pub is_rough: bool,
}

/// Differences that are close to each other, with the lines around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk {
    /// The parts of the hunk, in order.
    pub blocks: Vec<Block>,
}

/// A part of a hunk. Lines are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The lines of the old text.
    pub before: Range<usize>,
    /// The lines of the new text.
    pub after: Range<usize>,
    /// Whether the lines are the same in both texts.
    pub is_same: bool,
}

impl Diff {
    /// Compares lines. After `deadline`, the rest is compared only roughly, which is correct but may show more than needed.
    pub fn of(before: &[&str], after: &[&str], deadline: Instant) -> Self {
        // Comparing numbers is faster than comparing lines.
        let mut numbers = HashMap::new();
        let mut number = |line| {
            let next = numbers.len();
            *numbers.entry(line).or_insert(next)
        };
        let [old, new] = [before, after].map(|lines| lines.iter().map(|line| number(*line)).collect::<Vec<_>>());
        let operations = operations(Algorithm::Patience, &old, &new, Some(deadline));
        let count = |tags: [DiffTag; 2], length: fn(&DiffOp) -> usize| {
            operations.iter().filter(|operation| tags.contains(&operation.tag())).map(length).sum()
        };
        let added = count([DiffTag::Insert, DiffTag::Replace], |operation| operation.new_range().len());
        let removed = count([DiffTag::Delete, DiffTag::Replace], |operation| operation.old_range().len());
        // An equal text never reaches it.
        let is_rough = added + removed > 0 && Instant::now() >= deadline;
        let hunks = group_diff_ops(operations, CONTEXT).into_iter().map(Hunk::of).collect();
        Self { hunks, added, removed, is_rough }
    }
}

/// Returns what leads from one sequence to another. `similar::capture_diff_slices` would move differences to where they read
/// better, but similar 2.7 then returns wrong positions.
pub(super) fn operations<T: Eq + Hash + Ord>(
    algorithm: Algorithm,
    old: &[T],
    new: &[T],
    deadline: Option<Instant>,
) -> Vec<DiffOp> {
    let mut capture = Replace::new(Capture::new());
    let Ok(()) = diff_slices_deadline(algorithm, &mut capture, old, new, deadline);
    capture.into_inner().into_ops()
}

impl Hunk {
    fn of(operations: Vec<DiffOp>) -> Self {
        let mut blocks = Vec::<Block>::new();
        for operation in operations {
            let is_same = operation.tag() == DiffTag::Equal;
            let (before, after) = (operation.old_range(), operation.new_range());
            match blocks.last_mut() {
                Some(last) if !is_same && !last.is_same => {
                    last.before.end = before.end;
                    last.after.end = after.end;
                }
                _ => blocks.push(Block { before, after, is_same }),
            }
        }
        Self { blocks }
    }

    /// Returns the lines of the old and the new text that the hunk shows.
    pub fn lines(&self) -> [Range<usize>; 2] {
        let first = self.blocks.first().map(|block| (block.before.start, block.after.start)).unwrap_or_default();
        let last = self.blocks.last().map_or(first, |block| (block.before.end, block.after.end));
        [first.0..last.0, first.1..last.1]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn diff(before: &str, after: &str) -> Diff {
        let [before, after] = [before, after].map(|text| text.split_inclusive('\n').collect::<Vec<_>>());
        Diff::of(&before, &after, Instant::now() + Duration::from_secs(60))
    }

    fn numbers(lines: Range<usize>) -> String {
        lines.map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn distant_changes_are_separate_hunks() {
        let before = numbers(0..40);
        let after = before.replace("\n5\n", "\nfive\nand\n").replace("\n30\n", "\n");
        let diff = diff(&before, &after);
        assert_eq!((diff.added, diff.removed, diff.hunks.len(), diff.is_rough), (2, 2, 2, false));
        assert_eq!(diff.hunks[0].lines(), [2..9, 2..10]);
        let block = |before, after, is_same| Block { before, after, is_same };
        assert_eq!(diff.hunks[0].blocks, [block(2..5, 2..5, true), block(5..6, 5..7, false), block(6..9, 7..10, true)]);
        assert_eq!(diff.hunks[1].lines(), [27..34, 28..34]);
    }

    #[test]
    fn equal_empty_and_unended_texts() {
        assert_eq!(diff("a\n", "a\n"), Diff::default());
        assert_eq!(diff("", ""), Diff::default());
        let all = diff("", "a\nb");
        assert_eq!((all.added, all.removed, all.hunks[0].lines()), (2, 0, [0..0, 0..2]));
        let ended = diff("a", "a\n");
        assert_eq!((ended.added, ended.removed), (1, 1));
    }

    /// Texts that have nothing in common, in an order that is expensive to compare.
    #[test]
    fn an_expensive_comparison_ends_at_the_deadline() {
        let before: Vec<String> = (0..60_000_u64).map(|line| (line * 7919 % 60_000 / 2).to_string()).collect();
        let after: Vec<String> = (0..60_000_u64).map(|line| (line * 104_729 % 60_000 / 2).to_string()).collect();
        let [before, after] = [&before, &after].map(|lines| lines.iter().map(String::as_str).collect::<Vec<_>>());
        let start = Instant::now();
        let diff = Diff::of(&before, &after, start + Duration::from_millis(50));
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        assert_eq!(before.len() - diff.removed, after.len() - diff.added);
        assert!(diff.is_rough);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Applying the hunks to the old text makes the new one.
        #[test]
        fn hunks_lead_from_one_text_to_the_other(before in "([a-d]\n){0,30}[a-d]?", after in "([a-d]\n){0,30}[a-d]?") {
            let [old, new] = [&before, &after].map(|text| text.split_inclusive('\n').collect::<Vec<_>>());
            let diff = Diff::of(&old, &new, Instant::now() + Duration::from_secs(60));
            let (mut made, mut at) = (Vec::new(), 0);
            for block in diff.hunks.iter().flat_map(|hunk| &hunk.blocks) {
                made.extend_from_slice(&old[at..block.before.start]);
                at = block.before.end;
                if block.is_same {
                    prop_assert_eq!(&old[block.before.clone()], &new[block.after.clone()]);
                }
                made.extend_from_slice(&new[block.after.clone()]);
            }
            made.extend_from_slice(&old[at..]);
            prop_assert_eq!(made.concat(), after);
        }
    }
}
