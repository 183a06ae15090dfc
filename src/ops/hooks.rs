//! Installs the hooks, and does what they are for.

use std::path::Path;

use super::integrate::covers;
use super::project::LockFile;
use super::signers::check_outgoing;
use super::status::{self, Status};
use super::sync::{Pull, pull_known};
use super::{OpError, Project, Result};
use crate::config::{PostCheckout, PrePush};
use crate::hook::Hook;
use crate::hook::install::{HooksDir, State};
use crate::hook::pushed::PushedRef;
use crate::model::Remote;
use crate::progress::{Progress, Silent};
use crate::store::{Lock, ObjectId};

/// Installs all hooks; `binary` is where this program is. Returns those that changed.
///
/// # Errors
/// Fails where the folder of hooks is not this repository's own, a file cannot be written, or a hook cannot be put aside.
pub fn install_hooks(project: &Project, binary: &Path) -> Result<Vec<Hook>> {
    let hooks = hooks_dir(project, binary)?;
    refuse_shared(project, hooks.folder())?;
    let _lock = Lock::acquire(&project.repository, || {})?;
    let installed = changed(|hook| Ok(hooks.install(hook)?))?;
    share(project, hooks.folder(), &installed)?;
    Ok(installed)
}

/// Takes all hooks away and puts back what was there before. Returns those that changed.
///
/// # Errors
/// Fails where a file cannot be written.
pub fn uninstall_hooks(project: &Project, binary: &Path) -> Result<Vec<Hook>> {
    let hooks = hooks_dir(project, binary)?;
    let _lock = Lock::acquire(&project.repository, || {})?;
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

/// Fails where the folder is outside the repository: other repositories take their hooks from there too.
fn refuse_shared(project: &Project, folder: &Path) -> Result<()> {
    let whole = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder_itself = whole(folder);
    let own = [project.repository.worktree(), Some(project.repository.common_dir())];
    if own.into_iter().flatten().any(|own| folder_itself.starts_with(whole(own))) {
        return Ok(());
    }
    Err(OpError::SharedHooks { folder: folder.to_owned() })
}

/// Gives hooks the permissions of the repository, if they are in it and not in its worktree.
fn share(project: &Project, folder: &Path, hooks: &[Hook]) -> Result<()> {
    if !folder.starts_with(project.repository.common_dir()) {
        return Ok(());
    }
    for path in hooks.iter().map(|hook| folder.join(hook.name())) {
        let aside = crate::hook::install::before(&path);
        for path in [Some(folder), Some(&path), aside.parent(), Some(&aside)].into_iter().flatten() {
            project.repository.share(path)?;
        }
    }
    Ok(())
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
    /// Nothing that is pushed needs anything of the mirror, or the remote has what it needs, as far as is known here, and
    /// there is nothing here that could be shared instead.
    Nothing,
    /// Something pushed has locks that the mirror lacks things for.
    Stale {
        /// The branches, and what their locks come to.
        refs: Vec<(PushedLocks, Status)>,
    },
    /// The mirror is fresh, and has to go to the remote.
    Share {
        /// The branches whose locks have to find everything there afterwards.
        needed: Vec<PushedLocks>,
    },
}

/// A branch that is pushed, and its locks.
#[derive(Debug, Clone)]
pub struct PushedLocks {
    /// The full name of the branch on the remote.
    pub reference: String,
    /// The locks of the commit that is pushed.
    pub locks: Vec<LockFile>,
}

impl PushedLocks {
    /// Returns the branch's name, for people.
    pub fn branch(&self) -> &str {
        self.reference.strip_prefix("refs/heads/").unwrap_or(&self.reference)
    }
}

/// Compares what is about to be pushed with the mirror. Asks no network.
///
/// Tags, deletions and the mirror branch itself do not concern it, nor do commits whose locks the remote has already.
///
/// # Errors
/// Fails where a lock cannot be used or the mirror cannot be read, and if the mirror branch is pushed too and has a registry
/// entry that its repository did not sign.
pub fn check_push(project: &Project, remote: &Remote, refs: &[PushedRef]) -> Result<PushCheck> {
    let mode = project.config.pre_push;
    if mode == PrePush::Off {
        return Ok(PushCheck::Nothing);
    }
    let mirror = project.branch.full_name();
    // Where the mirror branch is among what is pushed, that is what the remote will have.
    let along =
        refs.iter().find(|pushed| pushed.remote_ref == mirror).and_then(|pushed| object(pushed.local.as_deref()));
    let there = match along {
        Some(along) => {
            // What is no mirror is for the checks below.
            if let Ok(along) = project.snapshot_of(None, along) {
                check_outgoing(project, remote, &along, &Silent)?;
            }
            Some(along)
        }
        None => project.repository.remote_tip(remote, &project.branch)?,
    };
    // Only the local mirror can go along.
    let own = || project.repository.tip(&project.branch);
    let (mut stale, mut needed, mut share) = (Vec::new(), Vec::new(), false);
    for pushed in refs {
        let Some(commit) = commit_of_branch(project, pushed) else { continue };
        let locks = project.locks_at(commit)?;
        if locks.is_empty() {
            continue;
        }
        let pushed_locks = || PushedLocks { reference: pushed.remote_ref.clone(), locks: locks.clone() };
        if !brings_locks(project, remote, pushed, commit)? {
            // Where nothing of the mirror is on the remote yet, any push is the first occasion. Nobody waits for it, so a
            // mirror that is broken is no reason to stop this push.
            let first = mode == PrePush::Push && there.is_none();
            share |= first && own().ok().flatten().is_some_and(|own| has_all(project, own, &locks));
            continue;
        }
        // A mirror on the remote that is damaged, or none at all, does not count.
        let known = there.and_then(|there| status::compare_at(project, Some(there), &locks, false).ok());
        if let Some(known) = known.filter(|known| known.summary.fresh) {
            // Somebody may have dropped some of it since it was seen, whether that was behind the local mirror, where it
            // stands or ahead of it. To find out takes one request, which a changed lock is worth.
            if mode == PrePush::Push && along.is_none() && known.summary.present + known.summary.git > 0 {
                share |= own().ok().flatten().is_some_and(|own| has_all(project, own, &locks));
                needed.push(pushed_locks());
            }
            continue;
        }
        let status = status::compare_at(project, own()?, &locks, false)?;
        if status.summary.fresh {
            // Locks that pin nothing are fresh without a mirror.
            share |= status.commit.is_some();
            needed.push(pushed_locks());
        } else {
            stale.push((pushed_locks(), status));
        }
    }
    Ok(match share {
        _ if !stale.is_empty() => PushCheck::Stale { refs: stale },
        true => PushCheck::Share { needed },
        false => PushCheck::Nothing,
    })
}

/// Brings what is known here of a remote's mirror, where the local one lags behind it: a push then has nothing to merge, and is
/// one request.
///
/// # Errors
/// Fails as [`pull_known`] does.
pub fn catch_up(project: &Project, remote: &Remote, progress: &dyn Progress) -> Result<Option<Pull>> {
    let repository = &project.repository;
    let (own, there) = (repository.tip(&project.branch)?, repository.remote_tip(remote, &project.branch)?);
    match own.zip(there) {
        Some((own, there)) if own != there && repository.is_ancestor(own, there)? => {
            pull_known(project, remote, progress)
        }
        _ => Ok(None),
    }
}

/// Returns those of the branches whose locks the local mirror lacks anything for, as after it was merged.
///
/// # Errors
/// Fails where a lock cannot be used or the mirror cannot be read.
pub fn lacking(project: &Project, pushed: Vec<PushedLocks>) -> Result<Vec<(PushedLocks, Status)>> {
    let tip = project.repository.tip(&project.branch)?;
    let mut lacking = Vec::new();
    for pushed in pushed {
        let status = status::compare_at(project, tip, &pushed.locks, false)?;
        if !status.summary.fresh {
            lacking.push((pushed, status));
        }
    }
    Ok(lacking)
}

/// Tells whether a remote's mirror has everything for the branches, as far as is known without asking it.
pub fn remote_has(project: &Project, remote: &Remote, pushed: &[PushedLocks]) -> bool {
    let tip = project.repository.remote_tip(remote, &project.branch).ok().flatten();
    tip.is_some_and(|tip| pushed.iter().all(|pushed| has_all(project, tip, &pushed.locks)))
}

/// Tells whether a mirror has everything for some locks; one that cannot be read has not.
fn has_all(project: &Project, tip: ObjectId, locks: &[LockFile]) -> bool {
    status::compare_at(project, Some(tip), locks, false).is_ok_and(|status| status.summary.fresh)
}

/// Returns the commit that is pushed to a branch; nothing for a tag, a deletion, the mirror branch, or what is no commit.
fn commit_of_branch(project: &Project, pushed: &PushedRef) -> Option<ObjectId> {
    if pushed.remote_ref.starts_with("refs/tags/") || pushed.remote_ref == project.branch.full_name() {
        return None;
    }
    object(pushed.local.as_deref()).filter(|commit| project.repository.is_commit(*commit))
}

/// Tells whether a pushed commit has other locks than the remote is known to have.
fn brings_locks(project: &Project, remote: &Remote, pushed: &PushedRef, commit: ObjectId) -> Result<bool> {
    let mut there = Vec::new();
    if let Some(before) = object(pushed.remote.as_deref()).filter(|before| project.repository.has(*before)) {
        if !locks_differ(project, before, commit)? {
            return Ok(false);
        }
        there.push(before);
    }
    let branches = project.repository.branches_of(remote)?;
    if there.is_empty() {
        // A new branch, or one that somebody moved: most have the locks of another branch.
        for branch in &branches {
            if !locks_differ(project, *branch, commit)? {
                return Ok(false);
            }
        }
    }
    there.extend(branches);
    Ok(!project.repository.is_in(commit, &there)?)
}

/// Tells whether the checked-out locks are others than those of the commit that was checked out before. Compares blobs and
/// reads no file. Where either is not known, they may be.
///
/// # Errors
/// Fails where a commit cannot be read.
pub fn locks_changed(project: &Project, before: Option<&str>, after: Option<&str>) -> Result<bool> {
    match (object(before), object(after)) {
        (Some(before), Some(after)) if project.repository.has(before) => locks_differ(project, before, after),
        _ => Ok(true),
    }
}

/// Returns what the locks that are checked out come to, where the mirror lacks anything for them.
///
/// # Errors
/// Fails where a lock cannot be used or the mirror cannot be read.
pub fn check_checkout(project: &Project) -> Result<Option<Status>> {
    if project.config.post_checkout == PostCheckout::Off {
        return Ok(None);
    }
    // What is checked out may be older than the settings that name its locks.
    match project.present_locks().and_then(|locks| status::compare(project, &locks, false)) {
        Err(OpError::NoLock { .. }) => Ok(None),
        status => Ok(Some(status?).filter(|status| !status.summary.fresh)),
    }
}

/// Returns the remote whose mirror has everything that some locks pin, as far as is known without asking it.
///
/// A mirror that the local one has been merged with is none: to pull it brings nothing back that was dropped since.
///
/// # Errors
/// Fails where it cannot be read what remotes were last seen with.
pub fn remote_with_all(project: &Project, locks: &[LockFile]) -> Result<Option<Remote>> {
    let own = project.repository.tip(&project.branch).ok().flatten();
    let brings = |tip| !own.is_some_and(|own| covers(project, own, tip).unwrap_or(false));
    let tips = project.repository.remote_tips(&project.branch)?;
    Ok(tips.into_iter().find(|(_, tip)| has_all(project, *tip, locks) && brings(*tip)).map(|(remote, _)| remote))
}

fn locks_differ(project: &Project, one: ObjectId, other: ObjectId) -> Result<bool> {
    if one == other {
        return Ok(false);
    }
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
