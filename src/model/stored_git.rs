//! The manifest's record of a stored git repository.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use super::{GitAddress, GitName, Revision};

/// The manifest's record of a stored git repository. It determines every file of the repository except the content of
/// the packs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredGit {
    /// The stored commits.
    pub revisions: BTreeMap<Revision, StoredRevision>,
    /// The sizes of the packs in bytes, without their indexes, keyed by the id in the file name.
    pub packs: BTreeMap<Revision, u64>,
    /// The commits that are stored without their parents (git's `shallow` file). Empty if all ancestries are complete.
    pub shallow: BTreeSet<Revision>,
}

/// The manifest's record of a stored commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredRevision {
    /// The number of stored generations of the ancestry, including the commit itself; `None` if the ancestry is
    /// complete.
    pub depth: Option<NonZeroU32>,
    /// The refs that locks name for the commit.
    pub names: BTreeSet<GitName>,
    /// The submodules, which are stored as repositories of their own; `None` if no lock requests them.
    pub submodules: Option<BTreeSet<(GitAddress, Revision)>>,
}

/// The properties of a file that are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitContent {
    /// The complete text.
    Text(String),
    /// The size in bytes.
    Size(u64),
}

impl StoredGit {
    /// Returns the total size of the packs in bytes.
    pub fn bytes(&self) -> u64 {
        self.packs.values().sum()
    }

    /// Returns whether every ancestry is complete.
    pub fn is_full(&self) -> bool {
        self.revisions.values().all(|revision| revision.depth.is_none())
    }

    /// Returns the refs of the repository, by full name.
    ///
    /// Clients store refs as files, so `a` and `a/b` cannot both exist. A name that conflicts with an earlier one in this
    /// way is left out.
    pub fn refs(&self) -> BTreeMap<String, Revision> {
        // The refs that locks name may move to other revisions. These refs never move, so every revision stays reachable
        // from a branch. For `ref: …`, mix runs a plain `git fetch`, which fetches all branches and nothing else.
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

    /// Returns the target of `HEAD`: the revision of an entry that names no ref; otherwise the first named branch;
    /// otherwise the first revision. `None` if there is no revision.
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

    /// Returns the files of the bare repository other than packs and indexes, by path: the files that `git pack-refs`
    /// and `git update-server-info` write.
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

    /// Returns the paths that differ from the expected files, including missing and additional files.
    pub fn differing_files(&self, files: &BTreeMap<String, GitContent>) -> Vec<String> {
        let texts = self.files().into_iter().map(|(path, text)| (path.to_owned(), GitContent::Text(text)));
        let mut expected: BTreeMap<String, GitContent> = texts.collect();
        for (name, bytes) in &self.packs {
            let path = |extension: &str| format!("objects/pack/pack-{name}.{extension}");
            expected.insert(path("pack"), GitContent::Size(*bytes));
            // The size of an index follows from the content of its pack, and git checks that the two match.
            expected.insert(path("idx"), files.get(&path("idx")).cloned().unwrap_or(GitContent::Size(0)));
        }
        let missing = expected.keys().filter(|path| !files.contains_key(*path));
        let unlike = files.iter().filter(|(path, content)| expected.get(*path) != Some(*content)).map(|(path, _)| path);
        missing.chain(unlike).cloned().collect()
    }

    /// Returns whether any revision has this name.
    pub fn has_name(&self, name: &GitName) -> bool {
        self.revisions.values().any(|stored| stored.names.contains(name))
    }

    /// Moves a name to a revision. Does nothing if the revision is not stored.
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

    /// Returns whether this record contains all revisions of `other`, with the same depths and submodules. The refs may
    /// differ.
    pub fn has_all_of(&self, other: &Self) -> bool {
        let details = |stored: &StoredRevision| (stored.depth, stored.submodules.clone());
        other
            .revisions
            .iter()
            .all(|(revision, stored)| self.revisions.get(revision).map(details) == Some(details(stored)))
    }

    /// Returns the union of two records of one repository. If both have the same name, this record's name is kept.
    ///
    /// Returns `None` if the mirrors truncate ancestries at different commits and neither contains everything that the
    /// other one has. `shallow` applies to the whole repository, so a union would truncate an ancestry that is stored in
    /// full.
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

    /// Returns whether this record contains all revisions of `other`, each with an ancestry that is at least as deep.
    fn is_as_deep_as(&self, other: &Self) -> bool {
        other.revisions.iter().all(|(revision, stored)| {
            let own = self.revisions.get(revision);
            own.is_some_and(|own| own.depth.is_none_or(|own| stored.depth.is_some_and(|other| own >= other)))
        })
    }

    /// Adds a line of the manifest, given without its address. `None` if the line is malformed.
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
            // The lines are sorted, so a revision's line precedes those of its submodules.
            ("submodule", [revision, address, of_submodule]) => {
                let stored = self.revisions.get_mut(&revision.parse().ok()?)?;
                let submodule = (address.parse().ok()?, of_submodule.parse().ok()?);
                stored.submodules.as_mut()?.insert(submodule).then_some(())
            }
            _ => None,
        }
    }

    /// Returns the lines of this record in the manifest.
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

/// Returns whether `name` is a path below `folder`.
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
    fn names_become_refs_without_file_conflicts() {
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
    fn no_name_replaces_the_branch_of_a_pinned_revision() {
        let git = stored(&[("git", &[ONE, "full"]), ("git", &[TWO, "full", &format!("heads/hexmirror/{ONE}")])]);
        let kept = [ONE, TWO].map(|id| (format!("refs/heads/hexmirror/{id}"), id.parse().unwrap()));
        assert_eq!(git.refs(), BTreeMap::from(kept));
    }

    #[test]
    fn a_ref_is_kept_if_its_new_revision_is_missing() {
        let mut git = stored(&[("git", &[ONE, "full", "heads/a"])]);
        git.set_name(TWO.parse().unwrap(), &"heads/a".parse().unwrap());
        assert!(git.has_name(&"heads/a".parse().unwrap()));
    }

    #[test]
    fn different_depths_are_united_if_one_contains_the_other() {
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
    fn an_entry_without_a_ref_wants_head() {
        let mut git = stored(&[("git", &[ONE, "full", "heads/a"]), ("git", &[TWO, "full", "HEAD"])]);
        assert_eq!(git.head(), Some(format!("refs/heads/hexmirror/{TWO}")));
        git.set_name(ONE.parse().unwrap(), &GitName::Head);
        assert_eq!(git.head(), Some(format!("refs/heads/hexmirror/{ONE}")));
        let unnamed = stored(&[("git", &[TWO, "1"])]);
        assert_eq!(unnamed.head(), Some(format!("refs/heads/hexmirror/{TWO}")));
    }
}
