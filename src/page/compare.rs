//! The pages about what differs between two versions of a dependency.

use std::ops::Range;

use maud::{Markup, html};

use super::changed_file::{ChangedFile, Difference, PER_ROW};
use super::difference::{self, Rows};
use super::layout::page;
use super::lines::{LineEnds, weight_of};
use super::link::Links;
use super::source::{PAGE, SourceOrigin, section, shown};
use super::{Address, Frame, SourceId};
use crate::model::count;

/// The maximum number of files on a page.
const FILES: usize = 150;
/// The size of a file in the list without its path, in bytes of HTML.
const PER_FILE: usize = 240;
/// The size of what surrounds the lines of a file, in bytes of HTML.
const PER_SECTION: usize = 400;

/// What the page about a difference shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The old and the new sources.
    pub between: [SourceId; 2],
    /// Where they are from.
    pub origins: [SourceOrigin; 2],
    /// The files that differ, sorted by path.
    pub files: Vec<ChangedFile>,
    /// Whether there are more.
    pub is_cut: bool,
}

/// Which part of a difference a page shows, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComparisonView {
    /// The page, from 1.
    pub page: usize,
    /// Whether old and new lines are side by side.
    pub is_split: bool,
}

impl Comparison {
    /// Returns the address of the page about all files, or about one.
    fn address(&self, path: &str, page: usize, is_split: bool) -> Address {
        Address::Compare { between: Box::new(self.between.clone()), path: path.to_owned(), page, is_split }
    }

    fn title(&self) -> String {
        let [before, after] = &self.between;
        format!("{} {} → {}", before.dependency(), before.version(), after.version())
    }

    /// Returns the number of added and removed lines.
    fn counts(&self) -> [usize; 2] {
        let counts = self.files.iter().map(ChangedFile::counts);
        counts.fold([0, 0], |[added, removed], count| [added + count[0], removed + count[1]])
    }
}

/// Returns which of the files that differ are on a page, counted from 1. After the last page, these are those of the last one.
/// `paths` are those of [`ChangedFile::path`].
pub fn files_on_page<'a>(paths: impl Iterator<Item = &'a str>, page: usize) -> Range<usize> {
    let mut pages = file_pages(paths);
    let last = pages.len() - 1;
    pages.swap_remove(last.min(page.max(1) - 1))
}

/// Divides files into pages, of which there is at least one.
fn file_pages<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<Range<usize>> {
    let (mut pages, mut first, mut files, mut weight) = (Vec::new(), 0, 0, 0);
    for path in paths {
        let of_file = listed_weight(path);
        if files - first == FILES || first < files && weight + of_file > 2 * PAGE {
            pages.push(first..files);
            (first, weight) = (files, 0);
        }
        files += 1;
        weight += of_file;
    }
    pages.push(first..files);
    pages
}

/// Returns about how many bytes of HTML a file takes in the list.
fn listed_weight(path: &str) -> usize {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let in_address: usize = path.bytes().map(|byte| if is_plain(byte) { 1 } else { 3 }).sum();
    // A file whose name is not UTF-8 has no page, so it has a section here.
    let section = if path.contains('\u{fffd}') { PER_SECTION + weight_of(&shown(path)) } else { 0 };
    PER_FILE + in_address + weight_of(&shown(path)) + section
}

/// Returns the page about all files that differ.
pub fn comparison(frame: &Frame, comparison: &Comparison, view: ComparisonView) -> String {
    let pages = file_pages(comparison.files.iter().map(|file| &*file.path));
    let number = view.page.clamp(1, pages.len());
    let (range, pages) = (pages[number - 1].clone(), pages.len());
    let address = comparison.address("", number, view.is_split);
    let links = Links::of(frame, &address);
    let files = comparison.files.iter().enumerate().skip(range.start).take(range.len());
    let listed: usize = files.clone().map(|(_, file)| listed_weight(&file.path)).sum();
    let (mut left, mut most_left) = (PAGE, (2 * PAGE).saturating_sub(listed));
    let mut inline = Vec::new();
    for (index, file) in files.clone() {
        // Without preparing what cannot be shown here.
        if file.difference.is_elsewhere() || file.counts().iter().sum::<usize>() * PER_ROW > left {
            inline.push((index, file, None));
            continue;
        }
        // Rows take much more memory than their HTML.
        let rows = Rows::of(file, view.is_split);
        let [weight, most] = [rows.weight(), rows.most()].map(|weight| weight + PER_SECTION);
        let fits = weight <= left && most <= most_left;
        inline.push((index, file, fits.then(|| difference::table(&rows, 0..rows.len()))));
        if fits {
            (left, most_left) = (left - weight, most_left - most);
        }
    }
    let is_inline =
        |index: usize| inline.iter().any(|(other, file, table)| *other == index && (table.is_some() || !file.has_page));
    let target = |index: usize, file: &ChangedFile| {
        if is_inline(index) {
            format!("#file-{index}")
        } else {
            links.to(&comparison.address(&file.path, 1, view.is_split))
        }
    };
    let [added, removed] = comparison.counts();
    let content = html! {
        h1 { bdi { (comparison.title()) } }
        (about(&links, comparison))
        p {
            (count(comparison.files.len(), "file", "files")) " " (if comparison.files.len() == 1 { "differs" } else { "differ" }) ", "
            span.plus { "+" (added) } " " span.minus { "−" (removed) } " · "
            a href=(links.to(&comparison.address("", number, !view.is_split))) {
                @if view.is_split { "Show one below the other" } @else { "Show side by side" }
            }
        }
        @if comparison.is_cut { p.note.warn { "There are more differences than can be shown." } }
        (hurried(comparison))
        @if comparison.files.is_empty() { p.none { "All files are the same." } }
        @else {
            (turn(&links, comparison, number, pages, view.is_split))
            div.wide tabindex="0" role="region" aria-label="Files" { table {
                thead { tr { th scope="col" { "File" } th scope="col" { "Change" } th.number scope="col" { "Lines" } } }
                tbody { @for (index, file) in files { tr {
                    td { a href=(target(index, file)) { bdi { (shown(&file.path)) } } @if file.runs_at_build() { " " span.badge.warn { "runs at build time" } } }
                    td { span.badge.(file.kind().1) { (file.kind().0) } }
                    td.number { (counts(file)) }
                } } }
            } }
            @for (index, file, table) in &inline { @if table.is_some() || !file.has_page {
                section id=(format!("file-{index}")) {
                    h2 { @if file.has_page { a href=(links.to(&comparison.address(&file.path, 1, view.is_split))) { bdi { (shown(&file.path)) } } } @else { bdi { (shown(&file.path)) } } }
                    (sides(file))
                    @match table { Some(table) => { (table) } None => { p.note.warn { "The difference is too large to be shown here." } } }
                }
            } }
            (turn(&links, comparison, number, pages, view.is_split))
        }
    };
    page(frame, &comparison.title(), &address, &section(&comparison.between[0]), &content)
}

/// Returns the page about one file. `None` if it does not differ, or has no page.
pub fn file_comparison(frame: &Frame, comparison: &Comparison, path: &str, view: ComparisonView) -> Option<String> {
    let index = comparison.files.iter().position(|file| file.has_page && file.path == path)?;
    let file = &comparison.files[index];
    let rows = Rows::of(file, view.is_split);
    let pages = rows.pages(PAGE);
    let number = view.page.clamp(1, pages.len().max(1));
    let address = comparison.address(path, number, view.is_split);
    let links = Links::of(frame, &address);
    let beside = |file: Option<&ChangedFile>, rel: &str| {
        html! {
            @if let Some(file) = file.filter(|file| file.has_page) {
                " · " a rel=(rel) href=(links.to(&comparison.address(&file.path, 1, view.is_split))) { @if rel == "prev" { "Previous file" } @else { "Next file" } }
            }
        }
    };
    let source = |id: &SourceId| Address::Source { id: id.clone(), path: path.to_owned(), line: 0 };
    let to_page = |number: usize| links.to(&comparison.address(path, number, view.is_split));
    let title = format!("{}: {}", comparison.title(), shown(path));
    let content = html! {
        nav.trail aria-label="Difference" { ul { li { a href=(links.to(&comparison.address("", 1, view.is_split))) { bdi { (comparison.title()) } } } } }
        h1 { bdi { (shown(path)) } }
        p {
            (counts(file)) " · "
            a href=(links.to(&comparison.address(path, 1, !view.is_split))) { @if view.is_split { "Show one below the other" } @else { "Show side by side" } }
            @for (side, id) in file.sides.iter().zip(&comparison.between) { @if side.is_some() && links.has(&source(id)) { " · " a href=(links.to(&source(id))) { "Whole file in " (id.version()) } } }
            (beside(index.checked_sub(1).map(|index| &comparison.files[index]), "prev"))
            (beside(comparison.files.get(index + 1), "next"))
        }
        (sides(file))
        (numbered(number, pages.len(), &to_page))
        @if let Some(range) = pages.get(number - 1) { (difference::table(&rows, range.clone())) }
        (numbered(number, pages.len(), &to_page))
    };
    Some(page(frame, &title, &address, &section(&comparison.between[0]), &content))
}

fn turn(links: &Links<'_>, comparison: &Comparison, number: usize, pages: usize, is_split: bool) -> Markup {
    numbered(number, pages, &|page| links.to(&comparison.address("", page, is_split)))
}

/// Returns the links to the pages before and after one.
pub(super) fn numbered(number: usize, pages: usize, to: &dyn Fn(usize) -> String) -> Markup {
    html! {
        @if pages > 1 {
            nav.pages aria-label="Pages" {
                "Page " (number) " of " (pages)
                @if number > 1 { " · " a rel="prev" href=(to(number - 1)) { "Previous" } }
                @if number < pages { " · " a rel="next" href=(to(number + 1)) { "Next" } }
            }
        }
    }
}

fn counts(file: &ChangedFile) -> Markup {
    html! {
        @match &file.difference {
            Difference::Text { .. } | Difference::Counted { .. } => {
                span.plus { "+" (file.counts()[0]) } " " span.minus { "−" (file.counts()[1]) }
                @if file.difference.is_rough() { " " span.badge.warn { "rough" } }
            }
            Difference::Binary => { "not text" }
            Difference::TooLarge => { "too large" }
            Difference::OutOfTime => { span.badge.warn { "not compared" } }
            Difference::Unread => {}
        }
    }
}

/// Says what the time for a page did not suffice for.
fn hurried(comparison: &Comparison) -> Markup {
    let skipped = comparison.files.iter().filter(|file| file.difference == Difference::OutOfTime).count();
    let rough = comparison.files.iter().filter(|file| file.difference.is_rough()).count();
    html! {
        @if skipped > 0 {
            p.note.warn { "This comparison is cut short, because it took too long: " (count(skipped, "file was", "files were")) " not compared. The page of each file compares it." }
        }
        @if rough > 0 {
            p.note.warn { "This comparison is rough, because it took too long: of " (count(rough, "file", "files")) ", more lines may be marked than differ." }
        }
    }
}

/// Says what a file is on both sides, if it is not only text that differs.
fn sides(file: &ChangedFile) -> Markup {
    let [old, new] = file.sides.map(|side| side.map_or("", |side| side.note));
    let bytes =
        file.sides.map(|side| side.map_or_else(|| "nothing".to_owned(), |side| format!("{} bytes", side.bytes)));
    html! {
        @if file.sides.iter().all(Option::is_some) && old != new {
            p.note.warn { "It was " (if old.is_empty() { "an ordinary file" } else { old }) ", and is " (if new.is_empty() { "an ordinary file" } else { new }) " now." }
        } @else if !new.is_empty() || !old.is_empty() { p.note { "It is " (if new.is_empty() { old } else { new }) "." } }
        @match &file.difference {
            Difference::Text { texts: [old, new], .. } if LineEnds::of(&[old, new]) == LineEnds::Crlf => { p.note { "Lines end with CRLF." } }
            _ => {}
        }
        @match &file.difference {
            Difference::Binary => { p.note.warn { "It is not text: " (bytes[0]) " before, " (bytes[1]) " after." } }
            Difference::TooLarge => { p.note.warn { "It is too large to compare: " (bytes[0]) " before, " (bytes[1]) " after." } }
            Difference::OutOfTime => { p.note.warn { "It was not compared, because this page took too long." } }
            Difference::Unread | Difference::Counted { .. } => {}
            Difference::Text { texts, diff } => {
                @if diff.is_rough { p.note.warn { "The comparison is rough, because it took too long: more lines may be marked than differ." } }
                @if texts.iter().any(|text| !text.is_utf8) { p.note.warn { "It is not UTF-8. A \u{fffd} stands for each byte that is not." } }
            }
        }
    }
}

/// Says what is compared.
fn about(links: &Links<'_>, comparison: &Comparison) -> Markup {
    html! {
        dl.facts {
            @for (id, origin) in comparison.between.iter().zip(&comparison.origins) {
                dt { (links.link(&Address::Source { id: id.clone(), path: String::new(), line: 0 }, &html! { bdi { (id.version()) } })) }
                dd {
                    code { (origin.checksum) } " "
                    @if origin.is_pinned { span.badge.good { "pinned by a lock" } }
                    @if let Some(commit) = &origin.commit { " " span.dim { "from the mirror's commit " code { (commit) } } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_lists_what_fits() {
        let on_pages = |path: &str, files: usize| {
            let pages = file_pages(std::iter::repeat_n(path, files));
            let ends: Vec<usize> = pages.iter().map(|page| page.end).collect();
            assert!(pages.windows(2).all(|pages| pages[0].end == pages[1].start), "{pages:?}");
            ends
        };
        assert_eq!(on_pages("lib/a.ex", 0), [0]);
        assert_eq!(on_pages("lib/a.ex", 150), [150]);
        assert_eq!(on_pages("lib/a.ex", 301), [150, 300, 301]);
        let long = "\u{e9}".repeat(2000);
        assert_eq!(on_pages(&long, 7), [2, 4, 6, 7]);
        assert_eq!(on_pages(&"x".repeat(100_000), 2), [1, 2]);
        for (page, expected) in [(0, 0..2), (1, 0..2), (2, 2..4), (4, 6..7), (99, 6..7)] {
            assert_eq!(files_on_page(std::iter::repeat_n(&*long, 7), page), expected);
        }
    }
}
