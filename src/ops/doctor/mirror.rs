//! The locks in force, the mirrors that this clone knows, and how they relate.

use super::finding::{Finding, Topic};
use crate::model::{Day, Remote};
use crate::ops::index::key::exposed;
use crate::ops::sharing::{has_dropped, relation};
use crate::ops::{
    MirrorSource, OpError, Project, Relation, Result, Unpushed, mirror_source, refusal, status, unpushed,
};
use crate::store::ObjectId;

/// Returns whether the mirror has everything that the locks in force need.
pub fn locks(project: &Project) -> Result<Vec<Finding>> {
    let status = match status(project, false) {
        Err(error @ OpError::NoLock { .. }) => return Ok(vec![Finding::error(Topic::Locks, error)]),
        status => status?,
    };
    let locks = status.locks.join(", ");
    if let Some(error) = refusal(project, &status) {
        return Ok(vec![Finding::error(Topic::Locks, error)]);
    }
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
    if let Some(Unpushed { remote, relation: Relation::Absent, command }) = unpushed(project)? {
        let text = format!("{remote} had no {branch} when last fetched: the mirror is not pushed yet");
        found.push(Finding::run(Topic::Mirror, text, command));
    }
    found.extend(exposed(project).map(|(problem, remedy)| Finding::act(Topic::Mirror, problem, remedy)));
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
    let relation = local.map_or(Ok(Relation::Same), |local| relation(project, remote, local))?;
    let repository = &project.repository;
    if !read.is_empty() && has_dropped(project, remote)? && local.is_some() {
        // A push would take what this checkout needs from everyone.
        return Ok(Finding::run(Topic::Mirror, at + "; the local one has dropped some of it", "git hexmirror update"));
    }
    let more = match relation {
        Relation::Same | Relation::Absent => "",
        Relation::Ahead => "; the local one is behind",
        Relation::Behind => "; it lacks local commits that are not pushed yet",
        Relation::Replaced => "; it still has the history from before `git hexmirror compact`",
        Relation::Diverged => "; it and the local one have diverged",
    };
    // Nobody has to keep other remotes, such as forks, up to date.
    let counts = !read.is_empty() || repository.default_remote().as_ref() == Some(remote);
    Ok(match relation.command(remote) {
        Some(command) if counts => Finding::run(Topic::Mirror, at + more, command),
        _ => Finding::good(Topic::Mirror, at + more),
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
