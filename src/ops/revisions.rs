//! Two states of the project, named as for `git diff`, and the locks of both.

use std::path::PathBuf;

use super::project::LOCKS;
use super::{LockFile, OpError, Project, Result, read_locks};
use crate::plan::Wanted;
use crate::store::ObjectId;

/// A state of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// A commit.
    Commit {
        /// As it was named.
        name: String,
        /// Its id.
        id: ObjectId,
    },
    /// The files as they are in the worktree.
    Worktree,
}

/// Two states of the project that are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Between {
    /// The one that counts as the earlier.
    pub before: At,
    /// The one that counts as the later.
    pub after: At,
}

/// What the arguments of a comparison name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The states, where any is named.
    pub between: Option<Between>,
    /// The packages.
    pub packages: Vec<String>,
}

/// The locks of one state.
pub(super) struct LocksAt {
    /// Their paths from the root of the worktree.
    pub files: Vec<String>,
    /// What they pin.
    pub wanted: Wanted,
}

impl At {
    /// Returns the state for people.
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

impl Between {
    /// Returns `HEAD` and the worktree, as `git diff HEAD` compares them.
    ///
    /// # Errors
    /// Fails where there is no commit yet.
    pub fn head_and_worktree(project: &Project) -> Result<Self> {
        Ok(Self { before: At::commit(project, "HEAD")?, after: At::Worktree })
    }

    /// Returns both states for people.
    fn shown(&self) -> String {
        match (self.before.shown(), self.after.shown()) {
            (before, after) if before == after => before.to_owned(),
            (before, after) => format!("{before} or {after}"),
        }
    }

    /// Reads `REV..REV` or `REV...REV`, where either side may be left out and is `HEAD` then.
    fn range(project: &Project, text: &str) -> Result<Self> {
        let (before, after, from_base) = match text.split_once("...") {
            Some((before, after)) => (before, after, true),
            None => text.split_once("..").map_or((text, "", false), |(before, after)| (before, after, false)),
        };
        let side = |name: &str| At::commit(project, if name.is_empty() { "HEAD" } else { name });
        let between = Self { before: side(before)?, after: side(after)? };
        let (true, At::Commit { id: one, .. }, At::Commit { id: other, .. }) =
            (from_base, &between.before, &between.after)
        else {
            return Ok(between);
        };
        let base = project.git(false)?.merge_base(&one.to_string(), &other.to_string())?;
        let base = base.and_then(|id| ObjectId::from_hex(id.as_bytes()).ok());
        let id = base.ok_or_else(|| OpError::NoMergeBase { range: text.to_owned() })?;
        Ok(Self { before: At::Commit { name: id.to_hex_with_len(10).to_string(), id }, after: between.after })
    }

    /// Returns the locks of both states: those configured, else the nearest `mix.lock` and `rebar.lock` of either, upward
    /// from the current directory to the root of the worktree.
    ///
    /// # Errors
    /// Fails where neither state has any, or one cannot be used.
    pub(super) fn locks(&self, project: &Project) -> Result<[LocksAt; 2]> {
        let sides = [&self.before, &self.after];
        let mut folder = project.folder();
        let [before, after] = loop {
            let [before, after] = sides.map(|at| project.locks_in(at, &folder));
            let found = [before?, after?];
            let any = found.iter().any(|locks| !locks.is_empty());
            if any || project.config.locks.is_some() || !folder.pop() {
                break found;
            }
        };
        if before.is_empty() && after.is_empty() {
            return Err(OpError::NoLockAt { wanted: project.wanted_locks(), states: self.shown() });
        }
        Ok([read(project, &self.before, before)?, read(project, &self.after, after)?])
    }
}

impl Project {
    /// Tells what the arguments of a comparison name: before a `--` revisions, ranges of them and packages, in any order;
    /// after it packages.
    ///
    /// # Errors
    /// Fails where a revision does not exist, where there are too many, and where a name is both a revision and a package.
    pub fn named(&self, arguments: &[String], packages: &[String], may_be_package: bool) -> Result<Named> {
        let (mut revisions, mut named) = (Vec::new(), Named { between: None, packages: packages.to_vec() });
        for argument in arguments {
            if argument.contains("..") {
                let between = Between::range(self, argument)?;
                if named.between.replace(between).is_some() {
                    return Err(OpError::TooManyRevisions);
                }
                continue;
            }
            match At::commit(self, argument) {
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
                named.between = Some(Between { before, after: after.unwrap_or(At::Worktree) });
            }
            _ => return Err(OpError::TooManyRevisions),
        }
        Ok(named)
    }

    /// Tells whether the locks of the worktree name a package. Locks that cannot be read name none.
    fn is_locked(&self, name: &str) -> bool {
        let wanted = self.locks().and_then(|locks| read_locks(&self.repository, &locks)).unwrap_or_default();
        crate::plan::locked(&wanted).iter().any(|locked| locked.name() == name)
    }

    /// Returns the locks of a state that are configured, else those in a folder.
    fn locks_in(&self, at: &At, folder: &std::path::Path) -> Result<Vec<LockFile>> {
        match (at, &self.config.locks) {
            (At::Worktree, Some(globs)) => return Ok(self.configured_locks(globs)?.0),
            (At::Commit { id, .. }, Some(_)) => return self.locks_at(*id),
            _ => {}
        }
        let mut locks = Vec::new();
        for name in LOCKS {
            let path: PathBuf = folder.join(name);
            let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
            let file = parts.join("/");
            locks.extend(match at {
                At::Worktree => self.lock(file)?,
                At::Commit { id, .. } => self.repository.blob_at(*id, &file)?.map(|blob| LockFile::stored(file, blob)),
            });
        }
        Ok(locks)
    }
}

fn read(project: &Project, at: &At, locks: Vec<LockFile>) -> Result<LocksAt> {
    let wanted = read_locks(&project.repository, &locks).map_err(|error| match (error, at) {
        (OpError::Lock { file, text, source }, At::Commit { name, .. }) => {
            OpError::Lock { file: format!("{name}:{file}"), text, source }
        }
        (error, _) => error,
    })?;
    Ok(LocksAt { files: locks.into_iter().map(|lock| lock.file).collect(), wanted })
}
