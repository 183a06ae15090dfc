//! What the pages about folders and files show.

use super::context::Mirrored;
use super::sources::{Found, Sources, missing, note};
use crate::code::Content;
use crate::ops::Result;
use crate::page::{
    self, Address, FolderEntry, Frame, MAX_DOWNLOAD, MAX_NAMES, Page, SourceFile, SourceFolder, SourceId,
};
use crate::store::{SourceEntry, SourceKind, SourceTree};

/// The largest file, in bytes, that is shown.
pub(super) const MAX_SHOWN: u64 = 1 << 20;

/// Returns the page about a folder or a file.
pub(super) fn source(
    mirror: &Mirrored<'_>,
    frame: &Frame,
    sources: &Sources,
    (id, path, line): (&SourceId, &str, usize),
) -> Result<Page> {
    let Some(Found { tree, origin }) = sources.find(mirror, id)? else { return Ok(Page::Missing(missing(id))) };
    let Some(entry) = tree.entry(path)? else { return Ok(Page::Missing(no_file(id, path))) };
    let (id, path) = (id.clone(), path.to_owned());
    if entry.kind == SourceKind::Folder {
        let (entries, more) = entries(&tree, &entry)?;
        let folder = SourceFolder { id, origin, path, entries, more };
        return Ok(Page::Html(page::source_folder(frame, &folder)));
    }
    let content = tree.read(&entry, MAX_SHOWN)?.map(Content::of);
    let bytes = tree.size(&entry)?;
    let is_downloadable = bytes <= MAX_DOWNLOAD;
    let file = SourceFile { id, origin, path, note: note(&entry), bytes, content, is_downloadable, line };
    Ok(Page::Html(page::source_file(frame, &file)))
}

/// Describes a file for downloading.
pub(super) fn raw(mirror: &Mirrored<'_>, sources: &Sources, id: &SourceId, path: &str) -> Result<Page> {
    let Some(Found { tree, .. }) = sources.find(mirror, id)? else { return Ok(Page::Missing(missing(id))) };
    let Some(entry) = file(&tree, path)? else { return Ok(Page::Missing(no_file(id, path))) };
    let bytes = tree.size(&entry)?;
    if bytes > MAX_DOWNLOAD {
        return Ok(Page::Missing(format!("{path} has {bytes} bytes, which is too large to download")));
    }
    Ok(Page::Download { name: path.rsplit('/').next().unwrap_or(path).to_owned(), bytes })
}

/// Returns the content of a file for downloading. `None` if there is none at this address.
pub(super) fn content(mirror: &Mirrored<'_>, sources: &Sources, address: &Address) -> Result<Option<Vec<u8>>> {
    let Address::Raw { id, path } = address else { return Ok(None) };
    let Some(Found { tree, .. }) = sources.find(mirror, id)? else { return Ok(None) };
    let Some(entry) = file(&tree, path)? else { return Ok(None) };
    Ok(tree.read(&entry, MAX_DOWNLOAD)?)
}

fn file(tree: &SourceTree, path: &str) -> Result<Option<SourceEntry>> {
    Ok(tree.entry(path)?.filter(|entry| entry.kind != SourceKind::Folder))
}

fn no_file(id: &SourceId, path: &str) -> String {
    format!("{id} has no file {path:?}")
}

/// Returns what a folder contains, and how many names more than are shown.
fn entries(tree: &SourceTree, folder: &SourceEntry) -> Result<(Vec<FolderEntry>, usize)> {
    let entries = tree.entries(folder)?;
    let more = entries.len().saturating_sub(MAX_NAMES);
    let shown = entries.iter().take(MAX_NAMES).map(|entry| {
        let is_folder = entry.kind == SourceKind::Folder;
        Ok(FolderEntry {
            name: String::from_utf8_lossy(&entry.name).into_owned(),
            has_page: std::str::from_utf8(&entry.name).is_ok(),
            is_folder,
            note: note(entry),
            bytes: if is_folder { None } else { Some(tree.size(entry)?) },
        })
    });
    Ok((shown.collect::<Result<Vec<_>>>()?, more))
}
