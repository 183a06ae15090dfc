//! The commits whose locks are known, and the text in which they are saved.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::store::{ObjectId, TreeFile, TreeFiles};

/// The number of commits whose locks are kept.
const KEPT: usize = 16;

/// The commits whose locks are known, the most recent one first. None of them is a mirror.
#[derive(Debug, Default)]
pub(in crate::ops) struct KnownTrees {
    commits: Vec<(ObjectId, TreeFiles)>,
    /// Whether the saved commits were read.
    is_loaded: bool,
}

impl KnownTrees {
    /// Reads the saved commits the first time that this is called. They are ignored if they were saved with another
    /// header.
    pub fn load(&mut self, path: &Path, header: &str) {
        if !std::mem::replace(&mut self.is_loaded, true) {
            self.commits = saved(path, header).unwrap_or_default();
        }
    }

    /// Returns the locks of a commit, if they are known.
    pub fn get(&self, commit: ObjectId) -> Option<&TreeFiles> {
        self.commits.iter().find(|(known, _)| *known == commit).map(|(_, files)| files)
    }

    /// Returns the locks of a tree, if those of a commit with this tree are known.
    pub fn of_tree(&self, tree: ObjectId) -> Option<&TreeFiles> {
        self.commits.iter().map(|(_, files)| files).find(|files| files.tree == tree)
    }

    /// Returns the locks of the tree that was added last.
    pub fn last(&self) -> Option<&TreeFiles> {
        self.commits.first().map(|(_, files)| files)
    }

    /// Adds the locks of a commit, and forgets those of the oldest one if there are many.
    pub fn add(&mut self, commit: ObjectId, files: TreeFiles) {
        self.commits.insert(0, (commit, files));
        self.commits.truncate(KEPT);
    }

    /// Returns the text to save: the header, which ends with a line break; for each commit a line with its id, its tree
    /// and the number of its locks, and a line for each lock: its blob, `file` or `link`, and its path.
    pub fn text(&self, header: &str) -> String {
        let mut text = header.to_owned();
        // A path with a line break cannot be written.
        let has_break = |files: &TreeFiles| files.files.keys().any(|path| path.contains('\n'));
        for (commit, TreeFiles { tree, files, .. }) in self.commits.iter().filter(|(_, files)| !has_break(files)) {
            let _ = writeln!(text, "{commit} {tree} {}", files.len());
            for (path, TreeFile { blob, is_link }) in files {
                let _ = writeln!(text, "{blob} {} {path}", if *is_link { "link" } else { "file" });
            }
        }
        text
    }
}

/// Reads the saved commits. `None` if the file does not exist, was written for another header, or is damaged.
fn saved(path: &Path, header: &str) -> Option<Vec<(ObjectId, TreeFiles)>> {
    let text = fs::read_to_string(path).ok()?;
    let mut lines = text.strip_prefix(header)?.lines();
    let mut commits = Vec::new();
    while let Some(line) = lines.next() {
        let mut fields = line.split(' ');
        let mut id = || ObjectId::from_hex(fields.next()?.as_bytes()).ok();
        let (commit, tree) = (id()?, id()?);
        let number = fields.next()?.parse::<usize>().ok()?;
        let files = (0..number).map(|_| file(lines.next()?)).collect::<Option<_>>()?;
        commits.push((commit, TreeFiles { tree, files, folders_read: 0 }));
    }
    Some(commits)
}

fn file(line: &str) -> Option<(String, TreeFile)> {
    let (blob, rest) = line.split_once(' ')?;
    let (kind, path) = rest.split_once(' ')?;
    Some((path.to_owned(), TreeFile { blob: ObjectId::from_hex(blob.as_bytes()).ok()?, is_link: kind == "link" }))
}
