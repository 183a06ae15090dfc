//! What the pages about differences show.

use std::time::{Duration, Instant};

use super::context::Mirrored;
use super::source::MAX_SHOWN;
use super::sources::{Sources, missing, note};
use crate::code::{Content, Diff, Text};
use crate::ops::Result;
use crate::page::{self, ChangedFile, Comparison, ComparisonView, Difference, FileSide, Frame, Page, SourceId};
use crate::store::{SourceChange, SourceEntry, SourceTree};

/// The maximum number of files that are compared.
const MAX_FILES: usize = 5000;
/// The maximum size of all compared files together, in bytes.
const MAX_BYTES: u64 = 24 << 20;
/// The time after which files are compared only roughly.
const PATIENCE: Duration = Duration::from_millis(1500);
/// The number of lines of both texts together above which a page that must be reproducible compares only roughly.
const MAX_LINES: usize = 20_000;

/// Returns the page about a difference, of all files or of the one at a path.
pub(super) fn compare(
    mirror: &Mirrored<'_>,
    frame: &Frame,
    sources: &Sources,
    between: &[SourceId; 2],
    (path, view): (&str, ComparisonView),
) -> Result<Page> {
    let [Some(before), Some(after)] = [sources.find(mirror, &between[0])?, sources.find(mirror, &between[1])?] else {
        let known = |id: &SourceId| Ok::<_, crate::ops::OpError>(sources.find(mirror, id)?.is_some());
        let lacking = if known(&between[0])? { &between[1] } else { &between[0] };
        return Ok(Page::Missing(missing(lacking)));
    };
    let changes = before.tree.changes(&after.tree, MAX_FILES)?;
    let deadline = (!mirror.is_reproducible).then(|| Instant::now() + PATIENCE);
    let mut comparer = Comparer { trees: [&before.tree, &after.tree], left: MAX_BYTES, deadline };
    let is_shown = |change: &SourceChange| path.is_empty() || change.path == path.as_bytes();
    let files = changes.files.iter().map(|change| comparer.file(change, is_shown(change)));
    let files = files.collect::<Result<_>>()?;
    let origins = [before.origin, after.origin];
    let comparison = Comparison { between: between.clone(), origins, files, is_cut: changes.is_cut };
    if path.is_empty() {
        return Ok(Page::Html(page::comparison(frame, &comparison, view)));
    }
    Ok(match page::file_comparison(frame, &comparison, path, view) {
        Some(html) => Page::Html(html),
        None => Page::Missing(format!("{path:?} is the same in {} and {}", between[0], between[1])),
    })
}

struct Comparer<'a> {
    trees: [&'a SourceTree; 2],
    /// The number of bytes that may still be compared.
    left: u64,
    /// When to go on only roughly. `None` if the number of lines decides, so that the result does not depend on the machine.
    deadline: Option<Instant>,
}

impl Comparer<'_> {
    fn file(&mut self, change: &SourceChange, is_shown: bool) -> Result<ChangedFile> {
        let sides = [&change.before, &change.after];
        let [before, after] = [0, 1].map(|side| sides[side].as_ref().map(|entry| self.side(side, entry)).transpose());
        let sides = [before?, after?];
        Ok(ChangedFile {
            path: String::from_utf8_lossy(&change.path).into_owned(),
            has_page: std::str::from_utf8(&change.path).is_ok(),
            sides,
            difference: if is_shown { self.difference(change, &sides)? } else { Difference::Unread },
        })
    }

    fn side(&self, side: usize, entry: &SourceEntry) -> Result<FileSide> {
        Ok(FileSide { note: note(entry), bytes: self.trees[side].size(entry)? })
    }

    fn difference(&mut self, change: &SourceChange, sides: &[Option<FileSide>; 2]) -> Result<Difference> {
        let bytes: u64 = sides.iter().flatten().map(|side| side.bytes).sum();
        if bytes > self.left || sides.iter().flatten().any(|side| side.bytes > MAX_SHOWN) {
            return Ok(Difference::TooLarge);
        }
        self.left -= bytes;
        let read = |side: usize, entry: &Option<SourceEntry>| -> Result<Option<Content>> {
            let Some(entry) = entry else { return Ok(Some(Content::Text(Text::default()))) };
            Ok(self.trees[side].read(entry, MAX_SHOWN)?.map(Content::of))
        };
        Ok(match [read(0, &change.before)?, read(1, &change.after)?] {
            [Some(Content::Text(before)), Some(Content::Text(after))] => {
                let lines = [before.lines(), after.lines()];
                let diff = Diff::of(&lines[0], &lines[1], self.deadline.unwrap_or_else(|| fixed_deadline(&lines)));
                Difference::Text { texts: [before, after], diff }
            }
            [None, _] | [_, None] => Difference::TooLarge,
            [Some(_), Some(_)] => Difference::Binary,
        })
    }
}

/// Returns a deadline that is long over for texts with many lines, and far away for others.
fn fixed_deadline(lines: &[Vec<&str>; 2]) -> Instant {
    let now = Instant::now();
    if lines.iter().map(Vec::len).sum::<usize>() > MAX_LINES { now } else { now + Duration::from_secs(3600) }
}
