//! What locks want against what a snapshot holds.

use std::collections::BTreeSet;

use super::{GitPin, Ignored, Pin, Wanted};
use crate::model::{EntryId, Manifest, OuterChecksum, ReleaseId, StoredRelease, Version};

/// A pinned release whose package is in the mirror, but not so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The release that is wanted.
    pub pin: Pin,
    /// The versions of the package that are there, lowest first.
    pub mirrored: Vec<Version>,
    /// The checksum that the mirror has for this very version, where it is there and another one.
    pub conflict: Option<OuterChecksum>,
}

/// What a mirror lacks, and has beyond what is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// How many pinned releases are there, with the checksums that the locks demand.
    pub present: usize,
    /// The pinned releases of packages that are not there at all.
    pub missing: Vec<Pin>,
    /// The pinned releases of packages that are there at another version or with another checksum.
    pub changed: Vec<Change>,
    /// The registry entries of pinned packages that are not there.
    pub entries: Vec<EntryId>,
    /// The releases that are there and that no lock pins.
    pub extra: Vec<ReleaseId>,
    /// The git repositories that the locks pin.
    pub git: Vec<GitPin>,
    /// The dependencies of unknown kinds.
    pub ignored: Vec<Ignored>,
}

impl Comparison {
    /// Compares. An empty manifest stands for a mirror that does not exist yet.
    pub fn new(wanted: &Wanted, manifest: &Manifest) -> Self {
        let mut comparison = Self { git: wanted.git.clone(), ignored: wanted.ignored.clone(), ..Self::default() };
        let mut entries = BTreeSet::new();
        for pin in wanted.releases.values() {
            comparison.add(pin, manifest);
            let id = EntryId { repository: pin.id.repository.clone(), package: pin.id.package.clone() };
            if !manifest.entries.contains_key(&id) {
                entries.insert(id);
            }
        }
        comparison.entries = entries.into_iter().collect();
        comparison.extra = manifest.releases.keys().filter(|id| !wanted.releases.contains_key(id)).cloned().collect();
        comparison
    }

    fn add(&mut self, pin: &Pin, manifest: &Manifest) {
        let stored = manifest.releases.get(&pin.id);
        if stored.is_some_and(|stored| pin.accepts(stored)) {
            self.present += 1;
            return;
        }
        let of_package = manifest.releases_of(&pin.id.repository, &pin.id.package);
        let mirrored: Vec<Version> = of_package.map(|(id, _)| id.version.clone()).collect();
        if mirrored.is_empty() {
            self.missing.push(pin.clone());
        } else {
            self.changed.push(Change { pin: pin.clone(), mirrored, conflict: stored.map(|stored| stored.outer) });
        }
    }

    /// Tells whether everything that the locks pin of Hex is there.
    pub fn is_fresh(&self) -> bool {
        self.missing.is_empty() && self.changed.is_empty() && self.entries.is_empty()
    }

    /// Returns the releases that an update has to fetch.
    pub fn to_fetch(&self) -> impl Iterator<Item = &Pin> {
        self.missing.iter().chain(self.changed.iter().map(|change| &change.pin))
    }
}

impl Pin {
    /// Tells whether a stored release is the pinned one: every checksum that the lock demands agrees.
    pub fn accepts(&self, stored: &StoredRelease) -> bool {
        self.outer.is_none_or(|outer| outer == stored.outer) && self.inner.is_none_or(|inner| inner == stored.inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Lock;

    fn wanted(releases: &[(&str, &str, char)]) -> Wanted {
        let entries: Vec<String> = releases
            .iter()
            .map(|(package, version, digit)| {
                let sum = digit.to_string().repeat(64);
                format!(r#""{package}": {{:hex, :{package}, "{version}", "{sum}", [:mix], [], "hexpm", "{sum}"}}"#)
            })
            .collect();
        let mut wanted = Wanted::default();
        wanted.add(&Lock::parse("mix.lock", format!("%{{{}}}", entries.join(", "))).unwrap()).unwrap();
        wanted
    }

    fn manifest(releases: &[(&str, &str, char)]) -> Manifest {
        let line = |(package, version, digit): &(&str, &str, char)| {
            let sum = digit.to_string().repeat(64);
            format!("hex hexpm {package} {version} unpacked 1 {sum} {sum}\n")
        };
        let entries: BTreeSet<&str> = releases.iter().map(|(package, ..)| *package).collect();
        let entries = entries.iter().map(|package| format!("registry hexpm {package} 1 {}\n", "0".repeat(64)));
        (releases.iter().map(line).collect::<String>() + &entries.collect::<String>()).parse().unwrap()
    }

    #[test]
    fn each_release_is_present_missing_or_changed() {
        let wanted = wanted(&[("a", "1.0.0", 'a'), ("b", "2.0.0", 'b'), ("c", "1.0.0", 'c'), ("d", "1.0.0", 'd')]);
        let manifest = manifest(&[("a", "1.0.0", 'a'), ("a", "0.9.0", 'f'), ("b", "1.0.0", 'b'), ("c", "1.0.0", 'f')]);
        let comparison = Comparison::new(&wanted, &manifest);
        let names = |pins: Vec<&Pin>| pins.iter().map(|pin| pin.id.to_string()).collect::<Vec<_>>();
        assert_eq!(comparison.present, 1);
        assert_eq!(names(comparison.missing.iter().collect()), ["d 1.0.0"]);
        assert_eq!(names(comparison.changed.iter().map(|change| &change.pin).collect()), ["b 2.0.0", "c 1.0.0"]);
        assert_eq!(comparison.changed[0].conflict, None);
        assert_eq!(comparison.changed[1].conflict.unwrap().to_string(), "f".repeat(64));
        assert_eq!(comparison.extra.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a 0.9.0", "b 1.0.0"]);
        assert_eq!(comparison.entries.iter().map(ToString::to_string).collect::<Vec<_>>(), ["d"]);
        assert!(!comparison.is_fresh());
        assert_eq!(names(comparison.to_fetch().collect()), ["d 1.0.0", "b 2.0.0", "c 1.0.0"]);
    }

    #[test]
    fn a_mirror_with_everything_is_fresh() {
        let releases = [("a", "1.0.0", 'a'), ("b", "2.0.0", 'b')];
        assert!(Comparison::new(&wanted(&releases), &manifest(&releases)).is_fresh());
        let no_entries: Manifest = manifest(&releases)
            .to_string()
            .lines()
            .filter(|line| line.starts_with("hex"))
            .map(|l| format!("{l}\n"))
            .collect::<String>()
            .parse()
            .unwrap();
        assert!(!Comparison::new(&wanted(&releases), &no_entries).is_fresh());
    }
}
