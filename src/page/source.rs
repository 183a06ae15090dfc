//! The pages about folders and files of dependencies.

use maud::{Markup, html};

use super::layout::page;
use super::lines::{Code, LineEnds, weight_of};
use super::link::Links;
use super::{Address, Frame, PackageQuery, SourceId};
use crate::code::{Content, Text};
use crate::model::count;

/// The size of the code on a page, in bytes of HTML without line numbers and links.
pub(super) const PAGE: usize = 24_000;
/// The size of a line's number and link, in bytes of HTML.
const PER_LINE: usize = 40;
/// The size of a row of a folder without its name and address, in bytes of HTML.
const PER_NAME: usize = 60;
/// The maximum number of names in a folder that are shown.
pub const MAX_NAMES: usize = 400;

/// What a folder's page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFolder {
    /// The sources.
    pub id: SourceId,
    /// Where they are from.
    pub origin: SourceOrigin,
    /// The path of the folder, which is empty for the root.
    pub path: String,
    /// What the folder contains, folders first, at most [`MAX_NAMES`].
    pub entries: Vec<FolderEntry>,
    /// How many are left out.
    pub more: usize,
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    /// The name, as far as it is UTF-8.
    pub name: String,
    /// Whether the name is UTF-8, so that a link can lead to it.
    pub has_page: bool,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// What else it is, such as a link.
    pub note: &'static str,
    /// The size of a file in bytes.
    pub bytes: Option<u64>,
}

/// What a file's page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The sources.
    pub id: SourceId,
    /// Where they are from.
    pub origin: SourceOrigin,
    /// The path.
    pub path: String,
    /// What else it is, such as a link.
    pub note: &'static str,
    /// The size in bytes.
    pub bytes: u64,
    /// The content, or `None` if there is too much of it.
    pub content: Option<Content>,
    /// Whether it can be downloaded.
    pub is_downloadable: bool,
    /// The line that the page has to show, from 1. 0 for the first.
    pub line: usize,
}

/// Where sources are from, and what holds them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceOrigin {
    /// The commit of the mirror branch that has them, if the newest does not.
    pub commit: Option<String>,
    /// What identifies them: the outer checksum, or the revision.
    pub checksum: String,
    /// Whether a lock in force demands this checksum or revision.
    pub is_pinned: bool,
    /// Other versions of the same dependency in the mirror and its history, to compare with.
    pub others: Vec<SourceId>,
}

/// Returns the page about a folder.
pub fn source_folder(frame: &Frame, folder: &SourceFolder) -> String {
    let address = Address::Source { id: folder.id.clone(), path: folder.path.clone(), line: 0 };
    let links = Links::of(frame, &address);
    let below = |name: &str| Address::Source { id: folder.id.clone(), path: join(&folder.path, name), line: 0 };
    // Long names, and those with special characters, take many bytes in an address.
    let weights = folder.entries.iter().scan(0, |weight, entry| {
        *weight += PER_NAME + below(&entry.name).to_string().len() + weight_of(&shown(&entry.name));
        Some(*weight)
    });
    let fitting = weights.take_while(|weight| *weight <= 2 * PAGE).count();
    let more = folder.more + folder.entries.len() - fitting;
    let content = html! {
        (trail(&links, &folder.id, &folder.path))
        h1 { bdi { (heading(&folder.id, &folder.path)) } }
        (about(&links, &folder.id, &folder.origin))
        @if folder.entries.is_empty() { p.none { "There are no files." } }
        @else {
            div.wide tabindex="0" role="region" aria-label="Files" {
                table {
                    thead { tr { th scope="col" { "Name" } th.number scope="col" { "Bytes" } } }
                    tbody {
                        @for entry in &folder.entries[..fitting] {
                            tr {
                                td {
                                    @let name = if entry.is_folder { format!("{}/", entry.name) } else { entry.name.clone() };
                                    @if entry.has_page { a href=(links.to(&below(&entry.name))) { bdi { (shown(&name)) } } }
                                    @else { bdi { (shown(&name)) } " " span.dim { "(its name is not UTF-8)" } }
                                    @if !entry.note.is_empty() { " " span.badge { (entry.note) } }
                                }
                                td.number { @if let Some(bytes) = entry.bytes { (bytes) } }
                            }
                        }
                    }
                }
            }
            @if more > 0 { p.note.warn { (count(more, "more name is", "more names are")) " not shown." } }
        }
    };
    page(frame, &heading(&folder.id, &folder.path), &address, &section(&folder.id), &content)
}

/// Returns the page about a file.
pub fn source_file(frame: &Frame, file: &SourceFile) -> String {
    let at = |line: usize| Address::Source { id: file.id.clone(), path: file.path.clone(), line };
    let links = Links::of(frame, &at(file.line));
    let raw = Address::Raw { id: file.id.clone(), path: file.path.clone() };
    // What is saved must not look as if it had another name.
    let name = shown(file.path.rsplit('/').next().unwrap_or_default());
    let content = html! {
        (trail(&links, &file.id, &file.path))
        h1 { bdi { (heading(&file.id, &file.path)) } }
        (about(&links, &file.id, &file.origin))
        p {
            (count(usize::try_from(file.bytes).unwrap_or(usize::MAX), "byte", "bytes"))
            @if !file.note.is_empty() { ", " (file.note) }
            @if !file.is_downloadable { ", too large to download" }
            @else { " · " a href=(links.to(&raw)) download=(if links.is_static() { &*name } else { "" }) { "Download" } }
        }
        @match &file.content {
            None => { p.note.warn { "The file is too large to be shown." } }
            Some(Content::Binary) => { p.note.warn { "The file is not text." } }
            Some(Content::Text(text)) => {
                @if !text.is_utf8 { p.note.warn { "The file is not UTF-8. A \u{fffd} stands for each byte that is not." } }
                (text_page(&links, file, text, &at))
            }
        }
    };
    page(frame, &heading(&file.id, &file.path), &at(file.line), &section(&file.id), &content)
}

/// Returns the lines of a page of a text.
fn text_page(links: &Links<'_>, file: &SourceFile, text: &Text, at: &dyn Fn(usize) -> Address) -> Markup {
    let (code, ends) = (Code::new(text, &file.path), LineEnds::of(&[text]));
    // A lone carriage return at the end of the file is not one of them.
    let code = if ends == LineEnds::Crlf && !text.as_str().ends_with('\r') { code.without_cr() } else { code };
    let pages = pages(&code);
    let index = pages.partition_point(|first| *first <= file.line.max(1)).saturating_sub(1);
    let first = pages.get(index).map_or(0, |first| first - 1);
    let end = pages.get(index + 1).map_or(code.count(), |next| next - 1);
    let turn = html! {
        @if pages.len() > 1 {
            nav.pages aria-label="Pages" {
                "Lines " (first + 1) " to " (end) " of " (code.count())
                @if index > 0 { " · " a rel="prev" href=(links.to(&at(if index == 1 { 0 } else { pages[index - 1] }))) { "Previous" } }
                @if let Some(next) = pages.get(index + 1) { " · " a rel="next" href=(links.to(&at(*next))) { "Next" } }
            }
        }
    };
    html! {
        (turn)
        @if ends == LineEnds::Crlf { p.note { "Lines end with CRLF." } }
        @if ends == LineEnds::Mixed { p.note.warn { "Some lines end with CRLF, and some with LF only." } }
        @if code.count() == 0 { p.none { "The file is empty." } }
        @else {
            pre.code tabindex="0" role="region" aria-label="Code" {
                @for line in first..end {
                    a id=(format!("L{}", line + 1)) href=(format!("#L{}", line + 1)) { (line + 1) } " " (code.line(line, &[])) "\n"
                }
            }
            (turn)
        }
    }
}

/// Returns the first line of each page, from 1.
fn pages(code: &Code<'_>) -> Vec<usize> {
    let (mut pages, mut size) = (vec![1], 0);
    for line in 0..code.count() {
        let weight = code.weight(line) + PER_LINE;
        if size > 0 && size + weight > PAGE + PAGE / 2 {
            pages.push(line + 1);
            size = 0;
        }
        size += weight;
    }
    pages
}

/// Says where sources are from, with links to the differences to other versions.
fn about(links: &Links<'_>, id: &SourceId, origin: &SourceOrigin) -> Markup {
    let others = origin.others.iter().map(|other| (other, comparison(id, other)));
    let others: Vec<_> = others.filter(|(_, address)| links.has(address)).collect();
    html! {
        dl.facts {
            dt { @if matches!(id, SourceId::Release(_)) { "Outer checksum" } @else { "Revision" } }
            dd {
                code { (origin.checksum) } " "
                @if origin.is_pinned { span.badge.good { "pinned by a lock" } } @else { span.badge.warn { "not pinned by a lock" } }
            }
            @if let Some(commit) = &origin.commit { dt { "From the history" } dd { "commit " code { (commit) } " of the mirror" } }
            @if !others.is_empty() {
                dt { "Compare with" }
                dd { @for (index, (other, address)) in others.iter().enumerate() {
                    @if index > 0 { ", " }
                    a href=(links.to(address)) { (other.version()) }
                } }
            }
        }
    }
}

/// Returns the address of a difference, from the lower version to the higher one.
fn comparison(one: &SourceId, other: &SourceId) -> Address {
    let mut between = Box::new([one.clone(), other.clone()]);
    if matches!(one, SourceId::Release(_)) {
        between.sort();
    }
    Address::Compare { between, path: String::new(), page: 1, is_split: false }
}

/// Returns the links to the folders that something is in.
fn trail(links: &Links<'_>, id: &SourceId, path: &str) -> Markup {
    let to = |path: &str| links.to(&Address::Source { id: id.clone(), path: path.to_owned(), line: 0 });
    let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
    html! {
        nav.trail aria-label="Folders" {
            ul {
                @match id {
                    SourceId::Release(id) => { li { a href=(links.to(&Address::Package(id.entry()))) { (id.entry()) } } }
                    SourceId::Revision(address, _) => { li { a href=(links.to(&Address::Repository(address.clone()))) { (address) } } }
                }
                @if !path.is_empty() { li { a href=(to("")) { bdi { (id) } } } }
                @for folder in folders { li { a href=(to(folder)) { bdi { (shown(folder.rsplit('/').next().unwrap_or(folder))) } } } }
            }
        }
    }
}

/// Returns the section that pages about sources belong to.
pub(super) fn section(id: &SourceId) -> Address {
    match id {
        SourceId::Release(_) => Address::Packages(PackageQuery::default()),
        SourceId::Revision(..) => Address::Repositories,
    }
}

/// Returns the title of a page about a path.
fn heading(id: &SourceId, path: &str) -> String {
    if path.is_empty() { id.to_string() } else { format!("{} in {id}", shown(path)) }
}

/// Returns a name whose invisible characters are shown by their numbers.
pub(super) fn shown(name: &str) -> String {
    let show =
        |c: char| if super::invisible::is_invisible(c) { format!("[U+{:04X}]", u32::from(c)) } else { c.to_string() };
    name.chars().map(show).collect()
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
