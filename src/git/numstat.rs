//! Counts the changed lines between two trees.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use super::{ProjectGit, Result};

/// The fixed options. The trees are untrusted, so no program of the user's runs on their content, and neither attributes nor
/// settings hide any of it.
const FIXED: &[&str] = &[
    "-c",
    "core.attributesFile=/dev/null",
    // Larger files are not compared. The pages of the server do not compare them either.
    "-c",
    "core.bigFileThreshold=1m",
    "diff-tree",
    "-r",
    "-z",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--ignore-submodules=none",
];

/// The mode of a file that does not exist.
const NO_FILE: &str = "000000";

/// A file that differs between two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// The path. Bytes that are not UTF-8 are replaced.
    pub path: String,
    /// The numbers of added and removed lines; `None` for a binary file, or one that is too large to compare.
    pub lines: Option<(u64, u64)>,
    /// Which of the trees have it.
    pub kind: FileChangeKind,
    /// Whether the new tree has it as an executable file.
    pub is_executable: bool,
}

/// Which of two trees have a file that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileChangeKind {
    /// Only the new one.
    Added,
    /// Both.
    Changed,
    /// Only the old one.
    Removed,
}

impl ProjectGit {
    /// Returns the files that differ between two trees of a bare repository, sorted by path. A renamed file is two. `None` if git
    /// needs more than `time`.
    ///
    /// # Errors
    /// Fails if git cannot be run or its output is too large.
    pub fn numstat(
        &self,
        git_dir: &Path,
        [before, after]: [&str; 2],
        time: Duration,
    ) -> Result<Option<Vec<FileChange>>> {
        let arguments = FIXED.iter().copied().chain(["--raw", "--numstat", before, after]);
        let run = self.git.run_in(git_dir, arguments).variable("GIT_ATTR_NOSYSTEM", "1").within(time);
        Ok(run.output_in_time("compare two trees")?.map(|output| file_changes(&output)))
    }

    /// Returns the paths of the files between two trees of which a line that contains a text was added or removed. `None` if git
    /// needs more than `time`.
    ///
    /// # Errors
    /// As for [`Self::numstat`].
    pub fn changed_with(
        &self,
        git_dir: &Path,
        [before, after]: [&str; 2],
        text: &str,
        time: Duration,
    ) -> Result<Option<Vec<String>>> {
        let pattern = format!("-G{text}");
        let arguments = FIXED.iter().copied().chain([&*pattern, "--name-only", before, after]);
        let run = self.git.run_in(git_dir, arguments).variable("GIT_ATTR_NOSYSTEM", "1").within(time);
        let Some(output) = run.output_in_time("search the changes between two trees")? else { return Ok(None) };
        let paths = output.split(|byte| *byte == 0).filter(|path| !path.is_empty());
        Ok(Some(paths.map(|path| String::from_utf8_lossy(path).into_owned()).collect()))
    }

    /// Reads files of a bare repository, as [`Git::files`](super::Git::files) does.
    ///
    /// # Errors
    /// Fails if git cannot be run or its output is too large.
    pub fn files(&self, folder: &Path, names: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        self.git.files(folder, names)
    }
}

/// Parses the output of `git diff-tree --raw --numstat -z` (git-diff(1), "RAW OUTPUT FORMAT" and "OTHER DIFF FORMATS"): first, modes
/// and path alternate for all files, then follows one record for each.
fn file_changes(output: &[u8]) -> Vec<FileChange> {
    let (mut modes, mut changes) = (HashMap::new(), Vec::new());
    let mut records = output.split(|byte| *byte == 0);
    while let Some(record) = records.next() {
        let text = String::from_utf8_lossy(record);
        if let Some(text) = text.strip_prefix(':') {
            let mut words = text.split(' ').map(str::to_owned);
            let both = [words.next().unwrap_or_default(), words.next().unwrap_or_default()];
            modes.insert(records.next().unwrap_or_default(), both);
            continue;
        }
        let Some((added, rest)) = text.split_once('\t') else { continue };
        let Some((removed, path)) = rest.split_once('\t') else { continue };
        let raw = record.splitn(3, |byte| *byte == b'\t').nth(2).unwrap_or_default();
        let [before, after] = modes.get(raw).map_or(["", ""], |both| both.each_ref().map(String::as_str));
        changes.push(FileChange {
            path: path.to_owned(),
            lines: added.parse().ok().zip(removed.parse().ok()),
            kind: match (before, after) {
                (NO_FILE, _) => FileChangeKind::Added,
                (_, NO_FILE) => FileChangeKind::Removed,
                _ => FileChangeKind::Changed,
            },
            is_executable: after == "100755",
        });
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_and_anything_else_is_ignored() {
        let raw = b":100644 100644 1 2 M\0lib/a\tb\0:000000 100755 0 1 A\0priv/x.so\0:100755 000000 1 0 D\0:x\0";
        let read = file_changes(&[&raw[..], b"1\t2\tlib/a\tb\0-\t-\tpriv/x.so\0\0garbage\x000\t1\t:x\0"].concat());
        let change =
            |path: &str, lines, kind, is_executable| FileChange { path: path.into(), lines, kind, is_executable };
        let expected = [
            change("lib/a\tb", Some((1, 2)), FileChangeKind::Changed, false),
            change("priv/x.so", None, FileChangeKind::Added, true),
            change(":x", Some((0, 1)), FileChangeKind::Removed, false),
        ];
        assert_eq!(read, expected);
    }
}
