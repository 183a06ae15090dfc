//! The trees whose locks are known, and the text in which they are saved.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::store::{ObjectId, TreeFile, TreeFiles};

/// The number of trees whose locks are kept.
const KEPT: usize = 16;

/// The trees whose locks are known, the most recent one first.
#[derive(Debug, Default)]
pub(in crate::ops) struct KnownTrees {
    trees: Vec<TreeFiles>,
    /// Whether the saved trees were read.
    is_loaded: bool,
}

impl KnownTrees {
    /// Reads the saved trees the first time that this is called. They are ignored if they were saved with another header.
    pub fn load(&mut self, path: &Path, header: &str) {
        if !std::mem::replace(&mut self.is_loaded, true) {
            self.trees = saved(path, header).unwrap_or_default();
        }
    }

    /// Returns the locks of a tree, if they are known.
    pub fn get(&self, tree: ObjectId) -> Option<&TreeFiles> {
        self.trees.iter().find(|known| known.tree == tree)
    }

    /// Returns the locks of the tree that was added last.
    pub fn last(&self) -> Option<&TreeFiles> {
        self.trees.first()
    }

    /// Adds the locks of a tree, and forgets those of the oldest one if there are many.
    pub fn add(&mut self, tree: TreeFiles) {
        self.trees.insert(0, tree);
        self.trees.truncate(KEPT);
    }

    /// Returns the text to save: the header, which ends with a line break; for each tree a line with its id and the number
    /// of its locks, and a line for each lock: its blob, `file` or `link`, and its path.
    pub fn text(&self, header: &str) -> String {
        let mut text = header.to_owned();
        // A path with a line break cannot be written.
        let has_break = |tree: &&TreeFiles| tree.files.keys().any(|path| path.contains('\n'));
        for TreeFiles { tree, files, .. } in self.trees.iter().filter(|tree| !has_break(tree)) {
            let _ = writeln!(text, "{tree} {}", files.len());
            for (path, TreeFile { blob, is_link }) in files {
                let _ = writeln!(text, "{blob} {} {path}", if *is_link { "link" } else { "file" });
            }
        }
        text
    }
}

/// Reads the saved trees. `None` if the file does not exist, was written for another header, or is damaged.
fn saved(path: &Path, header: &str) -> Option<Vec<TreeFiles>> {
    let text = fs::read_to_string(path).ok()?;
    let mut lines = text.strip_prefix(header)?.lines();
    let mut trees = Vec::new();
    while let Some(line) = lines.next() {
        let (tree, number) = line.split_once(' ')?;
        let tree = ObjectId::from_hex(tree.as_bytes()).ok()?;
        let files = (0..number.parse::<usize>().ok()?).map(|_| file(lines.next()?)).collect::<Option<_>>()?;
        trees.push(TreeFiles { tree, files, folders_read: 0 });
    }
    Some(trees)
}

fn file(line: &str) -> Option<(String, TreeFile)> {
    let (blob, rest) = line.split_once(' ')?;
    let (kind, path) = rest.split_once(' ')?;
    Some((path.to_owned(), TreeFile { blob: ObjectId::from_hex(blob.as_bytes()).ok()?, is_link: kind == "link" }))
}
