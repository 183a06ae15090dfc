//! Writes what an update pinned into hexmirror.lock files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;

use crate::lock::{HexmirrorText, Lock, own_lock_beside};
use crate::model::{ReleaseId, Target, ToolsPair};
use crate::ops::project::LockFile;
use crate::ops::project::regular_file::FileRefusal;
use crate::ops::project::worktree::{MAX_LOCK, read_tracked};
use crate::ops::{OpError, Project, Result};
use crate::plan::{BRANCH_ENTRY, DocsPin, FilePin, GitPin, Wanted, tools_line};

/// A hexmirror.lock as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ops) struct ComposedLock {
    /// Its path.
    pub file: String,
    /// Its text; `None` if no such file is needed.
    pub text: Option<String>,
}

/// What an update adds to the hexmirror.lock of the project.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::ops) struct NewPins<'a> {
    pub downloads: &'a [FilePin],
    /// The installers of all versions of Elixir, if those of any changed.
    pub tools: Option<&'a BTreeMap<ToolsPair, Vec<FilePin>>>,
    /// The documentation of all releases, if that of any changed.
    pub docs: Option<&'a BTreeMap<ReleaseId, DocsPin>>,
    pub target: Option<&'a Target>,
    /// The entries of asset tools, instead of those that it has. `None` if those stay.
    pub asset_tools: Option<&'a BTreeSet<String>>,
    /// The new tips of branches.
    pub branches: &'a [GitPin],
    /// What all locks ask for. Entries that it has no use for are removed. `None` if all stay.
    pub asked: Option<&'a Wanted>,
}

impl NewPins<'_> {
    fn is_empty(&self) -> bool {
        let has_tools = self.tools.is_some_and(|tools| !tools.is_empty());
        let has_docs = self.docs.is_some_and(|docs| !docs.is_empty());
        self.downloads.is_empty()
            && !has_tools
            && !has_docs
            && self.asset_tools.is_none()
            && self.target.is_none()
            && self.branches.is_empty()
            && self.asked.is_none()
    }
}

/// Adds pins to the hexmirror.lock of the project, and returns its path. `None` if there is nothing to add, or no worktree to
/// write to.
///
/// # Errors
/// Fails if the file cannot be read or written.
pub(in crate::ops) fn pin_files(project: &Project, locks: &[LockFile], pins: NewPins<'_>) -> Result<Option<String>> {
    let lock = pinned_lock(project, (locks, &[]), pins)?;
    lock.iter().try_for_each(|lock| write_lock(project, lock))?;
    Ok(lock.map(|lock| lock.file))
}

/// Returns the hexmirror.lock as [`pin_files`] writes it. `composed` are locks that are about to be written.
///
/// # Errors
/// Fails if the file cannot be read.
pub(super) fn pinned_lock(
    project: &Project,
    (locks, composed): (&[LockFile], &[ComposedLock]),
    pins: NewPins<'_>,
) -> Result<Option<ComposedLock>> {
    if pins.is_empty() || project.repository.worktree().is_none() {
        return Ok(None);
    }
    let file = place(locks);
    let known = match composed.iter().find(|lock| lock.file == file) {
        Some(lock) => lock.text.clone().unwrap_or_default().into_bytes(),
        None => read_tracked(&project.repository, &file, MAX_LOCK)?.unwrap_or_default(),
    };
    let mut text = HexmirrorText::read(&String::from_utf8_lossy(&known));
    let targets = pins.target.map(target_line).into_iter();
    let mut is_changed = text.add(pins.downloads.iter().map(FilePin::download_line).chain(targets));
    if let Some(tools) = pins.tools.filter(|tools| !tools.is_empty()) {
        let lines: BTreeSet<String> = tools.iter().map(|(pair, pins)| tools_line(pair, pins)).collect();
        is_changed |= text.replace(|kind| kind == "tools", |line| words(line, 5), lines);
    }
    if let Some(lines) = pins.asset_tools {
        is_changed |= text.replace(|kind| kind == ASSET_TOOL, |line| words(line, 4), lines.clone());
    }
    if let Some(docs) = pins.docs.filter(|docs| !docs.is_empty()) {
        let lines: BTreeSet<String> = docs.iter().map(|(release, pin)| pin.line(release)).collect();
        is_changed |= text.replace(|kind| kind == "docs", |line| words(line, 4), lines);
    }
    if !pins.branches.is_empty() {
        let pinned = pinned_branches(&file, &known)?.with_branches(pins.branches);
        let lines: BTreeSet<String> = pinned.git.iter().filter_map(GitPin::branch_line).collect();
        is_changed |= text.replace(|kind| kind == BRANCH_ENTRY, branch_of, lines);
    }
    if let Some(asked) = pins.asked {
        is_changed |= text.retain(|line| asked.uses_line(line));
    }
    let text = (!text.is_empty()).then(|| text.text());
    Ok(is_changed.then_some(ComposedLock { file, text }))
}

/// Returns the branches that the hexmirror.lock pins which [`pin_files`] writes.
///
/// # Errors
/// Fails if the file cannot be read.
pub(super) fn branches_of_project(project: &Project, locks: &[LockFile]) -> Result<Vec<GitPin>> {
    let file = place(locks);
    let known = read_tracked(&project.repository, &file, MAX_LOCK)?.unwrap_or_default();
    Ok(pinned_branches(&file, &known)?.git)
}

/// Returns the branches that the text of a hexmirror.lock pins.
fn pinned_branches(file: &str, text: &[u8]) -> Result<Wanted> {
    let mut wanted = Wanted::default();
    let read = Lock::parse(file, text).and_then(|lock| wanted.add(&lock));
    read.map_err(|source| OpError::Lock { file: file.to_owned(), text: text.to_vec(), source })?;
    wanted.git.retain(|pin| pin.as_of.is_some());
    Ok(Wanted { git: wanted.git, ..Wanted::default() })
}

/// Returns the words of an entry of a branch that name it.
fn branch_of(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    [words.get(1), words.get(3)].into_iter().flatten().copied().collect::<Vec<_>>().join(" ")
}

/// Returns the path of the hexmirror.lock with what belongs to no particular project of the repository: beside the lock
/// that is nearest to the root.
fn place(locks: &[LockFile]) -> String {
    let nearest = locks.iter().map(|lock| lock.file.as_str()).min_by_key(|file| (file.matches('/').count(), *file));
    own_lock_beside(nearest.unwrap_or_default())
}

/// The kind of an entry that pins a build of an asset tool.
pub(in crate::ops) const ASSET_TOOL: &str = "asset-tool";
/// The kind of an entry that names a machine.
pub(in crate::ops) const TARGET: &str = "target";

/// Returns the entry of a hexmirror.lock that names a machine.
fn target_line(target: &Target) -> String {
    format!("{TARGET} {target}")
}

/// Returns the first words of an entry, which name what it is about.
fn words(line: &str, count: usize) -> String {
    line.split(' ').take(count).collect::<Vec<_>>().join(" ")
}

/// Writes a hexmirror.lock into the worktree, all or nothing, or removes it.
pub(in crate::ops) fn write_lock(project: &Project, lock: &ComposedLock) -> Result<()> {
    let Some(root) = project.repository.worktree() else {
        return Err(OpError::LockWouldChange { file: lock.file.clone(), is_bare: true });
    };
    let path = root.join(&lock.file);
    let failed = || OpError::machine("write", &path);
    let folder = path.parent().unwrap_or(root);
    let [real_root, real_folder] = [root, folder].map(fs::canonicalize);
    let (real_root, real_folder) = (real_root.map_err(failed())?, real_folder.map_err(failed())?);
    if !real_folder.starts_with(&real_root) {
        return Err(OpError::Refused { file: lock.file.clone(), reason: FileRefusal::Outside });
    }
    let Some(text) = &lock.text else {
        return fs::remove_file(&path).map_err(failed());
    };
    let write = || {
        // The permissions of a file that git checks out.
        let mut builder = tempfile::Builder::new();
        let mut file = checked_out(builder.prefix(".hexmirror")).tempfile_in(&real_folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path).map(drop).map_err(|error| error.error)
    };
    write().map_err(failed())
}

#[cfg(unix)]
fn checked_out<'b, 'p, 's>(builder: &'b mut tempfile::Builder<'p, 's>) -> &'b mut tempfile::Builder<'p, 's> {
    use std::os::unix::fs::PermissionsExt;

    builder.permissions(fs::Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
fn checked_out<'b, 'p, 's>(builder: &'b mut tempfile::Builder<'p, 's>) -> &'b mut tempfile::Builder<'p, 's> {
    builder
}

/// Returns the locks with the composed ones in place of the files.
pub(super) fn with_composed(locks: &[LockFile], composed: &[ComposedLock]) -> Result<Vec<LockFile>> {
    let is_composed = |lock: &&LockFile| composed.iter().any(|composed| composed.file == lock.file);
    let mut all: Vec<LockFile> = locks.iter().filter(|lock| !is_composed(lock)).cloned().collect();
    for ComposedLock { file, text } in composed {
        if let Some(text) = text {
            all.push(LockFile::read(file.clone(), text.clone().into_bytes())?);
        }
    }
    all.sort_by(|one, other| one.file.cmp(&other.file));
    Ok(all)
}
