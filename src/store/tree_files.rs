//! Finds selected files in the trees of commits. What is known of one tree carries over to another one: only the folders
//! in which the two differ are read.

use std::collections::BTreeMap;

use gix::ObjectId;
use gix::bstr::ByteSlice;

use super::{Repository, Result, StoreError};

/// The maximum number of folders that are read for one tree. A tree of a few objects can have billions of paths.
const MAX_FOLDERS: usize = 1 << 20;

/// Which files of a tree count. The rule must only depend on the path and on the names of the files beside it.
#[derive(Clone, Copy)]
pub struct FileRule<'a> {
    /// Returns whether to look into a folder, given its name.
    pub enters: &'a dyn Fn(&str) -> bool,
    /// Returns whether a file counts, given its path and a function that returns whether a name exists beside it.
    pub selects: &'a dyn Fn(&str, HasBeside<'_>) -> bool,
}

/// Returns whether there is a file with a given name in the same folder.
pub type HasBeside<'a> = &'a dyn Fn(&str) -> bool;

/// The selected files of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFiles {
    /// The tree.
    pub tree: ObjectId,
    /// The files by path, with the ids of their blobs.
    pub files: BTreeMap<String, TreeFile>,
    /// The number of folders that were read to find them.
    pub folders_read: usize,
}

/// A selected file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeFile {
    /// The blob: the content of a file, or the target of a symbolic link.
    pub blob: ObjectId,
    /// Whether this is a symbolic link.
    pub is_link: bool,
}

/// A folder that differs between the known tree and the new one.
struct Folder {
    path: String,
    known: Option<ObjectId>,
    tree: ObjectId,
}

impl Repository {
    /// Returns the names of the folders in a folder of a commit, sorted. Empty if there is no such folder.
    ///
    /// # Errors
    /// Fails if a tree cannot be read.
    pub fn folders_at(&self, commit: ObjectId, folder: &str) -> Result<Vec<String>> {
        let Some(tree) = self.folder_at(commit, folder)? else { return Ok(Vec::new()) };
        let folders = tree.iter().filter_map(Result::ok).filter(|entry| entry.mode().is_tree());
        let mut names: Vec<String> =
            folders.filter_map(|entry| entry.filename().to_str().ok().map(str::to_owned)).collect();
        names.sort();
        Ok(names)
    }

    /// Returns the files in a folder of a commit, by their paths. None if there is no such folder.
    ///
    /// # Errors
    /// Fails if the commit cannot be read.
    pub fn files_in_folder(&self, commit: ObjectId, folder: &str) -> Result<BTreeMap<String, TreeFile>> {
        let Some(tree) = self.folder_at(commit, folder)? else { return Ok(BTreeMap::new()) };
        let files = tree.iter().filter_map(Result::ok).filter(|entry| entry.mode().is_blob_or_symlink());
        let found = files.filter_map(|entry| {
            let path = format!("{folder}/{}", entry.filename().to_str().ok()?);
            Some((path, TreeFile { blob: entry.object_id(), is_link: entry.mode().is_link() }))
        });
        Ok(found.collect())
    }

    /// Returns a folder of a commit. `None` if there is none.
    fn folder_at(&self, commit: ObjectId, folder: &str) -> Result<Option<gix::Tree<'_>>> {
        let damaged = || StoreError::damaged(format!("commit {commit}"));
        let root = self.git.find_tree(self.tree_at(commit)?.id).map_err(damaged())?;
        let Some(found) = root.lookup_entry_by_path(folder).map_err(damaged())? else { return Ok(None) };
        if !found.mode().is_tree() {
            return Ok(None);
        }
        self.git.find_tree(found.object_id()).map(Some).map_err(damaged())
    }

    /// Returns the selected files of a commit. `known` are those of another tree by the same rule, from which the
    /// search starts.
    ///
    /// # Errors
    /// Fails if a tree cannot be read, or if there are too many folders.
    pub fn tree_files(&self, commit: ObjectId, rule: FileRule<'_>, known: Option<&TreeFiles>) -> Result<TreeFiles> {
        let root = self.tree_at(commit)?;
        let mut found = TreeFiles { tree: root.id, files: BTreeMap::new(), folders_read: 0 };
        found.files = known.map(|known| known.files.clone()).unwrap_or_default();
        let mut folders = Vec::new();
        if known.is_none_or(|known| known.tree != root.id) {
            folders.push(Folder { path: String::new(), known: known.map(|known| known.tree), tree: root.id });
        }
        while let Some(folder) = folders.pop() {
            found.folders_read += 1;
            if found.folders_read > MAX_FOLDERS {
                return Err(StoreError::TooManyFolders { commit, limit: MAX_FOLDERS });
            }
            self.search(&folder, rule, &mut found.files, &mut folders)?;
        }
        Ok(found)
    }

    /// Returns the tree of a commit.
    ///
    /// # Errors
    /// Fails if the commit cannot be read.
    pub fn tree_id(&self, commit: ObjectId) -> Result<ObjectId> {
        Ok(self.tree_at(commit)?.id)
    }

    /// Corrects the files of one folder, and adds the folders below it that have to be searched.
    fn search(
        &self,
        folder: &Folder,
        rule: FileRule<'_>,
        files: &mut BTreeMap<String, TreeFile>,
        folders: &mut Vec<Folder>,
    ) -> Result<()> {
        let read =
            |id: ObjectId| self.git.find_tree(id).map_err(StoreError::damaged(format!("folder {:?}", folder.path)));
        let (tree, known) = (read(folder.tree)?, folder.known.map(read).transpose()?);
        let prefix = if folder.path.is_empty() { String::new() } else { format!("{}/", folder.path) };
        let mut below: BTreeMap<&[u8], ObjectId> = known
            .iter()
            .flat_map(|known| known.iter().filter_map(Result::ok))
            .filter(|entry| entry.mode().is_tree())
            .map(|entry| (entry.inner.filename.as_bytes(), entry.object_id()))
            .collect();
        remove(files, &prefix, |rest| !rest.contains('/'));
        for entry in tree.iter().filter_map(Result::ok) {
            // No command could open a file with another name by its path in the settings or in output.
            let Ok(name) = entry.filename().to_str() else { continue };
            let mode = entry.mode();
            if mode.is_tree() && (rule.enters)(name) {
                let known = below.remove(name.as_bytes());
                if known != Some(entry.object_id()) {
                    folders.push(Folder { path: format!("{prefix}{name}"), known, tree: entry.object_id() });
                }
            } else if mode.is_blob_or_symlink() {
                let path = format!("{prefix}{name}");
                if (rule.selects)(&path, &|beside| tree.find_entry(beside).is_some()) {
                    files.insert(path, TreeFile { blob: entry.object_id(), is_link: mode.is_link() });
                }
            }
        }
        // Folders that no longer exist, or that are files now.
        for name in below.into_keys().filter_map(|name| name.to_str().ok()) {
            if !tree.find_entry(name).is_some_and(|entry| entry.mode().is_tree()) {
                remove(files, &format!("{prefix}{name}/"), |_| true);
            }
        }
        Ok(())
    }
}

/// Removes the files whose path after the prefix is `gone`.
fn remove(files: &mut BTreeMap<String, TreeFile>, prefix: &str, gone: impl Fn(&str) -> bool) {
    let below =
        files.range(prefix.to_owned()..).map_while(|(path, _)| path.strip_prefix(prefix).map(|rest| (path, rest)));
    let gone: Vec<String> = below.filter(|(_, rest)| gone(rest)).map(|(path, _)| path.clone()).collect();
    for path in gone {
        files.remove(&path);
    }
}

#[cfg(test)]
mod tests {
    use gix::bstr::BStr;
    use gix::objs::tree::EntryKind;
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    use super::*;

    /// Commits a tree with these files, whose content is their value.
    fn commit(repository: &Repository, files: &BTreeMap<String, u8>) -> ObjectId {
        let git = &repository.git;
        let mut editor = git.empty_tree().edit().unwrap();
        for (path, content) in files {
            let kind = if *content == 0 { EntryKind::Link } else { EntryKind::Blob };
            editor.upsert(BStr::new(path), kind, git.write_blob([*content]).unwrap()).unwrap();
        }
        let tree = editor.write().unwrap().detach();
        let signature = gix::actor::Signature { name: "x".into(), email: "x".into(), time: gix::date::Time::new(0, 0) };
        let commit = gix::objs::Commit {
            tree,
            parents: Default::default(),
            author: signature.clone(),
            committer: signature,
            encoding: None,
            message: "x".into(),
            extra_headers: Vec::new(),
        };
        git.write_object(&commit).unwrap().detach()
    }

    /// Files named `lock` beside a `project`, outside of folders named `no`.
    fn rule() -> FileRule<'static> {
        static ENTERS: fn(&str) -> bool = |folder| folder != "no";
        static RULE: fn(&str, HasBeside<'_>) -> bool =
            |path, beside| path.rsplit('/').next() == Some("lock") && beside("project");
        FileRule { enters: &ENTERS, selects: &RULE }
    }

    fn paths() -> impl Strategy<Value = BTreeMap<String, u8>> {
        let component = prop::sample::select(vec!["a", "b", "no", "lock", "project", "x\ny"]);
        let path = prop::collection::vec(component, 1..5).prop_map(|components| components.join("/"));
        prop::collection::btree_map(path, 0_u8..3, 0..20).prop_map(|mut files| {
            // A path cannot be a file and a folder at once.
            let folders: Vec<String> =
                files.keys().flat_map(|path| path.match_indices('/').map(|(end, _)| path[..end].to_owned())).collect();
            files.retain(|path, _| !folders.contains(path));
            files
        })
    }

    /// A search that starts from any other tree finds the same files as one from nothing.
    #[test]
    fn a_search_from_another_tree_finds_the_same() {
        let folder = tempfile::tempdir().unwrap();
        Repository::init(folder.path()).unwrap();
        let repository = Repository::open(folder.path()).unwrap();
        let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) };
        let finds_the_same = |states: Vec<BTreeMap<String, u8>>| {
            let mut known: Option<TreeFiles> = None;
            for files in states {
                let commit = commit(&repository, &files);
                let alone = repository.tree_files(commit, rule(), None).unwrap();
                let from_known = repository.tree_files(commit, rule(), known.as_ref()).unwrap();
                prop_assert_eq!((&from_known.files, from_known.tree), (&alone.files, alone.tree));
                let expected = files.keys().filter(|path| is_selected(path, &files));
                prop_assert_eq!(alone.files.keys().collect::<Vec<_>>(), expected.collect::<Vec<_>>());
                for (path, file) in &alone.files {
                    prop_assert_eq!(file.is_link, files[path] == 0);
                }
                known = Some(from_known);
            }
            Ok(())
        };
        TestRunner::new(config).run(&prop::collection::vec(paths(), 2..5), finds_the_same).unwrap();
    }

    /// Applies the rule to a path by itself.
    fn is_selected(path: &str, files: &BTreeMap<String, u8>) -> bool {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let project = if folder.is_empty() { "project".to_owned() } else { format!("{folder}/project") };
        let is_beside = files.keys().any(|file| *file == project || file.starts_with(&format!("{project}/")));
        name == "lock" && is_beside && folder.split('/').all(|component| component != "no")
    }

    #[test]
    fn only_the_folders_that_differ_are_read() {
        let folder = tempfile::tempdir().unwrap();
        Repository::init(folder.path()).unwrap();
        let repository = Repository::open(folder.path()).unwrap();
        let mut files: BTreeMap<String, u8> =
            (0..200).flat_map(|n| [(format!("a/{n}/lock"), 1), (format!("a/{n}/project"), 1)]).collect();
        let before = repository.tree_files(commit(&repository, &files), rule(), None).unwrap();
        assert_eq!((before.files.len(), before.folders_read), (200, 202));
        files.insert("a/7/lock".to_owned(), 2);
        files.remove("a/8/project");
        let after = repository.tree_files(commit(&repository, &files), rule(), Some(&before)).unwrap();
        assert_eq!((after.files.len(), after.folders_read), (199, 4));
        let again = repository.tree_files(commit(&repository, &files), rule(), Some(&after)).unwrap();
        assert_eq!(again.folders_read, 0);
    }
}
