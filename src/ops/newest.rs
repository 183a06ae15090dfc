//! Commands that ask for news, which the mirror cannot know, and the age of the answer that they get from it.

use super::plugins::config::MIX_EXS;
use super::project::worktree::{MAX_LOCK, read_tracked};
use super::today::today;
use super::{Project, Result, mirror};
use crate::model::Day;
use crate::plan::{Newest, known_day};
use crate::store::Repository;

/// A command that gets an answer of the mirror's age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldAnswer {
    /// What the command does, such as `mix deps.update`.
    pub command: String,
    /// Whether it does so because the project's `mix.exs` has changed since the last commit.
    pub requirements_changed: bool,
    /// The day of the mirror's answers.
    pub day: Day,
}

/// Returns what a command asks for that may have changed upstream since the mirror was updated. `None` if it needs no
/// news.
///
/// # Errors
/// Fails if there is no mirror, or a file cannot be read.
pub fn old_answer(project: &Project, program: &str, arguments: &[String]) -> Result<Option<OldAnswer>> {
    let (command, requirements_changed) = match Newest::of(program, arguments) {
        Some(Newest::Always(command)) => (command, false),
        Some(Newest::IfRequirementsChanged(command)) if has_changed_requirements(project)? => (command, true),
        _ => return Ok(None),
    };
    let day = answers_of(project)?;
    Ok(Some(OldAnswer { command, requirements_changed, day }))
}

/// Returns the day of the mirror's answers: that of the last refresh of all registry entries. If the mirror does not
/// record it, the entries are at least as old as its newest commit.
///
/// # Errors
/// Fails if there is no mirror, or it cannot be read.
pub fn answers_of(project: &Project) -> Result<Day> {
    let (source, snapshot) = mirror(project)?;
    match known_day(snapshot.refreshed(), today()) {
        Some(day) => Ok(day),
        None => Ok(Day::of_seconds(project.repository.commit_seconds(source.commit)?)),
    }
}

/// Returns whether `mix.exs` in the current directory differs from the last commit.
fn has_changed_requirements(project: &Project) -> Result<bool> {
    let repository = &project.repository;
    let (Some(root), Some(head)) = (repository.worktree(), repository.head()?) else { return Ok(false) };
    let Some(folder) = project.below(root) else { return Ok(false) };
    let file = folder.join(MIX_EXS);
    let Some(file) = file.to_str() else { return Ok(false) };
    let Some(bytes) = read_tracked(repository, file, MAX_LOCK)? else { return Ok(false) };
    Ok(repository.blob_at(head, file)? != Some(Repository::blob_id(&bytes)?))
}
