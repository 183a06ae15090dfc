//! Compares the source code of dependencies between two states of the project, for reviewing an update.

use std::collections::BTreeSet;

use super::project::revisions::Between;
use super::{OpError, Project, Result, mirror};
use crate::git::{ProjectGit, Show, TreePair};
use crate::model::{Manifest, ManifestPart};
use crate::plan::{LockChange, Locked, lock_changes, locked};
use crate::store::{DiffRepository, ObjectId, ScratchObjects, Snapshot, StoreError};

/// The source trees of changed dependencies, ready to be printed.
#[derive(Debug)]
pub struct SourceDiff {
    /// The two states to compare.
    pub between: Between,
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
struct Side {
    tree: ObjectId,
    name: String,
    version: String,
}

impl Side {
    fn shown(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }
}

/// Prepares a diff of the sources of `packages`, or of all dependencies if empty, whose version or revision changed
/// between two states. Both sides must be in the mirror or in its history; there is no network access.
///
/// # Errors
/// Fails if neither state has a lock, if no lock contains one of the packages, if there is no mirror, or if what it
/// contains is damaged.
pub fn source_diff(project: &Project, between: Between, packages: &[String], stat: bool) -> Result<SourceDiff> {
    let [before, after] = between.locks(project)?;
    let mut known: Vec<Locked> = locked(&before.wanted);
    known.extend(locked(&after.wanted));
    for package in packages {
        if !known.iter().any(|locked| is_named(locked, package)) {
            return Err(OpError::NoPackage { name: package.clone(), near: similar_names(package, &known) });
        }
    }
    let mut changes = lock_changes(&before.wanted, &after.wanted);
    let asked = |change: &LockChange, package: &String| {
        change.before().into_iter().chain(change.after()).any(|locked| is_named(locked, package))
    };
    let unchanged = packages.iter().filter(|package| !changes.iter().any(|change| asked(change, package)));
    let unchanged = unchanged.cloned().collect();
    changes.retain(|change| packages.is_empty() || packages.iter().any(|package| asked(change, package)));
    let mut diff = SourceDiff {
        between,
        changed: !changes.is_empty(),
        shown: Vec::new(),
        passed_over: Vec::new(),
        unmirrored: Vec::new(),
        lacking: Vec::new(),
        unchanged,
        same_code: Vec::new(),
        pairs: Vec::new(),
        stat,
        stat_trees: None,
        scratch: None,
    };
    let mut wanted = Vec::new();
    for change in changes {
        let is_one_sided = change.before().is_none() || change.after().is_none();
        if is_one_sided && packages.is_empty() {
            diff.passed_over.push(change);
        } else if change.before().into_iter().chain(change.after()).any(|locked| line(locked).is_none()) {
            diff.unmirrored.push(change);
        } else {
            wanted.push(change);
        }
    }
    if !wanted.is_empty() {
        diff.prepare(project, wanted)?;
    }
    Ok(diff)
}

impl SourceDiff {
    /// Finds both sides of each change and builds trees of them.
    fn prepare(&mut self, project: &Project, changes: Vec<LockChange>) -> Result<()> {
        mirror(project)?;
        let sides = changes.iter().flat_map(|change| change.before().into_iter().chain(change.after()));
        let sides: Vec<&Locked> = sides.collect();
        let lines: Vec<(ManifestPart, String)> = sides.iter().filter_map(|locked| line(locked)).collect();
        let has = |index: usize, manifest: &Manifest| holds(manifest, sides[index]);
        let found = project.repository.find_in_history(&project.branch, &lines, has)?;
        let git = project.git(false)?;
        let mut scratch = ScratchObjects::begin(&project.repository)?;
        let mut found = found.into_iter();
        for change in &changes {
            let mut side = |locked: Option<&Locked>| -> Result<Option<Side>> {
                let (Some(locked), Some(snapshot)) = (locked, locked.and_then(|_| found.next())) else {
                    return Ok(None);
                };
                match snapshot {
                    Some(snapshot) => make_side(&git, &mut scratch, &snapshot, locked).map(Some),
                    None => {
                        self.lacking.push(locked.clone());
                        Ok(None)
                    }
                }
            };
            let (before, after) = (side(change.before())?, side(change.after())?);
            let complete = before.is_some() == change.before().is_some() && after.is_some() == change.after().is_some();
            if let (Some(before), Some(after)) = (&before, &after)
                && before.tree == after.tree
            {
                self.same_code.push(change.clone());
                continue;
            }
            if let Some(one) = before.clone().or(after.clone()).filter(|_| complete) {
                let nothing = Side { tree: ObjectId::empty_tree(one.tree.kind()), ..one };
                self.pairs.push([before.unwrap_or(nothing.clone()), after.unwrap_or(nothing)]);
                self.shown.push(change.clone());
            }
        }
        if self.stat && !self.pairs.is_empty() {
            self.stat_trees = Some(group(&mut scratch, &self.pairs)?);
        }
        self.scratch = Some(scratch.finish()?);
        Ok(())
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
        *tree = scratch.group(names.iter().map(String::as_str).zip(pairs.iter().map(|pair| pair[index].tree)))?;
    }
    Ok(trees)
}

fn make_side(git: &ProjectGit, scratch: &mut ScratchObjects, snapshot: &Snapshot, locked: &Locked) -> Result<Side> {
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
        Locked::Unmirrored(_) | Locked::Unknown(_) => unreachable!("what has no line in a manifest is not looked for"),
    }
}

/// Converts a name to a valid folder name.
fn plain(name: &str) -> String {
    let fine = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    name.chars().map(fine).collect()
}

/// Returns the beginning of a dependency's line in the manifest and the part with the line, or `None` if the dependency
/// cannot be mirrored.
fn line(locked: &Locked) -> Option<(ManifestPart, String)> {
    match locked {
        Locked::Release(pin) => Some((ManifestPart::of(&pin.id.package), Manifest::release_line(&pin.id))),
        Locked::Revision(pin) => Some((ManifestPart::Git, Manifest::revision_line(pin.url.address(), pin.revision))),
        Locked::Unmirrored(_) | Locked::Unknown(_) => None,
    }
}

fn holds(manifest: &Manifest, locked: &Locked) -> bool {
    match locked {
        Locked::Release(pin) => manifest.releases.get(&pin.id).is_some_and(|stored| pin.accepts(stored)),
        Locked::Revision(pin) => {
            manifest.git.get(pin.url.address()).is_some_and(|stored| stored.revisions.contains_key(&pin.revision))
        }
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
        let distance = distance(name, known);
        let inside = name.len() > 2 && known.contains(name);
        (distance <= most || inside).then_some((distance, known.to_owned()))
    };
    let mut near: Vec<(usize, String)> = names.into_iter().filter_map(near).collect();
    near.sort();
    near.into_iter().map(|(_, name)| name).take(3).collect()
}

/// Returns the edit distance between two texts: the number of characters to insert, delete or replace.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, from) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, to) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (one, other, expected) in [("", "abc", 3), ("plug", "plug", 0), ("plgu", "plug", 2), ("jsaon", "jason", 2)]
        {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
    }
}
