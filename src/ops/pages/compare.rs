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
/// The maximum number of lines of both sides of a file. Comparing takes much more memory for each line than the line has.
const MAX_LINES: usize = 60_000;
/// The maximum number of lines of all compared files together.
const MAX_ALL_LINES: usize = 400_000;
/// The maximum size in bytes of the files of which the page about all files shows a few lines.
const MAX_KEPT: u64 = 4 << 20;
/// How long files are compared for a page. The file of that moment is compared roughly, and those after it are not.
const PATIENCE: Duration = Duration::from_secs(1);
/// The number of lines of both sides of a file above which a page that must be reproducible compares it only roughly.
const ROUGH_LINES: usize = 20_000;

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
    let paths: Vec<_> = changes.files.iter().map(|change| String::from_utf8_lossy(&change.path)).collect();
    let on_page = page::files_on_page(paths.iter().map(|path| &**path), view.page);
    let mut comparer = Comparer {
        trees: [&before.tree, &after.tree],
        left: MAX_BYTES,
        lines_left: MAX_ALL_LINES,
        room: path.is_empty().then_some(MAX_KEPT),
        deadline: (!mirror.is_reproducible).then(|| Instant::now() + PATIENCE),
    };
    // What the page shows comes first, as long as there is time.
    let others = (0..changes.files.len()).filter(|index| !on_page.contains(index));
    let mut files = Vec::new();
    for index in on_page.clone().chain(others) {
        let change = &changes.files[index];
        let is_compared = path.is_empty() || change.path == path.as_bytes();
        let file = comparer.file(change, is_compared)?;
        let is_counted = path.is_empty() && !on_page.contains(&index);
        let difference =
            if is_counted { file.difference.counted() } else { comparer.kept(file.difference, &file.sides) };
        files.push((index, ChangedFile { difference, ..file }));
    }
    files.sort_by_key(|(index, _)| *index);
    let files = files.into_iter().map(|(_, file)| file).collect();
    let origins = [before.origin, after.origin];
    let comparison = Comparison { between: between.clone(), origins, files, is_cut: changes.is_cut };
    if path.is_empty() {
        return Ok(Page::Html(page::comparison(frame, &comparison, view)));
    }
    Ok(match page::file_comparison(frame, &comparison, path, view) {
        Some(html) => Page::Html(html),
        None => {
            let has = [before.tree.entry(path)?.is_some(), after.tree.entry(path)?.is_some()];
            Page::Missing(not_different(path, between, has, changes.is_cut))
        }
    })
}

/// Says why nothing differs at a path. `has` is which of both versions have it, `is_cut` whether there are more differences than
/// were read.
fn not_different(path: &str, between: &[SourceId; 2], has: [bool; 2], is_cut: bool) -> String {
    let [old, new] = between;
    match has {
        [false, false] => format!("neither {old} nor {new} has a file {path:?}"),
        [true, true] if !is_cut => format!("{path:?} is the same in {old} and {new}"),
        _ => format!("{path:?} is not among the differences between {old} and {new} that can be shown"),
    }
}

struct Comparer<'a> {
    trees: [&'a SourceTree; 2],
    /// The number of bytes that may still be compared.
    left: u64,
    /// The number of lines that may still be compared.
    lines_left: usize,
    /// The number of bytes of texts that may still be kept. `None` if the page is about one file.
    room: Option<u64>,
    /// When to stop. `None` if the number of lines decides, so that the result does not depend on the machine.
    deadline: Option<Instant>,
}

impl Comparer<'_> {
    fn file(&mut self, change: &SourceChange, is_compared: bool) -> Result<ChangedFile> {
        let sides = [&change.before, &change.after];
        let [before, after] = [0, 1].map(|side| sides[side].as_ref().map(|entry| self.side(side, entry)).transpose());
        let sides = [before?, after?];
        Ok(ChangedFile {
            path: String::from_utf8_lossy(&change.path).into_owned(),
            has_page: std::str::from_utf8(&change.path).is_ok(),
            sides,
            difference: if is_compared { self.difference(change, &sides)? } else { Difference::Unread },
        })
    }

    fn side(&self, side: usize, entry: &SourceEntry) -> Result<FileSide> {
        Ok(FileSide { note: note(entry), bytes: self.trees[side].size(entry)? })
    }

    fn difference(&mut self, change: &SourceChange, sides: &[Option<FileSide>; 2]) -> Result<Difference> {
        let bytes: u64 = sides.iter().flatten().map(|side| side.bytes).sum();
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(Difference::OutOfTime);
        }
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
                let lines = before.count() + after.count();
                if lines > MAX_LINES.min(self.lines_left) {
                    return Ok(Difference::TooLarge);
                }
                self.lines_left -= lines;
                let deadline = self.deadline.unwrap_or_else(|| fixed_deadline(lines));
                let diff = Diff::of(&before.lines(), &after.lines(), deadline);
                Difference::Text { texts: [before, after], diff }
            }
            [None, _] | [_, None] => Difference::TooLarge,
            [Some(_), Some(_)] => Difference::Binary,
        })
    }

    /// Forgets the texts if there is no room for them.
    fn kept(&mut self, difference: Difference, sides: &[Option<FileSide>; 2]) -> Difference {
        let Some(room) = &mut self.room else { return difference };
        let bytes = sides.iter().flatten().map(|side| side.bytes).sum();
        match room.checked_sub(bytes).filter(|_| difference.fits_among_others()) {
            Some(left) => {
                *room = left;
                difference
            }
            None => difference.counted(),
        }
    }
}

/// Returns a deadline that is over for files with many lines, and far away for others.
fn fixed_deadline(lines: usize) -> Instant {
    let now = Instant::now();
    if lines > ROUGH_LINES { now } else { now + Duration::from_secs(3600) }
}
