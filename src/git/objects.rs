//! Reads single objects of mirrored repositories.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Git, Result};

/// The maximum size of one allocation in git, because a pack can claim objects of any size.
const MAX_ALLOCATION: &str = "256m";
/// The separator of the folders in `GIT_ALTERNATE_OBJECT_DIRECTORIES` (git(1)).
const SEPARATOR: &str = if cfg!(windows) { ";" } else { ":" };

/// An object as printed by git. The caller must not rely on its id: git trusts the ids in pack indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrintedObject {
    /// `blob`, `tree`, `commit` or `tag`.
    pub kind: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Git {
    /// Reads objects from several bare repositories with one process. Objects are named as in gitrevisions(7), without
    /// control characters. Returns those that exist.
    ///
    /// # Errors
    /// Fails if git cannot be run or its output is too large.
    pub fn objects(&self, folders: &[PathBuf], names: &[String]) -> Result<Vec<PrintedObject>> {
        let Some((first, others)) = folders.split_first().filter(|_| !names.is_empty()) else { return Ok(Vec::new()) };
        let mut alternates = OsString::new();
        for folder in others {
            alternates.push(if alternates.is_empty() { "" } else { SEPARATOR });
            alternates.push(quoted(&folder.join("objects")));
        }
        let input: String = names.iter().map(|name| format!("{name}\n")).collect();
        let run = self.run_in(first, ["cat-file", "--batch"]).input(input.into_bytes());
        let run = run.variable("GIT_ALTERNATE_OBJECT_DIRECTORIES", alternates);
        let printed = run.variable("GIT_ALLOC_LIMIT", MAX_ALLOCATION).output("read the submodules of a commit")?;
        Ok(printed_objects(&printed).into_iter().flatten().collect())
    }

    /// Reads files of a bare repository, which are named as for [`Self::objects`]. Returns `None` for those that do not
    /// exist.
    ///
    /// # Errors
    /// Fails if git cannot be run or its output is too large.
    pub fn files(&self, folder: &Path, names: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        let input: String = names.iter().map(|name| format!("{name}\n")).collect();
        let run = self.run_in(folder, ["cat-file", "--batch"]).input(input.into_bytes());
        let printed = run.variable("GIT_ALLOC_LIMIT", MAX_ALLOCATION).output("read the files of a commit")?;
        let objects = printed_objects(&printed).into_iter();
        let files = objects.map(|object| object.filter(|object| object.kind == "blob").map(|object| object.bytes));
        Ok(files.chain(std::iter::repeat(None)).take(names.len()).collect())
    }
}

/// Quotes a folder, because its name may contain the separator.
fn quoted(folder: &Path) -> OsString {
    let text = folder.to_string_lossy();
    if text.contains([':', ';', '"', '\\']) && !cfg!(windows) {
        return format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")).into();
    }
    folder.into()
}

/// Parses the output of `git cat-file --batch` (git-cat-file(1), "BATCH OUTPUT") up to the first malformed part. Returns
/// `None` for objects that are missing.
fn printed_objects(mut output: &[u8]) -> Vec<Option<PrintedObject>> {
    let mut objects = Vec::new();
    while let Some(end) = output.iter().position(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(&output[..end]).into_owned();
        output = &output[end + 1..];
        let mut words = line.split(' ');
        let (Some(id), Some(kind), Some(size), None) = (words.next(), words.next(), words.next(), words.next()) else {
            // The object is missing, and the line repeats its name.
            objects.push(None);
            continue;
        };
        let size = size.parse::<usize>().ok().filter(|_| id.len() == 40 && kind != "missing");
        let Some(size) = size else {
            objects.push(None);
            continue;
        };
        let Some(bytes) = output.get(..size) else { break };
        objects.push(Some(PrintedObject { kind: kind.to_owned(), bytes: bytes.to_owned() }));
        // A line feed follows the content.
        output = output.get(size + 1..).unwrap_or_default();
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_objects_are_skipped() {
        let id = "1".repeat(40);
        let output = format!("x:a b missing\n{id} blob 3\na\nb\n{id}:y missing\n{id} tree 0\n\n{id} blob 9\ncut");
        let object = |kind: &str, bytes: &[u8]| Some(PrintedObject { kind: kind.into(), bytes: bytes.into() });
        assert_eq!(printed_objects(output.as_bytes()), [None, object("blob", b"a\nb"), None, object("tree", b"")]);
        assert_eq!(printed_objects(b""), []);
    }
}
