//! The project's git repository: its settings, folders, commits and files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};
use gix::objs::tree::EntryMode;
use gix::refs::FullName;

use super::{Result, StoreError};

/// The maximum number of symbolic links followed to one file, the same as in Linux.
const MAX_LINKS: usize = 40;
/// The maximum length of a symbolic link's target, in bytes.
const MAX_LINK: u64 = 4096;

/// The project's git repository: a clone, a worktree of one, or a bare repository.
#[derive(Debug, Clone)]
pub struct Repository {
    pub(super) git: gix::Repository,
}

impl Repository {
    /// Opens the repository whose worktree or git folder is `directory`, regardless of the environment.
    ///
    /// # Errors
    /// Fails if `directory` is neither.
    pub fn open(directory: &Path) -> Result<Self> {
        let git = gix::open_opts(directory, gix::open::Options::isolated());
        Ok(Self { git: git.map_err(|error| not_opened(directory, error))? })
    }

    /// Creates a new repository in a folder.
    ///
    /// # Errors
    /// Fails if the folder already has a repository, or none can be created.
    pub fn init(directory: &Path) -> Result<()> {
        gix::init(directory).map(drop).map_err(StoreError::git_file("create a repository in", directory))
    }

    /// Returns the value of a git setting such as `hexmirror.branch`, from all of git's configuration files.
    pub fn setting(&self, key: &str) -> Option<String> {
        self.git.config_snapshot().string(key).map(|value| value.to_str_lossy().into_owned())
    }

    /// Returns the value of a Boolean git setting, or `None` if it is not set or has no such value.
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.git.config_snapshot().boolean(key)
    }

    /// Returns the value of a numeric git setting, or `None` if it is not set or has no such value.
    pub fn number(&self, key: &str) -> Option<i64> {
        self.git.config_snapshot().integer(key)
    }

    /// Returns all values of a multi-valued git setting, as `git config --get-all` does.
    pub fn settings(&self, key: &str) -> Vec<String> {
        let values = self.git.config_snapshot().plumbing().strings(key).unwrap_or_default();
        values.iter().map(|value| value.to_str_lossy().into_owned()).collect()
    }

    /// Returns the values of all settings named `section.SUBSECTION.name` with their subsections.
    pub fn settings_by_subsection(&self, section: &str, name: &str) -> Vec<(String, String)> {
        let snapshot = self.git.config_snapshot();
        let sections = snapshot.plumbing().sections_by_name(section).into_iter().flatten();
        let of_section = |section: gix::config::file::SectionRef<'_>| {
            let subsection = section.header().subsection_name()?.to_str_lossy().into_owned();
            Some((subsection, section.value(name)?.to_str_lossy().into_owned()))
        };
        sections.filter_map(of_section).collect()
    }

    /// Returns the values of the settings named `section.SUBSECTION.name` from all sections, in the order in which git
    /// reads them.
    pub fn all_settings_by_subsection(&self, section: &str, name: &str) -> Vec<(String, String)> {
        let snapshot = self.git.config_snapshot();
        let sections = snapshot.plumbing().sections_by_name(section).into_iter().flatten();
        let of_section = |section: gix::config::file::SectionRef<'_>| {
            let subsection = section.header().subsection_name().map(|name| name.to_str_lossy().into_owned());
            let pair = |value: &[u8]| Some((subsection.clone()?, value.to_str_lossy().into_owned()));
            section.values(name).iter().filter_map(|value| pair(value)).collect::<Vec<_>>()
        };
        sections.flat_map(of_section).collect()
    }

    /// Returns the folder that all worktrees share, which is `.git` in a plain clone.
    pub fn common_dir(&self) -> &Path {
        self.git.common_dir()
    }

    /// Returns the git folder of this worktree: the common folder or one inside it.
    pub fn git_dir(&self) -> &Path {
        self.git.git_dir()
    }

    /// Returns the folder for this program's own files, which all worktrees share. It may not exist yet.
    pub fn own_dir(&self) -> PathBuf {
        self.git.common_dir().join("hexmirror")
    }

    /// Returns the root of the worktree, or `None` in a bare repository.
    pub fn worktree(&self) -> Option<&Path> {
        self.git.workdir()
    }

    /// Returns whether the worktree may lack files of the checked-out commit (git-sparse-checkout(1)).
    pub fn is_sparse(&self) -> bool {
        self.git.config_snapshot().boolean("core.sparseCheckout").unwrap_or_default()
    }

    /// Returns the commit that `HEAD` points to, or `None` if its branch has no commit yet.
    ///
    /// Reads no object, because git only ever points `HEAD` to commits.
    ///
    /// # Errors
    /// Fails if `HEAD` or its branch cannot be read.
    pub fn head(&self) -> Result<Option<ObjectId>> {
        let unreadable = |error| self.broken_packed_refs().unwrap_or_else(|| StoreError::git("read HEAD")(error));
        let head = self.git.head().map_err(unreadable)?;
        match head.id() {
            Some(id) => Ok(Some(id.detach())),
            // The branch has no commit, or is itself a symbolic ref.
            None => Ok(head.try_into_peeled_id().map_err(unreadable)?.map(gix::Id::detach)),
        }
    }

    /// Reads a blob. `path` describes the blob in errors.
    ///
    /// # Errors
    /// Fails if the blob is missing or cannot be read.
    pub fn read_blob(&self, id: ObjectId, path: &str) -> Result<Vec<u8>> {
        Ok(self.git.find_object(id).map_err(StoreError::damaged(path))?.detach().data)
    }

    /// Returns a blob's size in bytes without reading its content. `path` describes the blob in errors.
    ///
    /// # Errors
    /// Fails if the blob is missing or cannot be read.
    pub fn blob_bytes(&self, id: ObjectId, path: &str) -> Result<u64> {
        Ok(self.git.find_header(id).map_err(StoreError::damaged(path))?.size())
    }

    /// Returns the blob id of a file content.
    ///
    /// # Errors
    /// Fails if the content is part of a SHA-1 collision attack.
    pub fn blob_id(bytes: &[u8]) -> Result<ObjectId> {
        let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, gix::objs::Kind::Blob, bytes);
        id.map_err(StoreError::git("hash a file"))
    }

    /// Returns the blob id of a file in a commit, or `None` if there is no such file. Symbolic links are followed as in
    /// a worktree, but never out of the commit's tree.
    ///
    /// # Errors
    /// Fails if the commit or a tree cannot be read.
    pub fn blob_at(&self, commit: ObjectId, path: &str) -> Result<Option<ObjectId>> {
        let tree = self.tree_at(commit)?;
        let entry = tree.lookup_entry_by_path(path).map_err(StoreError::damaged(path))?;
        match entry.filter(|entry| entry.mode().is_blob()) {
            Some(entry) => Ok(Some(entry.object_id())),
            None => self.follow(&tree, path),
        }
    }

    /// Finds a file and follows symbolic links, component by component.
    fn follow(&self, tree: &gix::Tree<'_>, path: &str) -> Result<Option<ObjectId>> {
        let components = |path: &[u8]| path.rsplit(|byte| *byte == b'/').map(BString::from).collect::<Vec<_>>();
        let (mut folder, mut left, mut links) = (Vec::<BString>::new(), components(path.as_bytes()), 0);
        while let Some(name) = left.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." if folder.pop().is_none() => return Ok(None),
                b".." => continue,
                _ => folder.push(name),
            }
            let entry = tree.lookup_entry(folder.iter().cloned()).map_err(StoreError::damaged(path))?;
            let Some(entry) = entry else { return Ok(None) };
            if entry.mode().is_blob() {
                return Ok(left.is_empty().then(|| entry.object_id()));
            } else if entry.mode().is_link() {
                links += 1;
                if links > MAX_LINKS || self.blob_bytes(entry.object_id(), path)? > MAX_LINK {
                    return Ok(None);
                }
                let target = self.read_blob(entry.object_id(), path)?;
                if target.starts_with(b"/") {
                    return Ok(None);
                }
                folder.pop();
                left.extend(components(&target));
            } else if !entry.mode().is_tree() {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Returns the paths of all files in a commit.
    ///
    /// # Errors
    /// Fails if a tree cannot be read.
    pub fn paths_at(&self, commit: ObjectId) -> Result<Vec<String>> {
        let mut recorder = gix::traverse::tree::Recorder::default();
        let tree = self.tree_at(commit)?;
        tree.traverse().breadthfirst(&mut recorder).map_err(StoreError::damaged(format!("commit {commit}")))?;
        let files = recorder.records.into_iter().filter(|entry| entry.mode.is_blob());
        Ok(files.map(|entry| entry.filepath.to_str_lossy().into_owned()).collect())
    }

    /// Returns the tree of a commit, or of the commit that a tag points to.
    pub(super) fn tree_at(&self, commit: ObjectId) -> Result<gix::Tree<'_>> {
        let object = self.git.find_object(commit).and_then(gix::Object::peel_to_tree);
        object.map_err(StoreError::damaged(format!("commit {commit}")))
    }

    /// Returns the entries of a folder by name.
    pub(super) fn folder_entries(&self, path: &str, tree: ObjectId) -> Result<BTreeMap<String, (EntryMode, ObjectId)>> {
        let path = if path.is_empty() { "the root" } else { path };
        let read = self.git.find_tree(tree).map_err(StoreError::damaged(path))?;
        let mut entries = BTreeMap::new();
        for entry in read.iter() {
            let entry = entry.map_err(StoreError::damaged(path))?;
            entries.insert(entry.filename().to_str_lossy().into_owned(), (entry.mode(), entry.object_id()));
        }
        Ok(entries)
    }

    /// Returns whether this repository has an object.
    pub fn has(&self, id: ObjectId) -> bool {
        self.git.has_object(id)
    }

    /// Returns the commit that a ref points to, or `None` if there is no ref with this full name.
    ///
    /// # Errors
    /// Fails if the ref cannot be read.
    pub fn commit_of(&self, full_name: &str) -> Result<Option<ObjectId>> {
        FullName::try_from(full_name).map_or(Ok(None), |name| self.ref_target(&name))
    }

    /// Returns the id that a ref points to, or `None` if there is no ref with this full name. The object is not looked up,
    /// which is expensive in a repository with many packs.
    ///
    /// # Errors
    /// Fails if the ref cannot be read.
    pub fn ref_id(&self, full_name: &str) -> Result<Option<ObjectId>> {
        let Ok(name) = FullName::try_from(full_name) else { return Ok(None) };
        let action = "read a ref";
        let found = self.git.try_find_reference(name.as_ref());
        let broken = || self.broken_ref(&name).or_else(|| self.broken_packed_refs());
        let reference = found.map_err(|error| broken().unwrap_or_else(|| StoreError::git(action)(error)))?;
        let id = reference.map(|mut reference| reference.follow_to_object().map(gix::Id::detach));
        id.transpose().map_err(StoreError::git(action))
    }

    /// Returns the folder where git looks for hooks (`core.hooksPath`, or `hooks` in the common folder by default).
    ///
    /// # Errors
    /// Fails if the setting cannot be read.
    pub fn hooks_dir(&self) -> Result<PathBuf> {
        let setting = self.git.config_snapshot().trusted_path("core.hooksPath");
        let setting = setting.map_err(StoreError::git("read the setting core.hooksPath"))?;
        // A relative path is relative to the folder where hooks run: the root of the worktree, or the bare repository.
        let root = self.worktree().unwrap_or(self.git.git_dir());
        Ok(setting.map_or_else(|| self.common_dir().join("hooks"), |path| root.join(path)))
    }

    /// Checks a tree against its id. gix does not: a damaged tree can look like another one.
    ///
    /// # Errors
    /// Fails with [`StoreError::Damaged`] if its content is not what its id promises.
    pub(super) fn check_tree(&self, id: ObjectId) -> Result<()> {
        let name = format!("tree {id}");
        let tree = self.git.find_tree(id).map_err(StoreError::damaged(&name))?;
        let found = gix::objs::compute_hash(gix::hash::Kind::Sha1, gix::objs::Kind::Tree, &tree.data);
        if found.map_err(StoreError::damaged(&name))? != id {
            return Err(StoreError::damaged(name)("its content is not what its id promises"));
        }
        Ok(())
    }

    /// Lists the worktrees besides the main one.
    pub(super) fn linked_worktrees(&self) -> Result<Vec<gix::worktree::Proxy<'_>>> {
        let folder = self.common_dir().join("worktrees");
        self.git.worktrees().map_err(StoreError::git_file("list the worktrees in", &folder))
    }

    /// Returns a configuration that includes the project's own, which may be specific to a worktree.
    pub(super) fn settings_included(&self) -> Result<Vec<u8>> {
        let mut files = vec![self.git.common_dir().join("config")];
        if self.git.config_snapshot().boolean("extensions.worktreeConfig").unwrap_or_default() {
            files.push(self.git.git_dir().join("config.worktree"));
        }
        let mut text = b"[core]\n\trepositoryformatversion = 0\n[include]\n".to_vec();
        for file in files.iter().filter(|file| file.exists()) {
            let path = fs::canonicalize(file).map_err(StoreError::io("read", file))?;
            let mut quoted = Vec::new();
            for byte in path.as_os_str().as_encoded_bytes() {
                match byte {
                    b'\n' => quoted.extend(b"\\n"),
                    b'"' | b'\\' => quoted.extend([b'\\', *byte]),
                    byte => quoted.push(*byte),
                }
            }
            text.extend([&b"\tpath = \""[..], &quoted, b"\"\n"].concat());
        }
        Ok(text)
    }

    /// Returns the folder of the object database.
    pub fn objects_dir(&self) -> PathBuf {
        self.git.objects.store_ref().path().to_owned()
    }

    /// Returns the compression level that git is configured to use for packs.
    pub(super) fn compression(&self) -> Result<gix::zlib::Compression> {
        self.git.pack_compression().map_err(StoreError::git("read the setting pack.compression"))
    }

    pub(super) fn ref_target(&self, name: &FullName) -> Result<Option<ObjectId>> {
        let action = "read the mirror branch's ref";
        let found = self.git.try_find_reference(name.as_ref());
        let reference =
            found.map_err(|error| self.broken_ref(name).unwrap_or_else(|| StoreError::git(action)(error)))?;
        let Some(mut reference) = reference else { return Ok(None) };
        let id = reference.peel_to_id().map_err(StoreError::damaged(format!("what {} stands on", name.as_bstr())))?;
        Ok(Some(id.detach()))
    }
}

/// Makes sure that a committer is set. Git refuses to guess one. This program maintains the mirror, so it can be the
/// committer itself.
pub(super) fn set_committer(git: &mut gix::Repository) -> Result<gix::actor::Signature> {
    let action = "determine the committer";
    let committer = git.committer_or_set_fallback("git-hexmirror", "git-hexmirror@localhost");
    committer.map_err(StoreError::git(action))?.to_owned().map_err(StoreError::git(action))
}

/// Makes sure that a committer is set and that updates of the mirror branch are recorded in its reflog, so that they
/// can be undone. By default, git keeps no reflog in bare repositories or for refs that are not branches.
pub(super) fn set_logging(git: &mut gix::Repository) -> Result<gix::actor::Signature> {
    git.refs.write_reflog = gix::refs::store::WriteReflog::Always;
    set_committer(git)
}

pub(super) fn not_opened(directory: &Path, error: gix::Error) -> StoreError {
    let text = error.iter_errors().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    if text.contains("objectFormat") || text.contains("Object format") {
        return StoreError::Unsupported { feature: "SHA-256 objects (extensions.objectFormat)".into() };
    }
    match error.is_not_found() {
        true => StoreError::NotARepository { directory: directory.to_owned() },
        false => StoreError::git_file("open the repository", directory)(error),
    }
}
