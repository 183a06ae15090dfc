//! Whether the local mirror reaches anyone else: how a remote's relates to it, what was not pushed yet, and whether hooks
//! would push it.

use std::path::PathBuf;

use super::hook_callers::{Callers, is_tracked};
use super::hooks::is_own;
use super::project::regular_file::read_regular;
use super::sync::history::covers;
use super::{Project, Result};
use crate::config::{PostCheckout, PrePush};
use crate::hook::install::is_ours;
use crate::hook::{Hook, call};
use crate::model::Remote;
use crate::store::ObjectId;

/// The maximum size of a hook that is read, in bytes.
const MAX_HOOK: u64 = 1 << 20;

/// How a remote's mirror, as last fetched, relates to the local one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The remote had no mirror.
    Absent,
    /// Both have the same contents.
    Same,
    /// The local mirror lacks commits of the remote's.
    Ahead,
    /// The remote's mirror lacks local commits.
    Behind,
    /// The remote's mirror has the history that `compact` has replaced in the local one.
    Replaced,
    /// Each lacks commits of the other.
    Diverged,
}

impl Relation {
    /// Returns the command that makes both mirrors equal. `None` if they are.
    pub fn command(self, remote: &Remote) -> Option<String> {
        match self {
            Self::Same => None,
            Self::Ahead => Some(format!("git hexmirror pull {remote}")),
            Self::Absent | Self::Behind | Self::Diverged => Some(format!("git hexmirror push {remote}")),
            Self::Replaced => Some(format!("git hexmirror push --force-with-lease {remote}")),
        }
    }
}

/// Returns how a remote's mirror, as last fetched, relates to the local one at a commit.
///
/// # Errors
/// Fails if a ref or a commit cannot be read.
pub(in crate::ops) fn relation(project: &Project, remote: &Remote, local: ObjectId) -> Result<Relation> {
    let Some(theirs) = project.repository.remote_tip(remote, &project.branch)? else { return Ok(Relation::Absent) };
    if theirs == local {
        return Ok(Relation::Same);
    }
    Ok(match (covers(project, local, theirs)?, covers(project, theirs, local)?) {
        (true, true) => Relation::Same,
        (true, false) if !project.repository.is_ancestor(theirs, local)? => Relation::Replaced,
        (true, false) => Relation::Behind,
        (false, true) => Relation::Ahead,
        (false, false) => Relation::Diverged,
    })
}

/// Returns the command that pushes the local mirror to a remote, whatever the remote had when it was last fetched.
///
/// # Errors
/// Fails if a ref or a commit cannot be read.
pub fn push_command(project: &Project, remote: &Remote) -> Result<String> {
    let local = project.repository.tip(&project.branch)?;
    let relation = local.map(|local| relation(project, remote, local)).transpose()?;
    let relation = relation.filter(|relation| *relation == Relation::Replaced).unwrap_or(Relation::Behind);
    Ok(relation.command(remote).expect("mirrors that differ need a command"))
}

/// Returns whether the local mirror once had what a remote's, as last fetched, has, and dropped some of it since, so that a
/// pull would not restore it.
///
/// # Errors
/// Fails if a ref or a commit cannot be read.
pub fn has_dropped(project: &Project, remote: &Remote) -> Result<bool> {
    let local = project.repository.tip(&project.branch)?;
    let relation = local.map(|local| relation(project, remote, local)).transpose()?;
    Ok(matches!(relation, Some(Relation::Same | Relation::Behind | Relation::Replaced)))
}

/// A local mirror that the remote does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpushed {
    /// The remote that git pushes to by default.
    pub remote: Remote,
    /// How its mirror relates to the local one.
    pub relation: Relation,
    /// The command that pushes it.
    pub command: String,
}

/// Returns whether the local mirror has commits that the default remote's, as last fetched, lacks.
///
/// # Errors
/// Fails if a ref or a commit cannot be read.
pub fn unpushed(project: &Project) -> Result<Option<Unpushed>> {
    let Project { repository, branch, .. } = project;
    // A bare clone keeps no record of what the remote has.
    let remote = repository.worktree().and_then(|_| repository.default_remote());
    let (Some(local), Some(remote)) = (repository.tip(branch)?, remote) else { return Ok(None) };
    let relation = relation(project, &remote, local)?;
    Ok(match relation {
        Relation::Same | Relation::Ahead => None,
        // Whoever turned the hook off may not want to push the mirror at all.
        Relation::Absent if project.config.pre_push == PrePush::Off => None,
        _ => relation.command(&remote).map(|command| Unpushed { remote, relation, command }),
    })
}

/// Hooks that this clone does not have, although the settings want them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LackingHooks {
    /// `hooks install` installs them.
    Installable,
    /// The one before pushes is gone since they were installed, perhaps replaced by another program.
    Replaced,
    /// The project tracks its hooks, so someone has to add a line to this file.
    Tracked(PathBuf),
}

/// Returns whether this clone has none of the hooks, or lost the one before pushes, although the settings want them and they
/// can be installed, or added to those that the project tracks.
///
/// # Errors
/// Fails if git's configuration or index cannot be read.
pub fn lacking_hooks(project: &Project) -> Result<Option<LackingHooks>> {
    let Project { repository, config, .. } = project;
    let is_off = config.pre_push == PrePush::Off && config.post_checkout == PostCheckout::Off;
    if repository.worktree().is_none() {
        return Ok(None);
    }
    if is_off || is_automated(project) {
        return Ok(None);
    }
    let folder = repository.hooks_dir()?;
    let content = |hook: Hook| read_regular(&folder.join(hook.name()), MAX_HOOK).ok().and_then(Result::ok);
    let callers = Callers::new(project, &folder);
    let is_installed = |hook| content(hook).is_some_and(|content| is_ours(&content));
    let is_called = |hook| {
        content(hook).is_some_and(|content| is_ours(&content) || call::is_called(&content, hook))
            || callers.of(hook).is_some()
    };
    // A folder outside of the repository serves other repositories too, so `hooks install` leaves it alone.
    if is_called(Hook::PrePush) || !is_own(project, &folder) {
        return Ok(None);
    }
    if Hook::ALL.into_iter().any(is_called) {
        // All hooks are installed together. Whoever calls only others on purpose does so from their own.
        let is_lost = config.pre_push != PrePush::Off && Hook::ALL.into_iter().any(is_installed);
        return Ok(is_lost.then_some(LackingHooks::Replaced));
    }
    Ok(Some(match is_tracked(project, &folder)? {
        true => LackingHooks::Tracked(folder.join(Hook::PrePush.name())),
        false => LackingHooks::Installable,
    }))
}

/// Returns whether this is a continuous integration job, whose clone lives for one build. All common services set `CI`.
pub(in crate::ops) fn is_automated(project: &Project) -> bool {
    project.environment.get("CI").is_some_and(|value| value != "false" && value != "0")
}
