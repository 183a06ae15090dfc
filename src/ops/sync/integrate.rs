//! Integrates a remote's mirror into the local branch.

use super::merge::{self, History, Local, Merge, MergeStatistics};
use super::{Pull, Way};
use crate::model::{GitAddress, Manifest, Remote, Revision};
use crate::ops::update::stored_entry::read_entry;
use crate::ops::{OpError, Project, Result};
use crate::plan::lost_facts;
use crate::progress::{Event, Progress};
use crate::store::{Lock, ObjectId, Snapshot, StoreError};

/// The number of attempts to merge if other processes keep moving the local branch.
const ATTEMPTS: usize = 5;

/// The remote mirror to integrate.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct Source<'a> {
    /// The remote.
    pub remote: &'a Remote,
    /// The tip of its mirror branch.
    pub tip: ObjectId,
}

/// A merge that was made for a push, which another push then overtook. If the branch still points to it, the next merge
/// replaces it, so that the history has one merge instead of one per attempt.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct SupersededMerge {
    /// The branch's tip before the merge.
    pub own: ObjectId,
    /// The remote tip that was merged.
    pub theirs: ObjectId,
    /// The merge commit.
    pub merged: ObjectId,
}

/// Integrates a remote's commit into the local branch: by fast-forward if the local branch has no commits of its own,
/// otherwise by a merge, which is returned too.
pub(in crate::ops) fn integrate(
    project: &Project,
    source: Source<'_>,
    superseded: Option<SupersededMerge>,
    progress: &dyn Progress,
) -> Result<(Pull, Option<SupersededMerge>)> {
    let repository = &project.repository;
    let waits = || progress.report(Event::Waiting { reason: "another update of this repository".into() });
    let _lock = Lock::acquire(repository, waits)?;
    for _ in 0..ATTEMPTS {
        match integrate_once(project, source, superseded, progress) {
            Err(OpError::Store(StoreError::Moved { .. })) => {}
            done => return done,
        }
    }
    Err(OpError::KeptMoving { branch: project.branch.to_string() })
}

fn integrate_once(
    project: &Project,
    source: Source<'_>,
    superseded: Option<SupersededMerge>,
    progress: &dyn Progress,
) -> Result<(Pull, Option<SupersededMerge>)> {
    let (repository, branch, remote, tip) = (&project.repository, &project.branch, source.remote, source.tip);
    let done = |way, statistics, commit, ahead| Pull { remote: remote.clone(), way, statistics, commit, ahead };
    let their_branch = repository.tracking_branch(remote, branch)?;
    let Some(ours) = project.snapshot()? else {
        let theirs = Snapshot::at(repository, &their_branch, tip)?;
        let statistics = merge::check(project, None, &theirs, &whose(remote), progress)?;
        repository.create(branch, tip, &format!("adopted from {remote}"))?;
        return Ok((done(Way::Adopted, statistics, tip, false), None));
    };
    if repository.is_ancestor(tip, ours.commit())? {
        return Ok((done(Way::UpToDate, MergeStatistics::default(), ours.commit(), tip != ours.commit()), None));
    }
    let theirs = Snapshot::at(repository, &their_branch, tip)?;
    if repository.is_ancestor(ours.commit(), tip)? {
        let shared = vec![ours.clone()];
        let onto = Onto { way: Way::FastForwarded, shared, before: ours.commit() };
        return put_onto(project, source, [&ours, &theirs], onto, progress).map(|pull| (pull, None));
    }
    let (ours, replaced) = match superseded {
        // The remote still has everything that it had at the superseded merge.
        Some(SupersededMerge { own, theirs: known, merged })
            if merged == ours.commit() && repository.is_ancestor(known, tip)? =>
        {
            (Snapshot::at(repository, branch, own)?, Some(merged))
        }
        _ => (ours, None),
    };
    let divergence = Divergence::new(project, &ours, source)?;
    let shared = divergence.shared.iter().map(|commit| Snapshot::at(repository, branch, *commit));
    let shared = shared.collect::<Result<Vec<_>, _>>()?;
    let title = format!("Merge the mirror of {remote}");
    if divergence.way == Way::Rebased {
        let onto = Onto { way: Way::Rebased, shared, before: replaced.unwrap_or(ours.commit()) };
        return put_onto(project, source, [&ours, &theirs], onto, progress).map(|pull| (pull, None));
    }
    let history = divergence.history;
    let merge = Merge { ours: &ours, theirs: &theirs, local: Local::Ours, shared, history, replaced, title };
    if history == History::Replaced && covers(project, ours.commit(), tip)? {
        return Ok((done(Way::UpToDate, MergeStatistics::default(), ours.commit(), true), None));
    }
    merge::check_signers(project, &ours, &theirs, &whose(remote))?;
    let (commit, statistics) = merge::merge(project, merge, progress)?;
    let merged = SupersededMerge { own: ours.commit(), theirs: tip, merged: commit };
    Ok((done(Way::Merged, statistics, commit, true), Some(merged)))
}

/// How two mirrors diverged, neither of which is an ancestor of the other.
struct Divergence {
    /// The merge bases, as far as they can be determined.
    shared: Vec<ObjectId>,
    way: Way,
    history: History,
}

impl Divergence {
    fn new(project: &Project, ours: &Snapshot, source: Source<'_>) -> Result<Self> {
        let (repository, own) = (&project.repository, ours.commit());
        let shared = repository.common(own, source.tip)?;
        if !shared.is_empty() {
            return Ok(Self { shared, way: Way::Merged, history: History::Joined });
        }
        let replaced_there = repository.replaced_by(source.tip)?;
        if !replaced_there.is_empty() {
            let (our_tips, their_tips) = (with(own, repository.replaced_by(own)?), with(source.tip, replaced_there));
            let mut shared = shared_with(project, &our_tips, &their_tips)?;
            if shared.is_empty() {
                // As `git merge-base --fork-point` does, search the reflog of the remote-tracking branch for a commit
                // that the local branch contains.
                let tracking = repository.tracking_ref(source.remote, &project.branch);
                for seen in repository.reflog(&tracking)? {
                    if repository.has(seen) && covers(project, own, seen)? {
                        shared.push(seen);
                        break;
                    }
                }
            }
            return Ok(Self { shared, way: Way::Rebased, history: History::Dropped });
        }
        let replaced_here = repository.replaced_by(own)?;
        let history = if replaced_here.is_empty() { History::Joined } else { History::Replaced };
        Ok(Self { shared: shared_with(project, &[source.tip], &replaced_here)?, way: Way::Merged, history })
    }
}

fn with(tip: ObjectId, replaced: Vec<ObjectId>) -> Vec<ObjectId> {
    [tip].into_iter().chain(replaced).collect()
}

/// Returns the merge bases of the first pair of commits, one from each list, that has any.
fn shared_with(project: &Project, some: &[ObjectId], others: &[ObjectId]) -> Result<Vec<ObjectId>> {
    let repository = &project.repository;
    for one in some.iter().filter(|one| repository.has(**one)) {
        for other in others.iter().filter(|other| repository.has(**other)) {
            let shared = repository.common(*one, *other)?;
            if !shared.is_empty() {
                return Ok(shared);
            }
        }
    }
    Ok(Vec::new())
}

/// How the local branch moves onto the remote's.
struct Onto {
    way: Way,
    /// The merge bases.
    shared: Vec<Snapshot>,
    /// The local branch's tip.
    before: ObjectId,
}

/// Moves the local branch to the remote's tip. Adds a commit on top if the local mirror has contents of its own, or if
/// locks here need something that was pruned there.
fn put_onto(
    project: &Project,
    source: Source<'_>,
    [ours, theirs]: [&Snapshot; 2],
    onto: Onto,
    progress: &dyn Progress,
) -> Result<Pull> {
    let Onto { way, shared, before } = onto;
    let mut statistics = merge::check(project, Some(ours), theirs, &whose(source.remote), progress)?;
    let remote = source.remote;
    let (title, log) = match way {
        Way::Rebased => (
            format!("Add to the mirror of {remote}, which was compacted"),
            format!("pulled from {remote}, which was compacted"),
        ),
        _ => (format!("Keep what is needed here and was pruned on {remote}"), format!("pulled from {remote}")),
    };
    // A mirror never returns to an older format.
    let is_older = theirs.is_of_older_format() && !ours.is_of_older_format();
    let has_more = || Ok::<_, OpError>(has_something_else(ours.manifest()?, theirs.manifest()?, way));
    let commit = if is_older || has_more()? || has_older_entries(ours, theirs)? {
        let history = History::Dropped;
        let local = Local::Theirs;
        let merge = Merge { ours: theirs, theirs: ours, local, shared, history, replaced: Some(before), title };
        merge::merge(project, merge, progress)?.0
    } else {
        source.tip
    };
    if commit == source.tip {
        project.repository.forward(&project.branch, before, commit, &log)?;
    }
    let on_top =
        (commit != source.tip).then(|| Snapshot::at(&project.repository, &project.branch, commit)).transpose()?;
    let stays = &on_top.as_ref().unwrap_or(theirs).manifest()?.releases;
    statistics.pruned = ours.manifest()?.releases.keys().filter(|id| !stays.contains_key(*id)).count();
    let ahead = commit != source.tip;
    Ok(Pull { remote: source.remote.clone(), way, statistics, commit, ahead })
}

/// Describes a remote's mirror for messages.
pub(in crate::ops) fn whose(remote: &Remote) -> String {
    format!("the mirror of {remote}")
}

/// Returns whether the remote's mirror has a registry entry that lacks something that the local entry has. Anyone with
/// write access to the remote can restore an entry that the repository once signed, such as one without an advisory.
fn has_older_entries(ours: &Snapshot, theirs: &Snapshot) -> Result<bool> {
    let their_entries = &theirs.manifest()?.entries;
    for (id, stored) in &ours.manifest()?.entries {
        if their_entries.get(id).is_some_and(|other| other != stored)
            && let Some((known, new)) = read_entry(ours, id)?.zip(read_entry(theirs, id)?)
            && !lost_facts(&known, &new).is_empty()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns whether the local mirror has anything that the remote's mirror lacks. After a rebase, any difference counts.
fn has_something_else(ours: &Manifest, theirs: &Manifest, way: Way) -> bool {
    let known = |address: &GitAddress, revision: &Revision| {
        theirs.git.get(address).is_some_and(|git| git.revisions.contains_key(revision))
    };
    ours.signers.keys().any(|repository| !theirs.signers.contains_key(repository))
        // The merge keeps those that a remaining release needs.
        || ours.entries.keys().any(|id| !theirs.entries.contains_key(id))
        || ours.releases.keys().any(|id| !theirs.releases.contains_key(id))
        || ours.git.iter().any(|(address, git)| git.revisions.keys().any(|revision| !known(address, revision)))
        || way == Way::Rebased && ours != theirs
}

/// Returns whether a mirror contains all commits of another mirror's history, or replaced them on purpose.
///
/// # Errors
/// Fails if a commit cannot be read.
pub(in crate::ops) fn covers(project: &Project, own: ObjectId, other: ObjectId) -> Result<bool> {
    let repository = &project.repository;
    if own == other || repository.is_ancestor(other, own)? {
        return Ok(true);
    }
    for replaced in repository.replaced_by(own)? {
        if replaced == other || repository.has(replaced) && repository.is_ancestor(other, replaced)? {
            return Ok(true);
        }
    }
    Ok(false)
}
