//! What the pages about the history show.

use super::context::Mirrored;
use super::words::{locked, short, update};
use crate::ops::log::log_from;
use crate::ops::{ComparedStates, LogOptions, LoggedCommit, MirrorSource, OpError, ProjectState, Result, lock_diff};
use crate::page::{Address, Change, MirrorCommit, MirrorHistory, ProjectChanges, Tone};
use crate::plan::{ChangeKind, LockChange};

/// The number of commits on a page.
pub(super) const COMMITS: usize = 20;
/// The maximum length of a revision that people type, in bytes.
const MAX_REVISION: usize = 200;
/// The maximum number of changes on a page.
const MAX_CHANGES: usize = 250;

/// Returns a page of the history.
pub(super) fn history(mirror: &Mirrored<'_>, page: usize) -> Result<MirrorHistory> {
    let source = MirrorSource { remote: None, commit: mirror.snapshot.commit() };
    let length = mirror.project.repository.first_parents(source.commit)?.len();
    let pages = length.div_ceil(COMMITS).max(1);
    let page = page.min(pages);
    // One more, for what changed since the commit before.
    let options = LogOptions { skip: (page - 1) * COMMITS, limit: Some(COMMITS + 1), ..LogOptions::default() };
    let log = log_from(mirror.project, source, &options)?;
    let commits = log.commits.iter().take(COMMITS).enumerate();
    let commits = commits.map(|(index, logged)| commit(logged, log.commits.get(index + 1))).collect();
    Ok(MirrorHistory { page, pages, commits, is_cut: log.is_cut })
}

fn commit(logged: &LoggedCommit, before: Option<&LoggedCommit>) -> MirrorCommit {
    let recorded =
        |logged: &LoggedCommit| logged.project.as_ref().filter(|project| project.known.is_some()).map(|p| p.id);
    let project = logged.project.as_ref().map(|project| {
        let id = short(&project.id.to_string());
        let subject = project.known.as_ref().map_or("(not in this clone)", |known| &known.subject);
        format!("{id} {subject}")
    });
    let changes = match (before.and_then(recorded), recorded(logged)) {
        (Some(from), Some(to)) if from != to => Some(Address::Changes(format!("{from}..{to}"))),
        _ => None,
    };
    MirrorCommit { update: update(logged), project, changes }
}

/// Returns what changed between two commits of the project, or why that cannot be said.
pub(super) fn changes(mirror: &Mirrored<'_>, range: &str) -> Result<Result<ProjectChanges, String>> {
    let project = mirror.project;
    let Some((from, to)) = range.split_once("..").filter(|(from, to)| is_revision(from) && is_revision(to)) else {
        return Ok(Err("two commits are named as FROM..TO, by branches, tags or ids".to_owned()));
    };
    let mut states = Vec::new();
    let mut commits = Vec::new();
    for name in [from, to] {
        let Some(id) = project.repository.commit_named(name) else {
            return Ok(Err(format!("the project has no commit {name:?}")));
        };
        let subject = project.repository.commit_summary(id).map(|commit| commit.subject).unwrap_or_default();
        commits.push(format!("{} {subject}", short(&id.to_string())));
        states.push(ProjectState::Commit { name: name.to_owned(), id });
    }
    let [(Some(before), Some(after)), ..] = [(states.first().cloned(), states.get(1).cloned())] else {
        return Ok(Err("two commits are needed".to_owned()));
    };
    let diff = match lock_diff(project, ComparedStates { before, after }) {
        Ok(diff) => diff,
        Err(error @ (OpError::NoLockAt { .. } | OpError::Lock { .. })) => return Ok(Err(error.to_string())),
        Err(error) => return Err(error),
    };
    let changes = diff.changes.iter().take(MAX_CHANGES).map(|found| (name(found), change(found))).collect();
    let [from, to] = <[String; 2]>::try_from(commits).unwrap_or_default();
    Ok(Ok(ProjectChanges { range: range.to_owned(), commits: [from, to], changes }))
}

/// Returns whether a text can be a commit as people name it: a ref, an id, or one of these with `~N` and `^N`. Other forms of
/// gitrevisions(7), which search or name other objects, are not needed.
fn is_revision(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-~^@+".contains(&byte);
    let begins = text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_' || first == '@');
    begins && text.len() <= MAX_REVISION && text.bytes().all(is_allowed) && !text.contains("..")
}

fn name(change: &LockChange) -> String {
    change.after().or(change.before()).map(|locked| locked.name().to_owned()).unwrap_or_default()
}

fn change(change: &LockChange) -> Change {
    let kind = change.kind();
    let tone = match kind {
        ChangeKind::Added => Tone::Good,
        ChangeKind::Raised | ChangeKind::Moved => Tone::Neutral,
        ChangeKind::Lowered | ChangeKind::Checksum | ChangeKind::Source => Tone::Warning,
        ChangeKind::Removed => Tone::Bad,
    };
    let (text, link) = locked(change);
    Change { tone, word: kind.as_str(), text, package: None, link }
}

#[cfg(test)]
mod tests {
    use super::is_revision;

    #[test]
    fn only_plain_names_of_commits_are_looked_up() {
        for name in ["main", "v1.0", "feature/x-1", "HEAD~3", "HEAD^", "@", "0123abcd", "a+b"] {
            assert!(is_revision(name), "{name}");
        }
        for name in [
            "",
            "-x",
            "--output=x",
            ":/fix",
            "HEAD:mix.lock",
            "HEAD@{1}",
            "a b",
            "a\n",
            "a..b",
            "^main",
            "x^{/y}",
            "a*",
        ] {
            assert!(!is_revision(name), "{name}");
        }
        assert!(!is_revision(&"a".repeat(201)));
    }
}
