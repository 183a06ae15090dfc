//! The changes between two sets of locks, such as those of two commits.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::{FilePin, GitPin, Pin, Unmirrored, UnsupportedEntry, Wanted};

/// A dependency in a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locked {
    /// A release of a package.
    Release(Pin),
    /// A revision of a git repository.
    Revision(GitPin),
    /// A file.
    File(FilePin),
    /// A machine that precompiled files are needed for.
    Target(String),
    /// A git dependency that cannot be mirrored.
    Unmirrored(Unmirrored),
    /// A dependency of an unknown kind.
    Unknown(UnsupportedEntry),
}

/// A dependency that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockChange {
    /// The dependency is new.
    Added(Locked),
    /// The dependency was removed.
    Removed(Locked),
    /// The dependency is pinned differently.
    Replaced {
        /// The old pin.
        before: Locked,
        /// The new pin.
        after: Locked,
    },
}

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// The dependency is new.
    Added,
    /// The dependency was removed.
    Removed,
    /// The version is higher.
    Raised,
    /// The version is lower.
    Lowered,
    /// The version is the same, but a checksum changed or was removed.
    Checksum,
    /// The git revision changed within the same repository.
    Moved,
    /// The dependency comes from another source: another repository, or git instead of Hex. Also used if the options of
    /// a git dependency select other code of the same revision, or if its new address no longer authenticates the
    /// server.
    Source,
}

impl ChangeKind {
    /// Returns the word for this kind in output and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Raised => "raised",
            Self::Lowered => "lowered",
            Self::Checksum => "checksum",
            Self::Moved => "moved",
            Self::Source => "source",
        }
    }
}

impl Locked {
    /// Returns the name of the package or, for other dependencies, of the application.
    pub fn name(&self) -> &str {
        match self {
            Self::Release(pin) => pin.id.package.as_str(),
            Self::Revision(pin) => &pin.app,
            Self::File(pin) => pin.id.path.as_str(),
            Self::Target(target) => target,
            Self::Unmirrored(unmirrored) => &unmirrored.app,
            Self::Unknown(ignored) => &ignored.app,
        }
    }

    /// Returns whether `after` pins the same code at least as strictly.
    ///
    /// An additional checksum does not count as a change, and neither do other ref names for a git revision. A removed
    /// checksum does, because the lock then accepts any content.
    fn is_kept(&self, after: &Self) -> bool {
        match (self, after) {
            (Self::Release(before), Self::Release(after)) => {
                before.id == after.id && is_kept(before.outer, after.outer) && is_kept(before.inner, after.inner)
            }
            (Self::Revision(before), Self::Revision(after)) => {
                before.revision == after.revision && has_equivalent_source(before, after)
            }
            (Self::File(before), Self::File(after)) => before.id == after.id,
            (before, after) => before == after,
        }
    }

    fn is_same_version(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Release(one), Self::Release(other)) if one.id == other.id)
    }

    fn is_from_same_source(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Release(one), Self::Release(other)) => one.id.repository == other.id.repository,
            (Self::Revision(one), Self::Revision(other)) => one.url.address() == other.url.address(),
            (Self::File(one), Self::File(other)) => one.address == other.address,
            (Self::Unmirrored(one), Self::Unmirrored(other)) => one.url == other.url,
            _ => false,
        }
    }
}

impl LockChange {
    /// Returns the name of the dependency.
    pub fn name(&self) -> &str {
        match self {
            Self::Added(locked) | Self::Removed(locked) | Self::Replaced { after: locked, .. } => locked.name(),
        }
    }

    /// Returns the old pin, unless the dependency is new.
    pub fn before(&self) -> Option<&Locked> {
        match self {
            Self::Removed(before) | Self::Replaced { before, .. } => Some(before),
            Self::Added(_) => None,
        }
    }

    /// Returns the new pin, unless the dependency was removed.
    pub fn after(&self) -> Option<&Locked> {
        match self {
            Self::Added(after) | Self::Replaced { after, .. } => Some(after),
            Self::Removed(_) => None,
        }
    }

    /// Returns the kind of the change.
    pub fn kind(&self) -> ChangeKind {
        let (before, after) = match self {
            Self::Added(_) => return ChangeKind::Added,
            Self::Removed(_) => return ChangeKind::Removed,
            Self::Replaced { before, after } => (before, after),
        };
        match (before, after) {
            _ if !before.is_from_same_source(after) => ChangeKind::Source,
            (Locked::Revision(one), Locked::Revision(other)) if !has_equivalent_source(one, other) => {
                ChangeKind::Source
            }
            (Locked::Release(one), Locked::Release(other)) => match one.id.version.cmp(&other.id.version) {
                Ordering::Less => ChangeKind::Raised,
                Ordering::Greater => ChangeKind::Lowered,
                Ordering::Equal => ChangeKind::Checksum,
            },
            (Locked::File(_), Locked::File(_)) => ChangeKind::Checksum,
            _ => ChangeKind::Moved,
        }
    }
}

/// Returns whether an old checksum is still required.
fn is_kept<T: PartialEq>(before: Option<T>, after: Option<T>) -> bool {
    before.is_none() || before == after
}

/// Returns whether two pins have the same repository and the same options, and the new address authenticates the server
/// if the old one does.
fn has_equivalent_source(before: &GitPin, after: &GitPin) -> bool {
    let part = |pin: &GitPin| (pin.subdir.clone(), pin.sparse.clone(), pin.submodules, pin.depth);
    before.url.address() == after.url.address()
        && part(before) == part(after)
        && (after.url.is_authenticated() || !before.url.is_authenticated())
}

/// Returns everything that locks pin, without duplicates.
pub fn locked(wanted: &Wanted) -> Vec<Locked> {
    let releases = wanted.releases.values().cloned().map(Locked::Release);
    let others = wanted.git.iter().cloned().map(Locked::Revision);
    let others = others.chain(wanted.all_files().cloned().map(Locked::File));
    let others = others.chain(wanted.targets.iter().map(ToString::to_string).map(Locked::Target));
    let others = others.chain(wanted.unmirrored.iter().cloned().map(Locked::Unmirrored));
    let is_twice = |one: &Locked, other: &Locked| one.is_kept(other) && other.is_kept(one);
    let mut all: Vec<Locked> = Vec::new();
    for locked in others.chain(wanted.ignored.iter().cloned().map(Locked::Unknown)) {
        if !all.iter().any(|known| known.name() == locked.name() && is_twice(known, &locked)) {
            all.push(locked);
        }
    }
    releases.chain(all).collect()
}

/// Returns the changes, sorted by name. If locks pin several versions of a package, each is compared with the one that
/// it most likely replaces.
pub fn lock_changes(before: &Wanted, after: &Wanted) -> Vec<LockChange> {
    let mut names: BTreeMap<String, (Vec<Locked>, Vec<Locked>)> = BTreeMap::new();
    for one in locked(before) {
        names.entry(one.name().to_owned()).or_default().0.push(one);
    }
    for other in locked(after) {
        names.entry(other.name().to_owned()).or_default().1.push(other);
    }
    names.into_values().flat_map(|(before, after)| changes_of_one(before, after)).collect()
}

/// Compares the pins of one name.
fn changes_of_one(before: Vec<Locked>, mut after: Vec<Locked>) -> Vec<LockChange> {
    let mut gone = before;
    // Matches unchanged pins first, so that they are not taken for replacements of others.
    for is_kept in [PartialEq::eq, Locked::is_kept] as [fn(&Locked, &Locked) -> bool; 2] {
        gone.retain(|one| {
            let kept = after.iter().position(|other| is_kept(one, other));
            kept.map(|index| after.remove(index)).is_none()
        });
    }
    let mut changes = Vec::new();
    let likely: [fn(&Locked, &Locked) -> bool; 3] = [Locked::is_same_version, Locked::is_from_same_source, |_, _| true];
    for is_successor in likely {
        let mut left = Vec::new();
        for one in gone {
            match after.iter().position(|other| is_successor(&one, other)) {
                Some(index) => changes.push(LockChange::Replaced { before: one, after: after.remove(index) }),
                None => left.push(one),
            }
        }
        gone = left;
    }
    changes.extend(gone.into_iter().map(LockChange::Removed));
    changes.extend(after.into_iter().map(LockChange::Added));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Lock;

    fn wanted(locks: &[&str]) -> Wanted {
        let mut wanted = Wanted::default();
        locks.iter().for_each(|text| wanted.add(&Lock::parse("mix.lock", format!("%{{{text}}}")).unwrap()).unwrap());
        wanted
    }

    fn hex(name: &str, version: &str, digit: &str) -> String {
        let sum = digit.repeat(64);
        format!(r#""{name}": {{:hex, :{name}, "{version}", "{sum}", [:mix], [], "hexpm", "{sum}"}}"#)
    }

    fn git(url: &str, digit: &str, options: &str) -> String {
        format!(r#""g": {{:git, "{url}", "{}", [{options}]}}"#, digit.repeat(40))
    }

    fn kinds(before: &[&str], after: &[&str]) -> Vec<String> {
        let changes = lock_changes(&wanted(before), &wanted(after));
        changes.iter().map(|change| format!("{} {}", change.kind().as_str(), change.name())).collect()
    }

    #[test]
    fn every_kind_of_change() {
        let (low, high) = (hex("a", "1.9.0", "a"), hex("a", "1.10.0", "b"));
        let other = hex("a", "1.9.0", "c");
        let (one, two) = (git("https://h/x", "1", ""), git("https://h/x.git", "2", r#"branch: "b""#));
        let elsewhere = git("https://evil/x", "1", "");
        for (before, after, expected) in [
            (&*low, &*high, "raised a"),
            (&high, &low, "lowered a"),
            (&low, &other, "checksum a"),
            ("", &low, "added a"),
            (&low, "", "removed a"),
            (&one, &two, "moved g"),
            (&one, &elsewhere, "source g"),
            (&low, &low.replace("\"hexpm\"", "\"hexpm:acme\""), "source a"),
            (&low, &git("https://h/a", "1", "").replace("\"g\"", "\"a\""), "source a"),
            (r#""l": {:hg, "x"}"#, r#""l": {:git, "../x", "abc", []}"#, "source l"),
            (&low, &low.replace(&format!(r#", "{}"}}"#, "a".repeat(64)), "}"), "checksum a"),
            (&low, r#""a": {:hex, :a, "1.9.0"}"#, "checksum a"),
            (&one, &git("http://h/x", "1", ""), "source g"),
            (&git("git@h:x", "1", ""), &git("git://h/x", "1", ""), "source g"),
            (&one, &git("http://h/x", "2", ""), "source g"),
            (&one, &git("https://h/x", "1", r#"subdir: "d""#), "source g"),
            (&git("https://h/x", "1", r#"sparse: "d""#), &one, "source g"),
            (&one, &git("https://h/x", "1", "submodules: true"), "source g"),
            (&one, &git("https://h/x", "2", "depth: 1"), "source g"),
        ] {
            assert_eq!(kinds(&[before], &[after]), [expected], "{before} {after}");
        }
    }

    #[test]
    fn changes_that_leave_the_code_alone_are_ignored() {
        let full = hex("a", "1.0.0", "a");
        let cases = [
            (full.clone(), full),
            (r#""a": {:hex, :a, "1.0.0"}"#.to_owned(), hex("a", "1.0.0", "a")),
            (git("https://h/x", "1", ""), git("git@h:x.git", "1", r#"tag: "v1""#)),
            (git("http://h/x", "1", ""), git("https://h/x", "1", "")),
            (git("http://h/x", "1", ""), git("git://h/x", "1", "submodules: false")),
        ];
        for (before, after) in cases {
            assert_eq!(kinds(&[&before], &[&after]), [""; 0], "{before} {after}");
        }
    }

    #[test]
    fn several_versions_of_a_package_are_matched_by_successor() {
        let [one, two, three] = [("1.0.0", "a"), ("2.0.0", "b"), ("2.1.0", "c")].map(|(v, d)| hex("a", v, d));
        assert_eq!(kinds(&[&one, &two], &[&one, &three]), ["raised a"]);
        assert_eq!(kinds(&[&one, &two], &[&three]), ["raised a", "removed a"]);
        let again = hex("a", "2.0.0", "d");
        assert_eq!(kinds(&[&two], &[&one, &again]), ["checksum a", "added a"]);
        let (git_one, named) = (git("https://h/x", "1", ""), git("https://h/x", "1", r#"tag: "v""#));
        assert_eq!(kinds(&[&git_one, &named], &[&git_one]), [""; 0]);
        let plain = git("http://h/x", "1", "");
        assert_eq!(kinds(&[&git_one, &plain], &[&plain, &git_one]), [""; 0]);
        assert_eq!(kinds(&[&git_one], &[&plain, &git_one]), ["added g"]);
    }
}
