//! Reads the git dependencies of locks.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::num::NonZeroU32;

use serde_json::Value;

use crate::lock::{ABSENT, AS_OF, GitSource, Located, LockError, LockKind};
use crate::model::{Day, DayError, GitAddressError, GitName, GitNameError, GitUrl, Revision, redacted_address};

/// A git revision that a lock pins.
///
/// `sparse` and `subdir` do not affect the mirror, which stores the complete revision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GitPin {
    /// The application.
    pub app: String,
    /// The address of the repository as the lock spells it.
    pub url: GitUrl,
    /// The commit.
    pub revision: Revision,
    /// The required number of generations of its ancestry; `None` for the complete ancestry.
    pub depth: Option<NonZeroU32>,
    /// The refs that the entry names.
    pub names: BTreeSet<GitName>,
    /// Whether the submodules are required, too.
    pub submodules: bool,
    /// The folder of the revision that contains the dependency, if it is not the root.
    pub subdir: Option<String>,
    /// The only folder to check out, if the checkout is sparse.
    pub sparse: Option<String>,
    /// The day when the revision was the tip of its branch, if the entry pins a branch and not a dependency. Clients of it
    /// ask for the branch.
    pub as_of: Option<Day>,
}

/// A git dependency that cannot be mirrored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unmirrored {
    /// The application.
    pub app: String,
    /// The address, without credentials.
    pub url: String,
    /// The revision in the lock, if it has one.
    pub revision: Option<String>,
    /// The reason.
    pub reason: NotMirrored,
}

/// Why a git dependency cannot be mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotMirrored {
    /// The address is a folder on this machine.
    Local,
    /// When an update looked, the repository had no such branch, tag or commit.
    NoRef,
    /// The lock names no commit, only a branch, a tag or an abbreviated commit id.
    NoCommit,
}

impl Display for NotMirrored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "a local path",
            Self::NoRef => {
                "its repository had no such branch, tag or commit; `git hexmirror update --refresh` looks again"
            }
            Self::NoCommit => "the lock does not pin a full commit id",
        })
    }
}

/// Reads a git dependency. The inner `Err` is a dependency that cannot be mirrored, which is not an error of the lock.
pub(super) fn git_pin(
    app: String,
    source: &GitSource,
    kind: LockKind,
) -> Result<Result<GitPin, Unmirrored>, LockError> {
    let entry = GitEntry { app: &app, source };
    let unmirrored = |reason| {
        let revision = source.revision.as_ref().map(|revision| revision.text.clone());
        Ok(Err(Unmirrored { app: app.clone(), url: redacted_address(&source.url.text), revision, reason }))
    };
    let Some(url) = entry.url()? else { return unmirrored(NotMirrored::Local) };
    let Some(revision) = entry.revision()? else {
        return match entry.absent(kind)? {
            Some(name) => Ok(Err(Unmirrored {
                app: app.clone(),
                url: redacted_address(&source.url.text),
                revision: Some(name),
                reason: NotMirrored::NoRef,
            })),
            None => unmirrored(NotMirrored::NoCommit),
        };
    };
    let (names, depth) = (entry.names(kind)?, entry.depth()?);
    let submodules = entry.option("submodules").and_then(Value::as_bool).unwrap_or(false);
    let (subdir, sparse) = (entry.folder("subdir"), entry.folder("sparse"));
    let as_of = if kind == LockKind::Hexmirror { entry.as_of()? } else { None };
    Ok(Ok(GitPin { app, url, revision, depth, names, submodules, subdir, sparse, as_of }))
}

/// The parts of a git dependency's entry in a lock.
struct GitEntry<'a> {
    app: &'a str,
    source: &'a GitSource,
}

impl<'a> GitEntry<'a> {
    /// Returns the address; `None` if it is a folder on this machine.
    fn url(&self) -> Result<Option<GitUrl>, LockError> {
        match self.source.url.text.parse() {
            Ok(url) => Ok(Some(url)),
            Err(GitAddressError::Local) => Ok(None),
            Err(error) => Err(self.error(&error, "this URL is not allowed")),
        }
    }

    /// Returns the commit; `None` if the entry has none, or only the name of one. The name may be in a lock that was
    /// written by hand, which rebar3 accepts, or be an abbreviated commit id.
    fn revision(&self) -> Result<Option<Revision>, LockError> {
        let Some(Located { text, span }) = &self.source.revision else { return Ok(None) };
        match text.parse() {
            Ok(revision) => Ok(Some(revision)),
            Err(_) if GitName::branch(text).is_ok() => Ok(None),
            Err(error) => {
                let (message, label) = (error.to_string(), "this is not a commit id".to_owned());
                Err(LockError { message, label, span: *span })
            }
        }
    }

    /// Returns the refs that the entry names.
    fn names(&self, kind: LockKind) -> Result<BTreeSet<GitName>, LockError> {
        let named = |name: &str| self.option(name).and_then(Value::as_str);
        let names = [named("branch").map(GitName::branch), named("tag").map(GitName::tag)].into_iter().flatten();
        let wrong = |error: GitNameError| self.error(&error, "the entry of this repository");
        let mut names = names.map(|name| name.map_err(wrong)).collect::<Result<BTreeSet<_>, _>>()?;
        // rebar3 only writes the commit, not the ref that it was resolved from.
        if names.is_empty() && matches!(kind, LockKind::Mix | LockKind::Hexmirror) && named("ref").is_none() {
            names.insert(GitName::Head);
        }
        Ok(names)
    }

    /// Returns the ref or commit that a plugin's repository lacks, according to a hexmirror.lock.
    fn absent(&self, kind: LockKind) -> Result<Option<String>, LockError> {
        let is_absent = self.source.revision.as_ref().is_some_and(|revision| revision.text == ABSENT);
        if kind != LockKind::Hexmirror || !is_absent {
            return Ok(None);
        }
        let commit = self.option("ref").and_then(Value::as_str).map(str::to_owned);
        Ok(commit.or(self.names(kind)?.first().map(ToString::to_string)))
    }

    /// Returns the number of generations to fetch; `None` for the complete ancestry.
    fn depth(&self) -> Result<Option<NonZeroU32>, LockError> {
        let Some(depth) = self.option("depth").filter(|depth| !depth.is_null()) else { return Ok(None) };
        let number = depth.as_u64().and_then(|depth| NonZeroU32::new(u32::try_from(depth).ok()?));
        let wrong = || format!("its depth is {depth}, not a positive number");
        number.map(Some).ok_or_else(|| self.error(&wrong(), "the entry of this repository"))
    }

    /// Returns the day when the revision was the tip of its branch.
    fn as_of(&self) -> Result<Option<Day>, LockError> {
        let Some(day) = self.option(AS_OF).and_then(Value::as_str) else { return Ok(None) };
        day.parse().map(Some).map_err(|error: DayError| self.error(&error, "the entry of this repository"))
    }

    /// Returns an option that names a folder.
    fn folder(&self, name: &str) -> Option<String> {
        match self.option(name)? {
            Value::Null => None,
            Value::String(folder) => Some(folder.clone()),
            other => Some(other.to_string()),
        }
    }

    fn option(&self, name: &str) -> Option<&'a Value> {
        self.source.options.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    fn error(&self, problem: &dyn Display, label: &str) -> LockError {
        let message = format!("cannot mirror the git dependency `{}`: {problem}", self.app.escape_debug());
        LockError { message, label: label.to_owned(), span: self.source.url.span }
    }
}
