//! Finds hooks that call this program but belong to the user or to a hook runner.

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

/// Returns the file that calls this program for a hook, relative to the worktree if it is in it: the hook itself, one
/// that it runs, or the configuration of the program that manages the hooks.
pub(super) fn caller(project: &Project, hooks: &Path, hook: Hook) -> Option<String> {
    let root = project.repository.worktree()?;
    let relative = |path: PathBuf| path.strip_prefix(root).ok()?.to_str().map(str::to_owned);
    let own = [
        Some(hooks.join(hook.name())),
        // husky: git runs a stub in `.husky/_`, which runs the script of the same name in `.husky`.
        hooks.ends_with("_").then(|| hooks.with_file_name(hook.name())),
    ];
    let runners = LEFTHOOK.iter().flat_map(|name| [(*name).to_owned(), format!(".{name}"), format!(".config/{name}")]);
    let mut candidates = own.into_iter().flatten().filter_map(relative).chain(runners);
    let calls = |file: &String| {
        let content = read_tracked(&project.repository, file, MAX_FILE).ok().flatten();
        content.is_some_and(|content| call::is_called(&content, hook))
    };
    candidates.find(calls).or_else(|| {
        let legacy = hooks.join(format!("{}{LEGACY_SUFFIX}", hook.name()));
        let content = read_regular(&legacy, MAX_FILE).ok()?.ok()?;
        is_ours(&content).then(|| legacy.display().to_string())
    })
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
