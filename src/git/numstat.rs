//! Counts the changed lines between two trees.

use std::path::Path;

use super::{ProjectGit, Result};

/// The fixed options. The trees are untrusted, so no program of the user's runs on their content, and neither attributes nor
/// settings hide any of it.
const FIXED: &[&str] = &[
    "-c",
    "core.attributesFile=/dev/null",
    "diff-tree",
    "-r",
    "-z",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--ignore-submodules=none",
];

/// A file that differs between two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// The path. Bytes that are not UTF-8 are replaced.
    pub path: String,
    /// The numbers of added and removed lines; `None` for a binary file.
    pub lines: Option<(u64, u64)>,
}

impl ProjectGit {
    /// Returns the files that differ between two trees of a bare repository, sorted by path. A renamed file is two.
    ///
    /// # Errors
    /// Fails if git cannot be run or its output is too large.
    pub fn numstat(&self, git_dir: &Path, [before, after]: [&str; 2]) -> Result<Vec<FileChange>> {
        let arguments = FIXED.iter().copied().chain(["--numstat", before, after]);
        let run = self.git.run_in(git_dir, arguments).variable("GIT_ATTR_NOSYSTEM", "1");
        Ok(file_changes(&run.output("compare two trees")?))
    }

    /// Returns the paths of the files between two trees of which a line that contains a text was added or removed.
    ///
    /// # Errors
    /// As for [`Self::numstat`].
    pub fn changed_with(&self, git_dir: &Path, [before, after]: [&str; 2], text: &str) -> Result<Vec<String>> {
        let pattern = format!("-G{text}");
        let arguments = FIXED.iter().copied().chain([&*pattern, "--name-only", before, after]);
        let run = self.git.run_in(git_dir, arguments).variable("GIT_ATTR_NOSYSTEM", "1");
        let output = run.output("search the changes between two trees")?;
        let paths = output.split(|byte| *byte == 0).filter(|path| !path.is_empty());
        Ok(paths.map(|path| String::from_utf8_lossy(path).into_owned()).collect())
    }

    /// Reads files of a bare repository, as [`Git::files`](super::Git::files) does.
    ///
    /// # Errors
    /// Fails if git cannot be run or its output is too large.
    pub fn files(&self, folder: &Path, names: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        self.git.files(folder, names)
    }
}

/// Parses the output of `git diff-tree --numstat -z` (git-diff(1), "OTHER DIFF FORMATS").
fn file_changes(output: &[u8]) -> Vec<FileChange> {
    let change = |record: &[u8]| {
        let text = String::from_utf8_lossy(record);
        let (added, rest) = text.split_once('\t')?;
        let (removed, path) = rest.split_once('\t')?;
        let lines = added.parse().ok().zip(removed.parse().ok());
        Some(FileChange { path: path.to_owned(), lines })
    };
    output.split(|byte| *byte == 0).filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_and_anything_else_is_ignored() {
        let read = file_changes(b"1\t2\tlib/a\tb\0-\t-\tpriv/x.so\0\0garbage\0");
        let expected = [("lib/a\tb", Some((1, 2))), ("priv/x.so", None)];
        assert_eq!(read, expected.map(|(path, lines)| FileChange { path: path.into(), lines }));
    }
}
