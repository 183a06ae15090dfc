//! The locks in force, the mirrors that this clone knows, and how they relate.

use super::finding::{Finding, Topic};
use crate::model::{Day, Remote};
use crate::ops::sync::history::covers;
use crate::ops::{MirrorSource, OpError, Project, Result, mirror_source, status};
use crate::store::ObjectId;

/// Returns whether the mirror has everything that the locks in force need.
pub fn locks(project: &Project) -> Result<Vec<Finding>> {
    let status = match status(project, false) {
        Err(error @ OpError::NoLock { .. }) => return Ok(vec![Finding::error(Topic::Locks, error)]),
        status => status?,
    };
    let locks = status.locks.join(", ");
    Ok(vec![match status.summary.fresh {
        true => Finding::good(Topic::Locks, format!("the mirror has everything for {locks}")),
        // The missing mirror is the finding.
        false if status.commit.is_none() => Finding::good(Topic::Locks, locks),
        false => Finding::run(
            Topic::Locks,
            format!("the mirror lacks some of what is pinned by {locks}"),
            "git hexmirror update",
        ),
    }])
}

/// Returns the local mirror, those of remotes as last fetched, and which of them is read.
pub fn mirrors(project: &Project) -> Result<Vec<Finding>> {
    let (repository, branch) = (&project.repository, &project.branch);
    let Some(source) = mirror_source(project)? else {
        return Ok(vec![Finding::error(Topic::Mirror, repository.no_mirror(branch).into())]);
    };
    let local = repository.tip(branch)?;
    let mut found = Vec::new();
    found.push(Finding::good(
        Topic::Mirror,
        match local {
            Some(tip) => format!("the local {branch} is at {}{}", shown(project, tip), read(&source, None)),
            None => format!("there is no local {branch}"),
        },
    ));
    let tips = repository.remote_tips(branch)?;
    for (remote, tip) in &tips {
        found.push(of_remote(project, local, remote, *tip, read(&source, Some(remote)))?);
    }
    // A bare clone has no tracking refs.
    let default = repository.worktree().and_then(|_| repository.default_remote());
    let is_known = |remote: &Remote| tips.iter().any(|(known, _)| known == remote);
    if let Some(remote) = default.filter(|default| local.is_some() && !is_known(default)) {
        let text = format!("{remote} had no {branch} when last fetched: the mirror is not pushed yet");
        found.push(Finding::run(Topic::Mirror, text, format!("git hexmirror push {remote}")));
    }
    Ok(found)
}

/// Compares a remote's mirror, as last fetched, with the local one.
fn of_remote(
    project: &Project,
    local: Option<ObjectId>,
    remote: &Remote,
    tip: ObjectId,
    read: &str,
) -> Result<Finding> {
    let at = format!("{remote}'s {}, as last fetched, is at {}{read}", project.branch, shown(project, tip));
    let Some(local) = local.filter(|local| *local != tip) else { return Ok(Finding::good(Topic::Mirror, at)) };
    let (has_theirs, has_ours) = (covers(project, local, tip)?, covers(project, tip, local)?);
    Ok(match (has_theirs, has_ours) {
        (true, true) => Finding::good(Topic::Mirror, at),
        // The local history replaces the remote's.
        (true, false) if !project.repository.is_ancestor(tip, local)? => Finding::run(
            Topic::Mirror,
            format!("{at}; it still has the history from before `git hexmirror compact`"),
            format!("git hexmirror push --force-with-lease {remote}"),
        ),
        (true, false) => Finding::run(
            Topic::Mirror,
            format!("{at}; it lacks local commits that are not pushed yet"),
            format!("git hexmirror push {remote}"),
        ),
        (false, true) => Finding::run(Topic::Mirror, format!("{at}; the local one is behind"), "git hexmirror update"),
        (false, false) => Finding::run(
            Topic::Mirror,
            format!("{at}; it and the local one have diverged"),
            format!("git hexmirror push {remote}"),
        ),
    })
}

fn shown(project: &Project, tip: ObjectId) -> String {
    let seconds = project.repository.commit_seconds(tip);
    let day = seconds.map(|seconds| format!(" of {}", Day::of_seconds(seconds))).unwrap_or_default();
    tip.to_hex_with_len(10).to_string() + &day
}

/// Returns the note for the mirror that is read.
fn read(source: &MirrorSource, remote: Option<&Remote>) -> &'static str {
    if source.remote.as_ref() == remote { " (read)" } else { "" }
}
