//! Finds hooks that call this program but belong to the user or to a hook runner.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use super::project::regular_file::read_regular;
use super::project::worktree::read_tracked;
use super::{Project, Result};
use crate::hook::install::is_ours;
use crate::hook::{Hook, call};

/// The configuration files of lefthook (its `internal/config`), in the worktree's root or in `.config`. It overwrites
/// hooks that other programs install.
const LEFTHOOK: [&str; 4] = ["lefthook.yml", "lefthook.yaml", "lefthook.toml", "lefthook.json"];
/// The suffix that pre-commit appends to the name of a hook that it replaces and runs.
const LEGACY_SUFFIX: &str = ".legacy";
/// The maximum size of a hook or a configuration, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Finds what calls this program for the hooks of a folder. Reads the configuration of hook runners at most once.
pub(super) struct Callers<'a> {
    project: &'a Project,
    hooks: &'a Path,
    runners: OnceCell<Vec<(String, Vec<u8>)>>,
}

impl<'a> Callers<'a> {
    /// Searches for callers of the hooks in a folder.
    pub(super) fn new(project: &'a Project, hooks: &'a Path) -> Self {
        Self { project, hooks, runners: OnceCell::new() }
    }

    /// Returns the file that calls this program for a hook, relative to the worktree if it is in it: the hook itself,
    /// one that it runs, or the configuration of the program that manages the hooks.
    pub(super) fn of(&self, hook: Hook) -> Option<String> {
        let root = self.project.repository.worktree()?;
        let own = [
            Some(self.hooks.join(hook.name())),
            // husky: git runs a stub in `.husky/_`, which runs the script of the same name in `.husky`.
            self.hooks.ends_with("_").then(|| self.hooks.with_file_name(hook.name())),
        ];
        let calls = |path: PathBuf| {
            let (name, content) = match path.strip_prefix(root) {
                Ok(name) => (name.to_str()?.to_owned(), self.read(name.to_str()?)?),
                // The user's own settings name this folder, whose files may be links.
                Err(_) => (path.display().to_string(), read_regular(&canonical(&path), MAX_FILE).ok()?.ok()?),
            };
            call::is_called(&content, hook).then_some(name)
        };
        own.into_iter()
            .flatten()
            .find_map(calls)
            .or_else(|| {
                let mut runners = self.runners().iter();
                runners.find(|(_, content)| call::is_called(content, hook)).map(|(name, _)| name.clone())
            })
            .or_else(|| {
                let legacy = self.hooks.join(format!("{}{LEGACY_SUFFIX}", hook.name()));
                let content = read_regular(&legacy, MAX_FILE).ok()?.ok()?;
                is_ours(&content).then(|| legacy.display().to_string())
            })
    }

    /// Returns the names and contents of the configuration files of hook runners in the worktree.
    fn runners(&self) -> &[(String, Vec<u8>)] {
        self.runners.get_or_init(|| {
            let names = LEFTHOOK.iter();
            let names = names.flat_map(|name| [(*name).to_owned(), format!(".{name}"), format!(".config/{name}")]);
            names.filter_map(|name| self.read(&name).map(|content| (name, content))).collect()
        })
    }

    /// Reads a file of the worktree. Returns `None` if there is none that can be read.
    fn read(&self, name: &str) -> Option<Vec<u8>> {
        read_tracked(&self.project.repository, name, MAX_FILE).ok().flatten()
    }
}

/// Resolves symbolic links in a path. Returns the path itself if it does not exist.
pub(super) fn canonical(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Returns whether the project tracks files in the hooks folder. Changes to such hooks would reach everyone.
///
/// # Errors
/// Fails if git cannot be run.
pub(super) fn is_tracked(project: &Project, hooks: &Path) -> Result<bool> {
    let Some(root) = project.repository.worktree() else { return Ok(false) };
    match canonical(hooks).strip_prefix(canonical(root)) {
        // git itself does not track files in its own folder.
        Ok(folder) if !folder.starts_with(".git") => Ok(project.git(false)?.tracks(folder)?),
        _ => Ok(false),
    }
}
