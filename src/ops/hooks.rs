//! Installs the hooks and implements what they do.

use std::collections::BTreeSet;
use std::path::Path;

use super::hook_callers::{caller, canonical, is_tracked};
use super::project::LockFile;
use super::status::{self, Status};
use super::sync::checks::check_outgoing;
use super::sync::history::covers;
use super::sync::{PullOutcome, pull_known};
use super::{OpError, Project, Result};
use crate::config::{PostCheckout, PrePush};
use crate::hook::Hook;
use crate::hook::install::{HooksDir, State};
use crate::hook::pushed::PushedRef;
use crate::model::{Remote, RepositoryName};
use crate::plan::Comparison;
use crate::progress::Progress;
use crate::store::{Lock, ObjectId};

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
    refuse_shared(project, hooks.folder())?;
    let states = hook_states(project, binary)?;
    let lacking = states.into_iter().filter(|state| state.caller.is_none()).map(|state| state.hook);
    if is_tracked(project, hooks.folder())? {
        return Ok(InstalledHooks { changed: Vec::new(), tracked: lacking.collect() });
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
    let of = |hook| {
        let state = hooks.state(hook)?;
        let is_ours = !matches!(state, State::Absent | State::Foreign);
        let caller = if is_ours { None } else { caller(project, hooks.folder(), hook) };
        Ok(HookState { hook, state, caller })
    };
    Hook::ALL.into_iter().map(of).collect()
}

/// Returns whether the project tracks files in the hooks folder, so that hooks cannot be installed in it.
///
/// # Errors
/// Fails if git's configuration or index cannot be read.
pub fn hooks_are_tracked(project: &Project) -> Result<bool> {
    is_tracked(project, &project.repository.hooks_dir()?)
}

/// Returns the repository's hooks folder, for hooks that call `binary`.
///
/// # Errors
/// Fails if git's configuration cannot be read.
pub fn hooks_dir(project: &Project, binary: &Path) -> Result<HooksDir> {
    Ok(HooksDir::new(project.repository.hooks_dir()?, binary))
}

/// Fails if the folder is outside the repository, because other repositories may use its hooks too.
fn refuse_shared(project: &Project, folder: &Path) -> Result<()> {
    let folder_itself = canonical(folder);
    let own = [project.repository.worktree(), Some(project.repository.common_dir())];
    if own.into_iter().flatten().any(|own| folder_itself.starts_with(canonical(own))) {
        return Ok(());
    }
    Err(OpError::SharedHooks { folder: folder.to_owned() })
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

/// The decision of the `pre-push` hook.
#[derive(Debug, Clone)]
pub enum PushCheck {
    /// There is nothing to do: the push needs nothing from the mirror, or the remote's mirror had it when last fetched,
    /// and the local mirror has nothing to share.
    Nothing,
    /// The mirror lacks something that the pushed locks pin.
    Stale {
        /// The pushed branches and the status of their locks.
        refs: Vec<(PushedLocks, Status)>,
    },
    /// The mirror is fresh and must be pushed to the remote.
    Share {
        /// The branches whose locks must be covered by the remote's mirror afterwards.
        needed: Vec<PushedLocks>,
    },
}

/// A pushed branch and its locks.
#[derive(Debug, Clone)]
pub struct PushedLocks {
    /// The full name of the branch on the remote.
    pub reference: String,
    /// The locks in the pushed commit.
    pub locks: Vec<LockFile>,
}

impl PushedLocks {
    /// Returns the branch's short name for display.
    pub fn branch(&self) -> &str {
        self.reference.strip_prefix("refs/heads/").unwrap_or(&self.reference)
    }
}

/// Compares what is about to be pushed with the mirror, without network access.
///
/// Ignores tags, deletions, the mirror branch itself, and commits whose locks the remote already has.
///
/// # Errors
/// Fails if a lock is invalid or the mirror cannot be read. Also fails if a pushed ref contains a mirror with a registry
/// entry that its repository did not sign.
pub fn check_push(project: &Project, remote: &Remote, refs: &[PushedRef]) -> Result<PushCheck> {
    // Tracked settings come with a branch. They must not disable the check of a mirror.
    if project.own_pre_push() != Some(PrePush::Off) {
        check_mirrors(project, remote, refs)?;
    }
    let mode = project.config.pre_push;
    if mode == PrePush::Off {
        return Ok(PushCheck::Nothing);
    }
    let mirror = project.branch.full_name();
    // If the mirror branch itself is pushed, compare with the commit that the remote is about to have.
    let pushed_mirror =
        refs.iter().find(|pushed| pushed.remote_ref == mirror).and_then(|pushed| object(pushed.local.as_deref()));
    let remote_mirror = match pushed_mirror {
        Some(pushed_mirror) => Some(pushed_mirror),
        None => project.repository.remote_tip(remote, &project.branch)?,
    };
    // Only the local mirror can be pushed with the branches.
    let own = || project.repository.tip(&project.branch);
    let (mut stale, mut needed, mut share) = (Vec::new(), Vec::new(), false);
    for pushed in refs {
        let Some(commit) = commit_of_branch(project, pushed) else { continue };
        let locks = project.locks_at(commit)?;
        if locks.is_empty() {
            continue;
        }
        let pushed_locks = || PushedLocks { reference: pushed.remote_ref.clone(), locks: locks.clone() };
        if !has_new_locks(project, remote, pushed, commit)? {
            // While the remote has no mirror yet, share the local mirror with any push. This is optional, so a broken
            // mirror does not block the push.
            let first = mode == PrePush::Push && remote_mirror.is_none();
            share |= first && own().ok().flatten().is_some_and(|own| has_all(project, own, &locks));
            continue;
        }
        // A missing or damaged mirror on the remote covers no locks.
        let known = remote_mirror
            .and_then(|remote_mirror| status::compare_at(project, Some(remote_mirror), &locks, false).ok());
        if let Some(known) = known.filter(|known| known.summary.fresh) {
            // Another user may have pruned the remote's mirror since the last fetch. A changed lock justifies one
            // request to find out.
            if mode == PrePush::Push && pushed_mirror.is_none() && known.summary.present + known.summary.git > 0 {
                share |= own().ok().flatten().is_some_and(|own| has_all(project, own, &locks));
                needed.push(pushed_locks());
            }
            continue;
        }
        let status = status::compare_at(project, own()?, &locks, false)?;
        if status.summary.fresh {
            // Locks without any pins are fresh without a mirror.
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

/// Verifies the registry entries of the mirrors among the pushed refs. A mirror is recognised by its tree, because
/// tracked settings can name another branch.
fn check_mirrors(project: &Project, remote: &Remote, refs: &[PushedRef]) -> Result<()> {
    let pushed = refs.iter().filter_map(|pushed| object(pushed.local.as_deref()));
    let mirrors: BTreeSet<ObjectId> = pushed.filter_map(|id| project.repository.mirror_commit(id)).collect();
    for mirror in mirrors {
        // A project may have files with these names. Nobody uses a mirror that this program cannot open.
        if let Ok(mirror) = project.snapshot_of(None, mirror) {
            check_outgoing(project, remote, &mirror)?;
        }
    }
    Ok(())
}

/// Fast-forwards the local mirror to the remote's as last fetched, if the local mirror is behind. The push then needs
/// no merge and only one request.
///
/// # Errors
/// Fails as [`pull_known`] does.
pub fn catch_up(project: &Project, remote: &Remote, progress: &dyn Progress) -> Result<Option<PullOutcome>> {
    let repository = &project.repository;
    let (own, theirs) = (repository.tip(&project.branch)?, repository.remote_tip(remote, &project.branch)?);
    match own.zip(theirs) {
        Some((own, theirs)) if own != theirs && repository.is_ancestor(own, theirs)? => {
            pull_known(project, remote, progress)
        }
        _ => Ok(None),
    }
}

/// Returns the branches whose locks are not covered by the local mirror, for use after a merge.
///
/// # Errors
/// Fails if a lock is invalid or the mirror cannot be read.
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

/// Returns whether the remote's mirror, as last fetched, covers the locks of all these branches.
pub fn remote_has(project: &Project, remote: &Remote, pushed: &[PushedLocks]) -> bool {
    let tip = project.repository.remote_tip(remote, &project.branch).ok().flatten();
    tip.is_some_and(|tip| pushed.iter().all(|pushed| has_all(project, tip, &pushed.locks)))
}

/// Returns whether a mirror covers these locks. An unreadable mirror does not.
fn has_all(project: &Project, tip: ObjectId, locks: &[LockFile]) -> bool {
    status::compare_at(project, Some(tip), locks, false).is_ok_and(|status| status.summary.fresh)
}

/// Returns the commit that is pushed to a branch. `None` for a tag, a deletion, the mirror branch, or an object that is
/// not a commit.
fn commit_of_branch(project: &Project, pushed: &PushedRef) -> Option<ObjectId> {
    if pushed.remote_ref.starts_with("refs/tags/") || pushed.remote_ref == project.branch.full_name() {
        return None;
    }
    object(pushed.local.as_deref()).filter(|commit| project.repository.is_commit(*commit))
}

/// Returns whether a pushed commit has locks that the remote is not known to have.
fn has_new_locks(project: &Project, remote: &Remote, pushed: &PushedRef, commit: ObjectId) -> Result<bool> {
    let mut remote_commits = Vec::new();
    if let Some(before) = object(pushed.remote.as_deref()).filter(|before| project.repository.has(*before)) {
        if !locks_differ(project, before, commit)? {
            return Ok(false);
        }
        remote_commits.push(before);
    }
    let branches = project.repository.branches_of(remote)?;
    if remote_commits.is_empty() {
        // The branch is new or was moved by another user. Most such branches have the same locks as another branch.
        for branch in &branches {
            if !locks_differ(project, *branch, commit)? {
                return Ok(false);
            }
        }
    }
    remote_commits.extend(branches);
    Ok(!project.repository.is_in(commit, &remote_commits)?)
}

/// Returns whether the checked-out locks differ from those of the previously checked-out commit. Compares blob ids
/// without reading files. Returns `true` if either commit is unknown.
///
/// # Errors
/// Fails if a commit cannot be read.
pub fn locks_changed(project: &Project, before: Option<&str>, after: Option<&str>) -> Result<bool> {
    match (object(before), object(after)) {
        (Some(before), Some(after)) if project.repository.has(before) => locks_differ(project, before, after),
        _ => Ok(true),
    }
}

/// Returns the status of the checked-out locks if the mirror does not cover them.
///
/// # Errors
/// Fails if a lock is invalid or the mirror cannot be read.
pub fn check_checkout(project: &Project) -> Result<Option<Status>> {
    if project.config.post_checkout == PostCheckout::Off {
        return Ok(None);
    }
    // The checked-out commit may be older than the settings that name its locks.
    match project.present_locks().and_then(|locks| status::compare(project, &locks, false)) {
        Err(OpError::NoLock { .. }) => Ok(None),
        status => Ok(Some(status?).filter(|status| !status.summary.fresh)),
    }
}

/// Returns the repositories that have what the mirror lacks, but that only the tracked settings describe, without the
/// user's permission. A hook does not act for them, because whoever wrote the branch chose their address and their key.
pub fn unallowed_repositories(project: &Project, status: &Status) -> Vec<RepositoryName> {
    let lacking = status.comparison.iter().flat_map(Comparison::repositories_to_fetch);
    lacking.filter(|repository| project.tracked.is_alone_with(repository)).cloned().collect()
}

/// Returns the remote whose mirror, as last fetched, covers everything that these locks pin.
///
/// Ignores remote mirrors that the local mirror already contains: pulling them would not restore what was pruned since.
///
/// # Errors
/// Fails if the remote-tracking branches cannot be read.
pub fn remote_with_all(project: &Project, locks: &[LockFile]) -> Result<Option<Remote>> {
    let own = project.repository.tip(&project.branch).ok().flatten();
    let restores = |tip| !own.is_some_and(|own| covers(project, own, tip).unwrap_or(false));
    let tips = project.repository.remote_tips(&project.branch)?;
    Ok(tips.into_iter().find(|(_, tip)| has_all(project, *tip, locks) && restores(*tip)).map(|(remote, _)| remote))
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

/// Parses an object id. The null id (all zeros) counts as `None`.
fn object(id: Option<&str>) -> Option<ObjectId> {
    ObjectId::from_hex(id?.as_bytes()).ok().filter(|id| !id.is_null())
}
