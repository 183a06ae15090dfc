//! Collects what the locks of everything live in a project pin.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::globs::{SKIPPED, are_literal, glob_set, walk};
use super::lock_file::{LockFile, read_locks};
use super::policies::{lock_beside, mix_exs_beside, policy_in_commit, unless_refused};
use super::worktree::{MAX_LOCK, MAX_SETTINGS, read_below, read_committed};
use crate::config::{self, Layer};
use crate::ops::{OpError, Project, Result};
use crate::plan::{LockRule, LockVerdict, Needed};
use crate::progress::{Event, Progress};
use crate::store::{FileRule, ObjectId, Roots, VisitedFolders};

/// Which locks count, and how to treat one that cannot be read.
#[derive(Debug, Clone)]
pub(in crate::ops) struct LockScope {
    /// Globs for the tags whose locks count.
    pub tags: Vec<String>,
    /// All commits since this time count, in seconds since 1970.
    pub since: i64,
    /// Whether a lock that cannot be read is an error if a branch or worktree currently uses it. Otherwise, it is
    /// ignored.
    pub strict: bool,
}

/// The pins of all locks, and the number of distinct locks.
#[derive(Debug, Default)]
pub(in crate::ops) struct LockedNeeds {
    pub needed: Needed,
    pub locks: usize,
}

/// The names of a project's locks: the configured ones, and those that are locks in force if none are configured.
#[derive(Debug, Clone)]
struct Names {
    globs: globset::GlobSet,
    /// The names without wildcards. They also match in folders that globs do not enter.
    literal: Vec<String>,
}

impl Names {
    /// Parses configured locks. `origin` describes their source in errors.
    fn new(origin: &str, configured: &[String]) -> Result<Self> {
        let literal = configured.iter().filter(|name| are_literal(std::slice::from_ref(name))).cloned().collect();
        Ok(Self { globs: glob_set(origin, configured, true)?, literal })
    }

    fn has(&self, path: &str, has_beside: &dyn Fn(&str) -> bool) -> bool {
        self.globs.is_match(path) || LockRule::default().judge(path, has_beside) == LockVerdict::InForce
    }

    /// Returns whether a file is a lock, or a mix.exs beside one.
    fn has_file(&self, path: &str, has_beside: &dyn Fn(&str) -> bool) -> bool {
        let is_lock = |path: &str| self.has(path, has_beside);
        is_lock(path) || lock_beside(path).is_some_and(|(lock, name)| has_beside(name) && is_lock(&lock))
    }
}

/// Collects the pins of the locks of all local branches, remote-tracking branches, selected tags, worktrees, indexes
/// and stashes, and of commits that are recent or not pushed yet.
///
/// # Errors
/// Fails if the project cannot be read, or if a lock cannot be read and the scope is strict.
pub(in crate::ops) fn needed(project: &Project, scope: &LockScope, progress: &dyn Progress) -> Result<LockedNeeds> {
    let repository = &project.repository;
    // As in git's own patterns for tags, `*` also matches slashes.
    let tags = glob_set("the tags to keep", &scope.tags, false)?;
    let configured = Names::new(project.locks_setting(), project.config.locks.as_deref().unwrap_or_default())?;
    let rule = FileRule { enters: &|_| true, selects: &|path, has_beside| configured.has_file(path, has_beside) };
    let roots = repository.roots(&project.branch, |tag| tags.is_match(tag), rule)?;
    if scope.strict {
        warn(project, &roots, progress);
    }
    let mut search = Search::new(project, scope, progress, configured);
    let Roots { tips, local, remote, worktrees, staged, .. } = roots;
    for (commit, whose) in &tips {
        search.commit(*commit, Some(whose))?;
    }
    for (path, blob) in staged {
        search.file(path, blob, Some("an index"), true)?;
    }
    for root in worktrees {
        search.worktree(&root)?;
    }
    let (made, cut) = repository.commits_since(tips.keys().copied(), scope.since)?;
    if cut && scope.strict {
        let message = "this clone is shallow and may lack commits of the days to keep; prune may remove what only those commits need";
        progress.report(Event::Warning { message: message.into() });
    }
    // Without a remote, nothing is ever pushed, so nothing counts as unpushed.
    let unpushed = if remote.is_empty() { Vec::new() } else { repository.commits_only_in(&local, &remote)? };
    for commit in made.into_iter().chain(unpushed) {
        search.commit(commit, None)?;
    }
    search.needed.policies.extend(project.named_policies());
    Ok(LockedNeeds { needed: search.needed, locks: search.locks })
}

fn warn(project: &Project, roots: &Roots, progress: &dyn Progress) {
    if !project.repository.knows_all_branches() {
        let message =
            "this clone does not fetch all branches of its remotes; prune may remove what only the other branches need";
        progress.report(Event::Warning { message: message.into() });
    }
    for name in &roots.unreadable {
        let message = format!("cannot read {name}; prune may remove what it needs");
        progress.report(Event::Warning { message });
    }
}

struct Search<'a> {
    project: &'a Project,
    scope: &'a LockScope,
    progress: &'a dyn Progress,
    configured: Names,
    /// The lock names in the tracked settings of commits, by blob id.
    tracked: HashMap<ObjectId, Names>,
    /// The folders already searched, for each version of the tracked settings.
    folders: HashMap<Option<ObjectId>, VisitedFolders>,
    commits: BTreeSet<ObjectId>,
    /// The files already read, by blob id.
    read: HashSet<ObjectId>,
    /// The number of distinct locks.
    locks: usize,
    needed: Needed,
}

impl<'a> Search<'a> {
    fn new(project: &'a Project, scope: &'a LockScope, progress: &'a dyn Progress, configured: Names) -> Self {
        Self {
            project,
            scope,
            progress,
            configured,
            tracked: HashMap::new(),
            folders: HashMap::new(),
            commits: BTreeSet::new(),
            read: HashSet::new(),
            locks: 0,
            needed: Needed::default(),
        }
    }

    /// Adds the locks of a commit. `whose` names the ref that points to the commit, if any.
    fn commit(&mut self, commit: ObjectId, whose: Option<&str>) -> Result<()> {
        if !self.commits.insert(commit) {
            return Ok(());
        }
        let repository = &self.project.repository;
        let settings = repository.blob_at(commit, config::FILE)?;
        if let Some(blob) = settings.filter(|blob| !self.tracked.contains_key(blob)) {
            let names = match read_committed(repository, blob, config::FILE, MAX_SETTINGS) {
                Err(OpError::Refused { .. }) => None,
                settings => tracked_names(&settings?),
            };
            self.tracked.insert(blob, names.unwrap_or(Names::new(config::FILE, &[])?));
        }
        let (configured, tracked) = (&self.configured, settings.and_then(|blob| self.tracked.get(&blob)));
        let selects = |path: &str, has_beside: &dyn Fn(&str) -> bool| {
            [Some(configured), tracked].into_iter().flatten().any(|names| names.has_file(path, has_beside))
        };
        let rule = FileRule { enters: &|folder| !SKIPPED.contains(&folder), selects: &selects };
        let folders = self.folders.entry(settings).or_default();
        let mut files = repository.files_at(commit, rule, folders)?;
        for path in configured.literal.iter().chain(tracked.iter().flat_map(|tracked| &tracked.literal)) {
            for path in mix_exs_beside(path).into_iter().chain([path.clone()]) {
                files.extend(repository.blob_at(commit, &path)?.map(|blob| (path, blob)));
            }
        }
        for (path, blob) in files {
            self.file(path, blob, whose, false)?;
        }
        Ok(())
    }

    /// Adds a lock, or the policy of a mix.exs.
    fn file(&mut self, path: String, blob: ObjectId, whose: Option<&str>, in_worktree: bool) -> Result<()> {
        if lock_beside(&path).is_none() {
            return self.add(LockFile::stored(path, blob), whose, in_worktree);
        }
        if self.read.insert(blob) {
            let policy = policy_in_commit(&self.project.repository, blob, &path);
            let policy = if self.scope.strict { policy? } else { policy.unwrap_or_default() };
            self.needed.policies.extend(policy);
        }
        Ok(())
    }

    /// Adds the locks in a worktree.
    fn worktree(&mut self, root: &std::path::Path) -> Result<()> {
        let (repository, strict) = (&self.project.repository, self.scope.strict);
        let read = |file: &str, limit| match read_below(repository, root, file, limit) {
            Err(OpError::Refused { .. }) if !strict => Ok(None),
            read => read,
        };
        let tracked = read(config::FILE, MAX_SETTINGS)?.and_then(|settings| tracked_names(&settings));
        let mut names = vec![self.configured.clone()];
        names.extend(tracked);
        let is_lock = |path: &String| {
            let file = root.join(path);
            names.iter().any(|names| names.has_file(path, &|name| file.with_file_name(name).symlink_metadata().is_ok()))
        };
        let mut files: BTreeSet<String> = walk(root).filter(is_lock).collect();
        for literal in names.iter().flat_map(|names| &names.literal) {
            files.extend(mix_exs_beside(literal).into_iter().chain([literal.clone()]));
        }
        for file in files {
            if lock_beside(&file).is_some() {
                self.needed.policies.extend(unless_refused(read(&file, MAX_SETTINGS))?);
            } else if let Some(bytes) = read(&file, MAX_LOCK)? {
                self.add(LockFile::read(file, bytes)?, Some(&root.display().to_string()), true)?;
            }
        }
        Ok(())
    }

    /// Adds the pins of a lock. `whose` is `None` if no branch or worktree currently uses the lock.
    fn add(&mut self, lock: LockFile, whose: Option<&str>, in_worktree: bool) -> Result<()> {
        if !self.read.insert(lock.blob) {
            return Ok(());
        }
        self.locks += 1;
        match (read_locks(&self.project.repository, std::slice::from_ref(&lock)), whose) {
            (Ok(wanted), _) => self.needed.add(&wanted),
            (Err(OpError::Lock { .. } | OpError::Refused { .. }), _) if !self.scope.strict => {}
            // During an unresolved merge, the commits of both sides keep what they pin.
            (Err(OpError::Lock { file, text, source }), Some(whose)) if !(in_worktree && source.is_conflict()) => {
                return Err(OpError::Lock { file: format!("{whose}:{file}"), text, source });
            }
            (Err(OpError::Refused { file, reason }), Some(whose)) => {
                return Err(OpError::Refused { file: format!("{whose}:{file}"), reason });
            }
            (Err(OpError::Lock { file, .. } | OpError::Refused { file, .. }), _) => {
                let whose = whose.unwrap_or("an older commit");
                let message = format!("cannot parse the lock {file} of {whose}; prune may remove what it needs");
                self.progress.report(Event::Warning { message });
            }
            (Err(error), _) => return Err(error),
        }
        Ok(())
    }
}

/// Reads the lock names from tracked settings. Returns `None` if the settings are invalid.
fn tracked_names(settings: &[u8]) -> Option<Names> {
    let layer = Layer::from_toml(&String::from_utf8_lossy(settings)).ok()?;
    Names::new(config::FILE, &layer.locks.unwrap_or_default()).ok()
}
