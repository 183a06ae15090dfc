//! Installs the hooks, and does what they are for.

use std::path::Path;

use super::project::LockText;
use super::status::{self, Status};
use super::{OpError, Project, Result};
use crate::config::{PostCheckout, PrePush};
use crate::hook::Hook;
use crate::hook::install::{HooksDir, State};
use crate::hook::pushed::PushedRef;
use crate::store::ObjectId;

/// Installs all hooks; `binary` is where this program is. Returns those that changed.
///
/// # Errors
/// Fails where a file cannot be written, or a hook cannot be put aside.
pub fn install_hooks(project: &Project, binary: &Path) -> Result<Vec<Hook>> {
    let hooks = hooks_dir(project, binary)?;
    changed(|hook| Ok(hooks.install(hook)?))
}

/// Takes all hooks away and puts back what was there before. Returns those that changed.
///
/// # Errors
/// Fails where a file cannot be written.
pub fn uninstall_hooks(project: &Project, binary: &Path) -> Result<Vec<Hook>> {
    let hooks = hooks_dir(project, binary)?;
    changed(|hook| Ok(hooks.uninstall(hook)?))
}

/// Tells how each hook stands.
///
/// # Errors
/// Fails where a file cannot be read.
pub fn hook_states(project: &Project, binary: &Path) -> Result<Vec<(Hook, State)>> {
    let hooks = hooks_dir(project, binary)?;
    Hook::ALL.into_iter().map(|hook| Ok((hook, hooks.state(hook)?))).collect()
}

/// Returns the folder that hooks are in, for installing `binary` there.
///
/// # Errors
/// Fails where git's setting cannot be read.
pub fn hooks_dir(project: &Project, binary: &Path) -> Result<HooksDir> {
    Ok(HooksDir::new(project.repository.hooks_dir()?, binary))
}

fn changed(change: impl Fn(Hook) -> Result<bool>) -> Result<Vec<Hook>> {
    let mut changed = Vec::new();
    for hook in Hook::ALL {
        if change(hook)? {
            changed.push(hook);
        }
    }
    Ok(changed)
}

/// What `pre-push` comes to.
#[derive(Debug, Clone)]
pub enum PushCheck {
    /// Nothing that is pushed concerns the mirror.
    Irrelevant,
    /// Something pushed has locks that the mirror lacks things for.
    Stale {
        /// The ref that is pushed, and what its locks come to.
        refs: Vec<(String, Status)>,
    },
    /// The mirror is fresh, and the remote has it, as far as is known without asking.
    Shared,
    /// The mirror is fresh, and has to go to the remote.
    Share,
}

/// Compares what is about to be pushed with the mirror. Asks no network.
///
/// Tags, deletions and the mirror branch itself do not concern it, nor do commits whose locks the remote has already.
///
/// # Errors
/// Fails where a lock cannot be used or the mirror cannot be read.
pub fn check_push(project: &Project, remote: &str, refs: &[PushedRef]) -> Result<PushCheck> {
    if project.config.pre_push == PrePush::Off {
        return Ok(PushCheck::Irrelevant);
    }
    let (mut stale, mut relevant) = (Vec::new(), false);
    for pushed in refs {
        let Some(locks) = relevant_locks(project, pushed)? else { continue };
        relevant = true;
        let status = status::compare(project, &locks, false)?;
        if !status.summary.fresh {
            stale.push((pushed.remote_ref.clone(), status));
        }
    }
    if !stale.is_empty() {
        return Ok(PushCheck::Stale { refs: stale });
    }
    let shared = || -> Result<bool> {
        let known = project.repository.remote_tips(&project.branch)?;
        let known = known.into_iter().find(|(name, _)| name == remote).map(|(_, tip)| tip);
        Ok(known.is_some() && known == project.repository.tip(&project.branch)?)
    };
    Ok(match relevant {
        false => PushCheck::Irrelevant,
        true if shared()? => PushCheck::Shared,
        true => PushCheck::Share,
    })
}

/// Returns the locks of a pushed commit, where they are not what the remote has already.
fn relevant_locks(project: &Project, pushed: &PushedRef) -> Result<Option<Vec<LockText>>> {
    if pushed.remote_ref.starts_with("refs/tags/") || pushed.remote_ref == project.branch.full_name() {
        return Ok(None);
    }
    let Some(commit) = object(pushed.local.as_deref()) else { return Ok(None) };
    if let Some(remote) = object(pushed.remote.as_deref()).filter(|remote| project.repository.has(*remote))
        && !locks_differ(project, remote, commit)?
    {
        return Ok(None);
    }
    Ok(Some(project.locks_at(commit)?).filter(|locks| !locks.is_empty()))
}

/// Tells whether the checked-out locks are others than those of the commit that was checked out before. Compares blobs and
/// reads no file.
///
/// # Errors
/// Fails where a commit cannot be read.
pub fn locks_changed(project: &Project, before: &str, after: &str) -> Result<bool> {
    match (object(Some(before)), object(Some(after))) {
        (Some(before), Some(after)) if project.repository.has(before) => locks_differ(project, before, after),
        _ => Ok(true),
    }
}

/// Returns what the locks that are checked out come to, if there are any and the hook is to say so.
///
/// # Errors
/// Fails where a lock cannot be used or the mirror cannot be read.
pub fn check_checkout(project: &Project) -> Result<Option<Status>> {
    if project.config.post_checkout == PostCheckout::Off || project.repository.tip(&project.branch)?.is_none() {
        return Ok(None);
    }
    match status::status(project, false) {
        Err(OpError::NoLock { .. }) => Ok(None),
        status => Ok(Some(status?).filter(|status| !status.summary.fresh)),
    }
}

fn locks_differ(project: &Project, one: ObjectId, other: ObjectId) -> Result<bool> {
    let mut paths = project.lock_paths_at(other)?;
    paths.extend(project.lock_paths_at(one)?);
    for path in paths {
        if project.repository.blob_at(one, &path)? != project.repository.blob_at(other, &path)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads an object's id; that of nothing, all zeros, is none.
fn object(id: Option<&str>) -> Option<ObjectId> {
    ObjectId::from_hex(id?.as_bytes()).ok().filter(|id| !id.is_null())
}
