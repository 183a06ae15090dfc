//! Compares the source code of dependencies between two states of the project, for reviewing an update.

use std::collections::BTreeSet;

use super::project::revisions::{ComparedStates, ProjectState};
use super::{OpError, Project, Result, mirror};
use crate::git::{ProjectGit, Show, TreePair};
use crate::model::{Manifest, ManifestPart};
use crate::plan::{LockChange, Locked, lock_changes, locked};
use crate::store::{DiffRepository, ObjectId, ScratchObjects, Snapshot, StoreError};

/// The source trees of changed dependencies, ready to be printed.
#[derive(Debug)]
pub struct SourceDiff {
    /// The two states to compare.
    pub between: ComparedStates,
    /// Whether any of the requested dependencies changed.
    pub changed: bool,
    /// The changes that the diff shows.
    pub shown: Vec<LockChange>,
    /// Added and removed dependencies. They are omitted from the diff unless requested by name.
    pub passed_over: Vec<LockChange>,
    /// Changes of which at least one side cannot be mirrored. They are omitted from the diff.
    pub unmirrored: Vec<LockChange>,
    /// Dependencies that neither the mirror nor its history contains.
    pub lacking: Vec<Locked>,
    /// Whether the locks in the worktree pin one of these, so that an update fetches it.
    pub is_behind: bool,
    /// The requested packages that did not change.
    pub unchanged: Vec<String>,
    /// Dependencies whose lock entry changed but whose source code did not.
    pub same_code: Vec<LockChange>,
    pairs: Vec<[Side; 2]>,
    stat: bool,
    stat_trees: Option<[ObjectId; 2]>,
    scratch: Option<DiffRepository>,
}

/// How to print the diff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Printing {
    /// Whether to use colours. `None` leaves the decision to git.
    pub color: Option<bool>,
    /// Whether standard output is a terminal.
    pub terminal: bool,
}

/// One side of a diff: a tree and its display name.
#[derive(Debug, Clone)]
pub(super) struct Side {
    pub tree: ObjectId,
    name: String,
    version: String,
}

/// The source code of one side of a change.
enum Source {
    /// The lock has no such dependency.
    NotLocked,
    /// Neither the mirror nor its history contains the dependency.
    Lacking(Locked),
    /// Its tree was built.
    Built(Side),
}

impl Side {
    fn shown(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    /// Returns the side that an added or removed dependency is compared with.
    fn without_files(&self) -> Self {
        Self { tree: ObjectId::empty_tree(self.tree.kind()), ..self.clone() }
    }
}

/// Prepares a diff of the sources of `packages`, or of all dependencies if empty, whose version or revision changed
/// between two states. Both sides must be in the mirror or in its history; there is no network access.
///
/// # Errors
/// Fails if neither state has a lock, if no lock contains one of the packages, if there is no mirror, or if what it
/// contains is damaged.
pub fn source_diff(project: &Project, between: ComparedStates, packages: &[String], stat: bool) -> Result<SourceDiff> {
    let [before, after] = between.locks(project)?;
    refuse_unknown(packages, [locked(&before.wanted), locked(&after.wanted)].concat())?;
    let mut changes = lock_changes(&before.wanted, &after.wanted);
    let asked = |change: &LockChange, package: &String| sides(change).any(|locked| is_named(locked, package));
    let unchanged = packages.iter().filter(|package| !changes.iter().any(|change| asked(change, package)));
    let unchanged = unchanged.cloned().collect();
    changes.retain(|change| packages.is_empty() || packages.iter().any(|package| asked(change, package)));
    let mut diff = SourceDiff::new(between, stat, !changes.is_empty(), unchanged);
    let changes = diff.select(changes, !packages.is_empty());
    if !changes.is_empty() {
        diff.prepare(project, changes)?;
    }
    Ok(diff)
}

/// Fails if a requested package is not among the locked dependencies.
fn refuse_unknown(packages: &[String], known: Vec<Locked>) -> Result<()> {
    match packages.iter().find(|package| !known.iter().any(|locked| is_named(locked, package))) {
        Some(package) => Err(OpError::NoPackage { name: package.clone(), near: similar_names(package, &known) }),
        None => Ok(()),
    }
}

/// Returns the dependency before and after a change, if there was one.
pub(super) fn sides(change: &LockChange) -> impl Iterator<Item = &Locked> {
    change.before().into_iter().chain(change.after())
}

impl SourceDiff {
    fn new(between: ComparedStates, stat: bool, changed: bool, unchanged: Vec<String>) -> Self {
        Self {
            between,
            changed,
            shown: Vec::new(),
            passed_over: Vec::new(),
            unmirrored: Vec::new(),
            lacking: Vec::new(),
            is_behind: false,
            unchanged,
            same_code: Vec::new(),
            pairs: Vec::new(),
            stat,
            stat_trees: None,
            scratch: None,
        }
    }

    /// Returns the changes whose sources to compare, and notes the others. `all` includes dependencies that were added
    /// or removed.
    fn select(&mut self, changes: Vec<LockChange>, all: bool) -> Vec<LockChange> {
        let is_one_sided = |change: &LockChange| change.before().is_none() || change.after().is_none();
        let (passed_over, changes): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| !all && is_one_sided(change));
        self.passed_over = passed_over;
        let is_unmirrored = |change: &LockChange| sides(change).any(|locked| line(locked).is_none());
        let (unmirrored, changes) = changes.into_iter().partition(is_unmirrored);
        self.unmirrored = unmirrored;
        changes
    }

    /// Finds both sides of each change and builds trees of them.
    fn prepare(&mut self, project: &Project, changes: Vec<LockChange>) -> Result<()> {
        mirror(project)?;
        let wanted: Vec<&Locked> = changes.iter().flat_map(sides).collect();
        let lines: Vec<(ManifestPart, String)> = wanted.iter().filter_map(|locked| line(locked)).collect();
        let has = |index: usize, manifest: &Manifest| holds(manifest, wanted[index]);
        let mut found = project.repository.find_in_history(&project.branch, &lines, has)?.into_iter();
        let git = project.git(false)?;
        let mut scratch = ScratchObjects::begin(&project.repository)?;
        for change in &changes {
            let mut build = |locked: Option<&Locked>| match (locked, locked.and_then(|_| found.next()).flatten()) {
                (None, _) => Ok(Source::NotLocked),
                (Some(locked), None) => Ok(Source::Lacking(locked.clone())),
                (Some(locked), Some(snapshot)) => make_side(&git, &mut scratch, &snapshot, locked).map(Source::Built),
            };
            let sources = [build(change.before())?, build(change.after())?];
            self.add(change.clone(), sources);
        }
        if self.stat && !self.pairs.is_empty() {
            self.stat_trees = Some(group(&mut scratch, &self.pairs)?);
        }
        self.scratch = Some(scratch.finish()?);
        Ok(())
    }

    /// Adds a change to what the diff shows, or notes why it shows nothing of it.
    fn add(&mut self, change: LockChange, sources: [Source; 2]) {
        let pair = match sources {
            [Source::Built(before), Source::Built(after)] if before.tree == after.tree => {
                return self.same_code.push(change);
            }
            [Source::Built(before), Source::Built(after)] => [before, after],
            [Source::Built(before), Source::NotLocked] => [before.clone(), before.without_files()],
            [Source::NotLocked, Source::Built(after)] => [after.without_files(), after],
            others => {
                let is_current = self.between.after == ProjectState::Worktree;
                self.is_behind |= is_current && matches!(others[1], Source::Lacking(_));
                let lacking = others.into_iter().filter_map(|source| match source {
                    Source::Lacking(locked) => Some(locked),
                    Source::Built(_) | Source::NotLocked => None,
                });
                return self.lacking.extend(lacking);
            }
        };
        self.pairs.push(pair);
        self.shown.push(change);
    }

    /// Prints the diff to standard output, by running git with its pager. Returns whether there was anything to print.
    ///
    /// # Errors
    /// Fails if git cannot be run or fails.
    pub fn print(&self, project: &Project, printing: Printing) -> Result<bool> {
        let Some(scratch) = self.scratch.as_ref().filter(|_| !self.pairs.is_empty()) else { return Ok(false) };
        let pairs: Vec<TreePair> = match &self.stat_trees {
            Some(trees) => vec![TreePair { trees: trees.map(|tree| tree.to_string()), names: None }],
            None => {
                let pair = |[before, after]: &[Side; 2]| TreePair {
                    trees: [before, after].map(|side| side.tree.to_string()),
                    names: Some([before, after].map(Side::shown)),
                };
                self.pairs.iter().map(pair).collect()
            }
        };
        let pager = project.repository.setting("pager.diff");
        let worktree = scratch.worktree();
        let show = Show {
            git_dir: scratch.git_dir(),
            worktree: &worktree,
            stat: self.stat,
            color: printing.color,
            terminal: printing.terminal,
            pager: pager.as_deref(),
        };
        project.git(false)?.show(&pairs, &show)?;
        Ok(true)
    }
}

/// Combines all trees of each side into one tree, with the same folder name for both sides of a pair, so that git
/// prints a single summary.
fn group(scratch: &mut ScratchObjects, pairs: &[[Side; 2]]) -> Result<[ObjectId; 2]> {
    let name = |[before, after]: &[Side; 2]| match before.shown() {
        same if same == after.shown() => same,
        other if before.name == after.name => format!("{other}..{}", after.version),
        other => format!("{other}..{}", after.shown()),
    };
    let names: Vec<String> = pairs.iter().map(name).collect();
    let mut trees = [ObjectId::empty_tree(pairs[0][0].tree.kind()); 2];
    for (index, tree) in trees.iter_mut().enumerate() {
        *tree = scratch.tree_of(names.iter().map(String::as_str).zip(pairs.iter().map(|pair| pair[index].tree)))?;
    }
    Ok(trees)
}

/// Builds the tree of a dependency that a snapshot has.
pub(super) fn make_side(
    git: &ProjectGit,
    scratch: &mut ScratchObjects,
    snapshot: &Snapshot,
    locked: &Locked,
) -> Result<Side> {
    match locked {
        Locked::Release(pin) => {
            let tree = scratch.release(snapshot, &pin.id, pin.outer, pin.inner)?;
            Ok(Side { tree, name: pin.id.package.to_string(), version: pin.id.version.to_string() })
        }
        Locked::Revision(pin) => {
            let address = pin.url.address();
            let missing = || StoreError::damaged(address.tree_path())("it is missing");
            let checkout = snapshot.checkout(address)?.ok_or_else(missing)?;
            git.copy_revision(address, checkout.folder(), &scratch.objects(), pin.revision)?;
            let tree = scratch.revision(&checkout, pin.revision)?;
            Ok(Side { tree, name: plain(&pin.app), version: pin.revision.short() })
        }
        Locked::File(_) | Locked::Target(_) | Locked::Unmirrored(_) | Locked::Unknown(_) => {
            unreachable!("what has no line in a manifest is not looked for")
        }
    }
}

/// Converts a name to a valid folder name.
fn plain(name: &str) -> String {
    let fine = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    name.chars().map(fine).collect()
}

/// Returns the beginning of a dependency's line in the manifest and the part with the line, or `None` if the dependency
/// cannot be mirrored.
pub(super) fn line(locked: &Locked) -> Option<(ManifestPart, String)> {
    match locked {
        Locked::Release(pin) => Some((ManifestPart::of(&pin.id.package), Manifest::release_line(&pin.id))),
        Locked::Revision(pin) => Some((ManifestPart::Git, Manifest::revision_line(pin.url.address(), pin.revision))),
        // A file is not compared, but named.
        Locked::File(_) | Locked::Target(_) | Locked::Unmirrored(_) | Locked::Unknown(_) => None,
    }
}

/// Returns whether a mirror with this manifest has a dependency.
pub(super) fn holds(manifest: &Manifest, locked: &Locked) -> bool {
    match locked {
        Locked::Release(pin) => manifest.releases.get(&pin.id).is_some_and(|stored| pin.accepts(stored)),
        Locked::Revision(pin) => {
            manifest.git.get(pin.url.address()).is_some_and(|stored| stored.revisions.contains_key(&pin.revision))
        }
        Locked::File(pin) => manifest.files.contains_key(&pin.id),
        Locked::Target(_) => true,
        Locked::Unmirrored(_) | Locked::Unknown(_) => false,
    }
}

/// Returns whether a name matches a dependency, with or without its repository or organisation.
fn is_named(locked: &Locked, name: &str) -> bool {
    let Locked::Release(pin) = locked else { return locked.name() == name };
    let of = pin.id.repository.as_str();
    let is_its = |repository: &str| of == repository || of.strip_prefix("hexpm:") == Some(repository);
    let in_repository = name.rsplit_once('/').filter(|(repository, _)| is_its(repository));
    pin.id.package.as_str() == in_repository.map_or(name, |(_, package)| package)
}

/// Returns the dependencies with similar names, the most similar first.
fn similar_names(name: &str, known: &[Locked]) -> Vec<String> {
    let names: BTreeSet<&str> = known.iter().map(Locked::name).collect();
    let most = name.chars().count().div_ceil(3).min(3);
    let near = |known: &str| {
        let distance = strsim::levenshtein(name, known);
        let inside = name.len() > 2 && known.contains(name);
        (distance <= most || inside).then_some((distance, known.to_owned()))
    };
    let mut near: Vec<(usize, String)> = names.into_iter().filter_map(near).collect();
    near.sort();
    near.into_iter().map(|(_, name)| name).take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::UnsupportedEntry;

    #[test]
    fn similar_names_are_suggested_the_most_similar_first() {
        let known = ["plug", "plug_crypto", "jason", "phoenix"];
        let known = known.map(|app| Locked::Unknown(UnsupportedEntry { app: app.into(), kind: "hg".into() }));
        for (name, expected) in [
            ("plgu", &["plug"][..]),
            ("jsaon", &["jason"]),
            ("plu", &["plug", "plug_crypto"]),
            ("pheonix", &["phoenix"]),
            ("x", &[]),
            ("cowboy", &[]),
        ] {
            assert_eq!(similar_names(name, &known), expected, "{name}");
        }
    }
}
