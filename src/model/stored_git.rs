//! What the manifest knows of a stored git repository.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use super::{GitAddress, GitName, Revision};

/// What the manifest knows of a stored git repository. Everything in its folder but the packs' content follows from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredGit {
    /// The commits that are there with their ancestry.
    pub revisions: BTreeMap<Revision, StoredRevision>,
    /// The sizes of the packs in bytes, without their indexes, by the id in their names.
    pub packs: BTreeMap<Revision, u64>,
    /// The commits whose parents are not there (git's `shallow` file); none where all ancestries are full.
    pub shallow: BTreeSet<Revision>,
}

/// What the manifest knows of a stored commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredRevision {
    /// How many generations of its ancestry are there, itself included; `None` where all are.
    pub depth: Option<NonZeroU32>,
    /// The names that locks gave it.
    pub names: BTreeSet<GitName>,
    /// Its submodules, which are stored as repositories of their own; `None` where nobody asked for them.
    pub submodules: Option<BTreeSet<(GitAddress, Revision)>>,
}

/// What there is to compare of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitContent {
    /// All of it.
    Text(String),
    /// Its size in bytes.
    Size(u64),
}

impl StoredGit {
    /// Returns the size of the packs in bytes.
    pub fn bytes(&self) -> u64 {
        self.packs.values().sum()
    }

    /// Tells whether every ancestry is full.
    pub fn is_full(&self) -> bool {
        self.revisions.values().all(|revision| revision.depth.is_none())
    }

    /// Returns the refs that the repository has, by their full names. A name that cannot be a file beside another one is
    /// left out, where another folder of the same name is needed: clients keep refs as files.
    pub fn refs(&self) -> BTreeMap<String, Revision> {
        // The names of entries may move to other revisions; these never do, and so keep every revision reachable from a
        // branch. mix asks for `ref: …` by a plain `git fetch`, which takes all branches and nothing else.
        let pinned = self.revisions.keys().map(|revision| (format!("refs/heads/hexmirror/{revision}"), *revision));
        let mut refs: BTreeMap<String, Revision> = pinned.collect();
        for (revision, stored) in &self.revisions {
            for name in stored.names.iter().filter(|name| **name != GitName::Head) {
                let name = format!("refs/{name}");
                if !refs.keys().any(|other| *other == name || is_folder_of(other, &name) || is_folder_of(&name, other))
                {
                    refs.insert(name, *revision);
                }
            }
        }
        refs
    }

    /// Returns the branch that `HEAD` stands on: the revision of an entry that names nothing, else the first named branch,
    /// else the first revision. `None` only where there is no revision.
    pub fn head(&self) -> Option<String> {
        let unnamed = self.revisions.iter().find(|(_, stored)| stored.names.contains(&GitName::Head));
        if let Some((revision, _)) = unnamed {
            return Some(format!("refs/heads/hexmirror/{revision}"));
        }
        let refs = self.refs();
        let mut branches = refs.keys().filter(|name| name.starts_with("refs/heads/"));
        let first = branches.clone().next().cloned();
        branches.find(|name| !name.starts_with("refs/heads/hexmirror/")).cloned().or(first)
    }

    /// Returns the files of the bare repository that are neither packs nor indexes, by their paths in it: what
    /// `git pack-refs` and `git update-server-info` write.
    pub fn files(&self) -> Vec<(&'static str, String)> {
        let refs = self.refs();
        let head = self.head().unwrap_or_else(|| "refs/heads/hexmirror/none".to_owned());
        let packed = refs.iter().map(|(name, revision)| format!("{revision} {name}\n"));
        let packed = ["# pack-refs with: peeled fully-peeled sorted \n".to_owned()].into_iter().chain(packed);
        let info = refs.iter().map(|(name, revision)| format!("{revision}\t{name}\n"));
        let packs = self.packs.keys().map(|name| format!("P pack-{name}.pack\n"));
        let mut files = vec![
            ("HEAD", format!("ref: {head}\n")),
            ("packed-refs", packed.collect()),
            ("info/refs", info.collect()),
            ("objects/info/packs", packs.chain(["\n".to_owned()]).collect()),
        ];
        if !self.shallow.is_empty() {
            files.push(("shallow", self.shallow.iter().map(|commit| format!("{commit}\n")).collect()));
        }
        files
    }

    /// Returns the paths of those files that are not what they have to be, too many or missing.
    pub fn unlike(&self, files: &BTreeMap<String, GitContent>) -> Vec<String> {
        let texts = self.files().into_iter().map(|(path, text)| (path.to_owned(), GitContent::Text(text)));
        let mut expected: BTreeMap<String, GitContent> = texts.collect();
        for (name, bytes) in &self.packs {
            let path = |extension: &str| format!("objects/pack/pack-{name}.{extension}");
            expected.insert(path("pack"), GitContent::Size(*bytes));
            // Its size follows from what is in the pack, and git compares the two.
            expected.insert(path("idx"), files.get(&path("idx")).cloned().unwrap_or(GitContent::Size(0)));
        }
        let missing = expected.keys().filter(|path| !files.contains_key(*path));
        let unlike = files.iter().filter(|(path, content)| expected.get(*path) != Some(*content)).map(|(path, _)| path);
        missing.chain(unlike).cloned().collect()
    }

    /// Returns whether any revision has a name.
    pub fn has_name(&self, name: &GitName) -> bool {
        self.revisions.values().any(|stored| stored.names.contains(name))
    }

    /// Gives a revision a name, which no other revision then has. A revision that is not there gets none.
    pub fn set_name(&mut self, revision: Revision, name: &GitName) {
        if !self.revisions.contains_key(&revision) {
            return;
        }
        for (other, stored) in &mut self.revisions {
            if *other == revision {
                stored.names.insert(name.clone());
            } else {
                stored.names.remove(name);
            }
        }
    }

    /// Tells whether everything that another mirror knows of one repository's revisions is known here too.
    pub fn has_all_of(&self, other: &Self) -> bool {
        other.revisions.iter().all(|(revision, stored)| self.revisions.get(revision) == Some(stored))
    }

    /// Returns what two mirrors know of one repository together. If both give a name, this one's stays.
    ///
    /// `None` if they cut ancestries off at different commits and neither has everything that the other has: `shallow` counts
    /// for the whole repository, so that putting them together would cut off an ancestry that is stored in full.
    pub fn union(&self, other: &Self) -> Option<Self> {
        let mut union = self.clone();
        if self.shallow == other.shallow {
            union.packs.extend(other.packs.iter().map(|(name, bytes)| (*name, *bytes)));
        } else if other.is_as_deep_as(self) {
            union.clone_from(other);
        } else if !self.is_as_deep_as(other) {
            return None;
        }
        for (revision, stored) in self.revisions.iter().chain(&other.revisions) {
            let known = union
                .revisions
                .entry(*revision)
                .or_insert_with(|| StoredRevision { depth: stored.depth, ..StoredRevision::default() });
            known.depth = known.depth.zip(stored.depth).map(|(one, other)| one.max(other));
            if let Some(submodules) = &stored.submodules {
                known.submodules.get_or_insert_default().extend(submodules.iter().cloned());
            }
        }
        for mirror in [other, self] {
            for (revision, stored) in &mirror.revisions {
                stored.names.iter().for_each(|name| union.set_name(*revision, name));
            }
        }
        Some(union)
    }

    /// Returns whether every revision of another mirror is here too, and its ancestry at least as deep.
    fn is_as_deep_as(&self, other: &Self) -> bool {
        other.revisions.iter().all(|(revision, stored)| {
            let own = self.revisions.get(revision);
            own.is_some_and(|own| own.depth.is_none_or(|own| stored.depth.is_some_and(|other| own >= other)))
        })
    }

    /// Takes a line of the manifest, without its address.
    pub(super) fn read_line(&mut self, kind: &str, fields: &[&str]) -> Option<()> {
        match (kind, fields) {
            ("git", [revision, depth, words @ ..]) => {
                let depth = if *depth == "full" { None } else { Some(depth.parse().ok()?) };
                let mut stored = StoredRevision { depth, ..StoredRevision::default() };
                for word in words {
                    match *word {
                        "submodules" => stored.submodules = Some(BTreeSet::new()),
                        name => drop(stored.names.insert(name.parse().ok()?)),
                    }
                }
                self.revisions.insert(revision.parse().ok()?, stored).is_none().then_some(())
            }
            ("pack", [name, bytes]) => {
                self.packs.insert(name.parse().ok()?, bytes.parse().ok()?).is_none().then_some(())
            }
            ("shallow", [commit]) => self.shallow.insert(commit.parse().ok()?).then_some(()),
            // The lines are sorted, so that a revision stands before its submodules.
            ("submodule", [revision, address, of_submodule]) => {
                let stored = self.revisions.get_mut(&revision.parse().ok()?)?;
                let submodule = (address.parse().ok()?, of_submodule.parse().ok()?);
                stored.submodules.as_mut()?.insert(submodule).then_some(())
            }
            _ => None,
        }
    }

    /// Returns the lines of the manifest.
    pub(super) fn lines(&self, address: &GitAddress) -> Vec<String> {
        let mut lines = Vec::new();
        for (revision, stored) in &self.revisions {
            let depth = stored.depth.map_or_else(|| "full".to_owned(), |depth| depth.to_string());
            let submodules = stored.submodules.iter().map(|_| " submodules".to_owned());
            let names = stored.names.iter().map(|name| format!(" {name}"));
            let words: String = submodules.chain(names).collect();
            lines.push(format!("git {address} {revision} {depth}{words}\n"));
            for (submodule, pinned) in stored.submodules.iter().flatten() {
                lines.push(format!("submodule {address} {revision} {submodule} {pinned}\n"));
            }
        }
        lines.extend(self.packs.iter().map(|(name, bytes)| format!("pack {address} {name} {bytes}\n")));
        lines.extend(self.shallow.iter().map(|commit| format!("shallow {address} {commit}\n")));
        lines
    }
}

/// Tells whether `name` is `folder` with something below it.
fn is_folder_of(folder: &str, name: &str) -> bool {
    name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(lines: &[(&str, &[&str])]) -> StoredGit {
        let mut stored = StoredGit::default();
        for (kind, fields) in lines {
            stored.read_line(kind, fields).unwrap();
        }
        stored
    }

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    #[test]
    fn names_become_refs_and_stay_apart_as_files() {
        let git = stored(&[
            ("git", &[ONE, "full", "heads/a", "heads/hexmirror", "tags/a/b"]),
            ("git", &[TWO, "full", "heads/a/b", "tags/a"]),
        ]);
        let refs = git.refs();
        let names: Vec<&str> = refs.keys().map(String::as_str).collect();
        let pinned = [ONE, TWO].map(|revision| format!("refs/heads/hexmirror/{revision}"));
        assert_eq!(names, ["refs/heads/a", &pinned[0], &pinned[1], "refs/tags/a/b"]);
        assert_eq!(git.head().as_deref(), Some("refs/heads/a"));
    }

    #[test]
    fn no_name_takes_the_place_of_the_branch_that_keeps_a_revision() {
        let git = stored(&[("git", &[ONE, "full"]), ("git", &[TWO, "full", &format!("heads/hexmirror/{ONE}")])]);
        let kept = [ONE, TWO].map(|id| (format!("refs/heads/hexmirror/{id}"), id.parse().unwrap()));
        assert_eq!(git.refs(), BTreeMap::from(kept));
    }

    #[test]
    fn a_name_stays_when_its_new_revision_is_not_there() {
        let mut git = stored(&[("git", &[ONE, "full", "heads/a"])]);
        git.set_name(TWO.parse().unwrap(), &"heads/a".parse().unwrap());
        assert!(git.has_name(&"heads/a".parse().unwrap()));
    }

    #[test]
    fn mirrors_of_different_depths_unite_if_one_has_all_of_the_other() {
        let full = stored(&[("git", &[ONE, "full", "HEAD"]), ("git", &[TWO, "full"]), ("pack", &[ONE, "9"])]);
        let cut = stored(&[("git", &[ONE, "1", "heads/a", "HEAD"]), ("pack", &[TWO, "5"]), ("shallow", &[ONE])]);
        let deeper = stored(&[("git", &[ONE, "2", "heads/b"]), ("pack", &[ONE, "7"]), ("shallow", &[TWO])]);
        let named = |git: &StoredGit, names: &[&str]| {
            let mut git = git.clone();
            names.iter().for_each(|name| git.set_name(ONE.parse().unwrap(), &name.parse().unwrap()));
            git
        };
        assert_eq!(full.union(&cut), Some(named(&full, &["heads/a"])));
        assert_eq!(cut.union(&full), Some(named(&full, &["heads/a"])));
        assert_eq!(cut.union(&deeper), Some(named(&deeper, &["heads/a", "HEAD"])));
        assert_eq!(stored(&[("git", &[TWO, "1"]), ("shallow", &[TWO])]).union(&cut), None);
    }

    #[test]
    fn head_is_what_an_entry_without_a_name_wants() {
        let mut git = stored(&[("git", &[ONE, "full", "heads/a"]), ("git", &[TWO, "full", "HEAD"])]);
        assert_eq!(git.head(), Some(format!("refs/heads/hexmirror/{TWO}")));
        git.set_name(ONE.parse().unwrap(), &GitName::Head);
        assert_eq!(git.head(), Some(format!("refs/heads/hexmirror/{ONE}")));
        let unnamed = stored(&[("git", &[TWO, "1"])]);
        assert_eq!(unnamed.head(), Some(format!("refs/heads/hexmirror/{TWO}")));
    }
}
