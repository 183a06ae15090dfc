//! Parses two states of the project, named as for `git diff`, and reads their locks.

use crate::ops::{LockFile, OpError, Project, Result, read_locks};
use crate::plan::Wanted;
use crate::store::ObjectId;

/// A state of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectState {
    /// A commit.
    Commit {
        /// Its name as given.
        name: String,
        /// Its id.
        id: ObjectId,
    },
    /// The files in the worktree.
    Worktree,
}

/// Two states of the project to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedStates {
    /// The old state.
    pub before: ProjectState,
    /// The new state.
    pub after: ProjectState,
}

/// The parsed arguments of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiffArguments {
    /// The states, if the arguments name any.
    pub between: Option<ComparedStates>,
    /// The packages.
    pub packages: Vec<String>,
}

/// The locks of one state of the project.
pub(in crate::ops) struct LocksAt {
    /// Their paths relative to the worktree's root.
    pub files: Vec<String>,
    /// What they pin.
    pub wanted: Wanted,
}

impl ProjectState {
    /// Returns the state's name for display.
    pub fn shown(&self) -> &str {
        match self {
            Self::Commit { name, .. } => name,
            Self::Worktree => "the worktree",
        }
    }

    fn commit(project: &Project, name: &str) -> Result<Self> {
        let id = project.repository.commit_named(name);
        let id = id.ok_or_else(|| OpError::NoRevision { revision: name.to_owned() })?;
        Ok(Self::Commit { name: name.to_owned(), id })
    }
}

impl ComparedStates {
    /// Returns `HEAD` and the worktree, which `git diff HEAD` compares.
    ///
    /// # Errors
    /// Fails if there is no commit yet.
    pub fn head_and_worktree(project: &Project) -> Result<Self> {
        Ok(Self { before: ProjectState::commit(project, "HEAD")?, after: ProjectState::Worktree })
    }

    /// Returns the names of both states for display.
    fn shown(&self) -> String {
        match (self.before.shown(), self.after.shown()) {
            (before, after) if before == after => before.to_owned(),
            (before, after) => format!("{before} or {after}"),
        }
    }

    /// Parses `REV..REV` or `REV...REV`. An omitted side stands for `HEAD`.
    fn range(project: &Project, text: &str) -> Result<Self> {
        let (before, after, from_base) = match text.split_once("...") {
            Some((before, after)) => (before, after, true),
            None => text.split_once("..").map_or((text, "", false), |(before, after)| (before, after, false)),
        };
        let side = |name: &str| ProjectState::commit(project, if name.is_empty() { "HEAD" } else { name });
        let between = Self { before: side(before)?, after: side(after)? };
        let (true, ProjectState::Commit { id: one, .. }, ProjectState::Commit { id: other, .. }) =
            (from_base, &between.before, &between.after)
        else {
            return Ok(between);
        };
        let base = project.git(false)?.merge_base(&one.to_string(), &other.to_string())?;
        let base = base.and_then(|id| ObjectId::from_hex(id.as_bytes()).ok());
        let id = base.ok_or_else(|| OpError::NoMergeBase { range: text.to_owned() })?;
        Ok(Self { before: ProjectState::Commit { name: id.to_hex_with_len(10).to_string(), id }, after: between.after })
    }

    /// Returns the locks in force of both states.
    ///
    /// # Errors
    /// Fails if neither state has a lock, or if a lock is invalid.
    pub(in crate::ops) fn locks(&self, project: &Project) -> Result<[LocksAt; 2]> {
        let [before, after] = [project.locks_of(&self.before)?, project.locks_of(&self.after)?];
        if before.is_empty() && after.is_empty() {
            return Err(OpError::NoLockAt { wanted: project.wanted_locks(), states: self.shown() });
        }
        Ok([read(project, &self.before, before)?, read(project, &self.after, after)?])
    }
}

impl Project {
    /// Parses the arguments of a comparison. Arguments before `--` are revisions, ranges and packages in any order;
    /// arguments after it are packages.
    ///
    /// # Errors
    /// Fails if a revision does not exist, if there are more than two revisions, or if a name is both a revision and a
    /// package.
    pub fn diff_arguments(
        &self,
        arguments: &[String],
        packages: &[String],
        may_be_package: bool,
    ) -> Result<DiffArguments> {
        let (mut revisions, mut named) = (Vec::new(), DiffArguments { between: None, packages: packages.to_vec() });
        for argument in arguments {
            if argument.contains("..") {
                let between = ComparedStates::range(self, argument)?;
                if named.between.replace(between).is_some() {
                    return Err(OpError::TooManyRevisions);
                }
                continue;
            }
            match ProjectState::commit(self, argument) {
                Ok(_) if may_be_package && self.is_locked(argument) => {
                    return Err(OpError::RevisionAndPackage { name: argument.clone() });
                }
                Ok(revision) => revisions.push(revision),
                Err(_) if may_be_package => named.packages.push(argument.clone()),
                Err(error) => return Err(error),
            }
        }
        let mut revisions = revisions.into_iter();
        match (&named.between, revisions.next(), revisions.next(), revisions.next()) {
            (_, None, ..) => {}
            (None, Some(before), after, None) => {
                named.between = Some(ComparedStates { before, after: after.unwrap_or(ProjectState::Worktree) });
            }
            _ => return Err(OpError::TooManyRevisions),
        }
        Ok(named)
    }

    /// Returns whether the locks in the worktree contain a package. Invalid locks contain none.
    fn is_locked(&self, name: &str) -> bool {
        let wanted = self.locks().and_then(|locks| read_locks(&self.repository, &locks)).unwrap_or_default();
        crate::plan::locked(&wanted).iter().any(|locked| locked.name() == name)
    }

    /// Returns the locks in force of a state, which may be none.
    pub(in crate::ops) fn locks_of(&self, at: &ProjectState) -> Result<Vec<LockFile>> {
        match at {
            ProjectState::Commit { id, .. } => self.locks_at(*id),
            ProjectState::Worktree => match self.present_locks() {
                Err(OpError::NoLock { .. }) => Ok(Vec::new()),
                locks => locks,
            },
        }
    }
}

fn read(project: &Project, at: &ProjectState, locks: Vec<LockFile>) -> Result<LocksAt> {
    let wanted = read_locks(&project.repository, &locks).map_err(|error| match (error, at) {
        (OpError::Lock { file, text, source }, ProjectState::Commit { name, .. }) => {
            OpError::Lock { file: format!("{name}:{file}"), text, source }
        }
        (error, _) => error,
    })?;
    Ok(LocksAt { files: locks.into_iter().map(|lock| lock.file).collect(), wanted })
}
