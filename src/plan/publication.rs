//! The files that a folder of a web server or a bucket has, compared with those that it should have.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::model::{Revision, StaticPath, StaticStage};

/// The first line of a list of files.
const TITLE: &str = "git-hexmirror files 1";
/// Begins the lines with the first commits of the mirror.
const MIRROR: &str = "mirror";
/// Stands for the key of a file that was perhaps not written completely.
const UNFINISHED: &str = "-";
/// The longest key, in bytes.
const MAX_KEY: usize = 200;

/// The files that were written to a destination before. A destination keeps this list, so that nothing else there is
/// ever replaced or removed.
///
/// As text, it has a line `mirror COMMIT` for each first commit of the mirror that wrote the files, and a line `KEY BYTES PATH`
/// for each file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileList {
    /// Identifies the mirror that wrote the files. Empty if that is not known.
    mirror: BTreeSet<Revision>,
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
    /// The files to write, in order of their [stages](StaticStage).
    pub write: Vec<StaticPath>,
    /// The files that are no longer wanted.
    pub remove: Vec<StaticPath>,
    /// Those of them that no client can verify any more, because the key of their registry changes.
    pub obsolete: Vec<StaticPath>,
    /// The files that are already there.
    pub unchanged: Vec<StaticPath>,
    /// The files of which only the content shows whether they are already there. [`Publication::settle`] decides.
    pub doubtful: Vec<Doubt>,
    /// The files that are already there, although the list does not say so.
    adopted: Vec<(StaticPath, WrittenFile)>,
    /// The paths that should be written but are taken by something that this program did not write. If there are any,
    /// nothing may be changed.
    pub foreign: Vec<StaticPath>,
}

/// A file whose content must be compared with the wanted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// Its path.
    pub path: StaticPath,
    /// What the list will say about it if it is identical. The size is that of the file.
    file: WrittenFile,
    /// Whether the list says that this program wrote it.
    is_listed: bool,
}

impl Doubt {
    /// Returns the size of the file in bytes.
    pub fn bytes(&self) -> u64 {
        self.file.bytes
    }
}

impl Publication {
    /// Compares the wanted files, with their keys, with those that were written before and are still there. Files that the
    /// list does not have are in doubt, because the list may be lost; with `check`, all others are, too.
    pub fn new(
        wanted: &BTreeMap<StaticPath, &str>,
        list: &FileList,
        check: bool,
        presence: impl Fn(&StaticPath) -> Presence,
    ) -> Self {
        let mut plan = Self::default();
        for (path, key) in wanted {
            let listed = list.files.get(path);
            let is_known = |bytes| matches!(listed, Some(Some(known)) if known.key == **key && known.bytes == bytes);
            let goes_to = match presence(path) {
                Presence::Other => &mut plan.foreign,
                Presence::File { bytes } if listed.is_none() || (check && is_known(bytes)) => {
                    let file = WrittenFile { key: (*key).to_owned(), bytes };
                    plan.doubtful.push(Doubt { path: path.clone(), file, is_listed: listed.is_some() });
                    continue;
                }
                Presence::File { bytes } if is_known(bytes) => &mut plan.unchanged,
                Presence::File { .. } | Presence::Absent => &mut plan.write,
            };
            goes_to.push(path.clone());
        }
        for (path, listed) in list.files.iter().filter(|(path, _)| !wanted.contains_key(*path)) {
            // Someone replaced a file whose size differs. It is theirs now.
            if let Presence::File { bytes } = presence(path)
                && listed.as_ref().is_none_or(|written| written.bytes == bytes)
            {
                plan.remove.push(path.clone());
                plan.obsolete.extend(has_lost_key(path, wanted, list).then(|| path.clone()));
            }
        }
        plan.write.sort_by_key(StaticPath::stage);
        plan
    }

    /// Decides about the doubtful files: whether each, in order, is identical to the wanted one.
    pub fn settle(&mut self, are_identical: &[bool]) {
        for (Doubt { path, file, is_listed }, is_identical) in self.doubtful.drain(..).zip(are_identical) {
            match (is_identical, is_listed) {
                (true, true) => self.unchanged.push(path),
                (true, false) => {
                    self.unchanged.push(path.clone());
                    self.adopted.push((path, file));
                }
                (false, true) => self.write.push(path),
                (false, false) => self.foreign.push(path),
            }
        }
        self.foreign.sort();
        self.write.sort();
        self.write.sort_by_key(StaticPath::stage);
    }

    /// Returns whether nothing is left to do. `delete` is as for [`Publication::removals`].
    pub fn is_done(&self, delete: bool) -> bool {
        self.write.is_empty() && self.adopted.is_empty() && self.removals(delete).0.is_empty()
    }

    /// Divides what is no longer wanted into the files to remove and those to leave there.
    pub fn removals(&self, delete: bool) -> (Vec<StaticPath>, Vec<StaticPath>) {
        self.remove.iter().cloned().partition(|path| delete || self.obsolete.contains(path))
    }

    /// Returns the list to keep before the first change: everything that may be there if the work is interrupted.
    ///
    /// `mirror` are the first commits of the mirror, or nothing if they are not known.
    pub fn begun(&self, list: &FileList, mirror: &BTreeSet<Revision>) -> FileList {
        let mirror = if mirror.is_empty() { &list.mirror } else { mirror };
        let known = self.unchanged.iter().chain(&self.remove);
        let known = known.filter_map(|path| Some((path.clone(), list.files.get(path)?.clone())));
        let adopted = self.adopted.iter().map(|(path, file)| (path.clone(), Some(file.clone())));
        let files = known.chain(self.write.iter().map(|path| (path.clone(), None))).chain(adopted).collect();
        FileList { mirror: mirror.clone(), files }
    }
}

/// Returns whether the key that verifies a file is replaced by another one.
fn has_lost_key(path: &StaticPath, wanted: &BTreeMap<StaticPath, &str>, list: &FileList) -> bool {
    let Some(public_key) = path.public_key() else { return false };
    let listed = list.files.get(&public_key).and_then(Option::as_ref);
    listed.zip(wanted.get(&public_key)).is_some_and(|(listed, key)| listed.key != **key)
}

impl FileList {
    /// Reads a list of the files of a site, which only has pages. That of a registry never does.
    ///
    /// # Errors
    /// Fails if this is not such a list.
    pub fn of_site(text: &str) -> Result<Self, FileListError> {
        Self::read(text, StaticPath::page)
    }

    fn read(text: &str, path: impl Fn(&str) -> Option<StaticPath>) -> Result<Self, FileListError> {
        let mut lines = text.lines();
        if lines.next() != Some(TITLE) || !text.ends_with('\n') {
            return Err(FileListError { line: 1 });
        }
        let parse = |line: &str| {
            let mut fields = line.splitn(3, ' ');
            let (key, bytes, name) = (fields.next()?, fields.next()?, fields.next()?);
            let is_key = !key.is_empty() && key.len() <= MAX_KEY && key.bytes().all(|byte| byte.is_ascii_graphic());
            let written = WrittenFile { key: key.to_owned(), bytes: bytes.parse().ok()? };
            is_key.then_some((path(name)?, (key != UNFINISHED).then_some(written)))
        };
        let mut list = Self::default();
        for (index, line) in lines.enumerate() {
            let invalid = FileListError { line: index + 2 };
            if let Some(commit) = line.strip_prefix(MIRROR).and_then(|rest| rest.strip_prefix(' '))
                && !commit.contains(' ')
            {
                list.mirror.insert(commit.parse().map_err(|_| invalid)?);
                continue;
            }
            let (path, listed) = parse(line).ok_or(invalid)?;
            list.files.insert(path, listed);
        }
        Ok(list)
    }

    /// Returns whether the mirror with these first commits may have written the files. It is not the one that wrote them if it
    /// has none of the first commits of that one.
    pub fn may_be_of(&self, mirror: &BTreeSet<Revision>) -> bool {
        self.mirror.is_empty() || mirror.is_empty() || !self.mirror.is_disjoint(mirror)
    }

    /// Records that a file was written.
    pub fn record(&mut self, path: StaticPath, file: WrittenFile) {
        self.files.insert(path, Some(file));
    }

    /// Returns what identifies the content of a file that was written completely.
    pub fn key(&self, path: &StaticPath) -> Option<&str> {
        self.files.get(path)?.as_ref().map(|written| written.key.as_str())
    }

    /// Returns whether there are registry entries.
    pub fn has_entries(&self) -> bool {
        self.files.keys().any(StaticPath::is_entry)
    }

    /// Returns whether there are lists of versions, which only a pinned index has.
    pub fn has_lists(&self) -> bool {
        self.files.keys().any(|path| path.stage() == StaticStage::Versions)
    }

    /// Records that a file was removed.
    pub fn forget(&mut self, path: &StaticPath) {
        self.files.remove(path);
    }
}

impl fmt::Display for FileList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{TITLE}")?;
        self.mirror.iter().try_for_each(|commit| writeln!(f, "{MIRROR} {commit}"))?;
        self.files.iter().try_for_each(|(path, listed)| match listed {
            Some(WrittenFile { key, bytes }) => writeln!(f, "{key} {bytes} {path}"),
            None => writeln!(f, "{UNFINISHED} 0 {path}"),
        })
    }
}

impl FromStr for FileList {
    type Err = FileListError;

    fn from_str(text: &str) -> Result<Self, FileListError> {
        Self::read(text, |path| path.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A destination: contents by path, and a list. Contents are their own keys.
    #[derive(Debug, Clone, Default, PartialEq)]
    struct Folder {
        files: BTreeMap<StaticPath, String>,
        list: FileList,
        check: bool,
    }

    impl Folder {
        fn plan(&self, wanted: &BTreeMap<StaticPath, String>) -> Publication {
            let keys = wanted.iter().map(|(path, content)| (path.clone(), content.as_str())).collect();
            let mut plan = Publication::new(&keys, &self.list, self.check, |path| {
                let content = self.files.get(path);
                content.map_or(Presence::Absent, |content| Presence::File { bytes: content.len() as u64 })
            });
            let is_identical = |doubt: &Doubt| self.files[&doubt.path] == wanted[&doubt.path];
            let are_identical: Vec<bool> = plan.doubtful.iter().map(is_identical).collect();
            plan.settle(&are_identical);
            plan
        }

        /// Carries out the first `steps` steps. A file that is interrupted is half written.
        fn publish(&mut self, wanted: &BTreeMap<StaticPath, String>, mut steps: usize) {
            let plan = self.plan(wanted);
            if !plan.foreign.is_empty() || plan.is_done(true) || steps == 0 {
                return;
            }
            let mut done = plan.begun(&self.list, &BTreeSet::new());
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
            let mut folder = Folder { files: foreign.clone(), ..Folder::default() };
            for (wanted, steps) in versions {
                folder.publish(&without(wanted), steps);
                prop_assert_eq!(folder.list.to_string().parse(), Ok(folder.list.clone()));
            }
            let last = without(last);
            folder.publish(&last, usize::MAX);
            prop_assert_eq!(without(folder.files.clone()), last.clone());
            prop_assert!(foreign.iter().all(|(path, content)| folder.files.get(path) == Some(content)));
            let plan = folder.plan(&last);
            prop_assert!(plan.is_done(true), "nothing is left to do");
            folder.publish(&BTreeMap::new(), usize::MAX);
            prop_assert_eq!(folder.files, foreign);
        }

        /// Whatever someone did to the files: a check finds it, unless a list and files of others forbid it.
        #[test]
        fn a_check_repairs_everything_and_a_lost_list_is_made_again(
            wanted in files(),
            damage in files(),
            is_list_lost: bool,
        ) {
            let mut folder = Folder::default();
            folder.publish(&wanted, usize::MAX);
            let list = folder.list.clone();
            if is_list_lost {
                folder.list = FileList::default();
            } else {
                let damage = damage.into_iter().filter(|(path, _)| wanted.contains_key(path));
                folder.files.extend(damage);
                folder.check = true;
            }
            folder.publish(&wanted, usize::MAX);
            prop_assert_eq!((&folder.files, &folder.list), (&wanted, &list));
            prop_assert!(folder.plan(&wanted).is_done(true));
        }

        #[test]
        fn files_that_were_not_written_here_are_never_overwritten(foreign in files(), wanted in files()) {
            let folder = Folder { files: foreign.clone(), ..Folder::default() };
            let plan = folder.plan(&wanted);
            let is_other = |path: &&StaticPath| foreign.get(*path).is_some_and(|content| *content != wanted[*path]);
            let others: BTreeSet<_> = wanted.keys().filter(is_other).cloned().collect();
            prop_assert_eq!(plan.foreign.into_iter().collect::<BTreeSet<_>>(), others);
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
    fn a_list_belongs_to_the_mirrors_that_share_a_first_commit() {
        let mirror = |commits: &[u8]| -> BTreeSet<Revision> {
            commits.iter().map(|digit| digit.to_string().repeat(40).parse().unwrap()).collect()
        };
        let list = Publication::default().begun(&FileList::default(), &mirror(&[1, 2]));
        assert_eq!(list.to_string().parse(), Ok(list.clone()));
        for (other, expected) in [(&[1][..], true), (&[2, 3], true), (&[3], false), (&[], true)] {
            assert_eq!(list.may_be_of(&mirror(other)), expected, "{other:?}");
        }
        // If a clone does not know the first commits, the list keeps them.
        assert_eq!(Publication::default().begun(&list, &mirror(&[])), list);
        assert!(FileList::default().may_be_of(&mirror(&[1])));
    }

    #[test]
    fn hostile_lists_are_refused() {
        for line in [
            "x 1",
            "x 1 ../a",
            "x 1 /names",
            "x -1 names",
            " 1 names",
            "x 1 index.html",
            "é 1 names",
            "mirror x",
            "mirror ",
        ] {
            let text = format!("{TITLE}\n- 0 versions\n{line}\n");
            assert_eq!(text.parse::<FileList>(), Err(FileListError { line: 3 }), "{line}");
        }
        for text in ["", "names\n", TITLE] {
            assert_eq!(text.parse::<FileList>(), Err(FileListError { line: 1 }), "{text}");
        }
        let pages = format!("{TITLE}\nx 1 -/packages~2.html\n- 0 index.html\n");
        assert_eq!(FileList::of_site(&pages).map(|list| list.to_string()), Ok(pages));
        for line in ["x 1 names", "x 1 -/../a", "x 1 -/.git/config", "x 1 .htaccess", "x 1 other.html", "x 1 -/A"] {
            assert_eq!(FileList::of_site(&format!("{TITLE}\n{line}\n")), Err(FileListError { line: 2 }), "{line}");
        }
    }
}
