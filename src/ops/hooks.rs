//! Installs and uninstalls the hooks, and returns their state.

use std::path::Path;

use super::hook_callers::{Callers, canonical, is_tracked};
use super::{OpError, Project, Result};
use crate::hook::Hook;
use crate::hook::install::{HooksDir, State};
use crate::store::Lock;

/// The result of installing the hooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledHooks {
    /// The hooks that changed.
    pub changed: Vec<Hook>,
    /// The hooks that are in a tracked folder and do not call this program. They were not changed.
    pub tracked: Vec<Hook>,
}

/// The state of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookState {
    /// The hook.
    pub hook: Hook,
    /// The state of its file.
    pub state: State,
    /// The file that calls this program, if it is not one that this program installed.
    pub caller: Option<String>,
}

/// Installs all hooks, except those that already call this program. `binary` is the path of this program. Does not
/// change a folder with tracked files.
///
/// # Errors
/// Fails if the hooks folder does not belong to this repository, a file cannot be written, or an existing hook cannot
/// be moved aside.
pub fn install_hooks(project: &Project, binary: &Path) -> Result<InstalledHooks> {
    let hooks = hooks_dir(project, binary)?;
    let states = hook_states(project, binary)?;
    let lacking: Vec<Hook> =
        states.into_iter().filter(|state| state.caller.is_none()).map(|state| state.hook).collect();
    match hooks_owner(project)? {
        // Hooks that already call this program need no change.
        HooksOwner::User if !lacking.is_empty() => {
            return Err(OpError::SharedHooks { folder: hooks.folder().to_owned() });
        }
        HooksOwner::Project => return Ok(InstalledHooks { changed: Vec::new(), tracked: lacking }),
        HooksOwner::User | HooksOwner::Clone => {}
    }
    let _lock = Lock::acquire(&project.repository, || {})?;
    let changed = changed(lacking, |hook| Ok(hooks.install(hook)?))?;
    share(project, hooks.folder(), &changed)?;
    Ok(InstalledHooks { changed, tracked: Vec::new() })
}

/// Uninstalls all hooks and restores the hooks that existed before. Returns the hooks that changed.
///
/// # Errors
/// Fails if a file cannot be written.
pub fn uninstall_hooks(project: &Project, binary: &Path) -> Result<Vec<Hook>> {
    let hooks = hooks_dir(project, binary)?;
    let _lock = Lock::acquire(&project.repository, || {})?;
    changed(Hook::ALL, |hook| Ok(hooks.uninstall(hook)?))
}

/// Returns the state of each hook.
///
/// # Errors
/// Fails if a file cannot be read.
pub fn hook_states(project: &Project, binary: &Path) -> Result<Vec<HookState>> {
    let hooks = hooks_dir(project, binary)?;
    let callers = Callers::new(project, hooks.folder());
    let of = |hook| {
        let state = hooks.state(hook)?;
        let is_ours = !matches!(state, State::Absent | State::Foreign);
        let caller = if is_ours { None } else { callers.of(hook) };
        Ok(HookState { hook, state, caller })
    };
    Hook::ALL.into_iter().map(of).collect()
}

/// Whose hooks are in the hooks folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HooksOwner {
    /// This clone's, so hooks can be installed.
    Clone,
    /// The project's: it tracks files there, so a change would reach everyone.
    Project,
    /// The user's: the folder is outside the repository, so other repositories may use its hooks, too.
    User,
}

/// Returns whose hooks are in the hooks folder.
///
/// # Errors
/// Fails if git's configuration or index cannot be read.
pub fn hooks_owner(project: &Project) -> Result<HooksOwner> {
    let folder = project.repository.hooks_dir()?;
    Ok(match is_own(project, &folder) {
        false => HooksOwner::User,
        true if is_tracked(project, &folder)? => HooksOwner::Project,
        true => HooksOwner::Clone,
    })
}

/// Returns the repository's hooks folder, for hooks that call `binary`.
///
/// # Errors
/// Fails if git's configuration cannot be read.
pub fn hooks_dir(project: &Project, binary: &Path) -> Result<HooksDir> {
    Ok(HooksDir::new(project.repository.hooks_dir()?, binary))
}

/// Returns whether a folder of hooks is in the repository.
pub(super) fn is_own(project: &Project, folder: &Path) -> bool {
    let folder = canonical(folder);
    let own = [project.repository.worktree(), Some(project.repository.common_dir())];
    own.into_iter().flatten().any(|own| folder.starts_with(canonical(own)))
}

/// Gives the hooks the repository's shared permissions, if they are in the git directory rather than in the worktree.
fn share(project: &Project, folder: &Path, hooks: &[Hook]) -> Result<()> {
    if !folder.starts_with(project.repository.common_dir()) {
        return Ok(());
    }
    for path in hooks.iter().map(|hook| folder.join(hook.name())) {
        let aside = crate::hook::install::chained_path(&path);
        for path in [Some(folder), Some(&path), aside.parent(), Some(&aside)].into_iter().flatten() {
            project.repository.share(path)?;
        }
    }
    Ok(())
}

/// Changes hooks and returns those for which `change` reports a change.
pub(super) fn changed(
    hooks: impl IntoIterator<Item = Hook>,
    change: impl Fn(Hook) -> Result<bool>,
) -> Result<Vec<Hook>> {
    let mut changed = Vec::new();
    for hook in hooks {
        if change(hook)? {
            changed.push(hook);
        }
    }
    Ok(changed)
}
