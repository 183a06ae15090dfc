//! Updates the mirror to match the locks: fetches what the mirror lacks and publishes at most one commit.

mod added;
mod artefacts;
mod as_set;
pub(in crate::ops) mod asset_tools;
mod attempt;
mod branches;
mod concurrent;
mod docs;
mod entry_cache;
pub(in crate::ops) mod fetch_plan;
pub(in crate::ops) mod fetching;
pub(in crate::ops) mod git_fetcher;
mod health;
mod learned;
pub(in crate::ops) mod leftovers;
pub(in crate::ops) mod message;
pub(in crate::ops) mod new_machine;
mod outcome;
pub(in crate::ops) mod pinning;
mod plugins;
mod registry_fetcher;
pub(in crate::ops) mod stored_entry;
mod tools;

use std::sync::Arc;
use std::time::Instant;

use super::index::key::is_present;
use super::index::refresh::{RefreshCommit, refresh};
use super::maintenance::maintain;
use super::project::read_locks;
use super::reading;
use super::rebar3::repositories_without_pins;
use super::status::{self, Status};
use super::sync::history::covers;
use super::sync::{PullOutcome, pull_known};
use super::update_lock::lock;
use super::{OpError, Project, Result, init};
use crate::hex::registry::RegistryError;
use crate::model::shortened;
use crate::progress::{Event, Progress};
use crate::store::StoreError;
use as_set::is_as_set;
use attempt::Attempt;
use leftovers::{remove_fetched, tidy};
use new_machine::new_machine;

pub use added::{Added, AddedGit};
pub use learned::FlaggedRelease;
pub use outcome::{Update, UpdateOptions};

/// The number of attempts if other processes keep moving the branch.
const ATTEMPTS: usize = 5;

/// Updates the mirror.
///
/// # Errors
/// Fails with everything that went wrong. The branch is then unchanged, and what was fetched and verified is kept for
/// the next update.
pub fn update(project: &Project, options: UpdateOptions, progress: &Arc<dyn Progress>) -> Result<Update> {
    let update = update_mirror(project, options, progress)?;
    if update.adopted.is_some() || update.commit != update.before.commit {
        maintain(project);
    }
    Ok(update)
}

fn update_mirror(project: &Project, options: UpdateOptions, progress: &Arc<dyn Progress>) -> Result<Update> {
    let start = Instant::now();
    if !options.dry_run {
        recover(project, progress.as_ref())?;
        init::complete_known(project)?;
    }
    let before = status_before(project)?;
    warn_of_scripts(project, &before.locks, progress.as_ref());
    warn_of_unpinned(project, progress.as_ref())?;
    warn_of_repositories(project, progress.as_ref())?;
    let update = if options.dry_run {
        Update { new_target: new_machine(project, &options, &before)?, ..Update::unchanged(before) }
    } else if is_done(project, &options, &before)? && new_machine(project, &options, &before)?.is_none() {
        leave_fresh(project, before, progress.as_ref())?
    } else {
        init::ask(project, options.may_ask, progress.as_ref())?;
        let merged = merge_known(project, &before, progress.as_ref())?;
        Update { merged, ..fetch_lacking(project, &options, progress)? }
    };
    Ok(Update { elapsed: start.elapsed(), ..update })
}

/// Returns the status with which an update begins.
fn status_before(project: &Project) -> Result<Status> {
    let status = reading::status(project, false)?;
    if status.comparison.is_none() && status.summary.unmirrored + status.summary.ignored > 0 {
        // A cached answer contains only numbers, but the report names what cannot be mirrored.
        return reading::status(project, true);
    }
    Ok(status)
}

/// Returns whether there is nothing to do. A mirror that only a remote has is adopted, so that it survives if the
/// remote's branch is deleted.
fn is_done(project: &Project, options: &UpdateOptions, status: &Status) -> Result<bool> {
    if !status.summary.fresh || options.refresh || status.remote.is_some() {
        return Ok(false);
    }
    match reading::refusal(project, status) {
        // Nothing is missing, but clients get none of it.
        Some(error @ OpError::Entry { source: RegistryError::OtherRepository { .. }, .. }) => Err(error),
        _ => is_as_set(project),
    }
}

/// Tidies up after earlier updates of a fresh mirror.
fn leave_fresh(project: &Project, mut before: Status, progress: &dyn Progress) -> Result<Update> {
    tidy(&project.repository);
    if before.summary.index_behind > 0 && is_present(project) {
        let _lock = lock(project, progress)?;
        refresh_index(project, &mut before, progress);
    }
    Ok(Update::unchanged(before))
}

/// Merges what a remote's mirror, as last fetched, has and the local one lacks, before upstream is asked. Reports a
/// mirror that is refused, because upstream may have everything.
fn merge_known(project: &Project, before: &Status, progress: &dyn Progress) -> Result<Option<PullOutcome>> {
    let Project { repository, branch, .. } = project;
    let Some(local) = repository.tip(branch)? else { return Ok(None) };
    if before.summary.fresh && before.remote.is_none() {
        return Ok(None);
    }
    let known = before.remote.clone().or_else(|| repository.default_remote());
    let Some(remote) = known else { return Ok(None) };
    let theirs = repository.remote_tip(&remote, branch)?;
    if theirs.is_none_or(|theirs| covers(project, local, theirs).unwrap_or(true)) {
        return Ok(None);
    }
    pull_known(project, &remote, progress).or_else(|error| {
        let message = format!("cannot merge {remote}'s {branch} ({}); asking upstream instead", error.with_causes());
        progress.report(Event::Warning { message });
        Ok(None)
    })
}

/// Fetches what the mirror lacks, again if another process moves the branch meanwhile.
fn fetch_lacking(project: &Project, options: &UpdateOptions, progress: &Arc<dyn Progress>) -> Result<Update> {
    let _lock = lock(project, progress.as_ref())?;
    for _ in 0..ATTEMPTS {
        let adopted = match project.snapshot()? {
            Some(_) => None,
            None => init::adopt(project, progress.as_ref())?.map(|(remote, _)| remote),
        };
        let mut before =
            status::compare_at(project, project.repository.tip(&project.branch)?, &project.locks()?, false)?;
        // Another process may have fetched what this one was about to fetch.
        if is_done(project, options, &before)? && new_machine(project, options, &before)?.is_none() {
            remove_fetched(&project.repository);
            refresh_index(project, &mut before, progress.as_ref());
            return Ok(Update { adopted, ..Update::unchanged(before) });
        }
        match Attempt::new(project, options)?.run(before, progress) {
            Err(OpError::Store(StoreError::Moved { .. })) => {}
            done => return Ok(Update { adopted, ..done? }),
        }
    }
    Err(OpError::KeptMoving { branch: project.branch.to_string() })
}

/// Brings the pinned index of a fresh mirror up to date. The caller holds the lock.
fn refresh_index(project: &Project, status: &mut Status, progress: &dyn Progress) {
    if status.summary.index_behind > 0
        && let Some(tip) = status.commit
        && let Some(refreshed) = refresh(project, tip, RefreshCommit::New, progress)
    {
        status.commit = Some(refreshed.commit);
        status.summary.index_behind = 0;
    }
}

/// Warns about scripts beside locks: rebar3 evaluates such a script and uses its result as the lock
/// (`rebar_config:consult_file_/1`).
fn warn_of_scripts(project: &Project, locks: &[String], progress: &dyn Progress) {
    let Some(root) = project.repository.worktree() else { return };
    for lock in locks.iter().filter(|lock| lock.rsplit('/').next() == Some("rebar.lock")) {
        let script = format!("{lock}.script");
        if root.join(&script).exists() {
            let message = format!("{script} is not evaluated, so its changes to {lock} are not mirrored");
            progress.report(Event::Warning { message });
        }
    }
}

/// Reports the repositories that rebar3's configuration names, and no lock can.
fn warn_of_repositories(project: &Project, progress: &dyn Progress) -> Result<()> {
    for name in repositories_without_pins(project, &project.locks()?) {
        let name = shortened(&name);
        let message = format!(
            "rebar.config names the repository {name}, but a rebar.lock does not say which packages come from it, so they are \
             looked for in hexpm; packages of {name} cannot be mirrored for rebar3"
        );
        progress.report(Event::Warning { message });
    }
    Ok(())
}

/// Warns about what the settings name and a bare repository cannot pin.
fn warn_of_unpinned(project: &Project, progress: &dyn Progress) -> Result<()> {
    if project.repository.worktree().is_some() {
        return Ok(());
    }
    let locks = project.locks()?;
    let mut wanted = read_locks(&project.repository, &locks)?;
    project.require_unpinned(&locks, &mut wanted)?;
    let tools = wanted.unpinned_tools.iter().map(|pair| format!("Hex and rebar3 for Elixir {pair}"));
    let branches = wanted.unpinned_git.iter().map(ToString::to_string);
    let docs = wanted.unpinned_docs.iter().map(|release| format!("the documentation of {release}"));
    for named in wanted.unpinned.iter().map(ToString::to_string).chain(tools).chain(branches).chain(docs) {
        let message = format!(
            "{named} is not mirrored, because no hexmirror.lock pins it; run `git hexmirror update` in a clone with a worktree, \
             and commit the lock there"
        );
        progress.report(Event::Warning { message });
    }
    Ok(())
}

/// Resets a branch that a system crash damaged to its last known good commit.
fn recover(project: &Project, progress: &dyn Progress) -> Result<()> {
    let Project { repository, branch, .. } = project;
    let Err(StoreError::BrokenRef { .. }) = repository.mirror_tip(branch) else { return Ok(()) };
    let _lock = lock(project, progress)?;
    if let Some(recovered) = repository.recover(branch)? {
        progress.report(Event::Warning { message: recovered.to_string() });
    }
    for remote in repository.remote_names() {
        if let Some(broken) = repository.forget_broken_remote(&remote, branch)? {
            progress.report(Event::Warning {
                message: format!("{broken}; removed the ref, the next fetch creates it again"),
            });
        }
    }
    Ok(())
}
