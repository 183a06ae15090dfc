//! The `pre-push` hook: pushes the mirror before the commits that need it, or stops the push.
//!
//! [`BranchPush`] compares each pushed branch with the mirrors in this clone, without network access. [`decide`] turns
//! the results into one [`Decision`], which [`pre_push`] carries out.

use std::collections::BTreeSet;

use super::lock_coverage::{has_all, locks_differ, object, remote_with_all};
use super::project::LockFile;
use super::status::{self, Status};
use super::sync::checks::check_outgoing;
use super::sync::{PullOutcome, PushOutcome, RemoteAccess, pull_known, push};
use super::{OpError, Project, Result};
use crate::config::PrePush;
use crate::hook::pushed::PushedRef;
use crate::model::{ManifestPart, Remote};
use crate::progress::Progress;
use crate::store::ObjectId;

/// The outcome of the `pre-push` hook.
#[derive(Debug)]
pub enum PrePushOutcome {
    /// There was nothing to do: the push needs nothing from the mirror, or the remote's mirror had it when last fetched,
    /// and the local mirror has nothing to share.
    Nothing,
    /// The mirror lacks something that the pushed locks pin. The push must stop.
    Stale(StaleLocks),
    /// The remote's mirror lacks something that the pushed locks pin, and the settings only permit a check. The push
    /// must stop.
    Unshared,
    /// The mirror was pushed, or the remote already had it.
    Shared {
        /// The outcome of the pull before the push, if the local mirror was behind the remote's as last fetched.
        pulled: Option<PullOutcome>,
        /// The outcome of the push.
        pushed: PushOutcome,
        /// What the merged mirror lacks, because someone else pruned it. The push must then stop.
        stale: Option<StaleLocks>,
    },
    /// The mirror could not be pushed.
    NotShared {
        /// The error.
        error: OpError,
        /// Whether the push can go on, because the remote's mirror had everything when last fetched.
        had_all: bool,
    },
}

/// The pushed branches with locks that the mirror does not cover.
#[derive(Debug)]
pub struct StaleLocks {
    /// The branches and the status of their locks.
    pub branches: Vec<(PushedLocks, Status)>,
    /// The remote whose mirror, as last fetched, covers all of these locks.
    pub pull_from: Option<Remote>,
}

/// A pushed branch or tag and its locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedLocks {
    /// The full name of the ref on the remote.
    pub reference: String,
    /// The locks in the pushed commit.
    pub locks: Vec<LockFile>,
}

impl PushedLocks {
    /// Returns the short name of the branch or tag for display.
    pub fn branch(&self) -> &str {
        let short = ["refs/heads/", "refs/tags/"].into_iter().find_map(|prefix| self.reference.strip_prefix(prefix));
        short.unwrap_or(&self.reference)
    }
}

impl StaleLocks {
    fn new(project: &Project, branches: Vec<(PushedLocks, Status)>) -> Self {
        let locks: Vec<_> = branches.iter().flat_map(|(pushed, _)| pushed.locks.iter().cloned()).collect();
        Self { pull_from: remote_with_all(project, &locks), branches }
    }
}

/// Compares what git is about to push with the mirror, and pushes the mirror first if the pushed locks need it and the
/// settings permit it.
///
/// Checks every ref that is pushed to a commit, tags included. Ignores deletions, the mirror branch itself, commits whose
/// locks the remote already has, and tags in the history of a branch that is pushed too. What the settings ask for counts
/// only if nothing but the checked-out commit is pushed.
///
/// # Errors
/// Fails if a lock is invalid or the mirror cannot be read. Also fails if a pushed ref contains a mirror with a registry
/// entry that its repository did not sign.
pub fn pre_push(
    project: &Project,
    remote: &Remote,
    refs: &[PushedRef],
    progress: &dyn Progress,
) -> Result<PrePushOutcome> {
    // Tracked settings come with a branch. They must not disable the check of a mirror.
    if project.own_pre_push() != Some(PrePush::Off) {
        check_mirrors(project, remote, refs)?;
    }
    let mode = project.config.pre_push;
    if mode == PrePush::Off {
        return Ok(PrePushOutcome::Nothing);
    }
    let head = project.repository.head()?;
    let is_checked_out = |pushed| pushed_commit(project, pushed).is_none_or(|commit| Some(commit) == head);
    let pins_only = (!refs.iter().all(is_checked_out)).then(|| project.with_pins_only());
    let project = pins_only.as_ref().unwrap_or(project);
    let push = BranchPush::new(project, remote, refs)?;
    let needs = refs.iter().filter_map(|pushed| push.need_of(pushed).transpose()).collect::<Result<_>>()?;
    match decide(needs) {
        Decision::Nothing => Ok(PrePushOutcome::Nothing),
        Decision::Stop(branches) => Ok(PrePushOutcome::Stale(StaleLocks::new(project, branches))),
        Decision::Share(_) if mode == PrePush::Check => Ok(PrePushOutcome::Unshared),
        Decision::Share(needed) => share(project, remote, needed, progress),
    }
}

/// Verifies the registry entries of the mirrors among the pushed refs. A mirror is recognised by its tree, because
/// tracked settings can name another branch.
fn check_mirrors(project: &Project, remote: &Remote, refs: &[PushedRef]) -> Result<()> {
    let pushed = refs.iter().filter_map(|pushed| object(pushed.local.as_deref()));
    let pushed = pushed.filter(|id| !project.is_known_commit(*id));
    let mirrors: BTreeSet<ObjectId> = pushed.filter_map(|id| project.repository.mirror_commit(id)).collect();
    for mirror in mirrors {
        // A project may have files with these names. Nobody uses a mirror that this program cannot open.
        if let Ok(mirror) = project.snapshot_of(None, mirror) {
            check_outgoing(project, remote, &mirror)?;
        }
    }
    Ok(())
}

/// What a pushed branch needs from the mirror.
#[derive(Debug)]
enum Need {
    /// The remote already has these locks. `share` says whether to push the local mirror nevertheless.
    Known { share: bool },
    /// The remote's mirror must cover these locks after the push. `share` says whether the local mirror does.
    Covered { share: bool },
    /// No mirror in this clone covers these locks.
    Stale(Box<Status>),
}

/// What the hook has to do.
#[derive(Debug)]
enum Decision {
    Nothing,
    /// Stop the push, because the mirror lacks something for these branches.
    Stop(Vec<(PushedLocks, Status)>),
    /// Push the mirror, which must then cover these branches.
    Share(Vec<PushedLocks>),
}

/// Combines the needs of all pushed branches. One stale branch stops the whole push.
fn decide(needs: Vec<(PushedLocks, Need)>) -> Decision {
    let (mut stale, mut needed, mut any) = (Vec::new(), Vec::new(), false);
    for (pushed, need) in needs {
        match need {
            Need::Known { share } => any |= share,
            Need::Covered { share } => {
                any |= share;
                needed.push(pushed);
            }
            Need::Stale(status) => stale.push((pushed, *status)),
        }
    }
    match any {
        _ if !stale.is_empty() => Decision::Stop(stale),
        true => Decision::Share(needed),
        false => Decision::Nothing,
    }
}

/// A push of branches, and the mirror that the remote has as far as this clone knows.
struct BranchPush<'a> {
    project: &'a Project,
    remote: &'a Remote,
    mirror: Option<ObjectId>,
    /// Whether the mirror branch is among the pushed refs. `mirror` is then its pushed commit.
    is_mirror_pushed: bool,
    /// The commits of the pushed branches.
    branches: Vec<ObjectId>,
}

impl<'a> BranchPush<'a> {
    fn new(project: &'a Project, remote: &'a Remote, refs: &[PushedRef]) -> Result<Self> {
        let name = project.branch.full_name();
        let pushed = refs.iter().find(|pushed| pushed.remote_ref == name);
        // If the mirror branch itself is pushed, compare with the commit that the remote is about to have.
        let pushed = pushed.and_then(|pushed| object(pushed.local.as_deref()));
        let mirror = match pushed {
            Some(pushed) => Some(pushed),
            None => project.repository.remote_tip(remote, &project.branch)?,
        };
        let branches = refs.iter().filter(|pushed| !is_tag(pushed));
        let branches = branches.filter_map(|pushed| pushed_commit(project, pushed)).collect();
        Ok(Self { project, remote, mirror, is_mirror_pushed: pushed.is_some(), branches })
    }

    /// Returns what a pushed ref needs from the mirror. `None` if it has no locks to check.
    fn need_of(&self, pushed: &PushedRef) -> Result<Option<(PushedLocks, Need)>> {
        let Some(commit) = pushed_commit(self.project, pushed) else { return Ok(None) };
        // Of a branch, only the tip is checked. A tag in its history brings nothing else.
        if is_tag(pushed) && self.project.repository.is_in(commit, &self.branches)? {
            return Ok(None);
        }
        let locks = self.project.locks_at(commit)?;
        if locks.is_empty() {
            return Ok(None);
        }
        // If the mirror may not be pushed, it makes no difference whether the locks are new. A known answer is much cheaper
        // than finding that out in the history.
        let is_covered = |mirror| status::is_known_to_be_fresh(self.project, mirror, &locks);
        if !self.may_share() && self.mirror.is_some_and(is_covered) {
            let pushed = PushedLocks { reference: pushed.remote_ref.clone(), locks };
            return Ok(Some((pushed, Need::Known { share: false })));
        }
        let is_new = has_new_locks(self.project, self.remote, pushed, commit)? || self.lacks_policies()?;
        let need = match is_new {
            true => self.need_of_new(&locks)?,
            // While the remote has no mirror yet, share the local mirror with any push.
            false => Need::Known { share: self.may_share() && self.mirror.is_none() && self.own_has_all(&locks) },
        };
        Ok(Some((PushedLocks { reference: pushed.remote_ref.clone(), locks }, need)))
    }

    /// Returns what locks need that the remote does not have yet.
    fn need_of_new(&self, locks: &[LockFile]) -> Result<Need> {
        // A missing or damaged mirror on the remote covers no locks.
        let known = self.mirror.and_then(|mirror| status::compare_at(self.project, Some(mirror), locks, false).ok());
        if let Some(known) = known.map(|known| known.summary).filter(|known| known.fresh) {
            // Another user may have pruned the remote's mirror since the last fetch. A changed lock justifies one
            // request to find out.
            let ask = self.may_share() && !self.is_mirror_pushed && known.present + known.git > 0;
            return Ok(match ask {
                true => Need::Covered { share: self.own_has_all(locks) },
                false => Need::Known { share: false },
            });
        }
        // Only the local mirror can be pushed with the branches.
        let own = self.project.repository.tip(&self.project.branch)?;
        let status = status::compare_at(self.project, own, locks, false)?;
        Ok(match status.summary.fresh {
            // Locks without any pins are fresh without a mirror.
            true => Need::Covered { share: status.commit.is_some() },
            false => Need::Stale(Box::new(status)),
        })
    }

    /// Returns whether the remote's mirror lacks a policy that the settings name. No lock tells that they have changed.
    fn lacks_policies(&self) -> Result<bool> {
        let policies = &self.project.config.policies;
        let Some(mirror) = self.mirror.filter(|_| !policies.is_empty()) else { return Ok(false) };
        let Ok(snapshot) = self.project.snapshot_of(None, mirror) else { return Ok(false) };
        let stored = snapshot.part(ManifestPart::Policies)?;
        Ok(policies.iter().any(|policy| !stored.policies.contains_key(policy)))
    }

    fn may_share(&self) -> bool {
        self.project.config.pre_push == PrePush::Push
    }

    /// Returns whether the local mirror covers these locks. A broken one does not, and does not block the push.
    fn own_has_all(&self, locks: &[LockFile]) -> bool {
        let own = self.project.repository.tip(&self.project.branch).ok().flatten();
        own.is_some_and(|own| has_all(self.project, own, locks))
    }
}

fn is_tag(pushed: &PushedRef) -> bool {
    pushed.remote_ref.starts_with("refs/tags/")
}

/// Returns the pushed commit, or the one that a pushed tag points to. `None` for a deletion, the mirror branch, or an
/// object of another kind.
fn pushed_commit(project: &Project, pushed: &PushedRef) -> Option<ObjectId> {
    if pushed.remote_ref == project.branch.full_name() {
        return None;
    }
    commit_of(project, object(pushed.local.as_deref())?)
}

/// Returns the commit that an object is, or that a tag points to.
fn commit_of(project: &Project, id: ObjectId) -> Option<ObjectId> {
    if project.is_known_commit(id) { Some(id) } else { project.repository.peeled_commit(id) }
}

/// Returns whether a pushed commit has locks that the remote is not known to have.
fn has_new_locks(project: &Project, remote: &Remote, pushed: &PushedRef, commit: ObjectId) -> Result<bool> {
    let mut remote_commits = Vec::new();
    if let Some(before) = object(pushed.remote.as_deref()).and_then(|before| commit_of(project, before)) {
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

/// Pushes the mirror, and compares the merged mirror with the locks that need it.
fn share(
    project: &Project,
    remote: &Remote,
    needed: Vec<PushedLocks>,
    progress: &dyn Progress,
) -> Result<PrePushOutcome> {
    let share = || {
        let pulled = catch_up(project, remote, progress)?;
        let access = RemoteAccess { remote: Some(remote), may_ask: true };
        Ok((pulled, push(project, access, progress)?))
    };
    match share() {
        Ok((pulled, pushed)) => {
            // The local mirror now follows the remote's, from which someone else may have pruned what this push needs.
            let lacking = lacking(project, needed)?;
            let stale = (!lacking.is_empty()).then(|| StaleLocks::new(project, lacking));
            Ok(PrePushOutcome::Shared { pulled, pushed, stale })
        }
        // If the remote cannot be reached now, its mirror as last fetched is good enough.
        Err(error) => {
            let had_all = !needed.is_empty() && remote_has(project, remote, &needed);
            Ok(PrePushOutcome::NotShared { error, had_all })
        }
    }
}

/// Fast-forwards the local mirror to the remote's as last fetched, if the local mirror is behind. The push then needs
/// no merge and only one request.
fn catch_up(project: &Project, remote: &Remote, progress: &dyn Progress) -> Result<Option<PullOutcome>> {
    let repository = &project.repository;
    let (own, theirs) = (repository.tip(&project.branch)?, repository.remote_tip(remote, &project.branch)?);
    match own.zip(theirs) {
        Some((own, theirs)) if own != theirs && repository.is_ancestor(own, theirs)? => {
            pull_known(project, remote, progress)
        }
        _ => Ok(None),
    }
}

/// Returns the branches whose locks are not covered by the local mirror.
fn lacking(project: &Project, needed: Vec<PushedLocks>) -> Result<Vec<(PushedLocks, Status)>> {
    let tip = project.repository.tip(&project.branch)?;
    let mut lacking = Vec::new();
    for pushed in needed {
        let status = status::compare_at(project, tip, &pushed.locks, false)?;
        if !status.summary.fresh {
            lacking.push((pushed, status));
        }
    }
    Ok(lacking)
}

/// Returns whether the remote's mirror, as last fetched, covers the locks of all these branches.
fn remote_has(project: &Project, remote: &Remote, needed: &[PushedLocks]) -> bool {
    let tip = project.repository.remote_tip(remote, &project.branch).ok().flatten();
    tip.is_some_and(|tip| needed.iter().all(|pushed| has_all(project, tip, &pushed.locks)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Summary;

    fn branch(name: &str) -> PushedLocks {
        PushedLocks { reference: format!("refs/heads/{name}"), locks: Vec::new() }
    }

    fn stale() -> Need {
        let summary = Summary::default();
        let (comparison, extra) = (None, None);
        Need::Stale(Box::new(Status {
            locks: Vec::new(),
            remote: None,
            commit: None,
            digest: None,
            summary,
            comparison,
            extra,
        }))
    }

    fn decided(needs: Vec<Need>) -> String {
        let names = ["a", "b", "c"].map(branch).into_iter();
        let shown = |branches: Vec<PushedLocks>| branches.iter().map(PushedLocks::branch).collect::<Vec<_>>().join(" ");
        match decide(names.zip(needs).collect()) {
            Decision::Nothing => "nothing".into(),
            Decision::Stop(stale) => format!("stop {}", shown(stale.into_iter().map(|(pushed, _)| pushed).collect())),
            Decision::Share(needed) => format!("share {}", shown(needed)),
        }
    }

    #[test]
    fn a_stale_branch_stops_the_push_of_all() {
        let (known, covered) = (|share| Need::Known { share }, |share| Need::Covered { share });
        assert_eq!(decided(vec![]), "nothing");
        assert_eq!(decided(vec![known(false), covered(false)]), "nothing");
        assert_eq!(decided(vec![known(true), covered(false)]), "share b");
        assert_eq!(decided(vec![covered(false), known(false), covered(true)]), "share a c");
        assert_eq!(decided(vec![known(true)]), "share ");
        assert_eq!(decided(vec![covered(true), stale(), stale()]), "stop b c");
    }
}
