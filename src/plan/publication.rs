//! The files that a folder of a web server or a bucket has, compared with those that it should have.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::model::StaticPath;

/// The first line of a list of files.
const TITLE: &str = "git-hexmirror files 1";
/// Stands for the key of a file that was perhaps not written completely.
const UNFINISHED: &str = "-";
/// The longest key, in bytes.
const MAX_KEY: usize = 200;

/// The files that were written to a destination before. A destination keeps this list, so that nothing else there is
/// ever replaced or removed.
///
/// As text, it has a line `KEY BYTES PATH` for each file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileList {
    files: BTreeMap<StaticPath, ListedFile>,
}

/// What is known of a file that was written before. `None` if it was perhaps not written completely.
type ListedFile = Option<WrittenFile>;

/// A file that was written completely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFile {
    /// Identifies the content: equal keys mean equal contents. Visible ASCII.
    pub key: String,
    /// The size in bytes.
    pub bytes: u64,
}

/// An error for a list that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read line {line} of the list of files")]
pub struct FileListError {
    /// The line number, counted from 1.
    pub line: usize,
}

/// What a destination has at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Nothing.
    Absent,
    /// A regular file with this many bytes.
    File {
        /// The size in bytes.
        bytes: u64,
    },
    /// Something else: a folder, a link, or a path below a link or a file.
    Other,
}

/// What to change at a destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Publication {
    /// The files to write, in order of their [stages](crate::model::StaticStage).
    pub write: Vec<StaticPath>,
    /// The files to remove afterwards.
    pub remove: Vec<StaticPath>,
    /// The files that are already there.
    pub unchanged: Vec<StaticPath>,
    /// The paths that should be written but are taken by something that this program did not write. If there are any,
    /// nothing may be changed.
    pub foreign: Vec<StaticPath>,
}

impl Publication {
    /// Compares the wanted files, with their keys, with those that were written before and are still there.
    pub fn new(
        wanted: &BTreeMap<StaticPath, &str>,
        list: &FileList,
        presence: impl Fn(&StaticPath) -> Presence,
    ) -> Self {
        let mut plan = Self::default();
        for (path, key) in wanted {
            let listed = list.files.get(path);
            let goes_to = match (presence(path), listed) {
                (Presence::Other, _) | (Presence::File { .. }, None) => &mut plan.foreign,
                (Presence::File { bytes }, Some(Some(written))) if written.key == *key && written.bytes == bytes => {
                    &mut plan.unchanged
                }
                (Presence::File { .. }, Some(_)) | (Presence::Absent, _) => &mut plan.write,
            };
            goes_to.push(path.clone());
        }
        for (path, listed) in list.files.iter().filter(|(path, _)| !wanted.contains_key(*path)) {
            // Someone replaced a file whose size differs. It is theirs now.
            if let Presence::File { bytes } = presence(path)
                && listed.as_ref().is_none_or(|written| written.bytes == bytes)
            {
                plan.remove.push(path.clone());
            }
        }
        plan.write.sort_by_key(StaticPath::stage);
        plan
    }

    /// Divides what is no longer wanted into the files to remove and those to leave there.
    pub fn removals(&self, delete: bool) -> (Vec<StaticPath>, Vec<StaticPath>) {
        if delete { (self.remove.clone(), Vec::new()) } else { (Vec::new(), self.remove.clone()) }
    }

    /// Returns the list to keep before the first change: everything that may be there if the work is interrupted.
    pub fn begun(&self, list: &FileList) -> FileList {
        let known = self.unchanged.iter().chain(&self.remove);
        let known = known.filter_map(|path| Some((path.clone(), list.files.get(path)?.clone())));
        FileList { files: known.chain(self.write.iter().map(|path| (path.clone(), None))).collect() }
    }
}

impl FileList {
    /// Records that a file was written.
    pub fn record(&mut self, path: StaticPath, file: WrittenFile) {
        self.files.insert(path, Some(file));
    }

    /// Records that a file was removed.
    pub fn forget(&mut self, path: &StaticPath) {
        self.files.remove(path);
    }
}

impl fmt::Display for FileList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{TITLE}")?;
        self.files.iter().try_for_each(|(path, listed)| match listed {
            Some(WrittenFile { key, bytes }) => writeln!(f, "{key} {bytes} {path}"),
            None => writeln!(f, "{UNFINISHED} 0 {path}"),
        })
    }
}

impl FromStr for FileList {
    type Err = FileListError;

    fn from_str(text: &str) -> Result<Self, FileListError> {
        let mut lines = text.lines();
        if lines.next() != Some(TITLE) || !text.ends_with('\n') {
            return Err(FileListError { line: 1 });
        }
        let parse = |line: &str| {
            let mut fields = line.splitn(3, ' ');
            let (key, bytes, path) = (fields.next()?, fields.next()?, fields.next()?);
            let is_key = !key.is_empty() && key.len() <= MAX_KEY && key.bytes().all(|byte| byte.is_ascii_graphic());
            let written = WrittenFile { key: key.to_owned(), bytes: bytes.parse().ok()? };
            is_key.then_some((path.parse().ok()?, (key != UNFINISHED).then_some(written)))
        };
        let mut files = BTreeMap::new();
        for (index, line) in lines.enumerate() {
            let (path, listed) = parse(line).ok_or(FileListError { line: index + 2 })?;
            files.insert(path, listed);
        }
        Ok(Self { files })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// A destination: contents by path, and a list. Contents are their own keys.
    #[derive(Debug, Clone, Default, PartialEq)]
    struct Folder {
        files: BTreeMap<StaticPath, String>,
        list: FileList,
    }

    impl Folder {
        fn plan(&self, wanted: &BTreeMap<StaticPath, String>) -> Publication {
            let keys = wanted.iter().map(|(path, content)| (path.clone(), content.as_str())).collect();
            Publication::new(&keys, &self.list, |path| {
                let content = self.files.get(path);
                content.map_or(Presence::Absent, |content| Presence::File { bytes: content.len() as u64 })
            })
        }

        /// Carries out the first `steps` steps. A file that is interrupted is half written.
        fn publish(&mut self, wanted: &BTreeMap<StaticPath, String>, mut steps: usize) {
            let plan = self.plan(wanted);
            let is_empty = plan.write.is_empty() && plan.remove.is_empty();
            if !plan.foreign.is_empty() || is_empty || steps == 0 {
                return;
            }
            let mut done = plan.begun(&self.list);
            self.list = done.clone();
            for path in &plan.write {
                steps -= 1;
                if steps == 0 {
                    return;
                }
                let content = wanted[path].clone();
                done.record(path.clone(), WrittenFile { key: content.clone(), bytes: content.len() as u64 });
                self.files.insert(path.clone(), content);
            }
            for path in &plan.remove {
                steps -= 1;
                if steps == 0 {
                    return;
                }
                self.files.remove(path);
                done.forget(path);
            }
            self.list = done;
        }
    }

    fn files() -> impl Strategy<Value = BTreeMap<StaticPath, String>> {
        let path = (0..6_usize).prop_map(|number| {
            ["names", "versions", "packages/a", "packages/b", "tarballs/a-1.0.0.tar", "git/h/x.git/HEAD"][number]
                .parse()
                .unwrap()
        });
        prop::collection::btree_map(path, "[a-c]{1,3}", 0..6)
    }

    proptest! {
        /// However often it is interrupted, the destination ends with the wanted files and nobody else's is touched.
        #[test]
        fn interrupted_publications_converge_and_touch_nothing_foreign(
            foreign in files(),
            versions in prop::collection::vec((files(), 0..8_usize), 1..6),
            last in files(),
        ) {
            let without = |wanted: BTreeMap<StaticPath, String>| {
                wanted.into_iter().filter(|(path, _)| !foreign.contains_key(path)).collect::<BTreeMap<_, _>>()
            };
            let mut folder = Folder { files: foreign.clone(), list: FileList::default() };
            for (wanted, steps) in versions {
                folder.publish(&without(wanted), steps);
                prop_assert_eq!(folder.list.to_string().parse(), Ok(folder.list.clone()));
            }
            let last = without(last);
            folder.publish(&last, usize::MAX);
            prop_assert_eq!(without(folder.files.clone()), last.clone());
            prop_assert!(foreign.iter().all(|(path, content)| folder.files.get(path) == Some(content)));
            let plan = folder.plan(&last);
            prop_assert!(plan.write.is_empty() && plan.remove.is_empty(), "nothing is left to do");
            folder.publish(&BTreeMap::new(), usize::MAX);
            prop_assert_eq!(folder.files, foreign);
        }

        #[test]
        fn files_that_were_not_written_here_are_never_overwritten(foreign in files(), wanted in files()) {
            let folder = Folder { files: foreign.clone(), list: FileList::default() };
            let plan = folder.plan(&wanted);
            let both: BTreeSet<_> = wanted.keys().filter(|path| foreign.contains_key(*path)).cloned().collect();
            prop_assert_eq!(plan.foreign.into_iter().collect::<BTreeSet<_>>(), both);
        }
    }

    #[test]
    fn entries_are_written_after_tarballs_and_before_lists() {
        let wanted = ["names", "packages/a", "tarballs/a-1.0.0.tar", "versions"];
        let wanted = wanted.map(|path| (path.parse().unwrap(), "x".to_owned())).into();
        let order: Vec<String> = Folder::default().plan(&wanted).write.iter().map(ToString::to_string).collect();
        assert_eq!(order, ["tarballs/a-1.0.0.tar", "packages/a", "versions", "names"]);
    }

    #[test]
    fn a_file_that_someone_replaced_is_not_removed() {
        let path: StaticPath = "names".parse().unwrap();
        let mut folder = Folder::default();
        folder.publish(&[(path.clone(), "a".to_owned())].into(), usize::MAX);
        folder.files.insert(path.clone(), "theirs".into());
        folder.publish(&BTreeMap::new(), usize::MAX);
        assert_eq!(folder.files[&path], "theirs");
    }

    #[test]
    fn hostile_lists_are_refused() {
        for line in ["x 1", "x 1 ../a", "x 1 /names", "x -1 names", " 1 names", "x 1 index.html", "é 1 names"] {
            let text = format!("{TITLE}\n- 0 versions\n{line}\n");
            assert_eq!(text.parse::<FileList>(), Err(FileListError { line: 3 }), "{line}");
        }
        for text in ["", "names\n", TITLE] {
            assert_eq!(text.parse::<FileList>(), Err(FileListError { line: 1 }), "{text}");
        }
    }
}
